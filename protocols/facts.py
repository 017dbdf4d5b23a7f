"""Figures that a centre states about itself: how they are read, what a city lacks of them, and the one cell that some are added up in.

A fact is a statement of a centre and no sum over holders: nothing protects it, and it costs nothing. A `public` one stands in the city's
approval and is published as it is. A `summed` one is added, under the masks of an exact sum, to one cell of its own (`Measure.STATED`), and
never said. A city that states neither, or of another day than the study is about, cannot answer questions that ask for it.

Among what a city lacks, `fact:NAME` is a fact that it does not state, and `summed:NAME` one that it never says by itself.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final

from protocols.dictionary import MONEY, Dictionary, Fact
from protocols.filters import decimal
from protocols.statistics.layout import Block, Layout, Measure, stated

FACT: Final = "fact:"
SUMMED: Final = "summed:"
UNSAID: Final = "summed"  # what stands in the place of a value that is only ever added up
Said = Mapping[str, str]  # by name: the value in the unit of the dictionary, as `text` writes it, or UNSAID


def steps(fact: Fact, value: Decimal, unit: str) -> int | None:
    """A value in whole steps of the fact; None in a unit that it is not counted in. Errors: `ValueError` between two steps."""
    if fact.type == "money" and unit in MONEY:
        exact = value * MONEY[unit]
    elif unit == fact.unit:
        exact = value * fact.steps
    else:
        return None
    if exact != exact.to_integral_value():
        raise ValueError(f"{value} {unit}")
    return int(exact)


def inside(fact: Fact, found: int) -> bool:
    low, high = fact.range
    return low * fact.steps <= found <= high * fact.steps


def text(fact: Fact, found: int) -> str:
    """Steps in the unit of the fact: exactly, in one spelling."""
    return f"{(Decimal(found) / fact.steps).normalize() + 0:f}"


def value_of(fact: Fact, said: str) -> int:
    """The steps of such a text. Errors: `ValueError` for any other text, and for one outside the range."""
    found = steps(fact, decimal(said), fact.unit)
    if found is None or not inside(fact, found) or text(fact, found) != said:
        raise ValueError(said)
    return found


def amount(fact: Fact, found: int) -> Decimal:
    """Steps in what sums over holders are printed in: yuan of money, else the unit of the fact."""
    return Decimal(found) / (100 if fact.type == "money" else fact.steps)


def number(fact: Fact, found: int) -> float:
    """Steps as results print them: the nearest float, which has all digits of a figure below 2^53 steps."""
    return float(Decimal(found) / fact.steps)


def lacked(names: Iterable[str], said: Said) -> tuple[str, ...]:
    """Of the facts that a study asks for, what a city that says this lacks; ascending."""
    found = [
        f"{FACT}{name}" if name not in said else f"{SUMMED}{name}" if said[name] == UNSAID else "" for name in names
    ]
    return tuple(sorted(name for name in found if name))


def sound(names: Sequence[str], said: Said, cannot: Collection[str], dictionary: Dictionary) -> bool:
    """Whether what a city published and what it lacks are together all facts that a study asks for, each once and inside its range."""
    if not set(said) <= set(names) or any(each == UNSAID for each in said.values()):
        return False
    try:
        for name, each in said.items():
            value_of(dictionary.facts[name], each)
    except ValueError:
        return False
    listed = {name for name in cannot if name.startswith((FACT, SUMMED))}
    ways = [
        {name: name in said, FACT: f"{FACT}{name}" in listed, SUMMED: f"{SUMMED}{name}" in listed} for name in names
    ]
    known = {f"{prefix}{name}" for prefix in (FACT, SUMMED) for name in names}
    return listed <= known and all(sum(each.values()) == 1 for each in ways)


def cell(name: str, dictionary: Dictionary) -> Block:
    """The cell that a fact is added up in."""
    fact = dictionary.facts[name]
    low, high = (int(bound * fact.steps) for bound in fact.range)
    return stated(f"{FACT}{name}", low, high, "fen" if fact.type == "money" else fact.unit)


def name_of(block: Block) -> str:
    """Of such a cell, the fact."""
    if isinstance(block.of, tuple) and block.measure is Measure.STATED:
        return block.of[0].variable.removeprefix(FACT)
    raise TypeError(block.measure)


def within(found: int, block: Block, parts: int) -> bool:
    """Whether so many cities that keep to the range of a fact can add up to this."""
    if not isinstance(block.of, tuple):
        raise TypeError(block.measure)
    return parts * block.of[0].low <= found <= parts * block.of[0].high


def cells(layout: Layout) -> dict[str, int]:
    """Where the cell of each fact stands in the vector."""
    pairs = zip(layout.blocks, layout.offsets, strict=True)
    return {name_of(block): at for block, at in pairs if block.measure is Measure.STATED}
