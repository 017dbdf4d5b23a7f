"""k-means: clusters of holders by several amounts, found by Lloyd's steps over sums, without a row of any city.

Leaves the city, over the holders of whom all the amounts are known (how many they are not is never said): in round 0, for each two
amounts, how many stand in each of 8 x 8 cells of their ranges; in each later round, at centres that all cities were told, how many are
nearest to each, and the sums of their coordinates. One holder moves one cell of each table, and later one count and the coordinates of one
centre: in mode dp together by at most 0.8 sqrt(d) half ranges, because a point that is longer is moved towards the middle.

Amounts are scaled to [-1, 1] by their public ranges, or by bounds that the question gives (`clip`). Where to begin follows from the tables
of pairs alone (`surrogate.py`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property, lru_cache
from typing import Annotated, Any, ClassVar, Final, Literal

import numpy as np
from pydantic import Field

from protocols import entropy
from protocols.dictionary import MISSING, Dictionary, Reading
from protocols.errors import ConfigError, HpfedError, PeerError
from protocols.models import surrogate
from protocols.models.design import Numbers
from protocols.models.fixedpoint import Block
from protocols.models.interface import Ask, Done, Draw, Result, Seen, Sums, agrees, asked, chained, layout_digest
from protocols.models.question import ManyRounds, Setting
from protocols.ring import Vector
from protocols.statistics import intervals, marks, measures
from protocols.statistics.estimates import QUANTA, Estimates, Floats, Table
from protocols.statistics.example import Example
from protocols.statistics.layout import POINT_BITS, Amount, Axis, Centres, Domain, Layout, Point, amount, count, point
from protocols.statistics.question import Fault, Names, Pair, amount_fault, clip_faults
from protocols.statistics.rows import Row, significant
from protocols.statistics.tables import count_rows, share_rows
from protocols.yamltext import Flag, Record, Whole

FEWEST, MOST = 2, 20  # amounts
CELLS: Final = 8  # of each amount in the tables of pairs
BEGINNING: Final = Fraction(2, 5)  # of the budget, for the tables of pairs
SMALL: Final = 0.05  # of all holders: a cluster of fewer is of low reliability
SETTLED: Final = (
    0.05  # half ranges: a centre that went farther in the last round, beyond what noise explains, still moves
)
WHOLE: Final = 1 << 53  # float64 adds whole numbers exactly up to here
PAIRS: Final = "pairs"
CENTRES: Final = "centres"
HOLDERS: Final = "holders"
SUMS: Final = "sums"
CELLS_OF: Final = "cells"


class KMeans(ManyRounds):
    """`of`: integers, numbers and amounts of money. `k`: clusters. `rounds`: Lloyd's steps after the start, at most. `clip`: public bounds
    of some of them, inside their ranges, to which values are moved: what is far from all others sets no scale then."""

    EXAMPLE: ClassVar[Example] = Example(
        {"id": "clusters", "kind": "kmeans", "of": ["income", "birth_year", "months_paying"], "k": "3", "rounds": "2"},
        holder={"income": "18000000", "birth_year": "2006", "months_paying": "32"},
    )
    MODES = ("dp", "exact")

    kind: Literal["kmeans"] = "kmeans"
    of: Names
    k: Annotated[Whole, Field(ge=2, le=12)]
    rounds: Annotated[Whole, Field(ge=1, le=12)] = 8
    clip: Mapping[str, Pair] = Field(default_factory=dict)

    def variables(self) -> tuple[str, ...]:
        return self.of

    def faults(self, dictionary: Dictionary) -> Iterator[Fault]:
        if not FEWEST <= len(self.of) <= MOST:
            yield Fault("of", "MOMENTS_COUNT", {"count": len(self.of), "least": FEWEST, "most": MOST})
        found = [each for name in self.of for each in amount_fault("of", name, dictionary, beside=())]
        yield from found
        twice = [name for number, name in enumerate(self.of) if name in self.of[:number]]
        yield from (Fault("of", "STUDY_TWICE", {"name": name}) for name in twice)
        clipped = list(clip_faults(self.clip, self.of, dictionary)) if not found else []
        yield from clipped
        if not found and not twice and not clipped and len(self.of) >= FEWEST:
            yield from super().faults(dictionary)

    def example_asks(self, model: "Clustering") -> tuple[Ask, ...]:
        """The start, and a round with every centre in the middle."""
        first = model.ask(model.start())
        assert isinstance(first, Ask)  # noqa: S101 nothing was asked yet
        return (first, first.model_copy(update={"purpose": CENTRES, "point": (0.0,) * (self.k * len(self.of))}))

    def key_of(self, fault: HpfedError) -> str:  # noqa: ARG002 planning says what is wrong with amounts alone
        return "of"

    def draws(self, domain: Domain) -> tuple[Draw, ...]:
        """Two fifths of the budget for the start; of the rest, as much for counts as for coordinates, equally in each round."""
        begun = self.planned(Setting(domain, 1, 1, "", 0.95))
        whole = begun.point
        tables, later = len(begun.pairs), (1 - BEGINNING) / 2
        return (
            Draw(PAIRS, begun.length_of(PAIRS), tables, tables, BEGINNING),
            Draw(HOLDERS, self.k, 1, 1, later, self.rounds),
            Draw(SUMS, self.k * len(self.of), whole.l1, whole.l2sq, later, self.rounds),
        )

    def planned(self, setting: Setting) -> "Clustering":
        """Errors: `ConfigError MODEL_PRECISION` for a range whose exact sums do not fit."""
        domain = setting.domain
        amounts = tuple(replace(domain.amount(name, *self.clip.get(name, ())), among=self.of) for name in self.of)
        for each in amounts:
            if domain.exact and setting.most_rows * each.half_width >= WHOLE:
                raise ConfigError("MODEL_PRECISION", name=each.variable, range=f"{each.low}..{each.high}")
        return Clustering(self, setting, amounts)


class Clusters(Record):
    """The state between two rounds. Plain JSON.

    centres: k times d coordinates in [-1, 1]. counts: of the clusters whose means they are, as summed. stayed: those that were too small to
    move. moved: the farthest that a coordinate went in the last round beyond what noise explains.
    """

    round: Whole = 0
    chain: str
    centres: Numbers = ()
    counts: tuple[int, ...] = ()
    stayed: tuple[Whole, ...] = ()
    moved: float = 0.0
    settled: Flag = False


@dataclass(frozen=True)
class Clustering:
    """A k-means that every party has planned alike."""

    question: KMeans
    setting: Setting
    amounts: tuple[Amount, ...]

    @property
    def exact(self) -> bool:
        return self.setting.domain.exact

    @property
    def most_rounds(self) -> int:
        return 1 + self.question.rounds

    @property
    def most_cells(self) -> int:
        return max(self.length_of(PAIRS), self.length_of(CENTRES))

    @property
    def scope(self) -> str:
        return "rows"

    @property
    def point(self) -> Point:
        return Point(self.amounts)

    # --- what is measured

    @cached_property
    def grids(self) -> tuple[Axis, ...]:
        """Each amount in up to 8 equal cells, for holders of whom all are known. The names keep the order of the question."""
        domain, found = self.setting.domain, list[Axis]()
        for at, x in enumerate(self.amounts):
            cells = min(CELLS, x.high - x.low + 1)
            cuts = [x.low + number * (x.high - x.low + 1) // cells for number in range(1, cells)]
            others = tuple(name for name in self.question.of if name != x.variable)
            axis = domain.bins(x.variable, cuts)
            found.append(replace(axis, name=f"{at:02d} {axis.name}", beside=others, levels=None))
        return tuple(found)

    @cached_property
    def pairs(self) -> tuple[surrogate.Pair, ...]:
        return surrogate.pairs_of(len(self.amounts))

    def nearest(self, centres: Numbers) -> Axis:
        """The clusters, by number, and `_missing`, where the holders stand of whom not all is known."""
        d, k = len(self.amounts), self.question.k
        at = tuple(tuple(centres[d * number : d * (number + 1)]) for number in range(k))
        positions = (*(str(number + 1) for number in range(k)), MISSING)
        return Axis("nearest centre", positions, self.question.of[0], centres=Centres(self.amounts, at))

    def layout(self, ask: Ask) -> Layout:
        """The blocks of a round, measured like all others."""
        if ask.purpose == PAIRS:
            return Layout(tuple(count([self.grids[i], self.grids[j]]) for i, j in self.pairs))
        near = self.nearest(ask.point)
        sums = [amount(x, [near]) for x in self.amounts] if self.exact else [point(self.point, [near])]
        return Layout((count([near]), *sums))

    def blocks(self, ask: Ask) -> tuple[Block, ...]:
        return tuple(Block(name, cells) for name, cells in self._shape(ask.purpose))

    def _shape(self, purpose: str) -> tuple[tuple[str, int], ...]:
        """What an answer is, without the positions on which nobody is counted."""
        if purpose == PAIRS:
            sizes = [axis.size - 1 for axis in self.grids]
            return ((PAIRS, sum(sizes[i] * sizes[j] for i, j in self.pairs)),)
        return ((HOLDERS, self.question.k), (SUMS, self.question.k * len(self.amounts)))

    def length_of(self, purpose: str) -> int:
        return sum(cells for _, cells in self._shape(purpose))

    def length(self, ask: Ask) -> int:
        return self.length_of(ask.purpose)

    def drawn(self, ask: Ask) -> tuple[str, ...]:
        return () if self.exact else tuple(name for name, _ in self._shape(ask.purpose))

    def measure(self, ask: Ask, read: Reading, rows: int) -> Sums:  # noqa: ARG002 the reading knows them
        """Whole numbers, which float64 adds exactly."""
        found = measures.summed(self.layout(ask), read, self.exact)
        return Sums({CELLS_OF: found.astype(np.float64)})

    def encode(self, ask: Ask, sums: Sums) -> Vector:
        """The cells of known positions, end to end. Errors: `PeerError MODEL_ASK_FOREIGN` for an ask of another study or layout."""
        if ask.study != self.setting.study or ask.layout != layout_digest(self.blocks(ask)):
            raise PeerError("MODEL_ASK_FOREIGN")
        layout, cells = self.layout(ask), sums.values[CELLS_OF].astype(np.int64)
        tables = []
        for block in layout.blocks:
            table = cells[layout.span(block)].reshape(block.shape)
            known = [np.arange(size) for size in block.shape]
            for axis in range(-len(block.axes), 0):
                known[axis] = known[axis][:-1]
            tables.append(table[np.ix_(*known)].ravel())
        return np.concatenate(tables)

    # --- rounds

    def start(self) -> Clusters:
        return Clusters(chain=self.setting.study)

    def ask(self, state: Clusters) -> Ask | Done:
        if state.settled or state.round > self.question.rounds:
            return Done()
        purpose = CENTRES if state.round else PAIRS
        return asked(Ask, self.setting.study, state, (), self.blocks, purpose=purpose, point=state.centres)

    def tell(self, state: Clusters, ask: Ask, total: Vector) -> Clusters:
        """Errors: `PeerError MODEL_NOT_REPLAYABLE` if the ask does not follow from the state."""
        expected = self.ask(state)
        if isinstance(expected, Done) or not agrees(ask, expected) or len(total) != self.length(ask):
            raise PeerError("MODEL_NOT_REPLAYABLE", round=ask.round)
        after = state.model_copy(update={"round": state.round + 1, "chain": chained(state.chain, ask, total)})
        if ask.purpose == PAIRS:
            return after.model_copy(update={"centres": _flat(self._begun(total))})
        return self._moved(after, ask.point, total)

    def _begun(self, total: Vector) -> Floats:
        sizes = tuple(axis.size - 1 for axis in self.grids)
        edges = [self._edges(x, axis) for x, axis in zip(self.amounts, self.grids, strict=True)]
        cells = tuple((tuple(low.tolist()), tuple(high.tolist())) for low, high in edges)
        about = (self.setting.study, self.question.id, self.question.k)
        return _first_centres(*about, sizes, cells, np.asarray(total, "<i8").tobytes())

    def _edges(self, x: Amount, axis: Axis) -> tuple[Floats, Floats]:
        """The first and the last value of each cell, scaled."""
        first = (x.low, *(axis.cuts or ()))
        last = (*(cut - 1 for cut in axis.cuts or ()), x.high)
        low, high = (np.array([self._scaled(x, value) for value in ends]) for ends in (first, last))
        return low, high

    @staticmethod
    def _scaled(x: Amount, value: float) -> float:
        return (value - x.centre) / (x.half_width << x.shift)

    def _moved(self, state: Clusters, before: Numbers, total: Vector) -> Clusters:
        """Each centre in the mean of its holders, inside the ranges; where these are too few to tell, as it was."""
        k, d = self.question.k, len(self.amounts)
        held, sums, old = total[:k], total[k:].reshape(d, k).T, np.array(before).reshape(k, d)
        unit = np.array([x.half_width if self.exact else 1 << POINT_BITS for x in self.amounts], dtype=np.float64)
        noise, sd = self._noise(SUMS) / unit**2, float(np.sqrt(self._noise(HOLDERS)))
        stays = marks.undivided(held.astype(np.float64), sd) | (held <= marks.DIVISIBLE * sd)
        with np.errstate(divide="ignore", invalid="ignore"):
            new = np.where(stays[:, None], old, np.clip(sums / (held[:, None] * unit), -1.0, 1.0))
            doubt = marks.DIVISIBLE * np.sqrt(2 * (noise + new**2 * sd**2)) / held[:, None]
        beyond = np.where(stays[:, None], 0.0, np.abs(new - old) - doubt)
        return state.model_copy(
            update={
                "centres": _flat(new),
                "counts": tuple(held.tolist()),
                "stayed": tuple(np.flatnonzero(stays).tolist()),
                "moved": max(0.0, float(beyond.max())),
                "settled": self.exact and bool((new == old).all()),
            }
        )

    def _noise(self, name: str) -> float:
        """Variance in one cell of the sum, in steps; none in mode exact."""
        return 0.0 if self.exact else self.setting.variances.get(name, 0.0)

    def seen(self, state: Clusters) -> Seen | None:  # noqa: ARG002 exact sums of it leave only where no cell is withheld
        return None

    # --- the answer

    def result(self, state: Clusters) -> Result:
        """Clusters by size, the largest first. A cluster that is small, or whose centre was told by too few, and all of them where
        centres still moved in the last round, are of low reliability."""
        order = sorted(range(self.question.k), key=lambda at: -state.counts[at])
        counts = np.array([state.counts[at] for at in order], dtype=np.int64)
        centres = np.array(state.centres).reshape(self.question.k, -1)[order]
        stayed = np.isin(order, state.stayed)
        converged = state.moved <= SETTLED
        sums, table = self._sizes(counts)
        small = (counts < SMALL * counts.sum()) | (counts < marks.CLEAR_OF_NOISE * np.sqrt(self._noise(HOLDERS)))
        doubtful = small | stayed | (not converged)
        sizes = count_rows(table, sums, sampling=self.question.sampling is True)
        sizes += share_rows("share", table, (), sums, self.question.sampling is not False)
        rows = [
            _marked(row, bool(doubtful[int(row.keys[CLUSTER]) - 1])) for row in sizes if row.keys[CLUSTER] != MISSING
        ]
        for at, x in enumerate(self.amounts):
            rows += self._coordinates(x, centres[:, at], counts, stayed, doubtful, sums.z)
        fit = {
            "converged": converged,
            "rounds": state.round,
            "n": int(counts.sum()),
            "moved": significant(state.moved),
            "stayed": [order.index(at) + 1 for at in state.stayed],
            "obs_status": "" if converged and not stayed.any() else "u",
        }
        per = [(x.centre / x.per, (x.half_width << x.shift) / x.per) for x in self.amounts]
        model = {
            "of": list(self.question.of),
            "middle": [significant(middle) for middle, _ in per],
            "half_range": [significant(half) for _, half in per],
            "centres": [[significant(float(each)) for each in centre] for centre in centres],
        }
        return Result(rows=tuple(rows), fit=fit, model=model)

    def _sizes(self, counts: Vector) -> tuple[Estimates, Table]:
        """The sizes as a table of holders, whose cells have noise of one variance each."""
        axis = Axis(CLUSTER, (*(str(number + 1) for number in range(len(counts))), MISSING), CLUSTER)
        variance = np.array(self._noise(HOLDERS))
        noise = {frozenset[str](): variance * axis.size, frozenset((CLUSTER,)): variance}
        table = Table((axis,), np.append(counts, 0) * QUANTA, noise)
        name, study = self.question.id, self.setting.study
        return Estimates({CLUSTER: table}, self.setting.confidence, 0, study, name), table

    def _coordinates(
        self, x: Amount, at: Floats, counts: Vector, stayed: Any, doubtful: Any, z: float
    ) -> Iterator[Row]:
        """One coordinate of each centre in its own unit, with the interval of the mean of those who were nearest, over noise alone. Of
        a centre that stayed there is no mean, and so no interval."""
        unit = float(x.half_width if self.exact else 1 << POINT_BITS)
        noise = np.zeros((len(counts), 2, 2))
        rounded = 0.0 if self.exact else 1 / 12  # of each holder's coordinate, in squares of steps
        noise[:, 0, 0] = (self._noise(SUMS) + rounded * np.maximum(counts, 0)) / unit**2
        noise[:, 1, 1] = self._noise(HOLDERS)
        held = np.where(stayed, np.nan, counts.astype(np.float64))
        _, low, high = intervals.ratio(at * held, held, noise, np.zeros(len(counts)), z)
        sd = np.sqrt(noise[:, 0, 0] + at**2 * noise[:, 1, 1]) / held
        half = (x.half_width << x.shift) / x.per
        for number in range(len(counts)):
            keys = {CLUSTER: str(number + 1), VARIABLE: x.variable}
            value = x.centre / x.per + half * float(at[number])
            row = Row("centre", keys, base=int(counts[number]), estimate=significant(value), display=significant(value))
            if not np.isnan(low[number]):
                ends = (x.centre / x.per + half * float(np.clip(end, -1.0, 1.0)) for end in (low[number], high[number]))
                below, above = ends
                row = replace(
                    row,
                    se_noise=significant(half * float(sd[number])),
                    ci_low=significant(min(below, value)),
                    ci_high=significant(max(above, value)),
                )
            yield _marked(row, bool(doubtful[number]) or row.ci_low is None)


@lru_cache(maxsize=16)
def _first_centres(
    study: str,
    question: str,
    clusters: int,
    sizes: tuple[int, ...],
    edges: tuple[tuple[Numbers, Numbers], ...],
    total: bytes,
) -> Floats:
    """Where the tables of pairs say that clusters may lie. Every round is replayed from the first, so that the answer is kept.

    `sizes`: cells of each amount; `edges`: the first and the last value of each cell, scaled; `total`: the tables end to end.
    """
    cells, tables, at = np.frombuffer(total, "<i8").astype(np.float64), dict[surrogate.Pair, Floats](), 0
    for i, j in surrogate.pairs_of(len(sizes)):
        tables[i, j] = cells[at : at + sizes[i] * sizes[j]].reshape(sizes[i], sizes[j])
        at += sizes[i] * sizes[j]
    stream = entropy.public_stream(study, question, "kmeans")
    found = surrogate.cloud(tables, [(np.array(low), np.array(high)) for low, high in edges], stream)
    centres = found.centres(clusters, stream)
    centres.flags.writeable = False
    return centres


CLUSTER: Final = "cluster"  # keys of rows
VARIABLE: Final = "variable"


def _marked(row: Row, doubtful: bool) -> Row:
    return replace(row, obs_status="u") if doubtful and "x" not in row.obs_status else row


def _flat(centres: Floats) -> Numbers:
    return tuple(float(each) for each in centres.ravel())
