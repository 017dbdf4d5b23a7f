"""One CSV file per question: every released row, the columns of the contract, the numbers exactly as `results.json` holds them.

UTF-8 with a byte-order mark and CRLF, so that spreadsheets read it. Beside the code of each key stand its labels, `<key>_zh` and
`<key>_en`. A withheld cell is empty and its status says why. Text that a spreadsheet would take for a formula gets a leading `'`
(threat-model.md T47); numbers never do.
"""

import csv
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from coordinator.report.wording import Wording, scrub
from coordinator.results import Question, Results, Row, Scalar
from protocols.canonical import canonical

BOM: Final = "\ufeff"
FORMULA: Final = frozenset(
    "=+-@\t\r\n＝＋－＠"
)  # the last four: a spreadsheet may read full-width signs as their plain ones
LABELS: Final = ("zh", "en")


def write(results: Results, out: Path) -> tuple[Path, ...]:
    """`tables/<id>.csv` under `out`, one per question; each is written under another name and renamed when it is whole."""
    folder = out / "tables"
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name in results.questions:
        path = folder / f"{name}.csv"
        fresh = path.with_name(path.name + ".new")
        fresh.write_bytes(table(results, name))
        os.replace(fresh, path)
        written.append(path)
    return tuple(written)


def table(results: Results, name: str) -> bytes:
    """The CSV of one question. Pre-condition: `name in results.questions`."""
    question = results.questions[name]
    zh, en = (Wording(language, results.content) for language in LABELS)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(list(_heads(question)))
    for row in question.rows:
        writer.writerow(list(_cells(question, row, zh, en)))
    return (BOM + text.getvalue()).encode()


def _labelled(question: Question, column: str) -> bool:
    """Keys get labels, unless another column already has their name."""
    taken = set(question.columns())
    return column in question.keys and not {f"{column}_{language}" for language in LABELS} & taken


def _heads(question: Question) -> Iterator[str]:
    for column in question.columns():
        yield column
        if _labelled(question, column):
            yield from (f"{column}_{language}" for language in LABELS)


def _cells(question: Question, row: Row, zh: Wording, en: Wording) -> Iterator[str]:
    for column in question.columns():
        yield cell(row[column])
        if _labelled(question, column):
            yield from (cell(words.label(column, str(row[column]))) for words in (zh, en))


def cell(value: Scalar) -> str:
    """A value as it stands in a file. Numbers as in canonical JSON; `true` or nothing; text made safe for spreadsheets and terminals."""
    match value:
        case None | False:
            return ""
        case True:
            return "true"
        case str():
            shown, _ = scrub(value)
            return f"'{shown}" if value[:1] in FORMULA and value else shown
    return canonical(value).decode()
