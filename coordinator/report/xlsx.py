"""`results.xlsx`: what this file is, then one sheet per question with every released row, in both languages.

    xlsx.workbook(results)      # bytes; the same results always give the same bytes

The columns are those of the CSV files; a withheld or missing number is an empty cell with its status. Text is written as text: whatever
a name begins with, no cell of this workbook is a formula or a link (threat-model.md T47). Times come from the results, not the clock.
"""

import io
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias

from markupsafe import Markup

from coordinator.report import html, sheets
from coordinator.report.numbers import delta, epsilon
from coordinator.report.wording import LANGUAGES, Wording, scrubbed, shorter
from coordinator.results import Question, Results, Row, Scalar

if TYPE_CHECKING:
    from xlsxwriter.format import Format
    from xlsxwriter.worksheet import Worksheet

MOST_ROWS: Final = 20_000  # of one sheet; the CSV file has them all
LONGEST_NAME: Final = 31  # of a sheet
LONGEST_TEXT: Final = 32_000  # of a cell
ABOUT: Final = "说明 About"
CARD: Final = " card"  # behind the name of a question, the sheet of its scorecard: no id holds a space
RESERVED: Final = frozenset(("history",))  # a name that spreadsheets keep for themselves
WIDE: Final = 60  # characters: the widest column
EARLIEST: Final = datetime(1980, 1, 1)
Words: TypeAlias = tuple[Wording, ...]


def workbook(results: Results) -> bytes:
    """The file. Sheets stand in the order of the study."""
    import xlsxwriter

    clean, _ = scrubbed(results)
    space = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    with xlsxwriter.Workbook(space, options) as book:
        book.set_properties(
            {"title": clean.content.study.id, "created": _created(clean), "author": clean.content.run.software}
        )
        head = book.add_format({"bold": True, "font_size": 14})
        bold = book.add_format({"bold": True, "valign": "top"})
        wrapped = book.add_format({"text_wrap": True, "valign": "top"})
        names = sheet_names(tuple(clean.questions))
        cards = sheet_names(tuple(sheets.carded(clean)), CARD)
        _about(
            book.add_worksheet(ABOUT),
            clean,
            names | {name: f"{names[name]} / {card}" for name, card in cards.items()},
            head,
            bold,
            wrapped,
        )
        for name, question in clean.questions.items():
            _question(book.add_worksheet(names[name]), clean, name, question, bold)
            if name in cards:
                _card(book.add_worksheet(cards[name]), clean, name, question)
    return space.getvalue()


def _created(results: Results) -> datetime:
    """The time of the run; the earliest that a file can carry where it does not read as one."""
    try:
        at = datetime.fromisoformat(results.content.run.at).astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return EARLIEST
    return max(at, EARLIEST)


def sheet_names(questions: tuple[str, ...], end: str = "") -> dict[str, str]:
    """A sheet's name for each question: its id and `end`, cut to 31 characters; no two alike, none that spreadsheets keep."""
    taken, names, most = set(RESERVED), {}, LONGEST_NAME - len(end)
    for question in questions:
        name, number = question[:most] + end, 1
        while name in taken:
            number += 1
            name = f"{question[: most - 1 - len(str(number))]}_{number}{end}"
        taken.add(name)
        names[question] = name
    return names


def _card(sheet: "Worksheet", results: Results, name: str, question: Question) -> None:
    """A scorecard: a line per bin."""
    lines = list(sheets.lines(results, question))
    widths = [len(head) + 3 for head in sheets.COLUMNS]
    for number, line in enumerate(lines, 1):
        for column, value in enumerate(line):
            widths[column] = max(widths[column], min(WIDE, _write(sheet, number, column, value)))
    for column, wide in enumerate(widths):
        sheet.set_column(column, column, wide)
    sheet.freeze_panes(1, 0)
    heads = [{"header": head} for head in sheets.COLUMNS]
    sheet.add_table(
        0, 0, len(lines), len(heads) - 1, {"name": f"card_{name}", "style": "Table Style Light 1", "columns": heads}
    )


def _about(
    sheet: "Worksheet", results: Results, names: dict[str, str], head: "Format", bold: "Format", wrapped: "Format"
) -> None:
    """What the file is: title, key, release, privacy, digest, contents; each line in Chinese and in English."""
    sheet.hide_gridlines(2)
    sheet.set_column(0, 0, 26)
    sheet.set_column(1, 2, WIDE)
    sheet.freeze_panes(2, 0)
    words = tuple(Wording(language, results.content) for language in LANGUAGES)
    for column, each in enumerate(words, 1):
        sheet.write_string(0, column, shorter(each.title(), LONGEST_TEXT), head)
    place = 2
    for first, *texts in _lines(results, words, names):
        sheet.write_string(place, 0, first, bold)
        for column, text in enumerate(texts, 1):
            sheet.write_string(place, column, shorter(text, LONGEST_TEXT), wrapped)
        place += 1


def _lines(results: Results, words: Words, names: dict[str, str]) -> Iterator[tuple[str, ...]]:
    """A head and the same text in every language."""
    content, privacy = results.content, results.content.privacy

    def line(head: str, said: Callable[[Wording], str | Markup]) -> tuple[str, ...]:
        return head, *(_plain(said(each)) for each in words)

    yield line(_twice(words, "xlsx_purpose"), Wording.purpose)
    yield line(_twice(words, "meta_cohort"), Wording.cohort)
    yield line(_twice(words, "meta_snapshot"), lambda _: content.run.as_of)
    run = content.run
    if run.of > 1:
        yield line(_twice(words, "meta_run"), lambda each: each.say("run_of_series", number=run.number + 1, of=run.of))
    yield line(_twice(words, "strip_cities"), lambda each: each.cities(content.cities.answered))
    released = f"badge_{html.release(results.questions.values())}"
    yield line(_twice(words, "xlsx_release"), lambda each: each.say(released))
    private = [*html.lead(results, results.questions), *(["exact_note"] if privacy.mode == "exact" else [])]
    for key in (*private, *html.caveats(results)):
        yield line(_twice(words, "privacy_title"), _says(key))
    if privacy.mode == "dp" and privacy.epsilon is not None and privacy.delta is not None:
        price, key = {"epsilon": epsilon(privacy.epsilon), "delta": delta(privacy.delta)}, "epsilon_delta"
        if run.of > 1:
            price, key = {**price, "of": str(run.of)}, "epsilon_series"
        yield line(_twice(words, "privacy_title"), lambda each: each.say(key, **price))
    yield line(_twice(words, "xlsx_columns"), lambda each: each.say("xlsx_columns_why", confidence=each.percent()))
    for letter in "buxzc":
        status = "conf_status = C" if letter == "c" else f"obs_status: {letter}"
        yield line(status, partial(_key, letter=letter))
    yield line(_twice(words, "prov_study"), lambda _: content.study.digest)
    yield line(_twice(words, "prov_results"), lambda _: results.digest)
    yield line(_twice(words, "prov_software"), lambda _: content.run.software)
    for name, sheet in names.items():
        yield line(sheet, partial(_contents, question=results.questions[name]))


def _says(key: str) -> Callable[[Wording], Markup]:
    return lambda wording: wording.say(key)


def _key(wording: Wording, letter: str) -> Markup:
    return wording.say("key_entry", name=wording.mark(letter), why=wording.say(f"mark_{letter}_why"))


def _contents(wording: Wording, question: Question) -> Markup:
    said, left = html.title(wording, question), len(question.rows) - MOST_ROWS
    return said + " " + wording.say("note_left", count=f"{left:,}") if left > 0 else said


def _plain(text: str | Markup) -> str:
    return str(text.unescape()) if isinstance(text, Markup) else text


def _twice(words: Words, key: str) -> str:
    return " ".join(_plain(each.say(key)) for each in words)


def _question(sheet: "Worksheet", results: Results, name: str, question: Question, bold: "Format") -> None:
    """A table with a filter under a header that stays in sight."""
    words = tuple(Wording(language, results.content) for language in LANGUAGES)
    columns = question.columns()
    labelled = [key for key in question.keys if not {f"{key}_{language}" for language in LANGUAGES} & {*columns}]
    heads = _unlike([head for column in columns for head in _heads(column, labelled)])
    rows = question.rows[:MOST_ROWS]
    widths = [len(head) + 3 for head in heads]
    labels = {
        (key, code): [each.label(key, code) for each in words]
        for key in labelled
        for code in {str(row[key]) for row in rows if row[key] is not None}
    }
    blank = [None] * len(LANGUAGES)  # beside a key that a measure does not have

    def cells(row: Row, column: str) -> list[Scalar]:
        named = labels.get((column, str(row[column])), blank) if column in labelled else ()
        return [row[column], *named]

    lines = [[value for column in columns for value in cells(row, column)] for row in rows]
    for number, line in enumerate(lines, 1):
        for column, value in enumerate(line):
            widths[column] = max(widths[column], min(WIDE, _write(sheet, number, column, value)))
    for column, wide in enumerate(widths):
        sheet.set_column(column, column, wide)
    sheet.freeze_panes(1, 0)
    if lines:
        sheet.add_table(
            0, 0, len(lines), len(heads) - 1,
            {"name": f"q_{name}", "style": "Table Style Light 1", "columns": [{"header": head} for head in heads]},
        )  # fmt: skip
    else:
        for column, head in enumerate(heads):
            sheet.write_string(0, column, head, bold)


def _heads(column: str, labelled: list[str]) -> list[str]:
    return [column, *(f"{column}_{language}" for language in LANGUAGES if column in labelled)]


def _unlike(heads: list[str]) -> list[str]:
    """The same heads; of two that a spreadsheet takes for one, whatever their case, the later gets a number."""
    made: list[str] = []
    taken: set[str] = set()
    for head in heads:
        name, number = shorter(head, 200), 1
        while name.lower() in taken:
            number += 1
            name = f"{shorter(head, 200)}_{number}"
        taken.add(name.lower())
        made.append(name)
    return made


def _write(sheet: "Worksheet", row: int, column: int, value: Scalar) -> int:
    """One cell by its type, never by what its text looks like; about its width in characters."""
    match value:
        case None | "":
            return 0
        case bool():
            sheet.write_boolean(row, column, value)
            return 6
        case int() | float():
            sheet.write_number(row, column, value)
            return 14
    sheet.write_string(row, column, shorter(value, LONGEST_TEXT))
    return 2 + sum(1 + (mark > "\u2e80") for mark in value[:WIDE])
