"""The pages in a real browser: nothing wider than the window, no clipped text, nothing too small to read.

Looks for chromium in `CHROMIUM`, then on the path; without one these tests are skipped, and say so. The checks see widths and sizes;
before a release a person looks at the pictures.
"""

import html
import json
import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from coordinator.report.html import render
from coordinator.report.wording import LANGUAGES
from coordinator.results import Results
from tests.vectors.report.risk import risk

VECTORS = Path(__file__).parent.parent / "vectors" / "report"
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
WIDTHS = (1100, 390)
FILES = {"results.json": 3, "exact.json": 3, "risk": 14}  # and the pictures of each
# Runs outside of the pages, which allow no script: measures each of them in its frame.
PROBE = """
<script>addEventListener("load", () => {
  const found = [...document.querySelectorAll("iframe")].map(frame => {
    const page = frame.contentDocument, wide = page.documentElement;
    const kinds = "h1,h2,h3,p,li,dt,dd,th,td,caption,figcaption,summary,small,span,abbr,code,svg text";
    const scale = each => each.ownerSVGElement ? each.getScreenCTM().a : 1;
    const boxes = [...page.querySelectorAll(kinds)].filter(each => each.checkVisibility());
    const pictures = [...page.querySelectorAll("svg")].filter(each => each.checkVisibility());
    const drawn = pictures.map(each => [each, [...each.querySelectorAll("text")].map(text => [text, text.getBoundingClientRect()])]);
    const beyond = drawn.flatMap(([picture, texts]) => {
      const frame = picture.getBoundingClientRect();
      return texts.filter(([, box]) => box.left < frame.left - 1 || box.right > frame.right + 1 || box.bottom > frame.bottom + 1);
    });
    const overlaid = drawn.flatMap(([, texts]) => texts.filter(([, box], place) => texts.slice(place + 1).some(([, other]) =>
      box.left < other.right - 1 && other.left < box.right - 1 && box.top < other.bottom - 5 && other.top < box.bottom - 5)));
    const size = each => scale(each) * parseFloat(getComputedStyle(each).fontSize);
    const loose = each => !each.ownerSVGElement && each.scrollWidth > each.clientWidth + 1 && getComputedStyle(each).display != "inline";
    const outside = each => !each.closest(".scroll,.wide .picture") && each.getBoundingClientRect().right > wide.clientWidth + 0.5;
    return {
      window: wide.clientWidth, content: wide.scrollWidth, boxes: boxes.length,
      clipped: boxes.filter(loose).map(each => each.textContent.slice(0, 40)),
      outside: boxes.filter(outside).map(each => each.textContent.slice(0, 40)),
      pictures: pictures.length,
      beyond: beyond.map(([text]) => text.textContent), overlaid: overlaid.map(([text]) => text.textContent),
      smallest: Math.min(...boxes.filter(each => each.textContent.trim()).map(size)),
    };
  });
  document.body.innerHTML = "<pre>" + encodeURIComponent(JSON.stringify(found)) + "</pre>";
});</script>
"""


def browser() -> str:
    """The browser's path. Skips the test with the reason if there is none."""
    named = os.environ.get("CHROMIUM")
    found = named or next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        # No package of the index brings a browser; where there is none, the page's structure is tested without one.
        pytest.skip(f"no browser: set CHROMIUM or install one of {', '.join(NAMES)}")
    return found


@cache
def measured(folder: Path, program: str, narrow_print: bool = False) -> dict[tuple[str, str, int], dict[str, Any]]:
    """Every page at every width, in one start of the browser. `narrow_print`: the print rules on A4 paper instead."""
    cases, frames = [], []
    for file in FILES:
        results = Results.of(risk()) if file == "risk" else Results.load(VECTORS / file)
        for language in LANGUAGES:
            page = render(results, language)
            for width in (695,) if narrow_print else WIDTHS:  # 695 px: A4 less its margins
                shown = (
                    page.replace("@media screen and", "@media none and").replace("@media print", "@media all")
                    if narrow_print
                    else page
                )
                cases.append((file, language, width))
                frames.append(
                    f'<iframe width="{width}" height="900" style="border:0" srcdoc="{html.escape(shown)}"></iframe>'
                )
    sheet = folder / f"frames-{narrow_print}.html"
    sheet.write_text("<!doctype html><meta charset=utf-8><body>" + "".join(frames) + PROBE, encoding="utf-8")
    command = [
        program, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync", "--hide-scrollbars", f"--user-data-dir={folder / 'profile'}", "--dump-dom",
        sheet.as_uri(),
    ]  # fmt: skip
    run = subprocess.run(command, capture_output=True, timeout=120, check=True)  # noqa: S603 a browser on a file of our own
    match = re.search(r"<pre>([^<]+)</pre>", run.stdout.decode())
    assert match, run.stdout[:400]
    from urllib.parse import unquote

    return dict(zip(cases, json.loads(unquote(match[1])), strict=True))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("visual")


def test_no_page_is_wider_than_its_window_and_no_text_is_cut_off(folder: Path) -> None:
    for (file, language, width), seen in measured(folder, browser()).items():
        at = f"{file} {language} at {width} px"
        assert seen["window"] == width, at
        assert seen["content"] <= width, at
        assert seen["boxes"] > 400, at
        assert seen["clipped"] == [], at
        assert seen["outside"] == [], at
        assert seen["pictures"] == FILES[file], at
        assert seen["beyond"] == [], at
        assert seen["overlaid"] == [], at
        assert seen["smallest"] >= 9.5, at


def test_in_print_every_label_is_at_least_8_points_and_stays_on_the_paper(folder: Path) -> None:
    for (file, language, width), seen in measured(folder, browser(), narrow_print=True).items():
        at = f"{file} {language} at {width} px"
        assert seen["content"] <= width, at
        assert seen["clipped"] == [], at
        assert seen["smallest"] >= 8 * 96 / 72, at


def test_the_browser_prints_the_page(folder: Path) -> None:
    program, sheet, paper = browser(), folder / "page.html", folder / "page.pdf"
    sheet.write_text(render(Results.load(VECTORS), "zh"), encoding="utf-8")
    command = [
        program, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync", f"--user-data-dir={folder / 'profile'}", "--no-pdf-header-footer",
        f"--print-to-pdf={paper}", sheet.as_uri(),
    ]  # fmt: skip
    subprocess.run(command, capture_output=True, timeout=120, check=True)  # noqa: S603 a browser on a file of our own
    pages = len(re.findall(rb"/Type\s*/Page\b", paper.read_bytes()))
    assert 3 <= pages <= 12
