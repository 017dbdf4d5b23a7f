"""A report's page taken apart, and results files made up: what the report's tests share."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any, Final

from hypothesis import strategies as st

from protocols.statistics import KINDS

VOID: Final = frozenset(("meta", "br", "link", "img", "hr"))
# What the start of an element ends where its own end tag is left out (HTML, 13.1.2.4): the cells of tables.
ENDS: Final = {
    "td": ("td", "th"),
    "th": ("td", "th"),
    "tr": ("td", "th", "tr"),
    "tbody": ("td", "th", "tr", "tbody", "thead"),
}


@dataclass
class Element:
    """One element with everything inside it, in order."""

    tag: str
    attributes: dict[str, str]
    children: list["Element | str"] = field(default_factory=list)

    def every(self, *tags: str) -> Iterator["Element"]:
        """Itself and all elements below, in document order; only those of the given tags, if any are given."""
        if not tags or self.tag in tags:
            yield self
        for child in self.children:
            if isinstance(child, Element):
                yield from child.every(*tags)

    @property
    def text(self) -> str:
        parts = (child if isinstance(child, str) else child.text for child in self.children)
        return " ".join("".join(parts).split())

    def of(self, look: str) -> Iterator["Element"]:
        return (each for each in self.every() if look in each.attributes.get("class", "").split())


class _Reader(HTMLParser):
    """Builds the tree; any tag closed out of order, or left open, is a fault of the page."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open = [Element("", {})]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), f"an attribute stands twice in <{tag}>"
        self._left_out(ENDS.get(tag, ()))
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def _left_out(self, tags: tuple[str, ...]) -> None:
        while self.open[-1].tag in tags:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag == "table":
            self._left_out(ENDS["tbody"])
        assert self.open[-1].tag == tag, f"</{tag}> closes <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


def parse(page: str) -> Element:
    reader = _Reader()
    reader.feed(page)
    reader.close()
    assert len(reader.open) == 1, "an element is left open"
    return reader.open[0]


def structure(page: str) -> dict[str, Any]:
    """What a page consists of, without its numbers: headings, then each table's caption, columns, first column and marks."""
    root = parse(page)
    tables = []
    for table in root.every("table"):
        heads = [cell.text for head in table.every("thead") for cell in head.every("th")]
        lines = [cell.text for body in table.every("tbody") for cell in body.every("th")]
        marks = [cell.text for body in table.every("tbody") for cell in body.every("abbr")]
        caption = next(table.every("caption")).text
        tables.append({"caption": caption, "heads": heads, "lines": lines, "marks": "".join(marks)})
    headings = [f"{each.tag} {each.text}" for each in root.every("h1", "h2", "h3", "summary")]
    figures = [
        {
            "id": each.attributes["id"],
            "caption": " ".join(part.text for part in (*each.of("no"), *each.every("b"))),
            "drawn": bool(list(each.every("svg"))),
        }
        for each in root.every("figure")
    ]
    return {
        "headings": headings,
        "figures": figures,
        "badges": [each.text for each in root.of("badge")],
        "tables": tables,
    }


def numbers(page: str) -> list[tuple[str, str, str, str]]:
    """Every number that a table traces to a row: question, row, number, and the error and marks beside it."""
    found = []
    for table in parse(page).every("table"):
        question = table.attributes.get("data-question", "")
        for line in table.every("tr"):
            cells = [child for child in line.children if isinstance(child, Element) and child.tag == "td"]
            of = line.attributes.get("data-cells", "-").split()
            counted = iter(of if len(of) > 1 else of * len(cells))
            for place, cell in enumerate(cells):
                if cell.attributes.get("class") == "e" or (traced := next(counted)) == "-":
                    continue
                inner = " ".join(small.text for small in cell.every("small"))
                after = cells[place + 1] if place + 1 < len(cells) else None
                beside = after.text if after and after.attributes.get("class") == "e" else inner
                plain = cell.text.removesuffix(inner).strip()
                named, _, number = traced.rpartition(".")  # a figure's table may show several questions
                found.append((named or question, number, plain, beside))
    return found


# --- results made up

NUMBERS = st.floats(-1e9, 1e9, allow_nan=False).map(lambda value: float(f"{value:.12g}"))
CITIES: Final = ("c1", "c2", "c3", "c4")
MEASURES: Final = {
    "count": ("count",),
    "frequency": ("count", "share"),
    "crosstab": ("count", "row_share", "column_share", "share"),
    "tgi": ("index",),
    "mean": ("count", "mean", "sd", "total", "total_share"),
    "histogram": ("count", "share"),
    "other": ("quantile", "anything"),
}
DIGEST: Final = "sha256:" + "ab" * 32


@st.composite
def rows(draw: st.DrawFn, measure: str, keys: dict[str, str], scope: str) -> dict[str, Any]:
    """One row in any state: a number with or without an interval, marked, withheld, or not applicable."""
    made: dict[str, Any] = {"scope": scope, "measure": measure, **keys, "obs_status": "", "conf_status": ""}
    state = draw(st.sampled_from(("clear", "clear", "bare", "u", "x", "z", "b", "C")))
    if state in ("x", "z"):
        return {**made, "estimate": None, "obs_status": state}
    if state == "C":
        return {**made, "estimate": None, "display": None, "conf_status": "C"}
    value = draw(NUMBERS)
    made |= {"estimate": value, "display": max(value, 0.0), "base": draw(NUMBERS), "se_noise": 1.5}
    if state != "bare":
        made |= {"ci_low": value - abs(draw(NUMBERS)), "ci_high": value + abs(draw(NUMBERS))}
    if measure == "index":
        made |= {"p_value": draw(st.floats(0, 1)), "preference": draw(st.sampled_from(("over", "under", "none", None)))}
    return {**made, "obs_status": state if state in ("u", "b") else ""}


@st.composite
def questions(draw: st.DrawFn, label: st.SearchStrategy[str]) -> dict[str, Any]:
    kind = draw(st.sampled_from((*KINDS, "other")))
    axes = {
        "count": (0, 0),
        "frequency": (1, 2),
        "crosstab": (1, 4),
        "tgi": (2, 2),
        "mean": (1, 3),
        "histogram": (1, 2),
    }.get(kind, (0, 2))
    keys = [f"v{number}" for number in range(draw(st.integers(*axes)))]
    release = draw(st.sampled_from(("pooled", "by_city", "both")))
    scopes = {"pooled": ["pooled"], "by_city": ["c1", "c2"], "both": ["pooled", "c1"]}[release]
    codes = {
        key: draw(st.lists(st.sampled_from(("a", "b", "_missing")), min_size=1, max_size=3, unique=True))
        for key in keys
    }
    places: list[dict[str, str]] = [{}]
    for key in keys:
        places = [{**place, key: code} for place in places for code in codes[key]]
    made = [
        draw(rows(measure, place, scope)) for scope in scopes for place in places for measure in MEASURES.get(kind, MEASURES["other"])
    ]  # fmt: skip
    tests = [{"name": "cramers_v", "estimate": 0.2, "ci_low": 0.1, "ci_high": 0.3}] if kind == "crosstab" else []
    if kind == "mean" and draw(st.booleans()):
        tests = [{"name": "clipped", "estimate": draw(st.floats(-0.01, 1)), "low": 0.5, "high": 3.0, "limit": 0.001}]
    words = {"label": {"zh": draw(label), "en": draw(label)}} if draw(st.booleans()) else {}
    if kind == "frequency" and len(codes.get("v1", ())) == 2 and "_missing" not in codes["v1"] and draw(st.booleans()):
        made += [
            draw(rows("share", {"v0": code, "v1": codes["v1"][1]}, "pooled" if "pooled" in scopes else "c1"))
            | {"contrast": True}
            for code in codes["v0"]
        ]
    return {
        "number": draw(st.integers(0, 5)),
        "kind": kind,
        "release": release,
        "cities": list(CITIES[:3]),
        "keys": keys,
        "rows": made,
        "tests": tests,
        **words,
    }


@st.composite
def trees(draw: st.DrawFn, label: st.SearchStrategy[str] = st.text(max_size=12)) -> dict[str, Any]:  # noqa: B008 a strategy is a value
    """The content of a results file. `label` makes every text that people write."""
    exact = draw(st.booleans())
    asked = {f"q{number}": draw(questions(label)) for number in range(draw(st.integers(0, 3)))}
    words = {
        f"v{number}": {
            "zh": draw(label),
            "en": draw(label),
            "codes": {"a": {"zh": draw(label)}, "b": {"en": draw(label)}},
        }
        for number in range(draw(st.integers(0, 4)))
    }
    return {
        "contract": 1,
        "study": {
            "id": "a-study", "digest": DIGEST, "title": {"zh": draw(label)}, "purpose": {"en": draw(label)},
            "asker": {"id": "somebody", "role": draw(label), "name": draw(label)},
            "cohort": {"all": [{"variable": "v0", "is": "a"}, {"not": {"variable": "v9", "missing": True}}]},
        },
        "run": {"at": draw(label), "software": draw(label), "as_of": "2022-05-31"},
        "cities": {
            "answered": list(CITIES[:3]), "missing": [{"city": "c4", "reason": draw(label), "detail": draw(label)}],
            "snapshots": {"c1": draw(label)}, "cannot": {"c2": [draw(label)]}, "names": {"c1": {"zh": draw(label)}},
        },
        "privacy": {"mode": "exact"} | {"unit": draw(label)} if exact else {
            "mode": "dp", "unit": "account_holder", "epsilon": 0.5, "delta": 1e-6, "mechanism": draw(label), "accounting": "rdp",
            "spent": [{"city": "c1", "epsilon": 0.5}], "seeded": draw(st.booleans()),
            "blocks": [{"block": draw(label), "cells": 3, "variance": 518.852}],
        },
        "questions": asked,
        "words": {"variables": words},
    }  # fmt: skip
