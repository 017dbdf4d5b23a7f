"""A row's score by a model file. The same function at the coordinator and in a city, where rows and scores stay.

1. Every variable of the model is there, with its type. 2. A code that the model does not know is `unknown` if it knows that, and missing
otherwise. 3. A number outside the model's range is clipped. 4. A row without a value that the model needs has no score. All are counted.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import log
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from protocols.dictionary import Column, Dictionary, Read
from protocols.errors import ConfigError
from protocols.models.binning import Bins, Places
from protocols.models.design import NUMERIC, Design, Flags, range_of
from protocols.models.families import Law
from protocols.models.fixedpoint import Reals
from protocols.models.modelfile import Card, CardFeature, Linear, Monthly, Points, Predictor, Tree, Trees

UNKNOWN: Final = "unknown"
REASONS: Final = 3
NEAR: Final = 1 << 12  # rows at a time that follow all trees
WIDTHS: Final[dict[int, type[np.unsignedinteger[Any]]]] = {
    8: np.uint8,
    16: np.uint16,
    32: np.uint32,
    64: np.uint64,
}  # by leaves of a tree


@dataclass(frozen=True)
class Scores:
    """Of each row, anything where not `known`. margin: eta, log odds of a model of yes and no; mean: its probability, or expected value."""

    margin: Reals
    mean: Reals
    known: Flags


@dataclass(frozen=True)
class Odd:
    """How many rows had a value that the model did not take as it is, by variable."""

    missing: Mapping[str, int]
    unknown: Mapping[str, int]
    clipped: Mapping[str, int]


@dataclass(frozen=True)
class Adapted:
    """A city's columns in the terms of a model. `read` gives those of the city's own dictionary."""

    model: Predictor
    dictionary: Dictionary
    read: Read

    def __call__(self, name: str) -> Column:
        return self._taken[name][0]

    @cached_property
    def odd(self) -> Odd:
        counts = {name: tuple(int(flags.sum()) for flags in flags) for name, (_, *flags) in self._taken.items()}
        missing, unknown, clipped = ({name: each[place] for name, each in counts.items()} for place in range(3))
        return Odd(missing, unknown, clipped)

    @cached_property
    def _taken(self) -> dict[str, tuple[Column, Flags, Flags, Flags]]:
        return {name: self._one(name) for name in self.model.needs}

    def _one(self, name: str) -> tuple[Column, Flags, Flags, Flags]:
        """The column; where it is missing, of an unknown code, clipped."""
        given = self.read(name)
        nowhere = np.zeros(len(given.values), bool)
        domain = self.model.domain
        if domain.type_of(name) in NUMERIC:
            low, high = range_of(domain, name)
            unit = 100 if domain.type_of(name) == "money" else 1
            whole = np.issubdtype(given.values.dtype, np.integer)
            ends = (round(low * unit), round(high * unit)) if whole else (low * unit, high * unit)
            values = np.clip(given.values, *ends)
            return Column(values, given.known), ~given.known, nowhere, given.known & (values != given.values)
        known, ours = domain.codes(name), self.dictionary.codes(name)
        instead = known.index(UNKNOWN) if UNKNOWN in known else -1
        place = np.array([known.index(code) if code in known else instead for code in ours], np.intp)
        foreign = np.array([code not in known for code in ours], bool)
        at = np.where(given.known, given.values, 0).astype(np.intp)
        values, odd = place[at], given.known & foreign[at]
        return Column(values, given.known & (values >= 0)), ~given.known, odd, nowhere


def adapted(model: Predictor, dictionary: Dictionary, read: Read, cannot: frozenset[str] = frozenset()) -> Adapted:
    """Rule 1. cannot: variables that the city cannot give. Errors: `ConfigError MODEL_SCORE_COLUMN`, naming every one that lacks."""
    lacking = [
        name
        for name in model.needs
        if name in cannot or name not in dictionary.known() or dictionary.type_of(name) != model.domain.type_of(name)
    ]
    if lacking:
        raise ConfigError("MODEL_SCORE_COLUMN", names=", ".join(lacking))
    return Adapted(model, dictionary, read)


def scores(model: Predictor, read: Read, rows: int) -> Scores:
    """read: in the terms of the model (`Adapted`)."""
    match model.fit:
        case Linear() | Monthly() as fit:
            return _linear(fit, model.domain, read, rows)
        case Card() as fit:
            weights = [each.estimate for each in fit.weights]
            margin = np.full(rows, weights[0])
            for weight, feature in zip(weights[1:], fit.features, strict=True):
                margin += weight * woe(feature)[feature.bins.places(model.domain, read)]
            return Scores(margin, expit(margin), np.ones(rows, bool))
        case Trees() as fit:
            places = places_of(fit.features, model.domain, read)
            margin = trees_margin(fit.trees, fit.base, places, missing_places(fit.features))
            return Scores(margin, expit(margin), np.ones(rows, bool))


def _linear(fit: Linear | Monthly, domain: Dictionary, read: Read, rows: int) -> Scores:
    design = Design.of(fit.terms, domain, fit.missing)
    matrix, known = design.matrix(read, rows)
    names = [piece.name for piece in design.pieces]
    eta = np.full(rows, fit.weights[0].estimate)
    for weight in fit.weights[1:]:
        at = [names.index(name) for name in weight.columns]
        eta += weight.estimate * (matrix[:, at[0]] if len(at) == 1 else matrix[:, at].sum(axis=1))
    if fit.offset is not None:
        column, has = Design.of([fit.offset], domain).matrix(read, rows)
        eta, known = eta + column[:, 0], known & has
    law = Law(fit.family, fit.link, fit.alpha or 1.0)
    inside = known if law.link != "inverse" else known & (eta > 0)
    return Scores(eta, law.mu(eta if inside.all() else np.where(inside, eta, 1.0)), inside)


# --- scorecards


def woe(feature: CardFeature) -> Reals:
    """Of each bin."""
    return np.array([feature.card[place].woe for place in feature.place])


def points(card: Card, domain: Dictionary, read: Read, rows: int) -> tuple[Places, Places]:
    """Of each row its points, and the features that took most from it: places of up to three whose points lie below their pooled mean,
    the farthest below first, -1 where there are no more. Computed where the rows are, and nowhere else."""
    each = np.zeros((rows, max(REASONS, len(card.features))), np.intp)
    neutral = np.zeros(each.shape[1])
    for number, feature in enumerate(card.features):
        of_bins = np.array([entry.points for entry in feature.card])[np.array(feature.place)]
        each[:, number] = of_bins[feature.bins.places(domain, read)]
        neutral[number] = feature.neutral
    below = neutral - each
    order = np.argsort(-below, axis=1, kind="stable")[:, :REASONS]
    reasons = np.where(np.take_along_axis(below, order, axis=1) > 0, order, -1)
    return each.sum(axis=1), reasons


def scaled(points: Points, log_odds: Reals) -> Reals:
    """Points of the log odds of a non-event, before rounding: base + pdo / ln 2 (ln odds - ln odds0)."""
    return points.base + points.pdo / log(2) * (log_odds - log(points.odds))


# --- trees


def missing_places(features: Sequence[Bins]) -> Places:
    """Of each feature, the bin of the missing."""
    return np.array([each.values for each in features], np.intp)


def places_of(features: Sequence[Bins], dictionary: Dictionary, read: Read) -> Places:
    """The bin of each row in each feature: features x rows, in numbers of one byte where they have room."""
    first = features[0].places(dictionary, read)
    small = max(each.cells for each in features) <= np.iinfo(np.int8).max
    found = np.empty((len(features), len(first)), np.int8 if small else np.int32)
    found[0] = first
    for number, each in enumerate(features[1:], start=1):
        found[number] = each.places(dictionary, read)
    return found


def leaves_of(tree: Tree, places: Places, missing: Places) -> Places:
    """The node that each row ends in."""
    nodes, tables = _exits((tree,), tuple(missing.tolist()))
    found = [nodes[0][each[:, 0]] for each in _ended(tables, places)]
    return np.concatenate([np.zeros(0, np.intp), *found])


def trees_margin(trees: Sequence[Tree], base: float, places: Places, missing: Places) -> Reals:
    """The base and the values of all trees, added in their order."""
    margin, first = np.full(places.shape[1], base), 0
    nodes, tables = _exits(tuple(trees), tuple(missing.tolist()))
    values = [np.array(tree.value)[each] for tree, each in zip(trees, nodes, strict=True)]
    for ended in _ended(tables, places) if trees else ():
        part = margin[first : first + len(ended)]
        for of_tree, nodes_of in zip(values, np.ascontiguousarray(ended.T), strict=True):
            part += of_tree.take(nodes_of)
        first += len(ended)
    return margin


Exits: TypeAlias = Mapping[int, npt.NDArray[np.unsignedinteger[Any]]]  # by feature, bins x trees


@lru_cache(maxsize=4)  # every batch of a round asks for the same
def _exits(trees: tuple[Tree, ...], missing: tuple[int, ...]) -> tuple[list[Places], Exits]:
    """Of each tree its leaves from left to right; and by feature, for each bin, which of them a row there may still end in: one bit each.

    A row that goes right at a node ends in no leaf left of it. Of the leaves that all features leave, it ends in the first.
    Source: C. Lucchese et al., QuickScorer, SIGIR 2015.
    """
    ordered, spans = zip(*(_ordered(tree) for tree in trees), strict=True) if trees else ((), ())
    most = max(map(len, ordered), default=1)
    width, kind = next((bits, each) for bits, each in WIDTHS.items() if most <= bits)
    every = (1 << width) - 1
    tables: dict[int, Any] = {}
    for number, (tree, span) in enumerate(zip(trees, spans, strict=True)):
        for node, (start, end) in span.items():
            feature = tree.feature[node]
            bins = np.arange(missing[feature] + 1)
            if feature not in tables:
                tables[feature] = np.full((len(bins), len(trees)), every, kind)
            right = bins >= tree.bin[node]
            if tree.missing_left[node]:
                right[-1] = False
            tables[feature][right, number] &= kind(((1 << end) - (1 << start)) ^ every)
    return [np.array(each, np.intp) for each in ordered], tables or {0: np.full((missing[0] + 1, len(trees)), 1, kind)}


def _ordered(tree: Tree) -> tuple[list[int], dict[int, tuple[int, int]]]:
    """The leaves from left to right; of each inner node, the places of those on its left side, the end not included."""
    leaves, spans, open_ = list[int](), dict[int, tuple[int, int]](), [(0, False)]
    begun: dict[int, int] = {}
    while open_:
        node, seen = open_.pop()
        if tree.feature[node] < 0:
            leaves.append(node)
        elif seen:
            spans[node] = (begun[node], len(leaves))
            open_.append((tree.right[node], False))
        else:
            begun[node] = len(leaves)
            open_ += [(node, True), (tree.left[node], False)]
    return leaves, spans


def _ended(tables: Exits, places: Places) -> Iterator[npt.NDArray[np.uint8]]:
    """Of some rows after others the leaf in each tree, counted from the left: rows x trees."""
    for first in range(0, places.shape[1], NEAR):
        left: Any = None
        for feature, table in tables.items():
            mine = table.take(places[feature, first : first + NEAR], axis=0)
            left = mine if left is None else np.bitwise_and(left, mine, out=left)
        yield np.bitwise_count(~left & (left - left.dtype.type(1)))
