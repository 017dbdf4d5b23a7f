"""A scorecard as a table of its own, in the workbook and as `tables/<id>.card.csv`: a line per bin, in both languages.

Holders, their share, the event rate and neutral points follow from the numbers of the results, to 12 significant digits; a withheld bin is
empty and has its status.
"""

import csv
import io
from collections.abc import Iterator
from typing import Final

from coordinator.report import risk, scorecards
from coordinator.report.tables import BOM, cell
from coordinator.report.wording import LANGUAGES, Wording
from coordinator.results import Question, Results, Row, Scalar
from protocols.statistics.rows import significant

END: Final = "card"
COLUMNS: Final = (
    "characteristic", "characteristic_zh", "characteristic_en", "bin", "bin_zh", "bin_en", "holders", "share", "events", "events_ci_low",
    "events_ci_high", "nonevents", "event_rate", "woe", "points", "neutral_points", "iv", "obs_status", "conf_status",
)  # fmt: skip
Line = tuple[Scalar, ...]


def carded(results: Results) -> dict[str, Question]:
    """The questions whose answer is a scorecard."""
    return {name: question for name, question in results.questions.items() if is_card(question)}


def is_card(question: Question) -> bool:
    """Whether it is a scorecard that came out."""
    if question.kind != "scorecard" or not question.rows or not risk.shaped(question):
        return False
    return any(each.bins for each in scorecards.characteristics(enumerate(question.rows)))


def lines(results: Results, question: Question) -> Iterator[Line]:
    """One for each bin of each characteristic in the card, in the order of `COLUMNS`."""
    words = [Wording(language, results.content) for language in LANGUAGES]
    for each in scorecards.characteristics(enumerate(question.rows)):
        whole = each.holders
        for bin_ in each.bins:
            parts: dict[str, Row] = {name: row for name, (_, row) in bin_.rows.items()}
            events = parts["events"]
            yield (
                each.name,
                *(word.variable(each.name) for word in words),
                bin_.code,
                *(scorecards.bin_label(word, each.name, bin_.code) for word in words),
                bin_.holders,
                _digits(bin_.holders / whole) if bin_.holders is not None and whole > 0 else None,
                events.estimate,
                events.ci_low,
                events.ci_high,
                parts["nonevents"].estimate,
                _digits(bin_.rate),
                parts["woe"].estimate,
                parts["points"].estimate,
                _digits(each.neutral),
                each.value,
                "".join(dict.fromkeys(events.obs_status + parts["woe"].obs_status)),
                events.conf_status,
            )


def _digits(value: float | None) -> float | None:
    return None if value is None else significant(value)


def table(results: Results, name: str) -> bytes:
    """The CSV of one card. Pre-condition: `name in carded(results)`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    writer.writerows([cell(value) for value in line] for line in lines(results, results.questions[name]))
    return (BOM + text.getvalue()).encode()
