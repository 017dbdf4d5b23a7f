"""A row's score by a model file. The same function at the coordinator and in a city, where rows and scores stay.

1. Every variable of the model is there, with its type. 2. A code that the model does not know is `unknown` if it knows that, and missing
otherwise. 3. A number outside the model's range is clipped. 4. A row without a value that the model needs has no score. All are counted.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import log
from typing import Final

import numpy as np
from scipy.special import expit

from protocols.dictionary import Column, Dictionary, Read
from protocols.errors import ConfigError
from protocols.models.binning import Places
from protocols.models.design import NUMERIC, Design, Flags, range_of
from protocols.models.families import Law
from protocols.models.fixedpoint import Reals
from protocols.models.modelfile import Card, CardFeature, Linear, ModelFile, Points, Tree, Trees

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

    model: ModelFile
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


def adapted(model: ModelFile, dictionary: Dictionary, read: Read, cannot: frozenset[str] = frozenset()) -> Adapted:
    """Rule 1. cannot: variables that the city cannot give. Errors: `ConfigError MODEL_SCORE_COLUMN`, naming every one that lacks."""
    lacking = [
        name
        for name in model.needs
        if name in cannot or name not in dictionary.known() or dictionary.type_of(name) != model.domain.type_of(name)
    ]
    if lacking:
        raise ConfigError("MODEL_SCORE_COLUMN", names=", ".join(lacking))
    return Adapted(model, dictionary, read)


def scores(model: ModelFile, read: Read, rows: int) -> Scores:
    """read: in the terms of the model (`Adapted`)."""
    match model.fit:
        case Linear() as fit:
            return _linear(fit, model.domain, read, rows)
        case Card() as fit:
            weights = [each.estimate for each in fit.weights]
            margin = np.full(rows, weights[0])
            for weight, feature in zip(weights[1:], fit.features, strict=True):
                margin += weight * woe(feature)[feature.bins.places(model.domain, read)]
            return Scores(margin, expit(margin), np.ones(rows, bool))
        case Trees() as fit:
            places = np.stack([each.places(model.domain, read) for each in fit.features], axis=1)
            margin = trees_margin(fit.trees, fit.base, places, missing_places(fit))
            return Scores(margin, expit(margin), np.ones(rows, bool))


def _linear(fit: Linear, domain: Dictionary, read: Read, rows: int) -> Scores:
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


def missing_places(fit: Trees) -> Places:
    """Of each feature, the bin of the missing."""
    return np.array([each.values for each in fit.features], np.intp)


def leaves_of(tree: Tree, places: Places, missing: Places) -> Places:
    """The node that each row ends in. places: rows x features."""
    feature, bins = np.array(tree.feature), np.array(tree.bin)
    left, right, to_left = np.array(tree.left), np.array(tree.right), np.array(tree.missing_left)
    at = np.zeros(len(places), np.intp)
    rows = np.arange(len(places))
    while len(rows):
        rows = rows[feature[at[rows]] >= 0]
        node = at[rows]
        of = feature[node]
        place = places[rows, of]
        goes = np.where(place == missing[of], to_left[node], place < bins[node])
        at[rows] = np.where(goes, left[node], right[node])
    return at


def trees_margin(trees: tuple[Tree, ...], base: float, places: Places, missing: Places) -> Reals:
    margin = np.full(len(places), base)
    for tree in trees:
        margin += np.array(tree.value)[leaves_of(tree, places, missing)]
    return margin
