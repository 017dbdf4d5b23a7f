"""A row's score by a model file. The same function at the coordinator and in a city, where rows and scores stay.

1. Every variable of the model is there, with its type. 2. A code that the model does not know is `unknown` if it knows that, and missing
otherwise. 3. A number outside the model's range is clipped. 4. A row without a value that the model needs has no score. All are counted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import log
from typing import Any, Final

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
        eta += weight.estimate * matrix[:, [names.index(name) for name in weight.columns]].sum(axis=1)
    if fit.offset is not None:
        column, has = Design.of([fit.offset], domain).matrix(read, rows)
        eta, known = eta + column[:, 0], known & has
    law = Law(fit.family, fit.link, fit.alpha or 1.0)
    inside = known if law.link != "inverse" else known & (eta > 0)
    return Scores(eta, law.mean(np.where(inside, eta, 1.0)).mu, inside)


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
    """The bin of each row in each feature: features x rows, small numbers, so that comparing a feature with an edge is quick."""
    return np.stack([each.places(dictionary, read).astype(np.int16) for each in features])


def leaves_of(tree: Tree, places: Places, missing: Places) -> Places:
    """The node that each row ends in."""
    return _followed(tree, places, missing, np.arange(len(tree.feature)))


def trees_margin(trees: Sequence[Tree], base: float, places: Places, missing: Places) -> Reals:
    margin = np.full(places.shape[1], base)
    for tree in trees:
        margin += _followed(tree, places, missing, np.array(tree.value))
    return margin


def _followed(tree: Tree, places: Places, missing: Places, of_node: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """What the leaf of each row holds, from the last node to the first: children stand after their parent. Every row is compared at every
    node, which is quicker than to follow each row."""
    found: list[npt.NDArray[Any]] = [np.asarray(each) for each in of_node]
    for node in range(len(tree.feature) - 1, -1, -1):
        feature = tree.feature[node]
        if feature >= 0:
            goes = places[feature] < tree.bin[node]
            if tree.missing_left[node]:
                goes |= places[feature] == missing[feature]
            found[node] = np.where(goes, found[tree.left[node]], found[tree.right[node]])
    return np.broadcast_to(found[0], places.shape[1])
