"""What every model of several rounds offers, and the values that travel between its two ends.

A planned model is a value that every party derives from the study. The coordinator walks `start -> ask -> tell -> ask -> … -> finalize`; a
city answers each ask with `encode(ask, measure(ask, batch) + measure(ask, batch) + …)`. `tell` is the same pure function on both sides, so
that a city can replay what the coordinator made of the totals. A state is plain JSON: a conversation that goes on from it gives the same
bytes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from math import isclose
from typing import Any, Final, Literal, Protocol, TypeVar

import numpy as np

from protocols.canonical import canonical, digest
from protocols.dictionary import Read
from protocols.models.design import Columns, Numbers
from protocols.models.fixedpoint import Block, Reals
from protocols.ring import Vector
from protocols.yamltext import Flag, Record, Whole

REPLAYED: Final = 1e-9
Purpose = Literal["standardise", "step", "final", "local", "mean"]


class Ask(Record):
    """One round of one model: public numbers alone.

    layout: digest of the blocks of the answer; chain: digest of all earlier asks and totals. point: coefficients of z, the constant
    first; null: the constant of the model without terms, where an offset makes it a fit of its own. observed: the curvature asked for.
    places: cities with a constant of their own. shape: log of a dispersion that is estimated. inverse: of the information, upper triangle.
    between: variances between cities; `point` are then the units of weights.
    """

    round: Whole
    purpose: Purpose
    study: str
    layout: str
    chain: str
    columns: Columns = Columns()
    point: Numbers = ()
    null: float | None = None
    observed: Flag = False
    places: tuple[Whole, ...] = ()
    shape: float | None = None
    inverse: Numbers = ()
    between: Numbers = ()


@dataclass(frozen=True)
class Done:
    """There is nothing left to ask: `finalize` has the answer."""


@dataclass(frozen=True)
class Sums:
    """Float64 sums over rows of one city, in its own memory. Adding those of two batches gives those of both. Beside what is encoded stands
    `spread`, which never leaves: rows, sum of their weights in the information, sum of squares of these (`protect.py`)."""

    values: Mapping[str, Reals]

    def __add__(self, other: "Sums") -> "Sums":
        return Sums({name: value + other.values[name] for name, value in self.values.items()})


State = TypeVar("State", bound=Record)
Answer_co = TypeVar("Answer_co", covariant=True)


class Model(Protocol[State, Answer_co]):
    """A planned model. `scope`: how a city may cut its rows into batches: `rows` anywhere, `group:<column>` never inside a group, `city`
    anywhere, because what is squared is a sum over the city. In each case the sums of all batches are encoded once."""

    @property
    def most_rounds(self) -> int: ...

    @property
    def most_cells(self) -> int: ...

    @property
    def scope(self) -> str: ...

    def start(self) -> State: ...

    def ask(self, state: State) -> Ask | Done: ...

    def blocks(self, ask: Ask) -> tuple[Block, ...]: ...

    def measure(self, ask: Ask, read: Read, rows: int) -> Sums: ...

    def encode(self, ask: Ask, sums: Sums) -> Vector: ...

    def tell(self, state: State, ask: Ask, total: Vector) -> State: ...

    def finalize(self, state: State) -> Answer_co: ...


def agrees(ask: Ask, expected: Ask) -> bool:
    """Whether an ask is the one that a replay expects. Numbers may differ by 1e-9 of their size: two machines round differently. What
    layout its numbers give is for `encode`."""
    bare = {"layout": ""}
    pairs = zip_longest(_values(ask.model_copy(update=bare)), _values(expected.model_copy(update=bare)))
    return type(ask) is type(expected) and all(_alike(here, there) for here, there in pairs)


def _values(of: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    """Every plain value in a record, with where it stands."""
    if isinstance(of, Record):
        of = {name: getattr(of, name) for name in type(of).model_fields}
    if isinstance(of, Mapping):
        for name in sorted(of):
            yield from _values(of[name], f"{at}.{name}")
    elif isinstance(of, tuple):
        yield at, len(of)
        for number, each in enumerate(of):
            yield from _values(each, f"{at}.{number}")
    else:
        yield at, of


def _alike(here: tuple[str, Any] | None, there: tuple[str, Any] | None) -> bool:
    if here is None or there is None or here[0] != there[0] or type(here[1]) is not type(there[1]):
        return False
    if isinstance(here[1], float):
        return isclose(here[1], there[1], rel_tol=REPLAYED, abs_tol=REPLAYED)
    return bool(here[1] == there[1])


def layout_digest(blocks: Sequence[Block]) -> str:
    return digest(canonical([[each.name, each.cells, each.digits, each.limbs] for each in blocks]))


def chained(chain: str, ask: Ask, total: Vector) -> str:
    """The chain digest after a round."""
    return digest(chain.encode() + ask.model_dump_json().encode() + np.asarray(total, "<i8").tobytes())
