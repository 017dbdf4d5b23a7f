"""A city folder's `city.yaml`: who it is, and what it states about itself. No contact data."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field

from protocols import facts, yamltext
from protocols.approval import Covered
from protocols.attestation import FactText
from protocols.dictionary import Bound, Dictionary, Words, near
from protocols.errors import Both, ConfigError
from protocols.facts import UNSAID
from protocols.filters import days
from protocols.yamltext import Flag, Record, fit

FILE: Final = "city.yaml"
EPOCH: Final = date(1970, 1, 1).toordinal()


def _day(value: Any) -> Any:
    return date.fromordinal(days(value) + EPOCH) if isinstance(value, str) else value


class Statement(Record):
    """One figure of one day. `public`: printed as it is; `summed`: only ever added up under masks. `source`: for people, and stays here."""

    value: Bound
    unit: str = ""
    as_of: Annotated[date, BeforeValidator(_day)]
    visible: Literal["public", "summed"]
    source: str = ""


Statements = Annotated[
    tuple[Statement, ...],
    BeforeValidator(lambda value: (value,) if isinstance(value, dict) else _tuple(value)),
    Field(min_length=1),
]


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


class Told(Record):
    """The same in the unit of the dictionary."""

    value: FactText
    visible: Literal["public", "summed"]


class City(Record):
    """`city`: its id in rosters, studies and results. `code`: GB/T 2260. `synthetic`, `open_data`: no real holder, or public microdata.

    `facts`: by their names in the dictionary; of several days, a list."""

    city: Annotated[str, Field(pattern=r"^[a-z0-9-]{2,40}$")]
    name: Words
    code: Annotated[str, Field(pattern=r"^[0-9]{6}$")]
    scope: Covered = Covered()
    facts: Mapping[str, Statements] = Field(default_factory=dict)
    synthetic: Flag = False
    open_data: Flag = False


def load(folder: Path) -> City:
    """Read `city.yaml` of a city folder. Errors: `ConfigError` with file, line and key."""
    return fit(City, yamltext.load(folder / FILE))


def ill_stated(folder: Path, who: City, terms: Dictionary) -> list[ConfigError]:
    """`MAP_FACT` for each fact that the dictionary has not, or has in another unit, range or spelling, and for two of one day."""
    document, found = yamltext.load(folder / FILE), list[ConfigError]()

    def fault(name: str, zh: str, en: str) -> None:
        found.append(ConfigError("MAP_FACT", document.at("facts", name), name=name, problem=Both(zh, en)))

    for name, statements in who.facts.items():
        fact = terms.facts.get(name)
        if fact is None:
            close = near(name, terms.facts)
            hint = (f"，是否想写 {close}？", f"; did you mean {close}?") if close else ("", "")
            fault(name, f"词典没有这个数据项{hint[0]}", f"the dictionary has no such fact{hint[1]}")
            continue
        for number, each in enumerate(statements):
            low, high = (f"{bound:f}" for bound in fact.range)
            try:
                steps = facts.steps(fact, each.value, each.unit)
            except ValueError:
                fault(name, f"{each.value:f} 的小数位过多", f"{each.value:f} has more decimals than can be carried")
                continue
            if steps is None:
                shown = each.unit or "–"
                fault(
                    name, f"单位 {shown} 不适用，应为 {fact.unit}", f"the unit {shown} does not fit; write {fact.unit}"
                )
            elif not facts.inside(fact, steps):
                fault(
                    name,
                    f"{each.value:f} {each.unit} 不在 {low} 至 {high} {fact.unit} 之内",
                    f"{each.value:f} {each.unit} is outside {low} to {high} {fact.unit}",
                )
            if each.as_of in [other.as_of for other in statements[:number]]:
                fault(name, f"{each.as_of} 写了两次", f"{each.as_of} is there twice")
    return found


def told(who: City, terms: Dictionary, day: date) -> dict[str, Told]:
    """What a city states of one day, as its snapshot of that day keeps it. Pre-condition: nothing is ill stated."""
    found = dict[str, Told]()
    for name, statements in who.facts.items():
        for each in statements:
            steps = facts.steps(terms.facts[name], each.value, each.unit)
            if each.as_of == day and steps is not None:
                found[name] = Told(value=facts.text(terms.facts[name], steps), visible=each.visible)
    return found


def said(stated: Mapping[str, Told]) -> dict[str, str]:
    """What leaves of it, where it is asked for: values that are public, of others that there is one."""
    return {name: each.value if each.visible == "public" else UNSAID for name, each in stated.items()}


def added(stated: Mapping[str, Told], terms: Dictionary) -> dict[str, int]:
    """What is only ever added up, in steps of the dictionary."""
    summed = {name: each.value for name, each in stated.items() if each.visible == "summed"}
    return {name: facts.value_of(terms.facts[name], value) for name, value in summed.items()}
