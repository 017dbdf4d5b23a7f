"""T48: markup, script and hidden characters in any text that people write, against both pages."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from coordinator.report import html
from coordinator.report.charts import DRAWN, ELEMENTS
from coordinator.report.wording import LANGUAGES, scrubbed
from coordinator.results import Results
from protocols.errors import ConfigError
from tests.unit.pages import parse
from tests.vectors.report.make import whole

PAYLOADS = [
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<iframe src=javascript:alert(1)>",
    "<a href=\"javascript:alert(1)\">x</a>",
    "javascript:alert(1)",
    "</style><script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "<style>@import 'http://example.org/x.css'</style>",
    "<link rel=stylesheet href=http://example.org/x.css>",
    "<meta http-equiv=refresh content=\"0;url=http://example.org\">",
    "<base href=http://example.org/>",
    "\" onmouseover=\"alert(1)",
    "' onmouseover='alert(1)",
    "\"><script>alert(1)</script>",
    "'><script>alert(1)</script>",
    "--><script>alert(1)</script>",
    "<!--",
    "]]><script>alert(1)</script>",
    "<![CDATA[<script>alert(1)</script>]]>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script&#62;alert(1)&#60;/script&#62;",
    "{{ 7 * 7 }}{% raw %}",
    "{value} {0} {unit.__class__} %s %(x)s",
    "\u202eevil\u202c\u2066\u2069",
    "\u200b\u200d\ufeff\u00ad\u2028\u2029",
    "a\x00b\x08c\x1b[31md\x7f\x9b",
    "<input autofocus onfocus=alert(1)><form action=http://example.org>",
]  # fmt: skip
HARMLESS = "zz"
Path = tuple[str | int, ...]


def small() -> dict[str, Any]:
    """A results file with every kind of row, few rows each, and every optional text filled in."""
    tree = whole(exact=False)
    for question in tree["questions"].values():
        question["rows"] = question["rows"][:6] + question["rows"][6:][-3:]
    tree["questions"]["product"]["label"] = {"zh": "标签", "en": "label"}
    tree["questions"]["three"]["kind"] = "another"
    tree["privacy"]["mechanism"], tree["privacy"]["unit"] = "other", "other"
    tree["privacy"]["left_each_city"]["form"] = "other"
    tree["privacy"]["blocks"] = tree["privacy"]["blocks"][:1]
    tree["cities"]["missing"].append({"city": "atlantis", "reason": "declined:WHY", "detail": "because"})
    tree["study"]["cohort"] = {
        "any": [{"variable": "sex", "in": ["male", "odd"]}, {"not": {"variable": "age", "above": "3"}}]
    }
    return tree


def leaves(tree: Any, path: Path = ()) -> Iterator[Path]:
    """Paths of all strings."""
    match tree:
        case str():
            yield path
        case dict():
            for key, value in tree.items():
                yield from leaves(value, (*path, key))
        case list():
            for number, value in enumerate(tree):
                yield from leaves(value, (*path, number))


def put(tree: Any, path: Path, text: str) -> None:
    for step in path[:-1]:
        tree = tree[step]
    tree[path[-1]] = text


def free(tree: dict[str, Any], text: str) -> list[Path]:
    """The places where the reader accepts any text, in the first row of each table: those are the ones that a page must survive."""
    found, judged = [], set()
    for path in leaves(tree):
        alike = tuple("row" if place == 3 and path[0] == "questions" else step for place, step in enumerate(path))
        if alike in judged:  # one row of a question stands for the others
            continue
        judged.add(alike)
        changed = copy.deepcopy(tree)
        put(changed, path, text)
        try:
            Results.of(changed)
        except ConfigError:
            continue
        found.append(path)
    return found


@pytest.fixture(scope="module")
def world() -> tuple[dict[str, Any], list[Path]]:
    tree = small()
    return tree, free(tree, HARMLESS)


def filled(world: tuple[dict[str, Any], list[Path]], text: str) -> dict[str, Any]:
    tree, places = copy.deepcopy(world[0]), world[1]
    for path in places:
        if (
            path[:2] != ("study", "cohort") or text.isprintable()
        ):  # a filter with hidden characters is refused on reading
            put(tree, path, text)
    return tree


def elements(page: str) -> list[tuple[str, tuple[tuple[str, str], ...]]]:
    """Every element with its attributes, in order; the values of attributes that hold texts of the results apart.

    Of a picture the frame alone: how many lines a label takes depends on its length.
    """
    texts = ("aria-label", "title", "viewBox", "width", "height")
    return [
        (each.tag, tuple(sorted((name, "" if name in texts else value) for name, value in each.attributes.items())))
        for each in parse(page).every()
        if each.tag not in ELEMENTS
    ]


def test_every_kind_of_text_that_people_write_is_attacked(world: tuple[dict[str, Any], list[Path]]) -> None:
    attacked = {(*path[:-1], "*") if isinstance(path[-1], int) else path for path in world[1]}
    for path in [
        ("study", "id"), ("study", "title", "zh"), ("study", "title", "en"), ("study", "purpose", "zh"), ("study", "asker", "name"),
        ("study", "asker", "role"), ("study", "asker", "id"), ("study", "dictionary", "name"), ("study", "window", "from"),
        ("study", "cohort", "any", 0, "variable"), ("study", "cohort", "any", 0, "in", "*"), ("run", "software"), ("run", "at"),
        ("cities", "missing", 0, "reason"), ("cities", "missing", 0, "detail"), ("cities", "names", "chengdu", "zh"),
        ("cities", "cannot", "changzhou", "*"), ("cities", "unused", "chengdu", "education", "*"),
        ("cities", "snapshots", "chengdu"), ("privacy", "unit"), ("privacy", "mechanism"),
        ("privacy", "accounting"), ("privacy", "left_each_city", "form"), ("privacy", "blocks", 0, "block"),
        ("questions", "product", "label", "zh"), ("questions", "product", "kind"), ("questions", "product", "rows", 0, "product"),
        ("questions", "product", "rows", 0, "measure"), ("words", "variables", "product", "en"),
        ("words", "variables", "product", "codes", "free", "zh"),
    ]:  # fmt: skip
        assert path in attacked, path


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_payload_appears_only_escaped(world: tuple[dict[str, Any], list[Path]], payload: str, language: Any) -> None:
    """The page has the same elements as with a harmless word in the same places: the payload was nowhere more than text."""
    page = html.render(Results.of(filled(world, payload)), language)
    assert elements(page) == elements(html.render(Results.of(filled(world, HARMLESS)), language))
    assert not {
        "script",
        "img",
        "foreignobject",
        "image",
        "use",
        "animate",
        "iframe",
        "link",
        "base",
        "form",
        "input",
        "object",
        "embed",
    } & {each.tag for each in parse(page).every()}
    for each in parse(page).every():
        assert not [name for name in each.attributes if name.startswith("on") or name == "src"]
        assert each.attributes.get("href", "#").startswith("#") if each.tag == "a" else "href" not in each.attributes
    for picture in parse(page).every("svg"):
        inside = list(picture.every())[1:]
        assert {each.tag for each in inside} <= ELEMENTS
        assert {name for each in inside for name in each.attributes} <= DRAWN
    if any(mark in payload for mark in "<>\"'"):
        assert payload not in page


@pytest.mark.parametrize("language", LANGUAGES)
def test_hidden_characters_are_replaced_and_counted(world: tuple[dict[str, Any], list[Path]], language: Any) -> None:
    for payload, hidden in ((PAYLOADS[-4], 4), (PAYLOADS[-3], 6), (PAYLOADS[-2], 5)):
        results = Results.of(filled(world, payload))
        places = sum(path[:2] != ("study", "cohort") for path in world[1])
        clean, replaced = scrubbed(results)
        assert replaced == hidden * places
        assert clean.digest == results.digest
        page = html.render(results, language)
        assert "\ufffd" in page
        assert not [mark for mark in page if not mark.isprintable() and mark not in "\n\u00a0"]


def test_a_clean_file_is_left_alone() -> None:
    results = Results.of(whole(exact=False))
    assert scrubbed(results) == (results, 0)
