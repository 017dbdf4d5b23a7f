"""Bins of a feature that all cities share: codes of a category, intervals between public edges of a number, and one for what is missing.

A question may name special values of a feature, codes or numbers that say why there is no ordinary one: all of them have one bin together,
before that of the missing.

Edges are written in the question, or come from a round of counts in 1024 leaves of the public range: the leaf boundaries nearest to
equal shares of all rows. Data of one city choose no edge.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Annotated, Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from protocols.dictionary import Dictionary, Read
from protocols.errors import Both, ConfigError
from protocols.models import design
from protocols.models.fixedpoint import Reals
from protocols.yamltext import Faults, Real, Record

LEAVES: Final = 1024
MOST_BINS: Final = 64
NEAR: Final = 1 << 12  # numbers at a time that are put in steps
STEPS: Final = 1 << 12
CLOSE: Final = 4  # edges of one step, at most
SPECIAL: Final = "_special"
Places = npt.NDArray[np.integer[Any]]
Names: TypeAlias = tuple[str, ...]
Edges: TypeAlias = tuple[Real, ...]


class Bins(Record):
    """Of a number: bin b holds edges[b-1] <= x < edges[b], money in yuan. Of a category: one bin a code. Then the special, where there are
    some, and the missing. special: codes, or numbers as texts; the bin of a special code by itself holds nobody."""

    name: str
    edges: Edges = ()
    codes: Names = ()
    special: Names = ()

    @model_validator(mode="after")
    def _rising(self) -> "Bins":
        if any(low >= high for low, high in pairwise(self.edges)) or (self.edges and self.codes):
            raise Faults([(("edges",), Both("分箱边界须递增，且不与代码并用", "must rise, and do not go with codes"))])
        if self.codes and not set(self.special) < set(self.codes):
            raise Faults([(("special",), Both("须为其部分代码", "must be some of its codes"))])
        try:
            _ = self._numbers
        except ValueError:
            raise Faults([(("special",), Both("须为数字", "must be numbers"))]) from None
        return self

    @model_serializer(mode="wrap")
    def _written(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without `special` where there is none."""
        found: dict[str, Any] = handler(self)
        return found if self.special else {name: each for name, each in found.items() if name != "special"}

    @property
    def values(self) -> int:
        """Bins of known values that are not special."""
        return len(self.codes) or len(self.edges) + 1

    @property
    def apart(self) -> int:
        """Bins beside those: of the missing, and of the special."""
        return 1 + bool(self.special)

    @property
    def cells(self) -> int:
        return self.values + self.apart

    @property
    def ordinary(self) -> Places:
        """The bins of values that are not special, by place."""
        return np.array([at for at in range(self.values) if not self.codes or self.codes[at] not in self.special])

    @property
    def labels(self) -> tuple[str, ...]:
        """Of the bins of known values."""
        if self.codes:
            return self.codes
        return labels(self.edges)

    @property
    def _numbers(self) -> tuple[float, ...]:
        """The special ones of a number."""
        return () if self.codes else tuple(float(each) for each in self.special)

    def places(self, dictionary: Dictionary, read: Read) -> Places:
        """The bin of each row. dictionary: gives codes and types; those of a category are the codes here, in their order."""
        given = read(self.name)
        if self.codes:
            place: Places = given.values.astype(np.intp)
            if self.special:
                instead = [self.values if code in self.special else at for at, code in enumerate(self.codes)]
                place = np.array(instead)[np.where(given.known, place, 0)]
        else:
            amounts = design.amounts(dictionary, self.name, given)
            place = _below(self.edges, amounts)
            if self.special:
                place = np.where(np.isin(amounts, self._numbers), self.values, place)
        return place if given.known.all() else np.where(given.known, place, place.dtype.type(self.cells - 1))


def _below(edges: Edges, x: Reals) -> Places:
    """How many edges are at or below each number, as `np.searchsorted` says on the right side; several times as fast where few stand close
    together. Anything of what is not a number.

    A number is put in one of many steps of equal width between the ends. Rounding keeps the order: edges of lower steps lie below it, those
    of higher ones above it, and it is compared with those of its own.
    """
    steps = _steps(edges) if 0 < len(edges) <= MOST_BINS else None
    if steps is None:
        return np.searchsorted(np.array(edges), x, side="right")
    found, further = np.empty(len(x), np.int8), np.append(np.array(edges), np.nan)  # nothing reaches beyond the last
    for first in range(0, len(x), NEAR):
        near, of = x[first : first + NEAR], found[first : first + NEAR]
        np.take(steps.before, steps.of(near), out=of, mode="clip")
        for _ in range(steps.most):
            of += near >= further.take(of)
    return found


@dataclass(frozen=True)
class _Steps:
    """before: of each step, the edges of lower ones. most: edges of one step."""

    low: float
    per: float
    before: npt.NDArray[np.int8]
    most: int

    def of(self, x: Reals) -> Places:
        """What is infinite keeps the order; what is no number may be of any step."""
        with np.errstate(over="ignore", invalid="ignore"):
            at = (x - self.low) * self.per
            np.maximum(at, 0, out=at)
            np.minimum(at, STEPS - 1, out=at)
            return at.astype(np.int16)


@lru_cache(maxsize=256)
def _steps(edges: Edges) -> _Steps | None:
    """None where the edges stand too close together, or too far apart."""
    width = edges[-1] - edges[0]
    per = (STEPS - 1) / width if width > 0 else 1.0
    if not 0 < per < np.inf:
        return None
    bare = _Steps(edges[0], per, np.zeros(0, np.int8), 0)
    counts = np.bincount(bare.of(np.array(edges)), minlength=STEPS)
    before = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int8)
    most = int(counts.max())
    return _Steps(bare.low, bare.per, before, most) if most <= CLOSE else None


def labels(edges: Sequence[float]) -> tuple[str, ...]:
    """`<25`, `25-35`, `>=35`; `all` where there is no edge. A bin holds its lower end and not its upper one."""
    if not edges:
        return ("all",)
    return (f"<{edges[0]:g}", *(f"{low:g}-{high:g}" for low, high in pairwise(edges)), f">={edges[-1]:g}")


Given: TypeAlias = Annotated[int, Field(ge=2, le=MOST_BINS)] | Mapping[str, Edges]


def checked(features: Sequence[str], edges: Mapping[str, Edges], dictionary: Dictionary) -> None:
    """Errors: `ConfigError` STUDY_VARIABLE, MODEL_TYPE, STUDY_TWICE, MODEL_BINS."""
    for number, name in enumerate(features):
        design.known(dictionary, name, (*design.CODED, *design.NUMERIC), "features")
        if name in features[:number]:
            raise ConfigError("STUDY_TWICE", name=name)
        if len(dictionary.codes(name)) > MOST_BINS:
            raise ConfigError("MODEL_BINS", name=name, limit=MOST_BINS)
    for name, written in edges.items():
        if name not in features:
            raise ConfigError("STUDY_VARIABLE", name=name, near="")
        design.known(dictionary, name, design.NUMERIC, "bins")
        if len(written) >= MOST_BINS or any(low >= high for low, high in pairwise(written)):
            raise ConfigError("MODEL_BINS", name=name, limit=MOST_BINS)


def searching(features: Sequence[str], edges: Mapping[str, Edges], dictionary: Dictionary) -> tuple[str, ...]:
    """The numbers whose edges are not written: their leaves are counted first."""
    return tuple(name for name in features if not dictionary.codes(name) and name not in edges)


def special_checked(features: Sequence[str], special: Mapping[str, Names], dictionary: Dictionary) -> None:
    """Errors: `ConfigError` STUDY_VARIABLE, MODEL_SPECIAL for what is no code or no number of the public range, or leaves nothing."""
    for name, named in special.items():
        if name not in features:
            raise ConfigError("STUDY_VARIABLE", name=name, near="")
        codes = dictionary.codes(name)
        low, high = (0.0, 0.0) if codes else design.range_of(dictionary, name)
        sound = (
            set(named) < set(codes) if codes else all(_number(each) and low <= float(each) <= high for each in named)
        )
        if not named or not sound:
            raise ConfigError("MODEL_SPECIAL", name=name)


def _number(text: str) -> bool:
    return re.fullmatch(r"-?[0-9]{1,15}(\.[0-9]{1,6})?", text) is not None


def leaves(dictionary: Dictionary, name: str, special: Names = ()) -> Bins:
    low, high = design.range_of(dictionary, name)
    inner = low + (high - low) * (np.arange(1, LEAVES) / LEAVES)
    return Bins(name=name, edges=tuple(dict.fromkeys(inner.tolist())), special=special)


def quantile_edges(boundaries: Sequence[float], counts: Reals, bins: int) -> Edges:
    """At most bins - 1 of the boundaries, nearest to equal shares of the counted. counts: one more than boundaries.

    None where all stand in one leaf; no bin between two edges is empty.
    """
    below = np.cumsum(counts)[:-1]
    total = float(np.sum(counts))
    inside = np.flatnonzero((below > 0) & (below < total))
    if not len(inside):
        return ()
    wanted = total * np.arange(1, bins) / bins
    after = np.searchsorted(below[inside], wanted).clip(0, len(inside) - 1)
    before = np.maximum(after - 1, 0)
    nearer = np.where(wanted - below[inside][before] < below[inside][after] - wanted, before, after)
    kept: list[int] = []
    for place in np.unique(nearer):
        if not kept or below[inside[place]] > below[kept[-1]]:
            kept.append(int(inside[place]))
    return tuple(boundaries[place] for place in kept)


def all_bins(
    features: Sequence[str],
    edges: Mapping[str, Edges],
    found: Mapping[str, Edges],
    dictionary: Dictionary,
    special: Mapping[str, Names] | None = None,
) -> tuple[Bins, ...]:
    """The bins of all features, from the edges that were written and those that were found."""
    apart = special or {}
    return tuple(
        _made(
            name,
            () if dictionary.codes(name) else edges[name] if name in edges else found[name],
            dictionary.codes(name),
            apart.get(name, ()),
        )
        for name in features
    )


@lru_cache(maxsize=512)  # every round has the same
def _made(name: str, edges: Edges, codes: Names, special: Names) -> Bins:
    return Bins(name=name, edges=edges, codes=codes, special=special)
