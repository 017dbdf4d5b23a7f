"""Static pictures: a Vega-Lite specification of marks at given pixels, drawn by vl-convert, checked, and made small.

    charts.draw(charts.heat(tiles, columns, ("Generation", ...)))      # <svg …>, or None where it could not be drawn

Places are computed here and the specification has no axis, legend or limit, so that no mark stands where it does because of the width
of a letter: the same input gives the same bytes whatever fonts a machine has. Text stays text.

What vl-convert returns is parsed and written again from lists of known elements and attributes (threat-model.md T48): no script, no
foreignObject, image, link or event can be in a picture, and no id, so that none can stand twice on a page.
"""

import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from math import ceil, floor, log10
from typing import Any, Final, TypeAlias
from xml.etree import ElementTree

from markupsafe import Markup

VEGA_LITE: Final = "5.20"  # of those that vl-convert holds; a picture is the same bytes for as long as it holds it
PLACE: Final = re.compile(r"translate\(([-0-9.]+),([-0-9.]+)\)")
LONG: Final = re.compile(r"[0-9]+\.[0-9]{2,}")
WIDTH: Final = 360  # of a picture beside another: a telephone's width, and half of an A4 page at 93 %
WHOLE: Final = 640  # of a picture that needs the page
MOST_NARROW: Final = 4  # columns of a heat map in the narrow width
MOST_NARROW_TICKS: Final = 12  # months of a line in it
LEFT: Final = 96.0  # for labels
NUMBER, TEXT = 13.0, 11.5  # px; printed on half a page no letter is below 8 points
INK: Final = "#1b2430"
MUTED: Final = "#5d6b7a"
ACCENT: Final = "#1f5fa8"
LINE: Final = "#c3ccd6"
# The steps of report.css, so that a picture and its table have the same colours.
TINTS: Final[Mapping[str, str]] = {
    "u1": "#e9f1f9", "u2": "#cfe1f2", "u3": "#a9cbe8", "u4": "#7fb0da", "u5": "#1f5fa8",
    "o1": "#fdf1e4", "o2": "#fbdfc2", "o3": "#f5c597", "o4": "#eba468", "o5": "#b4541a",
    "grey": "#eef1f4", "held": "#ffffff", "plain": "#ffffff",
}  # fmt: skip
SERIES: Final = (
    "#1f5fa8", "#3b9c8f", "#c9a227", "#b4541a", "#7d5a9c", "#7fb0da", "#a5d3cb", "#e8d48f", "#e5ad88", "#c3b1d6",
)  # fmt: skip
PAIR: Final = ("#1f5fa8", "#cfe1f2")  # yes and no
PRINTED_FROM: Final = 0.08  # of a bar: a narrower part is named in the table alone

SVG: Final = "{http://www.w3.org/2000/svg}"
ELEMENTS: Final = frozenset(("g", "path", "line", "rect", "text"))
DRAWN: Final = frozenset((
    "d", "fill", "font-size", "font-weight", "height", "opacity", "stroke", "stroke-width", "text-anchor", "transform",
    "width", "x", "x1", "x2", "y", "y1", "y2",
))  # fmt: skip
DROPPED: Final = frozenset((  # roles and names of parts, and the font: the page says them
    "aria-hidden", "aria-label", "aria-roledescription", "class", "display", "fill-opacity", "font-family", "pointer-events",
    "role", "stroke-miterlimit",
))  # fmt: skip
INHERITED: Final = ("fill", "font-size", "font-weight", "stroke", "stroke-width", "text-anchor")

Values: TypeAlias = dict[str, str | float]
Word: TypeAlias = tuple[str, float]  # and its size


@dataclass(frozen=True)
class Tile:
    """One cell of a heat map. `look`: a key of `TINTS`. A tile without a number is hatched and holds its marks alone."""

    number: str
    error: str
    marks: str
    look: str


@dataclass(frozen=True)
class Part:
    """One code's part of a bar, from 0 to 1; `None` where it is withheld or not available. `text`: the share with its error."""

    share: float | None
    text: str = ""
    short: str = ""


@dataclass(frozen=True)
class Bar:
    """The parts of one group in the order of the codes."""

    label: str
    parts: tuple[Part, ...]
    marks: str = ""  # printed in the place of what is withheld


@dataclass(frozen=True)
class Point:
    """One value of a line and its interval, in the units of the axis."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Curve:
    """One line over the ticks; `None` leaves a gap."""

    label: str
    points: tuple[Point | None, ...]


Scale: TypeAlias = Callable[[float], str]  # a value of an axis in words


@dataclass(frozen=True)
class Spot:
    """One number with its interval, on a line of its own; `None` where it is withheld or not available: then its marks stand there alone.
    `text`: number, error and marks. `faint`: of low reliability."""

    label: str
    value: float | None
    low: float
    high: float
    text: str
    faint: bool = False


@dataclass(frozen=True)
class Picture:
    """A specification and its size in pixels."""

    width: int
    height: int
    spec: Mapping[str, Any] = field(repr=False)


# --- text without a font


def extent(text: str, size: float) -> float:
    """About so many pixels: a Chinese character is as wide as high, any other a little over half of that."""
    return size * sum(1.0 if unicodedata.east_asian_width(mark) in "WF" else 0.56 for mark in text)


def folded(text: str, size: float, width: float, lines: int = 2) -> tuple[str, ...]:
    """The text on at most so many lines, broken between words or Chinese characters; what does not fit is cut with `…`."""
    words: list[str] = []
    for mark in text:
        alone = unicodedata.east_asian_width(mark) in "WF"
        if not words or alone or words[-1][-1] in " /" or unicodedata.east_asian_width(words[-1][-1]) in "WF":
            words.append(mark)
        else:
            words[-1] += mark
    made = [""]
    for word in words:
        if made[-1] and extent(made[-1] + word.rstrip(), size) > width:
            made.append("")
        made[-1] += word
    made = [line.strip() for line in made]
    kept = made[:lines]
    if len(made) > lines:
        kept[-1] += "…"
    return tuple(cut(line, size, width) for line in kept)


def cut(line: str, size: float, width: float) -> str:
    """The line, and `…` in the place of what does not fit."""
    while extent(line, size) > width and len(line.rstrip("…")) > 1:
        line = line.rstrip("…")[:-1] + "…"
    return line


# --- what is drawn


class Marks:
    """Marks at pixels, one layer per kind and style: grounds, lines, hatching, then texts."""

    def __init__(self) -> None:
        self.layers: dict[str, tuple[dict[str, Any], list[Values]]] = {}

    def _add(self, mark: dict[str, Any], values: Values) -> None:
        rounded = {name: round(value, 1) if isinstance(value, float) else value for name, value in values.items()}
        self.layers.setdefault(json.dumps(mark), (mark, []))[1].append(rounded)

    def rect(self, x: float, y: float, width: float, height: float, fill: str, corner: int = 0) -> None:
        self._add(
            {"type": "rect", "cornerRadius": corner}, {"x": x, "y": y, "x2": x + width, "y2": y + height, "fill": fill}
        )

    def line(self, x: float, y: float, x2: float, y2: float, stroke: str = LINE, width: float = 1.0) -> None:
        mark = {"type": "rule", "strokeWidth": width}
        self._add(mark, {"x": x, "y": y, "x2": x2, "y2": y2, "stroke": stroke})

    def text(self, x: float, y: float, text: str, fill: str = INK, **style: object) -> None:
        """`y` is the base line."""
        mark = {"type": "text", "fontSize": TEXT, "align": "left", "baseline": "alphabetic", **style}
        self._add(mark, {"x": x, "y": y, "text": text, "fill": fill})

    def hatch(self, x: float, y: float, width: float, height: float) -> None:
        """Slanted lines over a rectangle, cut at its edges here: one path."""
        self.rect(x, y, width, height, "#ffffff")
        path, step = [], 10
        for start in range(step, int(width + height), step):
            low, high = max(0.0, start - height), min(float(start), width)
            path.append(f"M{low:.1f},{start - low:.1f}L{high:.1f},{start - high:.1f}")
        mark = {"type": "point", "size": 4, "strokeWidth": 1, "filled": False}  # size 4 draws a path at its own scale
        self._add(mark, {"x": x, "y": y, "shape": "".join(path), "stroke": LINE})
        self.line(x, y, x + width, y)
        self.line(x, y + height, x + width, y + height)

    def path(self, path: str, stroke: str, width: float) -> None:
        """A line of many corners, in pixels of the picture: one mark."""
        mark = {
            "type": "point",
            "size": 4,
            "strokeWidth": width,
            "filled": False,
            "fill": "transparent",
        }  # as in `hatch`
        self._add(mark, {"x": 0.0, "y": 0.0, "shape": path, "stroke": stroke})

    def area(self, path: str, fill: str) -> None:
        """A light ground of any outline, in pixels of the picture, below the lines."""
        mark = {"type": "point", "size": 4, "strokeWidth": 0, "opacity": 0.2, "stroke": "transparent"}  # as in `hatch`
        self._add(mark, {"x": 0.0, "y": 0.0, "shape": path, "fill": fill})

    def spec(self, width: int, height: int) -> dict[str, Any]:
        layers = []
        order = {"rect": 0, "rule": 1, "point": 2, "text": 4}  # and 3: the ground of a text upon hatching
        for mark, values in sorted(
            self.layers.values(), key=lambda each: 3 if each[0].get("cornerRadius") else order[each[0]["type"]]
        ):
            encoding: dict[str, Any] = {}
            for name in values[0]:
                channel = {"field": name}
                if name == "text":
                    encoding[name] = {**channel, "type": "nominal"}
                elif name in ("fill", "stroke", "shape"):
                    encoding[name] = {**channel, "type": "nominal", "scale": None}
                elif name in ("x2", "y2"):
                    encoding[name] = channel
                else:
                    encoding[name] = {**channel, "type": "quantitative", "scale": None, "axis": None}
            layers.append({"data": {"values": values}, "mark": mark, "encoding": encoding})
        return {
            "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
            "width": width,
            "height": height,
            "padding": 0,
            "autosize": "none",
            "background": "transparent",
            "config": {"view": {"stroke": None}, "aria": False},
            "layer": layers,
        }


def heat(stub: str, columns: Sequence[str], lines: Sequence[tuple[str, Sequence[Tile]]]) -> Picture | None:
    """A heat map: one line per code, one tile per column, number over error. `stub`: the name of the lines.

    `None` if an error does not fit into its tile even on the whole page: a number without its error is never drawn.
    """
    widest = max((extent(tile.error, TEXT) for _, tiles in lines for tile in tiles), default=0.0) + 4
    narrow = len(columns) <= MOST_NARROW and LEFT + widest * len(columns) <= WIDTH
    width, high = (WIDTH if narrow else WHOLE), 42.0
    column = (width - LEFT) / len(columns)
    if widest > column:
        return None
    heads = [folded(stub, TEXT, LEFT - 6), *(folded(head, TEXT, column - 6) for head in columns)]
    top = 10.0 + 14 * max(len(each) for each in heads)
    marks = Marks()
    for place, head in enumerate(heads):
        x, align = (LEFT + column * (place - 0.5), "center") if place else (0.0, "left")
        for number, line in enumerate(head):
            marks.text(x, top - 8 - 14 * (len(head) - 1 - number), line, MUTED, align=align)
    for number, (label, tiles) in enumerate(lines):
        y = top + high * number
        said = folded(label, TEXT, LEFT - 8)
        for part, line in enumerate(said):
            marks.text(0.0, y + high / 2 + 3.5 - 7.5 * (len(said) - 1) + 15 * part, line)
        for place, tile in enumerate(tiles):
            _tile(marks, LEFT + column * place + 1, y + 1, column - 2, high - 2, tile)
    height = int(top + high * len(lines))
    return Picture(width, height, marks.spec(width, height))


def _tile(marks: Marks, x: float, y: float, width: float, height: float, tile: Tile) -> None:
    middle = x + width / 2
    if not tile.number:
        marks.hatch(x, y, width, height)
        if tile.marks:
            wide = extent(tile.marks, TEXT) + 8
            marks.rect(middle - wide / 2, y + height / 2 - 9, wide, 18.0, "#ffffff", corner=2)
            marks.text(middle, y + height / 2 + 4, tile.marks, align="center")
        return
    ink = "#ffffff" if tile.look in ("u5", "o5") else MUTED if tile.look == "grey" else INK
    marks.rect(x, y, width, height, TINTS[tile.look])
    below = f"{tile.error} {tile.marks}".strip()
    above = tile.number
    if extent(below, TEXT) > width:  # then the marks stand beside the number
        above, below = f"{tile.number} {tile.marks}", tile.error
    first = y + height / 2 + (-2.5 if below else 4.5)
    marks.text(middle, first, above, ink, align="center", fontSize=NUMBER, fontWeight=600)
    if below:
        marks.text(middle, first + 15, below, ink, align="center")


def bars(codes: Sequence[str], blocks: Sequence[tuple[str, Sequence[Bar]]], pair: bool = False) -> Picture:
    """Bars stacked to 100 %, every one in the same order and colours. `blocks`: a title, empty for none, and its bars.

    `pair`: of two codes the first is the one that matters; its share is printed however small it is.
    """
    colours = PAIR if pair else SERIES
    marks = Marks()
    x, y = 0.0, 12.0
    for code, colour in zip(codes, colours, strict=False):
        label = cut(code, TEXT, WIDTH - 20.0)
        wide = extent(label, TEXT) + 32
        if x and x + wide - 16 > WIDTH:
            x, y = 0.0, y + 18
        marks.rect(x, y - 9.5, 11.0, 11.0, colour)
        marks.text(x + 16, y, label)
        x += wide
    y += 14
    for title, group in blocks:
        if title:
            y += 18
            marks.text(0.0, y - 1, cut(title, TEXT, float(WIDTH)), ACCENT, fontWeight=600)
            y += 7
        for bar in group:
            said = folded(bar.label, TEXT, LEFT - 8)
            for part, line in enumerate(said):
                marks.text(0.0, y + 14 - 6.5 * (len(said) - 1) + 13 * part, line)
            _bar(marks, y, bar, colours, pair)
            y += 27
    for tick, align in ((0.0, "left"), (0.5, "center"), (1.0, "right")):
        marks.text(LEFT + (WIDTH - LEFT) * tick, y + 10, f"{tick:.0%}", MUTED, align=align)
    height = int(y + 15)
    return Picture(WIDTH, height, marks.spec(WIDTH, height))


def _bar(marks: Marks, y: float, bar: Bar, colours: Sequence[str], pair: bool) -> None:
    known = sum(part.share for part in bar.parts if part.share is not None)
    whole = all(part.share is not None for part in bar.parts)
    room = (WIDTH - LEFT) * (1 / known if known > 0 and (whole or known > 1) else 1.0)
    x, high, beside = LEFT, 20.0, ""
    for number, (part, colour) in enumerate(zip(bar.parts, colours, strict=False)):
        if not part.share:
            beside = part.text if pair and number == 0 else beside
            continue
        wide = room * part.share
        marks.rect(x, y, max(wide - 1, min(wide, 0.5)), high, colour)
        fits = [text for text in (part.text, part.short) if text and extent(text, TEXT) + 6 <= wide]
        if beside:
            marks.text(x + 4, y + 14.2, beside, _ink(colour))
            beside = ""
        elif pair and number == 0 and not fits:
            beside = part.text
        elif fits and part.share >= PRINTED_FROM and not (pair and number):
            marks.text(x + (wide - 1) / 2, y + 14.2, fits[0], _ink(colour), align="center")
        x += wide
    if WIDTH - x > 2:
        marks.hatch(x, y, WIDTH - x, high)
        if bar.marks and extent(bar.marks, TEXT) + 8 <= WIDTH - x:
            wide, middle = extent(bar.marks, TEXT) + 6, (x + WIDTH) / 2
            marks.rect(middle - wide / 2, y + 2, wide, high - 4, "#ffffff", corner=2)
            marks.text(middle, y + 14.2, bar.marks, align="center")


def lines(ticks: Sequence[str], curves: Sequence[Curve], scale: Scale) -> Picture:
    """Lines from left to right over named ticks, from 0 or the least value up; intervals stand upright behind the points."""
    marks, left, plot = Marks(), 64.0, 190.0
    points = [point for curve in curves for point in curve.points if point is not None]
    top = max((max(point.value, point.high) for point in points), default=1.0)
    least = min((min(point.value, point.low) for point in points), default=0.0)
    step_up = 10.0 ** floor(log10(max(top, -least, 1e-9))) / 2
    top, bottom = step_up * max(ceil(top / step_up), 1), min(0.0, step_up * floor(least / step_up))
    reach = top - bottom
    width = WHOLE if len(ticks) > MOST_NARROW_TICKS else WIDTH
    x, y = 0.0, 12.0
    for curve, colour in zip(curves, SERIES, strict=False):
        label = cut(curve.label, TEXT, width - 20.0)
        wide = extent(label, TEXT) + 32
        if x and x + wide - 16 > width:
            x, y = 0.0, y + 18
        marks.rect(x, y - 5.0, 11.0, 3.0, colour)
        marks.text(x + 16, y, label)
        x += wide
    first = y + 16
    step = (width - left - 28) / max(len(ticks) - 1, 1)  # half of the last tick's name stands beyond it

    def height(value: float) -> float:
        return first + plot * (top - value) / reach

    for part in (0.0, 0.5, 1.0):
        value = bottom + reach * part
        marks.line(left - 4, height(value), width, height(value))
        marks.text(left - 8, height(value) + 4, scale(value), MUTED, align="right")
    every = max(1, -(-int(max(extent(tick, TEXT) for tick in ticks) + 10) // int(step or 1)))
    for at in range(0, len(ticks), every):
        marks.text(left + step * at, first + plot + 17, ticks[at], MUTED, align="center")
    for curve, colour in zip(curves, SERIES, strict=False):
        for at, point in enumerate(curve.points):
            if point is None:
                continue
            across = left + step * at
            if point.high > point.low:
                marks.line(across, height(point.low), across, height(point.high), colour, 0.7)
            marks.rect(across - 1.5, height(point.value) - 1.5, 3.0, 3.0, colour)
            before = curve.points[at - 1] if at else None
            if before is not None:
                marks.line(across - step, height(before.value), across, height(point.value), colour, 1.8)
    whole = int(first + plot + 24)
    return Picture(width, whole, marks.spec(width, whole))


def forest(spots: Sequence[Spot], level: float | None, whole: str) -> Picture:
    """Numbers and their intervals on one scale, a line each in the order given. `level`: where `whole`, the number of all, stands."""
    ends = [end for spot in spots if spot.value is not None for end in (spot.low, spot.high)]
    ends += [] if level is None else [level]
    least, most = min(ends, default=0.0), max(ends, default=1.0)
    room = (most - least) * 0.04 or 1.0
    least, most = least - room, most + room
    wide = max((extent(spot.text, TEXT) for spot in spots), default=0.0) + 8
    width = WIDTH if wide <= 130 else WHOLE
    right = width - wide
    marks, step, top = Marks(), 26.0, 18.0

    def place(value: float) -> float:
        return LEFT + (right - LEFT) * (value - least) / (most - least)

    bottom = top + step * len(spots)
    if level is not None:
        marks.line(place(level), top - 2, place(level), bottom, MUTED)
        beside = "left" if place(level) < (LEFT + right) / 2 else "right"
        marks.text(place(level), top - 7, cut(whole, TEXT, (right - LEFT) / 2), MUTED, align=beside)
    for number, spot in enumerate(spots):
        y = top + step * (number + 0.5)
        said = folded(spot.label, TEXT, LEFT - 8)
        for part, line in enumerate(said):
            marks.text(0.0, y + 4 - 6.5 * (len(said) - 1) + 13 * part, line)
        marks.text(width, y + 4, spot.text, MUTED if spot.faint or spot.value is None else INK, align="right")
        if spot.value is None:
            continue
        ink = TINTS["u3"] if spot.faint else ACCENT
        marks.line(place(spot.low), y, place(spot.high), y, ink, 2.0)
        inside = min(max(spot.value, least), most)
        marks.rect(place(inside) - 3.5, y - 3.5, 7.0, 7.0, ink)
    height = int(bottom + 6)
    return Picture(width, height, marks.spec(width, height))


def _ink(ground: str) -> str:
    """White or ink, whichever stands out from the ground by 4.5 to 1 (WCAG 2.2)."""
    parts = [int(ground[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return "#ffffff" if 1.05 / (0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05) >= 4.5 else INK


# --- drawing and checking


class NotDrawn(ValueError):
    """A picture that holds what none of ours may hold."""


def draw(picture: Picture, label: str) -> Markup | None:
    """The picture as one element of the page; `None` if vl-convert is missing or fails: its table then takes its place."""
    try:
        numbered, words = without_words(picture.spec)
        return checked(converted(json.dumps(numbered)), picture, words, label)
    except Exception:  # whatever a converter in another language does, the tables still say everything
        return None


def without_words(spec: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[Word, ...]]:
    """The specification with a number of no size in the place of every text, and the texts with their sizes.

    No word of a study reaches the converter, and none is measured by it, which would take longer than all else in a picture.
    """
    words: list[Word] = []
    layers = []
    for layer in spec["layer"]:
        mark, values = layer["mark"], layer["data"]["values"]
        if mark["type"] == "text":
            first = len(words)
            words += [(str(each["text"]), mark["fontSize"]) for each in values]
            values = [{**each, "text": str(number)} for number, each in enumerate(values, first)]
            mark = {**mark, "fontSize": 0}
        layers.append({**layer, "mark": mark, "data": {"values": values}})
    return {**spec, "layer": layers}, tuple(words)


def converted(spec: str) -> str:
    """A specification as SVG. Nothing is loaded for it."""
    import vl_convert  # 85 MB: only where a picture is drawn

    return str(vl_convert.vegalite_to_svg(spec, vl_version=VEGA_LITE, allowed_base_urls=[]))


def checked(svg: str, picture: Picture, words: Sequence[Word], label: str) -> Markup:
    """The same picture of known parts alone, with its words. `NotDrawn` names what it must not hold; `ParseError` if it is no XML."""
    if "<!" in svg or "<?" in svg:
        raise NotDrawn("a declaration")
    root = ElementTree.fromstring(svg)  # noqa: S314 without declarations there are no entities
    if root.tag != SVG + "svg":
        raise NotDrawn(root.tag)
    shown = [_worded(each, words) for each in _shown(root)]
    inside = Markup("").join(
        Markup("<g{}>{}</g>").format(_said(style), Markup("").join(_written(each, style) for each in run))
        for style, run in _runs(shown)
    )
    return Markup('<svg viewBox="0 0 {0} {1}" width="{0}" height="{1}" role="img" aria-label="{2}">{3}</svg>').format(
        picture.width, picture.height, label, inside
    )


def _shown(element: ElementTree.Element) -> Iterator[ElementTree.Element]:
    """The marks below, in order. Groups only hold them together: ours have no place and no style of their own."""
    for child in element:
        name, attributes = child.tag.removeprefix(SVG), _attributes(child)
        if name == "g":
            if attributes.get("transform", "translate(0,0)") not in ("translate(0,0)", "translate(0.5,0.5)"):
                raise NotDrawn(f"g {attributes['transform']}")
            yield from _shown(child)
        elif child.get("class") not in ("background", "foreground"):
            yield child


def _attributes(element: ElementTree.Element) -> dict[str, str]:
    name = element.tag.removeprefix(SVG)
    if name not in ELEMENTS:
        raise NotDrawn(name)
    for key, value in element.attrib.items():
        if key not in DRAWN | DROPPED or any(word in value.lower() for word in ("url(", "script:", "data:")):
            raise NotDrawn(f"{name} {key}")
    return {
        key: LONG.sub(_tenth, value)
        for key, value in element.attrib.items()
        if key in DRAWN and (key, value) != ("transform", "translate(0,0)")
    }


def _tenth(number: re.Match[str]) -> str:
    """A place to a tenth of a pixel: nobody sees more, and thousands of digits are saved."""
    return f"{float(number[0]):.1f}".removesuffix(".0")


def _worded(element: ElementTree.Element, words: Sequence[Word]) -> ElementTree.Element:
    """A text with its word and size in the place of its number; any other mark as it is, if there is nothing inside it."""
    name, inside = element.tag.removeprefix(SVG), element.text or ""
    if len(element) or (inside and name != "text"):
        raise NotDrawn(f"{name} with something inside")
    if name == "text":
        if not inside.isdecimal() or int(inside) >= len(words):
            raise NotDrawn(f"text {inside}")
        element.text, size = words[int(inside)]
        place = PLACE.fullmatch(element.get("transform", ""))
        if place:
            del element.attrib["transform"]
            element.set("x", place[1])
            element.set("y", place[2])
        element.set("font-size", f"{size:g}px")
    return element


def _written(element: ElementTree.Element, above: Mapping[str, str]) -> Markup:
    name = element.tag.removeprefix(SVG)
    said = _said({key: value for key, value in _attributes(element).items() if above.get(key) != value})
    if name == "text":
        return Markup("<text{}>{}</text>").format(said, element.text)
    return Markup("<{}{}/>").format(name, said)


def _runs(parts: Sequence[ElementTree.Element]) -> Iterable[tuple[dict[str, str], list[ElementTree.Element]]]:
    """Parts of one kind that share a style, with that style: it is written once. Parts of one kind do not overlap in our pictures, so that
    their order among themselves is free."""
    runs: list[tuple[dict[str, str], list[ElementTree.Element]]] = []
    for _, kind in groupby(parts, lambda part: (part.tag, part.get("stroke") is None)):
        alike: dict[tuple[tuple[str, str], ...], list[ElementTree.Element]] = {}
        for part in kind:
            if part.tag == SVG + "path" and part.get("stroke") is not None and part.get("fill") is None:
                part.set("fill", "none")  # a line of many corners is no area
            style = tuple((name, value) for name in INHERITED if (value := part.get(name)) is not None)
            alike.setdefault(style, []).append(part)
        runs += [(dict(style), list(_joined(found))) for style, found in alike.items()]
    return runs


def _joined(parts: Sequence[ElementTree.Element]) -> Iterator[ElementTree.Element]:
    """Areas of one colour as one path, and straight lines of one style."""
    straight = [part for part in parts if part.tag == SVG + "line" and PLACE.fullmatch(part.get("transform", ""))]
    if len(straight) == len(parts):
        yield ElementTree.Element(SVG + "path", {"d": "".join(map(_stroke, straight))})
        return
    plain = [
        part for part in parts if part.tag == SVG + "path" and part.get("stroke") is None and not part.get("transform")
    ]
    if plain:
        plain[0].set("d", "".join(part.get("d", "") for part in plain))
    yield from (part for part in parts if part not in plain[1:])


def _stroke(line: ElementTree.Element) -> str:
    """A straight line from its place by its size."""
    place = PLACE.fullmatch(line.get("transform", ""))
    across, down = (_tenth_of(line.get(name, "0")) for name in ("x2", "y2"))
    x, y = (_tenth_of(each) for each in place.groups()) if place else ("0", "0")
    return f"M{x},{y}" + (f"h{across}" if down == "0" else f"v{down}" if across == "0" else f"l{across},{down}")


def _tenth_of(number: str) -> str:
    return LONG.sub(_tenth, number)


def _said(attributes: Mapping[str, str]) -> Markup:
    return Markup("").join(Markup(' {}="{}"').format(name, value) for name, value in sorted(attributes.items()))
