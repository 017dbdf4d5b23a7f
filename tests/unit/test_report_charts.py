"""Pictures: known parts alone, the same bytes whatever fonts there are, and no number that is cut or without its error."""

import json
import re
from html import unescape
from itertools import pairwise
from typing import Any

import pytest
import vl_convert
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.report import charts
from coordinator.report.charts import Bar, NotDrawn, Part, Picture, Tile
from tests.unit.pages import Element, parse
from tests.unit.test_report_html import CSS, contrast

TILES = [
    ("90后", [Tile("119", "±3", "", "o2"), Tile("", "", "[c]", "held")]),
    ("<00s>", [Tile("60", "[1–90]", "[u]", "grey")] * 2),
]
PARTS = (Part(0.5, "50.0 ±0.3", "50.0"), Part(0.45, "45.0 ±0.3", "45.0"), Part(0.05, "5.00 ±0.10", "5.00"))


def drawn(picture: Picture | None, label: str = "what it says") -> Element:
    assert picture is not None
    made = charts.draw(picture, label)
    assert made is not None
    (svg,) = parse(str(made)).every("svg")
    return svg


def texts(svg: Element) -> list[str]:
    return [each.text for each in svg.every("text")]


def heat() -> Picture:
    made = charts.heat("年代", ["按月", "自由"], TILES)
    assert made is not None
    return made


# --- what is in a picture


def test_a_picture_is_a_named_image_made_of_known_parts_with_its_words_as_text() -> None:
    svg = drawn(heat(), 'a "sentence" <b>')
    assert svg.attributes["role"] == "img"
    assert svg.attributes["aria-label"] == 'a "sentence" <b>'
    assert {each.tag for each in svg.every()} == {"svg", "g", "path", "text"}
    assert sorted(texts(svg)) == sorted(
        ["年代", "按月", "自由", "90后", "<00s>", "119", "±3", "[c]", *["60", "[1–90] [u]"] * 2]
    )
    assert not [each for each in svg.every() if "id" in each.attributes or "style" in each.attributes]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=30), min_size=2, max_size=4))
def test_any_words_come_back_as_they_went_in(words: list[str]) -> None:
    """They are never seen by the converter, so nothing in them can be taken for a part of a picture."""
    made = charts.without_words(charts.bars(words, [("", [Bar(words[0], PARTS)])]).spec)
    assert not [word for word in words if len(word) > 3 and word in json.dumps(made[0], ensure_ascii=False)]
    svg = charts.checked(charts.converted(json.dumps(made[0])), charts.bars(words, []), made[1], "x")
    shown = [re.sub(r"<[^>]*>", "", each) for each in re.findall(r"<text[^>]*>.*?</text>", svg, re.DOTALL)]
    assert sorted(unescape(each) for each in shown) == sorted(word for word, _ in made[1])


@pytest.mark.parametrize(
    "picture",
    [heat(), charts.bars(["a", "b", "c"], [("", [Bar("all", PARTS)]), ("by", [Bar("x", (Part(None),) * 3, "[c]")])])],
)
def test_no_mark_stands_where_it_does_because_of_a_font(picture: Picture) -> None:
    """With any other font, and any other words, every mark has the same place."""
    numbered, words = charts.without_words(picture.spec)
    plain = charts.checked(charts.converted(json.dumps(numbered)), picture, words, "x")
    for font in ("serif", "monospace", "no such font"):
        for layer in numbered["layer"]:
            layer["mark"] |= {"font": font, "fontSize": 40} if layer["mark"]["type"] == "text" else {}
        assert charts.checked(charts.converted(json.dumps(numbered)), picture, words, "x") == plain
    longer = json.loads(re.sub(r'"text": "(\d+)"', rf'"text": "{30 * "0"}\1"', json.dumps(numbered)))
    assert charts.checked(charts.converted(json.dumps(longer)), picture, words, "x") == plain


ROOT = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'


@pytest.mark.parametrize(
    ("inside", "named"),
    [
        ("<script>alert(1)</script>", "script"),
        ("<g><script>alert(1)</script></g>", "script"),
        ("<foreignObject><p/></foreignObject>", "foreignObject"),
        ('<image href="x.png"/>', "image"),
        ('<a href="#x"><text>0</text></a>', "a"),
        ('<use xlink:href="#x"/>', "use"),
        ("<style>*{}</style>", "style"),
        ("<animate/>", "animate"),
        ('<g onload="alert(1)"/>', "g onload"),
        ('<path d="M0,0" onclick="alert(1)"/>', "path onclick"),
        ('<path d="M0,0" style="fill:red"/>', "path style"),
        ('<path d="M0,0" id="a"/>', "path id"),
        ('<path d="M0,0" xlink:href="#a"/>', "path {http://www.w3.org/1999/xlink}href"),
        ('<path d="M0,0" fill="url(#a)"/>', "path fill"),
        ('<path d="M0,0" fill="javascript:a"/>', "path fill"),
        ('<g transform="rotate(3)"><path d="M0,0"/></g>', "g rotate(3)"),
        ('<path d="M0,0"><title>x</title></path>', "path with something inside"),
        ('<text><tspan>0</tspan></text>', "text with something inside"),
        ("<text>not a number</text>", "text not a number"),
        ("<text>1</text>", "text 1"),
        ("<text></text>", "text "),
    ],
)  # fmt: skip
def test_what_no_picture_may_hold_is_found(inside: str, named: str) -> None:
    with pytest.raises(NotDrawn, match=re.escape(named) + "$"):
        charts.checked(f"{ROOT}{inside}</svg>", heat(), (("word", 9.0),), "x")


@pytest.mark.parametrize(
    "svg", ["<!DOCTYPE svg []>" + ROOT + "</svg>", '<?xml version="1.0"?>' + ROOT + "</svg>", "<svg></svg>", "<html/>"]
)
def test_what_is_no_picture_is_refused(svg: str) -> None:
    with pytest.raises(NotDrawn):
        charts.checked(svg, heat(), (), "x")


def test_a_converter_that_fails_gives_no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> str:
        raise ValueError("out of order")

    monkeypatch.setattr(vl_convert, "vegalite_to_svg", fails)
    assert charts.draw(heat(), "x") is None
    monkeypatch.setattr(vl_convert, "vegalite_to_svg", lambda *_, **__: ROOT + "<script/></svg>")
    assert charts.draw(heat(), "x") is None


# --- heat maps and bars


def test_the_colours_are_those_of_the_table() -> None:
    steps = dict(re.findall(r"\.([uo][1-5]|grey) \{ background: (#[0-9a-f]{6}) \}", CSS))
    assert {name: colour for name, colour in charts.TINTS.items() if name not in ("held", "plain")} == steps


def test_every_letter_in_a_bar_stands_out_from_its_ground() -> None:
    parts = tuple(Part(1 / len(charts.SERIES), "", "1") for _ in charts.SERIES)
    assert len(texts(drawn(charts.bars(list("abcdefghij"), [("", [Bar("all", parts)])])))) == 10 + 1 + 10 + 3
    for colour in (*charts.SERIES, *charts.PAIR):
        assert contrast(charts._ink(colour), colour) >= 4.5, colour


def test_neighbours_in_a_bar_differ_in_colour() -> None:
    assert len(set(charts.SERIES)) == len(charts.SERIES)
    assert all(contrast(one, other) >= 1.2 or one[:3] != other[:3] for one, other in pairwise(charts.SERIES))


def test_a_share_is_printed_in_its_part_from_8_percent_and_only_where_it_fits() -> None:
    svg = drawn(charts.bars(["a", "b", "c"], [("", [Bar("all", PARTS)])]))
    assert "50.0 ±0.3" in texts(svg)
    assert "5.00" not in texts(svg)
    assert "5.00 ±0.10" not in texts(svg)
    slim = tuple(Part(share, f"{share:.0%} ±0.1", f"{share:.0%}") for share in (0.09, 0.07, 0.84))
    shown = texts(drawn(charts.bars(["a", "b", "c"], [("", [Bar("all", slim)])])))
    assert {"9%", "84% ±0.1"} <= set(shown)
    assert not {"7%", "7% ±0.1", "9% ±0.1"} & set(shown)


def test_of_a_pair_the_first_share_is_always_printed() -> None:
    for share in (0.0, 0.001, 0.05, 0.5, 0.97):
        bar = Bar("all", (Part(share, "it ±0.1", "it"), Part(1 - share, "other", "other")))
        shown = texts(drawn(charts.bars(["yes", "no"], [("", [bar])], pair=True)))
        assert "it ±0.1" in shown, share
        assert "other" not in shown


def test_the_parts_of_a_bar_fill_it_and_what_is_withheld_is_hatched() -> None:
    def widths(bar: Bar) -> float:
        svg = drawn(charts.bars(["a", "b", "c"], [("", [bar])]))
        drawn_ = "".join(each.attributes.get("d", "") for each in svg.every("path"))
        return max(float(x) + float(width) for x, width in re.findall(r"M([\d.]+),[\d.]+h([\d.]+)v20h", drawn_))

    assert widths(Bar("all", PARTS)) == pytest.approx(charts.WIDTH, abs=1.1)
    uneven = (Part(0.5), Part(0.3), Part(0.1))  # shares of a table made non-negative need not add to 1 exactly
    assert widths(Bar("all", uneven)) == pytest.approx(charts.WIDTH, abs=1.1)
    held = drawn(charts.bars(["a", "b", "c"], [("", [Bar("all", (Part(0.3), Part(None), Part(0.2)), "[c]")])]))
    assert "[c]" in texts(held)
    slanted = [
        each for each in held.every("path") if re.fullmatch(r"(M[\d.]+,[\d.]+L[\d.]+,[\d.]+)+", each.attributes["d"])
    ]
    assert slanted


def test_no_number_is_cut_and_none_is_drawn_without_its_error() -> None:
    wide = [("x", [Tile("100", "[100.0–200.0]", "[u]", "grey")] * 4)]
    made = charts.heat("by", list("abcd"), wide)
    assert made is not None
    assert made.width == charts.WHOLE  # four columns, too wide for half a page
    assert "[100.0–200.0]" in " ".join(texts(drawn(made)))
    assert charts.heat("by", list("abcdefghijkl"), [("x", [Tile("100", "[100.0–200.0]", "", "grey")] * 12)]) is None
    beside = charts.heat("by", list("abcdefgh"), [("x", [Tile("100", "[90–120]", "[bu]", "grey")] * 8)])
    assert "100 [bu]" in texts(drawn(beside))  # no room below: the mark stands beside the number


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("young, high income", ("young, high", "income")),
        ("青壮年高收入缴存人群体", ("青壮年高收入缴", "存人群体")),
        ("a", ("a",)),
        ("", ("",)),
        ("incomprehensibilities", ("incomprehens…",)),
        ("one two three four five six seven eight", ("one two three", "four five si…")),
    ],
)
def test_a_label_is_folded_between_words_and_cut_at_the_end(text: str, lines: tuple[str, ...]) -> None:
    assert charts.folded(text, charts.TEXT, charts.LEFT - 8) == lines
    assert all(charts.extent(line, charts.TEXT) <= charts.LEFT - 8 for line in lines)
