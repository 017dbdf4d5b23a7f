"""What a city does in a round of a generalised linear model: layout of the answer, sums over its rows, the vector that it masks.

A boolean or count moves a cell by at most what `_largest` says for public ranges.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from math import exp, log

import numpy as np
from scipy.special import gammaln, polygamma, psi

from protocols.dictionary import Dictionary, Read
from protocols.errors import ConfigError, PeerError
from protocols.models import design, fixedpoint, leaving, pairs
from protocols.models.design import Columns, Design, Piece
from protocols.models.effects import Constants, solved
from protocols.models.families import Law, Mean
from protocols.models.fixedpoint import Block, Reals, TooCoarse
from protocols.models.glm_keys import Glm
from protocols.models.interface import Ask, Sums, layout_digest
from protocols.models.newton import square
from protocols.models.rows import Rows, Used, in_pieces, null
from protocols.ring import Vector


@dataclass(frozen=True)
class GlmCity:
    """place: which of the cities answers, counted from 0; only `city_effects: fixed` asks. unit: the column that tells holders apart, where
    one has several rows."""

    question: Glm
    dictionary: Dictionary
    cities: int
    most_rows: int
    study: str
    design: Design
    offset: Design | None
    place: int | None = None
    unit: str = ""

    @cached_property
    def outcome(self) -> Piece:
        low, high = design.range_of(self.dictionary, self.question.outcome)
        return Piece(self.question.outcome, low, high, self.question.family != "gaussian")

    @cached_property
    def reading(self) -> Rows:
        column = "" if self.question.clustered == "city" else self.question.clustered
        return Rows(self.dictionary, self.design, self.outcome, self.offset, self.question.weights, column, self.unit)

    @cached_property
    def heaviest(self) -> float:
        if self.question.weights is None:
            return 1.0
        return design.range_of(self.dictionary, self.question.weights.of)[1]

    @property
    def law(self) -> Law:
        return self.question.law

    @property
    def sandwich(self) -> bool:
        return self.question.errors != "model"

    @property
    def scope(self) -> str:
        if self.question.city_effects in ("concentrated", "random"):
            return "whole"
        clustered = self.question.clustered
        if clustered:
            return "city" if clustered == "city" else f"group:{clustered}"
        return "rows"

    def constants(self, ask: Ask) -> Constants:
        return Constants(self.question.city_effects, ask.places)

    @property
    def most_cells(self) -> int:
        """No round's vector is longer: every real block in two limbs, no column left out."""
        p = 1 + len(self.design.pieces)
        every = Constants(self.question.city_effects, tuple(range(self.cities)))
        linear, quadratic = max(p, every.linear(p)), max(p * (p + 1) // 2, every.quadratic(p))
        first = 4 + self.cities + 2 * (p - 1) + 2 * (2 * (p - 1) + 4)
        last = 3 + 2 * (2 + 2 * linear + 3 * quadratic + 3 + 3 + 3 + p)
        if self.unit:
            apart = Columns(groups=tuple((at,) for at in range(p - 1)))
            first, last = first + 3 + p - 1, last + pairs.cells(self.design.families, self.design.pieces, apart)
        return fixedpoint.HEADER + max(first, last, 2 * self.cities if self.question.influence else 0)

    # --- layout

    def blocks(self, ask: Ask) -> tuple[Block, ...]:
        """The layout of an answer. Errors: `ConfigError MODEL_PRECISION`, naming the column with the widest public range."""
        pieces = self.design.pieces
        if ask.purpose == "influence":
            return leaving.blocks(self.cities)
        if ask.purpose == "standardise":
            largest, widest = 1.0, self.outcome
        else:
            most = ask.columns.most(pieces)
            largest = max(most, default=1.0)
            first = [pieces[group[0]] for group in ask.columns.groups]
            widest = max(zip(most, first, strict=True), key=lambda pair: pair[0], default=(1.0, self.outcome))[1]
        try:
            return self._first() if ask.purpose == "standardise" else self._later(ask, max(largest, 1.0))
        except TooCoarse:
            raise self.coarse(widest) from None

    def coarse(self, piece: Piece) -> ConfigError:
        return ConfigError("MODEL_PRECISION", name=piece.name, range=piece.range)

    def block(self, name: str, cells: int, largest: float) -> Block:
        return fixedpoint.block(name, cells, largest, self.cities, self.most_rows)

    def _first(self) -> tuple[Block, ...]:
        """4 q + 7 cells for q columns without the constant, and one for each city that would have a constant of its own."""
        q = len(self.design.pieces)
        y = max(abs(self.outcome.low), abs(self.outcome.high), 1.0)
        own = self.heaviest * max(y * (log(y) + 1) * 2, 64.0) if self.question.family != "gaussian" else self.heaviest
        shift = (
            max((max(abs(piece.low), abs(piece.high)) for piece in self.offset.pieces), default=1.0)
            if self.offset
            else 1.0
        )
        return (
            Block("rows", 1),
            Block("left_out", 1),
            Block("frequency", 1),
            Block("nonzero", q),
            Block("seen", q),
            *([Block("without", q), Block("units", 3)] if self.unit else []),
            *([Block("places", self.cities)] if self.question.city_effects == "fixed" else []),
            *([Block("telling", 1)] if self.question.city_effects == "concentrated" else []),
            self.block("x", q, 1.0),
            self.block("square", q, 1.0),
            self.block("outcome", 4, max(own, self.heaviest * y, self.heaviest * shift)),
        )

    def _later(self, ask: Ask, z: float) -> tuple[Block, ...]:
        """z: the largest |z| that public ranges allow."""
        p, constants = 1 + len(ask.columns.groups), self.constants(ask)
        linear, quadratic = constants.linear(p), constants.quadratic(p)
        score, information, deviance, pearson = (self.heaviest * each for each in self._largest())
        blocks = [
            Block("frequency", 1),
            self.block("deviance", 1, deviance),
            self.block("pearson", 1, pearson),
            self.block("score", linear, score * z),
            self.block("information", quadratic, information * z * z),
        ]
        if self.unit and ask.round == 1:
            cells = pairs.cells(self.design.families, self.design.pieces, ask.columns)
            blocks.append(Block("pairs", cells))
        if self.offset is not None:
            blocks.append(self.block("null", 3, max(score, information, deviance)))
        if ask.shape is not None:
            blocks.append(self.block("shape", 3, deviance))
            blocks.append(self.block("cross", linear, score * z))
        if self.question.city_effects == "concentrated":
            blocks.append(self.block("size", p - 1, information * z * z))
            blocks.append(Block("constants", 1))
        if ask.purpose == "final":
            blocks.append(self.block("likelihood", 2, deviance))
            if ask.shape is not None:
                blocks.append(self.block("own", 1, deviance))
            if not self.law.canonical:
                blocks.append(self.block("observed", quadratic, information * z * z))
            if self.sandwich:
                together = self.most_rows if self.question.clustered else 1
                blocks.append(self.block("meat", quadratic, (score * z) ** 2 * together))
                blocks.append(Block("clusters", 1))
        return tuple(blocks)

    def _largest(self) -> tuple[float, float, float, float]:
        """Of one row, on average over a city at most: |u|, information, deviance, Pearson. A city beyond it says `overflow`."""
        y = max(abs(self.outcome.low), abs(self.outcome.high), 1.0)
        match self.law.family, self.law.link:
            case "gaussian", _:
                return 4.0, 1.0, 16.0, 16.0
            case "binomial", "logit":
                return 1.0, 0.25, 64.0, 1024.0
            case "binomial", _:
                return 8.0, 8.0, 64.0, 1024.0
            case "gamma", "log":
                return 16.0, 16.0, 64.0, 1024.0
            case "gamma", _:
                return 2 * y, y * y, 64.0, 1024.0
            case _:
                return 2 * y, 2 * y, 64 * (y + 1), 1024 * (y + 1)

    # --- sums over rows

    def measure(self, ask: Ask, read: Read, rows: int) -> Sums:
        """Float64 sums over the rows of a batch. Pre-condition: the ask follows from the study and its totals (`protect.follows`)."""
        if self.scope != "rows" or self.unit:  # rows of one holder are counted as one, and may not be cut apart
            return self._measured(ask, read, rows)
        return in_pieces(self.reading.variables, read, rows, lambda near, size: self._measured(ask, near, size))

    def _measured(self, ask: Ask, read: Read, rows: int) -> Sums:
        used = self.reading.used(read, rows)
        if ask.purpose == "influence":  # the score and the observed information of its own rows, which stay
            return self._evaluated(ask.model_copy(update={"purpose": "step", "observed": True, "inverse": ()}), used)
        return self.moments(used) if ask.purpose == "standardise" else self._evaluated(ask, used)

    def moments(self, used: Used) -> Sums:
        w = used.weight
        outcome = [w.sum(), w @ used.y, w @ self.law.own(used.y), w @ used.offset]
        return self.reading.moments(used, np.array(outcome))

    def _evaluated(self, ask: Ask, used: Used) -> Sums:
        constants, law, frequency = self.constants(ask), self.law, float(used.frequency.sum())
        if ask.shape is not None:
            law = replace(law, alpha=exp(ask.shape))
        at, constant = self._constant(ask, constants, law, used)
        if constant is None:  # what its constant fits perfectly tells nothing of slopes
            used, constant = used.none(), 0.0
        z = ask.columns.standardised(used.matrix)
        y = used.y
        eta = constant + z[:, 1:] @ np.array(ask.point[constants.count :]) + used.offset
        sound = law.inside(eta)
        with np.errstate(all="ignore"):  # what is not finite says `overflow` in `encode`
            mean = law.mean(eta)
            u = used.weight * (y - mean.mu) * mean.h
            expected = used.weight * mean.slope * mean.h
            observed = expected - used.weight * (y - mean.mu) * mean.bend
            pearson = used.weight @ ((y - mean.mu) ** 2 / law.variance(mean))
            curvature = observed if ask.purpose == "step" and ask.observed else expected
            adjusted = u if not ask.inverse else u + _firth(ask.inverse, z, curvature, mean)
            information = z.T @ (z * curvature[:, None])
            weights = curvature if used.unit is None else np.bincount(used.unit, curvature)
            counted = len(y) if used.unit is None else used.holders(np.ones((len(y), 1), bool))[0]
            values = {
                "spread": np.array([float(counted), weights.sum(), weights @ weights]),
                "frequency": np.array([frequency]),
                "deviance": np.array([used.weight @ law.deviance(y, mean) if sound else np.nan]),
                "pearson": np.array([pearson]),
                "score": constants.vector(z.T @ adjusted, at),
                "information": constants.cells(constants.left(information), at),
                "size": np.diag(information)[1:],
                "constants": np.array([1.0 if len(y) else 0.0]),
            }
            if constants.kind == "fixed" and ask.round == 1:
                values["alone"] = self._own(ask, used)
            if self.unit and ask.round == 1:
                values["pairs"] = pairs.held(self.design.families, self.design.pieces, ask.columns, used)
            if ask.null is not None:
                values["null"] = null(self.law, ask.null, used)
            if ask.shape is not None:
                values["shape"], cross = _shape(law, used, mean)
                values["cross"] = constants.vector(z.T @ cross, at)
            if ask.purpose == "final":
                ratio = y / mean.mu if law.family == "gamma" else np.zeros_like(y)
                values["likelihood"] = np.array([used.weight @ law.likelihood(y, mean), used.weight @ ratio])
                values["own"] = np.array([used.weight @ law.own(y)])
                outside = z.T @ (z * observed[:, None])
                values["observed"] = constants.cells(constants.left(outside), at)
                if constants.kind == "concentrated":
                    z = z[:, 1:] - (outside[0, 1:] / outside[0, 0] if outside[0, 0] > 0 else 0.0)
                values |= self._middle(constants, at, z, u, used)
        return Sums(values)

    def _own(self, ask: Ask, used: Used) -> Reals:
        """What the first step tells of this city alone: its rows, those with and without each code, and with and without the outcome, where
        that is yes or no. Of holders, where one has several rows."""
        marks = [np.ones(len(used.y), bool)]
        for group in ask.columns.groups:
            if self.design.pieces[group[0]].indicator:
                there = (used.matrix[:, list(group)] != 0).any(axis=1)
                marks += [there, ~there]
        if self.law.family == "binomial" and self.question.weights is None:
            marks += [used.y > 0, used.y <= 0]
        marked = np.column_stack(marks)
        return np.asarray(marked.sum(axis=0) if used.unit is None else used.holders(marked), np.float64)

    def _constant(self, ask: Ask, constants: Constants, law: Law, used: Used) -> tuple[int, float | None]:
        """Which of the constants is this city's, and its value."""
        match constants.kind:
            case "fixed":
                if self.place not in ask.places and len(used.y):
                    raise PeerError("MODEL_ASK_FOREIGN")
                at = ask.places.index(self.place) if self.place in ask.places else 0
                return at, ask.point[at]
            case "concentrated":
                slopes = ask.columns.standardised(used.matrix)[:, 1:] @ np.array(ask.point) + used.offset
                return 0, solved(law, used, slopes)
            case _:
                return 0, ask.point[0]

    def _middle(self, constants: Constants, at: int, z: Reals, u: Reals, used: Used) -> Mapping[str, Reals]:
        """The sandwich's middle: over rows, over groups of this batch, or the score of the city, which `encode` squares."""
        if self.question.clustered == "city":
            return {"city": z.T @ u, "clusters": np.zeros(1)}
        if self.question.clustered:
            names, place = np.unique(used.cluster, return_inverse=True)
            scores = np.zeros((len(names), z.shape[1]))
            np.add.at(scores, place, z * u[:, None])
            return {"meat": constants.cells(scores.T @ scores, at), "clusters": np.array([float(len(names))])}
        squared = u * u / used.frequency  # a row that stands for f rows has u = f times that of one
        return {"meat": constants.cells(z.T @ (z * squared[:, None]), at), "clusters": np.zeros(1)}

    # --- the vector

    def _tells(self, outcome: Reals) -> bool:
        """Whether a city that solves for its own constant has an outcome that tells of slopes: not all at one end."""
        weight, y, *_ = outcome.tolist()
        bounded = self.law.family == "binomial"
        return weight > 0 and (self.law.family == "gaussian" or y > 0) and not (bounded and y >= weight)

    def encode(self, ask: Ask, sums: Sums) -> Vector:
        """The vector that a city masks: the sums of all its batches, rounded once.

        Errors: `PeerError MODEL_ASK_FOREIGN` where the ask is of another study, or of another layout than its own numbers give.
        """
        blocks = self.blocks(ask)
        if ask.study != self.study or ask.layout != layout_digest(blocks):
            raise PeerError("MODEL_ASK_FOREIGN")
        values = dict(sums.values)
        if ask.purpose == "standardise":
            seen = values["nonzero"] > 0
            if (
                self.question.city_effects == "concentrated"
            ):  # beside its own constant, a column that all of a city have tells nothing
                seen &= values.get("without", values["rows"] - values["nonzero"]) > 0
            values["seen"] = seen.astype(np.float64)
            values["telling"] = np.array([float(self._tells(values["outcome"]))])
            values["places"] = np.zeros(self.cities)
            if self.place is not None and values["rows"][0] > 0:
                values["places"][self.place] = 1.0
        if ask.purpose == "influence":
            values = dict(self._leaving(ask, values))
        if "city" in values:
            at = ask.places.index(self.place) if self.place in ask.places else 0
            rows = float(values["frequency"][0])
            values["meat"] = self.constants(ask).cells(np.outer(values["city"], values["city"]), at)
            values["clusters"] = np.array([1.0 if rows else 0.0])
        return fixedpoint.encode(blocks, values, self.cities)

    def _leaving(self, ask: Ask, values: Mapping[str, Reals]) -> Mapping[str, Reals]:
        """Its own cells of an `influence`; zeros where it has no rows. Errors: `PeerError MODEL_ASK_FOREIGN` without a place."""
        if self.place is None:
            raise PeerError("MODEL_ASK_FOREIGN")
        if not values["frequency"][0]:
            return {name: np.zeros(self.cities) for name in ("influence", "told")}
        p = len(ask.point)
        whole = np.asarray(np.linalg.inv(square(np.array(ask.inverse), p)), np.float64)
        own = square(values["information"], p)
        back = self.constants(ask).back(ask.columns) * self.outcome.half
        moved = leaving.moved(whole, own, values["score"], back, np.sqrt(np.array(ask.between)))
        return leaving.cells(self.place, self.cities, moved)


def _firth(inverse: tuple[float, ...], z: Reals, weights: Reals, mean: Mean) -> Reals:
    """(1/2 - mu) h of each row, h its leverage w z' V z."""
    leverage = weights * np.einsum("ij,jk,ik->i", z, square(np.array(inverse), z.shape[1]), z)
    return np.asarray((0.5 - mean.mu) * leverage, np.float64)


def _shape(law: Law, used: Used, mean: Mean) -> tuple[Reals, Reals]:
    """Log-likelihood, its first derivative and minus its second in ln alpha; and minus the mixed one in eta, of each row.

    With r = 1 / alpha: l_r = psi(y + r) - psi(r) - log(1 + mu/r) + (mu - y)/(r + mu), l_s = -r l_r, l_ss = r l_r + r^2 l_rr.
    """
    w, y, mu, r = used.weight, used.y, mean.mu, 1 / law.alpha
    known = gammaln(y + r) - gammaln(r) - gammaln(y + 1)
    likelihood = known + y * np.log(mu / r) - (y + r) * np.log1p(mu / r)
    first = psi(y + r) - psi(r) - np.log1p(mu / r) + (mu - y) / (r + mu)
    second = polygamma(1, y + r) - polygamma(1, r) + mu / (r * (r + mu)) - (mu - y) / (r + mu) ** 2
    cells = np.array([w @ likelihood, -r * (w @ first), -(r * (w @ first) + r * r * (w @ second))])
    return cells, np.asarray(w * (y - mu) * law.alpha * mu / (1 + law.alpha * mu) ** 2, np.float64)
