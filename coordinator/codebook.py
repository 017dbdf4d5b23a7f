"""The codebook of a dictionary: a sheet that a department fills in, as a workbook and as a page to print.

    codebook.write(DIR, dictionaries.load("hpf-flexible-employment@1"))

One line per variable and one below it per code. Every line of the workbook begins with the variable's name, so that a filled sheet can be
read line by line. Yellow cells are the city's: they are text, so that `01` stays `01`. The same dictionary gives the same bytes. Text of
the dictionary is data: escaped on the page, never a formula or a link in the workbook (threat-model.md T47, T48).
"""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from coordinator.report.wording import UNITS, scrub, shorter, strings
from protocols.dictionary import Code, Dictionary, Standard, Words, sources
from protocols.errors import ConfigError, Place

if TYPE_CHECKING:
    from xlsxwriter import Workbook
    from xlsxwriter.format import Format
    from xlsxwriter.worksheet import Worksheet

FORMATS: Final = ("xlsx", "html")
LONGEST: Final = 1_000  # characters of one text of the dictionary
CREATED: Final = datetime(1980, 1, 1)
UNVERIFIED: Final = "†"  # a name that comes from a public implementation, not from the standard's own text
ABOUT: Final = "说明 About"
SHEET: Final = "码表 Codebook"
TYPES: Final = {
    "category": "类别 category",
    "set": "多选 set",
    "boolean": "是否 boolean",
    "integer": "整数 integer",
    "number": "数值 number",
    "money": "金额 money",
    "date": "日期 date",
}
COLUMNS: Final = (  # key, head in Chinese and in English, width in the workbook
    ("variable", "变量", "variable", 24),
    ("label", "名称", "label", 34),
    ("type", "类型", "type", 16),
    ("code", "代码", "code", 20),
    ("meaning", "代码含义", "meaning", 30),
    ("range", "值域", "range", 26),
    ("unit", "单位", "unit", 10),
    ("standard", f"标准（{UNVERIFIED} 未核对）", f"standard ({UNVERIFIED} not verified)", 26),
    ("sensitivity", "敏感级", "sensitivity", 11),
    ("own_column", "本市字段", "own column", 24),
    ("own_code", "本市代码", "own code", 18),
    ("note", "备注", "note", 34),
)
STEPS: Final = (
    ("只填黄色格。其余各列来自字典，请勿改动。", "Fill in the yellow cells only. All others come from the dictionary."),
    (
        "本市字段：变量所在的表和字段，写作 表.字段；本市没有的，写 无。",
        "Own column: where the variable is held, as table.column; write 无 where the city does not hold it.",
    ),
    (
        "本市代码：与每个代码对应的本市写法，原样填写（01 不同于 1）；有多种写法的，用分号隔开。",
        "Own code: the city's own text for each code, as it stands in the files (01 is not 1); several are split by semicolons.",
    ),
    (
        "备注：金额的单位（元、万元、分）、日期的写法、空值的含义，以及口径与字典不同之处。",
        "Note: the unit of an amount, how dates are written, what an empty field means, and where the definition differs.",
    ),
    (
        "本表只描述字段和代码，不得填写任何个人的记录。",
        "This sheet describes columns and codes. Write nobody's record into it.",
    ),
    ("填好后交给本市维护 mapping.yaml 的人员。", "Give the filled sheet to whoever keeps the city's mapping.yaml."),
)


@dataclass(frozen=True)
class Line:
    """A variable, or one of its codes. `cells`: text by column; `label` and `meaning` also apart, Chinese and English."""

    variable: str
    is_code: bool
    cells: Mapping[str, str]
    words: tuple[str, str]
    own: tuple[str, ...]  # which of the city's cells are to be filled


@dataclass(frozen=True)
class Computed:
    """A derived variable: nothing to fill in."""

    variable: str
    words: tuple[str, str]
    of: str


def write(out: Path, dictionary: Dictionary, formats: Sequence[str] = FORMATS) -> tuple[Path, ...]:
    """One file for each format, `NAME@VERSION.codebook.FORMAT`, in the folder `out`. A file that is there may be a filled one: it stays.

    Errors: `ConfigError` CODEBOOK_FORMAT, FILE_EXISTS; nothing is written then.
    """
    unknown = [each for each in formats if each not in FORMATS]
    if unknown or not formats:
        raise ConfigError("CODEBOOK_FORMAT", name=", ".join(unknown), known=", ".join(FORMATS))
    made: Mapping[str, Callable[[Dictionary], bytes]] = {"xlsx": workbook, "html": page}
    files = {out / f"{dictionary.name}.codebook.{each}": made[each](dictionary) for each in dict.fromkeys(formats)}
    for path in files:
        if path.exists():
            raise ConfigError("FILE_EXISTS", Place(str(path)))
    out.mkdir(parents=True, exist_ok=True)
    for path, content in files.items():
        with path.open("xb") as file:
            file.write(content)
    return tuple(files)


# --- what stands in it


def lines(dictionary: Dictionary) -> Iterator[Line]:
    """Every variable in the dictionary's order, each followed by its codes; then those of events, by their full names."""
    happened = (
        (f"{table}.{name}", of) for table, each in dictionary.events.items() for name, of in each.variables.items()
    )
    for name, variable in (*dictionary.variables.items(), *happened):
        codes = dictionary.codes(name)
        also = _clean("、".join(variable.aliases))
        words = _words(variable.label, name)
        cells = {
            "variable": name,
            "label": _both(words) + (f"（又名 also {also}）" if also else ""),
            "type": TYPES[variable.type],
            "range": _range(variable),
            "unit": _clean(getattr(variable, "unit", "")),
            "standard": _standard(variable.standard),
            "sensitivity": variable.sensitivity,
        }
        yield Line(name, False, cells, words, ("own_column", "note"))
        for code in codes:
            entry = getattr(variable, "codes", {}).get(code, Code())
            meaning = (_clean(dictionary.code_label(name, code, "zh")), _clean(dictionary.code_label(name, code, "en")))
            coded = {
                "variable": name,
                "code": code,
                "meaning": " ".join(filter(None, (_both(meaning), _validity(entry)))),
                "standard": _clean(entry.standard),
            }
            yield Line(name, True, coded, meaning, ("own_code", "note"))


def computed(dictionary: Dictionary) -> Iterator[Computed]:
    """What every node computes by itself."""
    for name, entry in dictionary.derived.items():
        of = dictionary.made_of(name) if name in dictionary.of_events else sources(entry)
        yield Computed(name, _words(entry.label, name), ", ".join(of))


def about(dictionary: Dictionary) -> tuple[tuple[str, str], ...]:
    """Which dictionary it is."""
    label = _words(dictionary.label, dictionary.name)
    unit = dictionary.unit
    known = strings()[f"unit_{unit}"] if unit in UNITS else {"zh": _clean(unit), "en": ""}
    given, derived = len(dictionary.variables), len(dictionary.derived)
    return (
        ("字典 dictionary", f"{_both(label)}  {dictionary.name}"),
        ("受保护的单元 protected unit", " ".join(filter(None, (known["zh"], known["en"])))),
        (
            "变量 variables",
            f"{given} 个要填，{derived} 个由节点计算 {given} to fill in, {derived} computed by the node",
        ),
        ("摘要 digest", dictionary.digest),
    )


def _words(label: Words, instead: str) -> tuple[str, str]:
    return _clean(label.text("zh", instead)), _clean(label.text("en", instead))


def _both(words: tuple[str, str]) -> str:
    """Chinese, then English where it says something else."""
    return words[0] if words[0] == words[1] else f"{words[0]} {words[1]}"


def _clean(text: str) -> str:
    return shorter(scrub(text)[0], LONGEST)


def _range(variable: Any) -> str:
    if not hasattr(variable, "range"):
        return ""
    low, high = (_plain(end) for end in variable.range)
    points = ", ".join(_plain(point) for point in getattr(variable, "points", ()))
    return f"{low} – {high}" + (f"（常见值 points {points}）" if points else "")


def _plain(value: Any) -> str:
    """A date as it is; a number without an exponent."""
    return f"{value:f}" if hasattr(value, "as_tuple") else str(value)


def _standard(standard: Standard | None) -> str:
    if standard is None:
        return ""
    named = " ".join(filter(None, (standard.table, standard.name)))
    found = _clean(" · ".join(filter(None, (named, standard.codes))))
    return found if standard.verified or not found else f"{found} {UNVERIFIED}"


def _validity(code: Code) -> str:
    first = f"自 from {code.from_}" if code.from_ else ""
    last = f"至 until {code.until}" if code.until else ""
    kept = "" if code.comparable else "不作比较 not compared"
    return f"（{'，'.join(filter(None, (first, last, kept)))}）" if first or last or kept else ""


# --- the page


def page(dictionary: Dictionary) -> bytes:
    """One HTML page for the screen and for A4 paper, Chinese first. No script, nothing is loaded."""
    from coordinator.report.html import templates

    groups: list[tuple[Line, list[Line]]] = []
    for line in lines(dictionary):
        if line.is_code:
            groups[-1][1].append(line)
        else:
            groups.append((line, []))
    shown = templates().get_template("codebook.html.j2")
    return shown.render(
        name=dictionary.name,
        label=_words(dictionary.label, dictionary.name),
        about=about(dictionary)[1:],
        steps=STEPS,
        columns=COLUMNS,
        groups=groups,
        computed=tuple(computed(dictionary)),
    ).encode()


# --- the workbook


def workbook(dictionary: Dictionary) -> bytes:
    """Two sheets: how to fill it in, and the codebook with a filter under a header that stays in sight."""
    import xlsxwriter

    space = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    with xlsxwriter.Workbook(space, options) as book:
        book.set_properties({"title": dictionary.name, "created": CREATED, "author": "hpfed"})
        _about(book, book.add_worksheet(ABOUT), dictionary)
        _sheet(book, book.add_worksheet(SHEET), tuple(lines(dictionary)))
    return space.getvalue()


def _about(book: "Workbook", sheet: "Worksheet", dictionary: Dictionary) -> None:
    head = book.add_format({"bold": True, "font_size": 16})
    section = book.add_format({"bold": True, "font_color": "#1f5fa8", "bottom": 1, "bottom_color": "#dde3ea"})
    bold = book.add_format({"bold": True, "valign": "top"})
    wrapped = book.add_format({"text_wrap": True, "valign": "top"})
    sheet.hide_gridlines(2)
    sheet.set_column(0, 0, 24)
    sheet.set_column(1, 2, 60)
    sheet.write_string(0, 0, "数据字典码表 Codebook", head)
    place = 2
    for first, text in about(dictionary):
        sheet.write_string(place, 0, first, bold)
        sheet.write_string(place, 1, text, wrapped)
        place += 1
    place = _section(sheet, place + 1, "怎样填写 how to fill it in", section)
    for number, (zh, en) in enumerate(STEPS, 1):
        sheet.write_string(place, 0, str(number), bold)
        sheet.write_string(place, 1, zh, wrapped)
        sheet.write_string(place, 2, en, wrapped)
        place += 1
    made = tuple(computed(dictionary))
    if made:
        place = _section(sheet, place + 1, "由节点计算，不必填写 computed by the node, nothing to fill in", section)
    for each in made:
        sheet.write_string(place, 0, each.variable, bold)
        sheet.write_string(place, 1, _both(each.words), wrapped)
        sheet.write_string(place, 2, f"← {each.of}", wrapped)
        place += 1
    sheet.ignore_errors({"number_stored_as_text": f"A1:C{place + 1}"})
    _paper(sheet)


def _section(sheet: "Worksheet", place: int, title: str, look: "Format") -> int:
    for column in range(3):
        sheet.write_string(place, column, title if column == 0 else "", look)
    return place + 1


def _sheet(book: "Workbook", sheet: "Worksheet", found: Sequence[Line]) -> None:
    plain: dict[str, Any] = {"valign": "top", "text_wrap": True, "bottom": 1, "bottom_color": "#dde3ea"}
    head = book.add_format({"bold": True, "bg_color": "#1f5fa8", "font_color": "#ffffff", **plain, "valign": "vcenter"})
    looks = {  # (is a code, is the variable's own name)
        (False, True): book.add_format({**plain, "bold": True, "top": 1, "top_color": "#1b2430"}),
        (False, False): book.add_format({**plain, "top": 1, "top_color": "#1b2430"}),
        (True, True): book.add_format({**plain, "font_color": "#8a97a5"}),
        (True, False): book.add_format(plain),
    }
    # 49: text, so that `01` stays `01`
    yellow = {"bg_color": "#fff7d6", "num_format": 49, "border": 1, "border_color": "#d9c877"}
    fill = book.add_format({**plain, **yellow})
    for column, (_, zh, en, width) in enumerate(COLUMNS):
        sheet.set_column(column, column, width)
        sheet.write_string(0, column, f"{zh}\n{en}", head)
    sheet.set_row(0, 34)
    for row, line in enumerate(found, 1):
        for column, (key, *_) in enumerate(COLUMNS):
            look = fill if key in line.own else looks[line.is_code, key == "variable"]
            text = line.cells.get(key, "")
            if text:
                sheet.write_string(row, column, text, look)
            else:
                sheet.write_blank(row, column, None, look)
    last = len(found)
    sheet.freeze_panes(1, 1)
    sheet.autofilter(0, 0, last, len(COLUMNS) - 1)
    sheet.ignore_errors({"number_stored_as_text": f"A1:{chr(ord('A') + len(COLUMNS) - 1)}{last + 1}"})
    sheet.repeat_rows(0)
    _paper(sheet)


def _paper(sheet: "Worksheet") -> None:
    """A4, landscape, one page wide, page numbers."""
    sheet.set_landscape()
    sheet.set_paper(9)
    sheet.fit_to_pages(1, 0)
    sheet.set_footer("&R&P / &N")
