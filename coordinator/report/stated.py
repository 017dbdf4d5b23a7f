"""What a page says of figures that centres state about themselves, of codes that are not compared, of cities that cover other holders."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from markupsafe import Markup

from coordinator.report.wording import Wording
from coordinator.results import POOLED, Question
from coordinator.stated import NOT_SAID
from protocols.facts import FACT

MUCH: Final = 0.2  # of the holders of a city at a code that is not compared: other codes are short of them there


def notes(wording: Wording, question: Question) -> Iterator[Markup]:
    """What stands beside the tables of a question."""
    yield from _facts(wording, question)
    yield from _timing(wording, question)
    yield from _not_compared(wording, question)
    scopes = wording.content.cities.scopes
    if (
        question.kind == "compare"
        and len({tuple(sorted(scopes.get(city, {}).items())) for city in question.cities}) > 1
    ):
        yield wording.say("note_scopes", list=_scopes(wording, question))


def _facts(wording: Wording, question: Question) -> Iterator[Markup]:
    """Which figures, whose word they are, and of which cities the sum alone is known."""
    names = [name for name in question.facts if name != NOT_SAID]
    if not names:
        return
    listed = wording.listed(wording.in_unit(wording.fact(name), f"{FACT}{name}") for name in names)
    yield wording.say("note_facts", list=listed, date=wording.content.run.as_of)
    for name in question.facts.get(NOT_SAID, {}):
        cities = [city for city in question.cities if city not in question.facts[name]]
        yield wording.say("note_facts_summed", fact=wording.fact(name), cities=wording.cities(cities))


def _timing(wording: Wording, question: Question) -> Iterator[Markup]:
    """A ratio of a balance to a flow says so."""
    if question.kind != "ratio":
        return
    found = [_of(wording, question.asked.get(side)) for side in ("numerator", "denominator")]
    if set(found) == {"flow", "balance"}:
        yield wording.say(
            "note_timing", first=wording.say(f"timing_{found[0]}"), second=wording.say(f"timing_{found[1]}")
        )


def _of(wording: Wording, side: Any) -> str:
    words = wording.content.words
    if isinstance(side, Mapping):
        return words.facts[side["fact"]].timing if side.get("fact") in words.facts else ""
    return words.variables[side].timing if side in words.variables else ""


def _not_compared(wording: Wording, question: Question) -> Iterator[Markup]:
    """Codes that the dictionary does not compare; and the cities of which they hold much."""
    if question.kind not in ("frequency", "compare"):
        return
    for key in question.keys:
        words = wording.content.words.variables.get(key)
        codes = [code for code, each in words.codes.items() if not each.comparable] if words else []
        shown = [code for code in codes if any(row[key] == code for row in question.rows)]
        for code in shown:
            yield wording.say("note_not_compared", code=wording.named(key, code))
            much = dict.fromkeys(
                row.scope
                for row in question.rows
                if row[key] == code and row.measure == "share" and not row.contrast and (row.estimate or 0) > MUCH
            )
            cities = [wording.city(scope) if scope != POOLED else wording.say("scope_all") for scope in much]
            if cities:
                yield wording.say("note_much", code=wording.named(key, code), cities=wording.listed(cities))


def _scopes(wording: Wording, question: Question) -> Markup:
    """What the files of each city cover."""
    scopes = wording.content.cities.scopes
    said = []
    for city in question.cities:
        flags = [
            wording.say("scope_flag", name=wording.say(f"scope_{name}"), held=wording.say(f"held_{held}"))
            for name, held in scopes.get(city, {}).items()
        ]
        listed = wording.listed(flags) if flags else wording.say("none_dash")
        said.append(wording.say("scope_city", city=wording.city(city), list=listed))
    return wording.say("semicolon").join(said)
