"""One CSV file per question: every released row, the columns of the contract, the numbers exactly as `results.json` holds them.

UTF-8 with a byte-order mark and CRLF, so that spreadsheets read it. Beside the code of each key stand its labels, `<key>_zh` and
`<key>_en`. A withheld cell is empty and its status says why. Text that a spreadsheet would take for a formula gets a leading `'`
(threat-model.md T47); numbers never do.
"""

import csv
import io
from typing import Final

from coordinator.report.wording import LANGUAGES, Wording, scrub
from coordinator.results import Results, Scalar
from protocols.canonical import canonical

BOM: Final = "\ufeff"
FORMULA: Final = frozenset(
    "=+-@\t\r\n＝＋－＠"
)  # the last four: a spreadsheet may read full-width signs as their plain ones


def table(results: Results, name: str) -> bytes:
    """The CSV of one question. Pre-condition: `name in results.questions`."""
    question = results.questions[name]
    columns = question.columns()
    taken = {*columns}
    labelled = {key for key in question.keys if not {f"{key}_{language}" for language in LANGUAGES} & taken}
    words = [Wording(language, results.content) for language in LANGUAGES]
    labels = {
        (key, code): [cell(each.label(key, code)) for each in words]
        for key in labelled
        for code in {str(row[key]) for row in question.rows if row[key] is not None}
    }
    blank = [""] * len(LANGUAGES)  # beside a key that a measure does not have
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    heads = [[column, *(f"{column}_{each}" for each in LANGUAGES if column in labelled)] for column in columns]
    writer.writerow([head for part in heads for head in part])
    for row in question.rows:
        parts = [
            [cell(row[column]), *(labels.get((column, str(row[column])), blank) if column in labelled else ())]
            for column in columns
        ]
        writer.writerow([each for part in parts for each in part])
    return (BOM + text.getvalue()).encode()


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
    return canonical(value).decode()  # the shortest decimal that reads back as the same number
