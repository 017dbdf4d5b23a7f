"""Boosted trees by secure sums of gradients, in XGBoost's formulas. Exact mode.

Leaves the city: first rows of each class, and rows by leaf of the public range for numbers whose edges are not written; then, for
each level of each tree, by node, feature and bin, the sums of g = p - y and h = p (1 - p), and rows. One holder moves one cell of each
feature and node by at most 1. Of two nodes with one parent one is asked for, and the other is the difference.

A split gains GL^2 / (HL + lambda) + GR^2 / (HR + lambda) - G^2 / (H + lambda), and a leaf weighs -eta G / (H + lambda). A gain counts above
10^-6 and gamma; of equal ones the lowest feature is taken, missing to the right before missing to the left, then the lowest bin.

Source: T. Chen and C. Guestrin, XGBoost: A Scalable Tree Boosting System, KDD 2016, equations 6 and 7, algorithm 3.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Final, Literal

import numpy as np
from pydantic import Field
from scipy.special import expit

from protocols.dictionary import Dictionary, Read
from protocols.errors import ConfigError, PeerError
from protocols.models import binning, design, fixedpoint
from protocols.models.binning import MOST_BINS, Bins, Edges, Places, all_bins, leaves, quantile_edges, searching
from protocols.models.design import Numbers
from protocols.models.fixedpoint import HEADER, Block, Reals, Total
from protocols.models.interface import Ask, Done, Result, Seen, Sums, agrees, asked, chained, layout_digest
from protocols.models.modelfile import Tree, Trees
from protocols.models.saved import left
from protocols.models.scoring import leaves_of, missing_places, places_of, trees_margin
from protocols.ring import Vector
from protocols.statistics.question import Names
from protocols.statistics.rows import Row, significant
from protocols.yamltext import Real, Record, Whole

LEAST_ROWS: Final = 50
LEAST_EVENTS: Final = 20
LEAST_GAIN: Final = 1e-6
LEAST_HESSIAN: Final = 1e-16
Stage = Literal["leaves", "grow"]
ROOT: Final = Tree(
    feature=(-1,), bin=(0,), missing_left=(False,), left=(0,), right=(0,), value=(0.0,), gain=(0.0,), hessian=(0.0,)
)


class Gbdt(Record):
    """The keys of a question `kind: gbdt`. bins: as of a scorecard; eta, lambda, gamma, min_child_weight: XGBoost's."""

    outcome: str
    features: Annotated[Names, Field(min_length=1)]
    trees: Annotated[Whole, Field(ge=1, le=300)] = 30
    depth: Annotated[Whole, Field(ge=1, le=6)] = 4
    bins: Annotated[Whole, Field(ge=2, le=MOST_BINS)] | dict[str, Edges] = 32
    eta: Annotated[Real, Field(gt=0, le=1)] = 0.3
    lambda_: Annotated[Real, Field(ge=0)] = Field(1.0, alias="lambda")
    gamma: Annotated[Real, Field(ge=0)] = 0.0
    min_child_weight: Annotated[Real, Field(ge=0)] = 1.0


class GbdtAsk(Ask):
    """A round of trees. trees: finished ones; growing: the one that is grown; nodes: leaves of it whose sums are asked for."""

    stage: Stage
    edges: dict[str, Edges] = Field(default_factory=dict)
    base: Real = 0.0
    trees: tuple[Tree, ...] = ()
    growing: Tree = ROOT
    nodes: tuple[Whole, ...] = ()


class Node(Record):
    """A leaf that may be divided: sums over its rows, by bin of all features end to end."""

    node: Whole
    g: Numbers
    h: Numbers
    n: Numbers


class Boosting(Record):
    """The state between two rounds. open: leaves whose sums are to come, each with its parent where those are subtracted.

    asked: those whose sums are asked for; parents: sums of a parent, by the child that is asked for; sibling: the child that is left.
    """

    round: Whole = 0
    chain: str
    stage: Literal["leaves", "grow", "done"] = "leaves"
    edges: dict[str, Edges] = Field(default_factory=dict)
    base: Real = 0.0
    rows: Whole = 0
    unknown: Whole = 0
    trees: tuple[Tree, ...] = ()
    growing: Tree = ROOT
    level: Whole = 0
    asked: tuple[Whole, ...] = ()
    parents: tuple[Node | None, ...] = ()
    siblings: tuple[Whole | None, ...] = ()


@dataclass(frozen=True)
class Boosted:
    """fit: the trees. gains: of each feature, summed over its splits. rows: pooled; unknown: rows without an outcome."""

    fit: Trees
    gains: Mapping[str, float]
    rows: int
    unknown: int
    rounds: int


@dataclass(frozen=True)
class Split:
    gain: float
    feature: int
    bin: int
    missing_left: bool
    left: tuple[float, float, float]  # g, h, rows
    right: tuple[float, float, float]


@dataclass(frozen=True)
class GbdtPlan:
    """least_rows: of each child, pooled; at least 50."""

    question: Gbdt
    dictionary: Dictionary
    cities: int
    most_rows: int
    study: str
    least_rows: int

    @property
    def most_rounds(self) -> int:
        return 1 + self.question.trees * self.question.depth

    @property
    def most_cells(self) -> int:
        cells = sum(1 + (len(self.dictionary.codes(name)) or MOST_BINS) for name in self.question.features)
        nodes = 1 << max(self.question.depth - 2, 0)  # of two siblings one is asked for
        return HEADER + max(3 + len(self.searched) * (binning.LEAVES + 1), nodes * cells * 5)

    @property
    def scope(self) -> str:
        return "rows"

    @cached_property
    def written(self) -> Mapping[str, Edges]:
        return self.question.bins if isinstance(self.question.bins, dict) else {}

    @cached_property
    def searched(self) -> tuple[str, ...]:
        return searching(self.question.features, self.written, self.dictionary)

    def bins(self, edges: Mapping[str, Edges]) -> tuple[Bins, ...]:
        return all_bins(self.question.features, self.written, edges, self.dictionary)

    # --- what is asked

    def start(self) -> Boosting:
        return Boosting(chain=self.study)

    def ask(self, state: Boosting) -> GbdtAsk | Done:
        if state.stage == "done":
            return Done()
        named = ("stage", "edges", "base", "trees", "growing")
        return asked(GbdtAsk, self.study, state, named, self.blocks, purpose=state.stage, nodes=state.asked)

    def blocks(self, ask: GbdtAsk) -> tuple[Block, ...]:
        if ask.stage == "leaves":
            cells = sum(leaves(self.dictionary, name).cells for name in self.searched)
            return (Block("unknown", 1), Block("classes", 2), *((Block("leaves", cells),) if cells else ()))
        cells = len(ask.nodes) * sum(each.cells for each in self.bins(ask.edges))
        return (
            fixedpoint.block("g", cells, 1.0, self.cities, self.most_rows),
            fixedpoint.block("h", cells, 1.0, self.cities, self.most_rows),
            Block("n", cells),
        )

    def length(self, ask: GbdtAsk) -> int:
        return fixedpoint.length(self.blocks(ask))

    def drawn(self, ask: GbdtAsk) -> tuple[str, ...]:  # noqa: ARG002 there is no noise in mode exact
        return ()

    # --- in a city

    def measure(self, ask: GbdtAsk, read: Read, rows: int) -> Sums:
        outcome = read(self.question.outcome)
        known, yes = outcome.known, outcome.known & (outcome.values != 0)
        if ask.stage == "leaves":
            found = {
                "unknown": np.array([float(rows - known.sum())]),
                "classes": np.array([float(known.sum() - yes.sum()), float(yes.sum())]),
            }
            fine = [leaves(self.dictionary, name) for name in self.searched]
            counts = [np.bincount(each.places(self.dictionary, read)[known], minlength=each.cells) for each in fine]
            return Sums(found | ({"leaves": np.concatenate(counts).astype(np.float64)} if counts else {}))
        every = self.bins(ask.edges)
        places = places_of(every, self.dictionary, read)
        if not known.all():
            places, yes = places[:, known], yes[known]
        missing = missing_places(every)
        p = expit(trees_margin(ask.trees, ask.base, places, missing))
        g, h = p - yes, np.maximum(p * (1 - p), LEAST_HESSIAN)
        number = np.full(len(ask.growing.feature), -1)
        number[list(ask.nodes)] = np.arange(len(ask.nodes))
        node = number[leaves_of(ask.growing, places, missing)]
        inside = node >= 0
        if not inside.all():
            node, places, g, h = node[inside], places[:, inside], g[inside], h[inside]
        return Sums(_sums(node, places, g, h, [each.cells for each in every], len(ask.nodes)))

    def encode(self, ask: GbdtAsk, sums: Sums) -> Vector:
        """Errors: `PeerError MODEL_ASK_FOREIGN`."""
        blocks = self.blocks(ask)
        if ask.study != self.study or ask.layout != layout_digest(blocks):
            raise PeerError("MODEL_ASK_FOREIGN")
        return fixedpoint.encode(blocks, sums.values, self.cities)

    # --- what a total means

    def tell(self, state: Boosting, ask: GbdtAsk, total: Vector) -> Boosting:
        """Errors: `PeerError MODEL_NOT_REPLAYABLE`; `ConfigError MODEL_TOO_FEW_EVENTS`."""
        expected, blocks = self.ask(state), self.blocks(ask)
        if isinstance(expected, Done) or not agrees(ask, expected) or len(total) != fixedpoint.length(blocks):
            raise PeerError("MODEL_NOT_REPLAYABLE", round=ask.round)
        found = fixedpoint.decode(blocks, total)
        state = state.model_copy(update={"round": state.round + 1, "chain": chained(state.chain, ask, total)})
        return self._on_leaves(state, found) if ask.stage == "leaves" else self._on_level(state, found)

    def _on_leaves(self, state: Boosting, found: Total) -> Boosting:
        no, yes = (int(each) for each in found["classes"])
        if min(no, yes) < LEAST_EVENTS:
            raise ConfigError("MODEL_TOO_FEW_EVENTS", name=self.question.outcome, least=LEAST_EVENTS, columns=1)
        edges, at = {}, 0
        for name in self.searched:
            fine = leaves(self.dictionary, name)
            bins = 32 if isinstance(self.question.bins, dict) else self.question.bins
            edges[name] = quantile_edges(fine.edges, found["leaves"][at : at + fine.values], bins)
            at += fine.cells
        update = {
            "stage": "grow",
            "edges": edges,
            "base": float(np.log(yes / no)),
            "rows": no + yes,
            "unknown": int(found.number("unknown")),
        }
        return _planted(state.model_copy(update=update), self.question.trees)

    def _on_level(self, state: Boosting, found: Total) -> Boosting:
        """Every leaf with its sums is divided where that gains; the next leaves follow, or the tree is full grown."""
        held: list[Node] = []
        for place, (node, parent, sibling) in enumerate(zip(state.asked, state.parents, state.siblings, strict=True)):
            g, h, n = (each.reshape(len(state.asked), -1)[place] for each in (found["g"], found["h"], found["n"]))
            held.append(_node(node, g, h, n))
            if parent is not None and sibling is not None:
                rest = [
                    np.array(whole) - part
                    for whole, part in zip((parent.g, parent.h, parent.n), (g, h, n), strict=True)
                ]
                held.append(_node(sibling, *rest))
        growing, last = _Growing(state.growing, self.question), state.level + 1 >= self.question.depth
        open_: list[tuple[int, Node | None, int | None]] = []
        for each in sorted(held, key=lambda one: one.node):
            split = self._best(each, self.bins(state.edges))
            if split is None:
                continue
            pair = growing.divide(each.node, split)
            wide = [
                child
                for child, sums in zip(pair, (split.left, split.right), strict=True)
                if sums[2] >= 2 * self.least_rows
            ]
            if wide and not last:
                open_.append((wide[0], each if len(wide) == 2 else None, wide[1] if len(wide) == 2 else None))
        tree = growing.tree()
        if open_:
            nodes, parents, siblings = (tuple(each) for each in zip(*open_, strict=True))
            update = {
                "growing": tree,
                "level": state.level + 1,
                "asked": nodes,
                "parents": parents,
                "siblings": siblings,
            }
            return state.model_copy(update=update)
        if len(tree.feature) == 1:  # no split gains: further trees would only move the constant
            return state.model_copy(update={"stage": "done"})
        return _planted(state.model_copy(update={"trees": (*state.trees, tree)}), self.question.trees)

    def _best(self, of: Node, every: Sequence[Bins]) -> Split | None:
        best: Split | None = None
        at = 0
        for number, bins in enumerate(every):
            cells = slice(at, at + bins.cells)
            found = _split(number, np.array([of.g[cells], of.h[cells], of.n[cells]]), self.question, self.least_rows)
            if found is not None and (best is None or found.gain > best.gain):
                best = found
            at += bins.cells
        return best

    def seen(self, state: Boosting) -> Seen | None:
        """Once the classes are counted. Leaves are kept thick by `least_rows`; parameters are those of one tree."""
        return Seen(state.rows, 1, state.rows) if state.rows else None

    # --- the answer

    def result(self, state: Boosting) -> Result:
        """`finalize` as results.json has it, and what scores by it."""
        found = self.finalize(state)
        fit = {"converged": True, "rounds": found.rounds, "n": found.rows, "left_out": found.unknown}
        rows = [Row("gain", {"feature": name}, estimate=significant(gain)) for name, gain in found.gains.items()]
        model = left(self.question.features, self.question.outcome, found.fit, self.dictionary)
        return Result(rows=tuple(rows), fit=fit | {"trees": len(found.fit.trees)}, model=model)

    def finalize(self, state: Boosting) -> Boosted:
        fit = Trees(features=self.bins(state.edges), base=state.base, trees=state.trees)
        gains = dict.fromkeys(self.question.features, 0.0)
        for tree in state.trees:
            for feature, gain in zip(tree.feature, tree.gain, strict=True):
                if feature >= 0:
                    gains[self.question.features[feature]] += gain
        return Boosted(fit, gains, state.rows, state.unknown, state.round)


def _planted(state: Boosting, most: int) -> Boosting:
    """The next tree, or the end."""
    if len(state.trees) >= most:
        return state.model_copy(update={"stage": "done"})
    update = {"growing": ROOT, "level": 0, "asked": (0,), "parents": (None,), "siblings": (None,)}
    return state.model_copy(update=update)


def _sums(node: Places, places: Places, g: Reals, h: Reals, cells: Sequence[int], nodes: int) -> dict[str, Reals]:
    """By node, then feature and bin."""
    parts: dict[str, list[Reals]] = {"g": [], "h": [], "n": []}
    for feature, size in enumerate(cells):
        at = node * size + places[feature]
        for name, weights in (("g", g), ("h", h), ("n", None)):
            parts[name].append(np.bincount(at, weights, minlength=nodes * size).astype(np.float64).reshape(nodes, size))
    return {name: np.concatenate(each, axis=1).ravel() for name, each in parts.items()}


def _node(number: int, g: Reals, h: Reals, n: Reals) -> Node:
    """Of sums that were decoded: finite numbers, which are not looked at one by one."""
    return Node.model_construct(node=number, g=tuple(g.tolist()), h=tuple(h.tolist()), n=tuple(n.tolist()))


def _split(feature: int, sums: Reals, question: Gbdt, least: float) -> Split | None:
    """The best split of one feature. sums: of g, h and rows, by bin, the missing last.

    Known values below bin b go left, b from 1 to all of them; the missing go right, or, where there are some, left.
    """
    total, missing = sums.sum(axis=1), sums[:, -1]
    left = np.cumsum(sums[:, :-1], axis=1)  # of bins below b = 1, 2, ...
    ways = [(left, False)]
    if missing[2] > 0:
        ways.append((left[:, :-1] + missing[:, None], True))
    best: Split | None = None
    for below, to_left in ways:
        above = total[:, None] - below
        enough = (np.minimum(below[2], above[2]) >= least) & (
            np.minimum(below[1], above[1]) >= question.min_child_weight
        )
        if not enough.any():
            continue
        gain = _worth(below, question) + _worth(above, question) - _worth(total[:, None], question)
        gain = np.where(enough, gain, -np.inf)
        place = int(gain.argmax())
        if gain[place] > max(LEAST_GAIN, question.gamma) and (best is None or gain[place] > best.gain):
            sides = [tuple(float(each) for each in side[:, place]) for side in (below, above)]
            best = Split(float(gain[place]), feature, place + 1, to_left, _three(sides[0]), _three(sides[1]))
    return best


def _three(values: tuple[float, ...]) -> tuple[float, float, float]:
    g, h, n = values
    return g, h, n


def _worth(sums: Reals, question: Gbdt) -> Reals:
    """G^2 / (H + lambda); 0 where there is nothing."""
    weight = sums[1] + question.lambda_
    return np.where(weight > 0, sums[0] ** 2 / np.where(weight > 0, weight, 1.0), 0.0)


class _Growing:
    """A tree whose leaves are being divided."""

    def __init__(self, tree: Tree, question: Gbdt) -> None:
        self.columns = {name: list(getattr(tree, name)) for name in Tree.model_fields}
        self.question = question

    def divide(self, node: int, split: Split) -> tuple[int, int]:
        """The numbers of the two new leaves."""
        first = len(self.columns["feature"])
        changed = {
            "feature": split.feature,
            "bin": split.bin,
            "missing_left": split.missing_left,
            "left": first,
            "right": first + 1,
            "value": 0.0,
            "gain": split.gain,
            "hessian": split.left[1] + split.right[1],
        }
        for name, value in changed.items():
            self.columns[name][node] = value
        for g, h, _ in (split.left, split.right):
            weight = -self.question.eta * g / (h + self.question.lambda_)
            leaf = {"feature": -1, "bin": 0, "missing_left": False, "left": 0, "right": 0, "gain": 0.0}
            for name, value in (leaf | {"value": weight, "hessian": h}).items():
                self.columns[name].append(value)
        return first, first + 1

    def tree(self) -> Tree:
        return Tree(**{name: tuple(values) for name, values in self.columns.items()})


def plan(
    question: Gbdt, dictionary: Dictionary, cities: int, most_rows: int, study: str, least_rows: int = LEAST_ROWS
) -> GbdtPlan:
    """least_rows: of each child; what policies ask of it, 50 at least in what is offered.

    Errors: `ConfigError` STUDY_VARIABLE, MODEL_TYPE, STUDY_TWICE, MODEL_BINS, MODEL_TERM_OUTCOME.
    """
    made = GbdtPlan(question, dictionary, cities, most_rows, study, least_rows)
    design.known(dictionary, question.outcome, ("boolean",), "outcome")
    binning.checked(question.features, made.written, dictionary)
    if question.outcome in question.features:
        raise ConfigError("MODEL_TERM_OUTCOME", name=question.outcome)
    return made
