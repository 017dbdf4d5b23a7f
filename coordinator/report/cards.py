"""Model cards on the page: what is said of a model before anyone signs for it (`coordinator/modelcard.py`), one folded part for each.

Every figure stands in a card as results.json has it; terms and groups are in the tables of the questions, which the card points to.
"""

from dataclasses import dataclass

from markupsafe import Markup

from coordinator import modelcard, modelcard_text
from coordinator.modelcard import Metric, ModelCard
from coordinator.report import fits
from coordinator.report.numbers import significant, span
from coordinator.report.wording import Wording
from coordinator.results import Results

SMALL = 1e-6


@dataclass(frozen=True)
class Shown:
    """One card. facts: head and text; metrics: head, value, interval, certain bound, question; told: head, lead and sentences."""

    name: str
    title: str
    facts: tuple[tuple[str, str], ...]
    metrics_lead: str
    metrics: tuple[tuple[str, ...], ...]
    told: tuple[tuple[str, tuple[str, ...]], ...]
    sign: tuple[tuple[str, str], ...]
    files: Markup


def shown(wording: Wording, results: Results) -> tuple[Shown, ...]:
    """Of every model of the study that scores, in the order of the study."""
    return tuple(_shown(wording, card) for card in modelcard.of(results))


def _shown(wording: Wording, card: ModelCard) -> Shown:
    language = wording.language
    stem = card.file.removesuffix(".json")
    told = (("doubts", card.doubts), ("uses", card.uses), ("limits", card.limits))
    return Shown(
        name=card.id,
        title=fits.modelled(wording, card.id),
        facts=modelcard_text.facts(card, language),
        metrics_lead=card.metrics_words.text(language),
        metrics=tuple(_metric(each, wording) for each in card.metrics or () if each.group is None),
        told=tuple(
            (modelcard_text.label(key, language), tuple(each.text(language) for each in sentences))
            for key, sentences in told
        ),
        sign=tuple((each.role.text(language), each.line) for each in card.signatures),
        files=wording.say("card_files", json=f"{stem}.card.json", page=f"{stem}.card.{language}.md"),
    )


def _metric(of: Metric, wording: Wording) -> tuple[str, ...]:
    language, dash = wording.language, str(wording.say("none_dash"))
    value = (
        modelcard_text.label("withheld", language, letters=of.withheld) if of.estimate is None else _number(of.estimate)
    )
    interval = dash if of.interval is None else span(*map(_number, of.interval))
    return (of.words.text(language), value, interval, dash if of.bound is None else _number(of.bound), of.question)


def _number(value: float) -> str:
    """Four digits, as in the card's own page; what is no more than rounding as a power of ten."""
    return significant(value, 4) if value == 0 or abs(value) >= SMALL else f"{value:.1e}"
