"""What every model of several rounds offers, and the values that travel between its two ends.

A planned model is a value that every party derives from the study. The coordinator walks `start -> ask -> tell -> ask -> … -> result`; a
city answers each ask with `encode(ask, measure(ask, batch) + measure(ask, batch) + …)`. `tell` is the same pure function on both sides, so
that a city can replay what the coordinator made of the totals. A state is plain JSON: a conversation that goes on from it gives the same
bytes. The rounds of all models of a study are driven by `session.py`; how a study asks for a model stands in `question.py`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import zip_longest
from math import isclose
from typing import Any, Final, Protocol, TypeVar, runtime_checkable

import numpy as np

from protocols.canonical import canonical, digest
from protocols.dictionary import Reading
from protocols.models.design import Columns, Numbers
from protocols.models.fixedpoint import Block, Reals
from protocols.ring import Vector
from protocols.statistics.rows import Row, Test
from protocols.yamltext import Flag, Record, Whole

REPLAYED: Final = 1e-9


class Ask(Record):
    """One round of one model: public numbers alone. A kind that asks with other numbers has a subclass of its own.

    purpose: a word of the kind. layout: digest of the blocks of the answer; chain: digest of all earlier asks and totals. Of regressions,
    point: coefficients of z, the constant first; null: the constant of the model without terms, where an offset makes it a fit of its own;
    observed: the curvature asked for. places: cities with a constant of their own. shape: log of a dispersion that is estimated.
    inverse: of the information, upper triangle. between: variances between cities; `point` are then the units of weights. With purpose
    `influence`: the variances of the coefficients.
    """

    round: Whole
    purpose: str
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


@dataclass(frozen=True)
class Draw:
    """Mode dp: one block of integers that rounds release, and what it costs.

    l1, l2sq: the most that one holder changes all of its cells together, and the squares of these, in one release. times: in how many
    rounds at most. share: of the question's budget, of all these releases together; those of a question add up to 1.
    """

    name: str
    cells: int
    l1: int
    l2sq: int
    share: Fraction
    times: int = 1


@dataclass(frozen=True)
class Result:
    """What a question of many rounds answers, as results.json has it.

    rows, tests: as of every kind. coefficients, fit: of a regression; `fit` of any kind says `converged`, `rounds` and, where there is no
    answer, `cause`. model: what `OUT/models/<id>.json` says beside what all models say; empty where there is nothing to use again.
    cities: rows and tests about single cities, by the place of the city in the plan, where these told something of themselves.
    """

    rows: tuple[Row, ...] = ()
    tests: tuple[Test, ...] = ()
    coefficients: tuple[Mapping[str, Any], ...] = ()
    fit: Mapping[str, Any] = field(default_factory=dict)
    model: Mapping[str, Any] = field(default_factory=dict)
    cities: Mapping[int, tuple[tuple[Row, ...], tuple[Test, ...]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Seen:
    """What the first sums say of the whole, so that each city can hold it against its own policy. smallest: rows of the thinnest class or
    indicator column in the fit; none where it has none. parameters: to be estimated. carriers: what carries them: rows, or events. pair:
    rows of the thinnest code, or pair of codes of two terms, once their cross-table was added up (`pairs.py`)."""

    rows: int
    parameters: int
    carriers: int
    smallest: int | None = None
    pair: int | None = None


State = TypeVar("State", bound=Record)
Asked = TypeVar("Asked", bound=Ask)


class Model(Protocol[State, Asked]):
    """A planned model. `scope`: how a city may cut its rows into batches: `rows` anywhere, `group:<column>` never inside a group, `city`
    anywhere, because what is squared is a sum over the city, `whole` nowhere. In each case the sums of all batches are encoded once.

    `read` of `measure` gives columns by name, of holders of the cohort alone; `read.table.events` has their event rows. A city that cannot
    map what the question reads measures no rows. In mode dp the answer is integers without a header, the blocks of `drawn` end to end, and
    `encode` clips to what they declare; noise is added to it, never here.

    Errors: `tell` raises `ConfigError` where there is nothing to fit: the question ends with that cause, and others go on.
    """

    @property
    def most_rounds(self) -> int: ...

    @property
    def most_cells(self) -> int:
        """No round's vector is longer."""

    @property
    def scope(self) -> str: ...

    def start(self) -> State: ...

    def ask(self, state: State) -> Asked | Done: ...

    def blocks(self, ask: Asked) -> tuple[Block, ...]:
        """The layout of an answer."""

    def length(self, ask: Asked) -> int:
        """Cells of an answer."""

    def drawn(self, ask: Asked) -> tuple[str, ...]:
        """Mode dp: the names of the draws that an answer is, in order; empty in mode exact."""

    def measure(self, ask: Asked, read: Reading, rows: int) -> Sums: ...

    def encode(self, ask: Asked, sums: Sums) -> Vector: ...

    def tell(self, state: State, ask: Asked, total: Vector) -> State: ...

    def seen(self, state: State) -> Seen | None:
        """After the first total; None before, and where it does not apply."""

    def result(self, state: State) -> Result:
        """Pre-condition: nothing is left to ask."""


@runtime_checkable
class Placed(Protocol):
    """A planned model that a city answers knowing which one it is, of the cities of the plan in their order, from 0."""

    def at(self, place: int) -> Any: ...


def asked(
    kind: type[Asked],
    study: str,
    state: State,
    named: Sequence[str],
    blocks: Callable[[Asked], Sequence[Block]],
    **other: Any,
) -> Asked:
    """What a state asks: its round and chain, what it and the ask call alike (`named`), `other` fields, and the layout that these give."""
    taken = {name: getattr(state, name) for name in ("round", "chain", *named)}
    bare = kind(study=study, layout="", **{**taken, **other})
    return bare.model_copy(update={"layout": layout_digest(blocks(bare))})


def agrees(ask: Ask, expected: Ask) -> bool:
    """Whether an ask is the one that a replay expects. Numbers may differ by 1e-9 of their size: two machines round differently. What
    layout its numbers give is for `encode`."""
    if type(ask) is type(expected) and ask == expected:
        return True
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
    return digest(chain.encode() + canonical(ask.model_dump(mode="json")) + np.asarray(total, "<i8").tobytes())
