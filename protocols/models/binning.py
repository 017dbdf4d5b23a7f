"""Bins of a feature that all cities share: codes of a category, intervals between public edges of a number, and one for what is missing.

Edges are written in the question, or come from a round of counts in 1024 leaves of the public range: the leaf boundaries nearest to
equal shares of all rows. Data of one city choose no edge.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Annotated, Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from protocols.dictionary import Dictionary, Read
from protocols.errors import Both, ConfigError
from protocols.models import design
from protocols.models.fixedpoint import Reals
from protocols.yamltext import Faults, Real, Record

LEAVES: Final = 1024
MOST_BINS: Final = 64
Places = npt.NDArray[np.integer[Any]]
Names: TypeAlias = tuple[str, ...]
Edges: TypeAlias = tuple[Real, ...]


class Bins(Record):
    """Of a number: bin b holds edges[b-1] <= x < edges[b], money in yuan. Of a category: one bin a code. Then the missing."""

    name: str
    edges: Edges = ()
    codes: Names = ()

    @model_validator(mode="after")
    def _rising(self) -> "Bins":
        if any(low >= high for low, high in pairwise(self.edges)) or (self.edges and self.codes):
            raise Faults([(("edges",), Both("分箱边界须递增，且不与代码并用", "must rise, and do not go with codes"))])
        return self

    @property
    def values(self) -> int:
        """Bins of known values."""
        return len(self.codes) or len(self.edges) + 1

    @property
    def cells(self) -> int:
        return self.values + 1

    @property
    def labels(self) -> tuple[str, ...]:
        """Of the bins of known values."""
        if self.codes:
            return self.codes
        return labels(self.edges)

    def places(self, dictionary: Dictionary, read: Read) -> Places:
        """The bin of each row. dictionary: gives codes and types; those of a category are the codes here, in their order."""
        given = read(self.name)
        if self.codes:
            place = given.values.astype(np.intp)
        else:
            place = np.searchsorted(np.array(self.edges), design.amounts(dictionary, self.name, given), side="right")
        return np.where(given.known, place, self.values)


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


def leaves(dictionary: Dictionary, name: str) -> Bins:
    low, high = design.range_of(dictionary, name)
    inner = low + (high - low) * (np.arange(1, LEAVES) / LEAVES)
    return Bins(name=name, edges=tuple(dict.fromkeys(inner.tolist())))


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
    features: Sequence[str], edges: Mapping[str, Edges], found: Mapping[str, Edges], dictionary: Dictionary
) -> tuple[Bins, ...]:
    """The bins of all features, from the edges that were written and those that were found."""
    return tuple(
        Bins(name=name, codes=dictionary.codes(name))
        if dictionary.codes(name)
        else Bins(name=name, edges=edges[name] if name in edges else found[name])
        for name in features
    )
