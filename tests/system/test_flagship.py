"""What a reader of the demo can use: most of its numbers carry no mark, and the table of the published profile carries none; its page opens
with what no single city could state."""

import json
import shutil
from pathlib import Path
from typing import Any, Final

import pytest

from coordinator import release, split
from coordinator.report import html
from coordinator.report.between import opening
from coordinator.report.wording import LANGUAGES, Wording
from coordinator.results import Results
from node import ingest
from protocols import study
from protocols.entropy import seeded
from simulations import cities
from simulations import world as worlds

FLAGSHIP: Final = Path(release.__file__).parent / "studies" / "flexible-employment-profile.yaml"
MOST_BYTES: Final = 400 * 1024  # of the page of the demo
UNKNOWN: Final = ("_missing", "_outside")
TABLE_1: Final = [
    (product, generation)
    for product in ("lump_sum", "monthly", "free")
    for generation in ("00s", "90s", "80s", "70s", "60s")
]


@pytest.fixture(scope="session")
def homes(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Homes of the cities with their snapshots, to be copied."""
    made = tmp_path_factory.mktemp("flagship") / "homes"
    for city in cities.ALL:
        ingest.ingest(world / city, made / city, seeded("tests", city))
    return made


def pooled(found: dict[str, Any], question: str) -> list[dict[str, Any]]:
    """Its pooled numbers, those of holders without a value apart."""
    entry = found["questions"][question]
    return [
        row
        for row in entry["rows"]
        if row["scope"] == "pooled" and not any(row.get(key) in UNKNOWN for key in entry["keys"])
    ]


def first_page(found: dict[str, Any]) -> list[str]:
    """What the three sentences that open the page are read from; none of them says that nothing was found."""
    results = Results.of(found)
    whole = {name: question for name, question in results.questions.items() if question.cohort is None}
    for language in LANGUAGES:
        page = html.render(results, language)
        assert len(page.encode()) <= MOST_BYTES
        sentences = opening(Wording(language, results.content), whole)
        assert len(sentences) == 5
        for each in sentences[:3]:
            assert "没有发现" not in each.text
            assert "was found" not in each.text
            assert "95%" in each.text
    return [each.question for each in sentences[:3]]


@pytest.mark.parametrize(
    "seed",
    [7, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2, 3, 4, 5))],  # half a minute more
)
def test_nine_of_ten_pooled_numbers_and_the_whole_of_table_1_carry_no_mark(
    world: Path, homes: Path, tmp_path: Path, seed: int
) -> None:
    """At epsilon 1 and over six cities."""
    asked = split.stated(study.load(FLAGSHIP))
    assert str(asked.epsilon) == "1.0"
    shutil.copytree(homes, tmp_path / "homes")
    found = json.loads(worlds.run(asked, world, tmp_path / "homes", seed=seed).results)
    rows = [row for question in found["questions"] for row in pooled(found, question)]
    marked = [row for row in rows if row["obs_status"] or row["conf_status"]]
    assert len(marked) <= 0.1 * len(rows), f"{len(marked)} of {len(rows)}"
    assert first_page(found) == ["subsidy_product", "cities", "subsidy_segment"]
    table = {(row["product"], row["generation"]): row for row in pooled(found, "tgi_generation")}
    assert [table[cell]["obs_status"] + table[cell]["conf_status"] for cell in TABLE_1] == [""] * 15
