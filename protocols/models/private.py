"""Regressions in mode dp: few noisy sums of whole numbers, for gaussian, binomial (logit) and poisson (log) models.

Leaves the city, as sums over its holders, with noise: the moments of the columns, unless the dictionary says `centre` and `spread`; the
products of standardised columns, of a gaussian model with the outcome; then five scores, each with twice the budget of the one before. One
holder changes each of these by a bound that no data move: a row longer than C counts less, by its length alone and never by the outcome;
large counts, and residuals of a gaussian model, are moved to the end of what is taken.

Scores are asked for in columns that the noisy products make uncorrelated and of variance 1, so that noise is the same part of what each
coefficient's own error is (docs/adr/0081). Steps use the information of a made-up population with the released mean and covariance; there
is no line search and no stop that data decide. The estimate is the mean of where the last three scores point, each by its budget.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property, partial
from math import ceil, sqrt
from typing import Any, Final

import numpy as np

from protocols.dictionary import Dictionary, Read
from protocols.errors import ConfigError, PeerError
from protocols.models import design, likeness, private_answer, saved
from protocols.models.design import Columns, Design, Flags, Numbers, Piece
from protocols.models.fixedpoint import Block, Reals
from protocols.models.glm import Glm, GlmPlan
from protocols.models.interface import Ask, Done, Draw, Result, Seen, Sums, agrees, asked, chained, layout_digest
from protocols.models.modelfile import Linear, Weight
from protocols.models.private_answer import DIAGONAL, Curve, Population, Released
from protocols.models.question import Setting
from protocols.models.rows import in_pieces
from protocols.ring import Vector
from protocols.yamltext import Record, Whole

MOMENTS: Final = "moments"
PRODUCTS: Final = "products"
SCORES: Final = ("score 1", "score 2", "score 3", "score 4", "score 5")
WEIGHTS: Final = (1, 2, 4, 8, 16)  # of the budgets of the scores
LAST: Final = 3  # scores that the estimate is made of
FAMILIES: Final = ("gaussian", "binomial", "poisson")
FINE: Final = 12  # binary digits of moments, and of residuals
GRID: Final = 6  # of columns in products and scores
UNITS: Final = {MOMENTS: 8, PRODUCTS: 4}  # of what leaves; scores: 8
SCORE_UNITS: Final = 8
HALVED: Final = 181  # of 256, just below the root of one half: what squares on the diagonal are multiplied by
OUTCOME: Final = 4.0  # spreads from the centre to which the outcome of a gaussian model is moved in products
REACH: Final = 3.0  # standard deviations of a residual to which it is moved in scores
FARTHEST: Final = 3.0  # the most that one step changes the linear predictor, in the root of its mean square
TOO_NOISY: Final = 3.0  # an error of noise so many times that of sampling is not worth its budget
NOISY: Final = 1.0
FEWEST: Final = 5  # rows for each column


class PrivateAsk(Ask):
    """outcome: what is taken from y, what it is divided by then, and of a gaussian model the most of a residual. whiten: the
    matrix from standardised to uncorrelated columns, row by row."""

    outcome: Numbers = ()
    whiten: Numbers = ()


class PrivateFit(Record):
    """The state between two rounds. Plain JSON.

    counted, rows: in the fit, and no fewer than are asked for. mean: of the outcome as it is scaled. products: the
    matrix of the columns, row by row, its eigenvalues not below what noise hides. implied: where each score points. square: of a gaussian
    model, the mean square of a residual, by its most.
    """

    round: Whole = 0
    chain: str
    columns: Columns = Columns()
    outcome: Numbers = ()
    counted: float = 0.0
    rows: float = 0.0
    mean: float = 0.0
    left_out: float = 0.0
    clipped: float = 0.0
    holders: float = 0.0  # of whom the rows are, where one has several
    products: Numbers = ()
    hidden: Whole = 0  # eigenvalues below that
    square: float = 0.0
    whiten: Numbers = ()
    point: Numbers = ()
    implied: tuple[Numbers, ...] = ()


def not_offered(question: Glm) -> str | None:
    """The key of a regression that mode dp does not have, as the study says it; None if it has all."""
    keys = {
        "family": None if question.family in FAMILIES else question.family,
        "link": None if question.link in (None, "identity", "logit", "log") else question.link,
        "offset": question.offset,
        "weights": question.weights and question.weights.of,
        "dispersion": question.dispersion,
        "errors": None if question.errors == "model" else "robust",
        "penalty": question.penalty and question.penalty.kind,
        "city_effects": None if question.city_effects == "none" else question.city_effects,
        "influence": "true" if question.influence else None,
    }
    return next((f"{key}: {value}" for key, value in keys.items() if value is not None), None)


def row_norm(columns: int) -> float:
    """C: a row of the constant and so many uncorrelated columns of variance 1 is longer once in a hundred, and a tenth is added."""
    return 1.1 * sqrt(1 + columns + 2.33 * sqrt(2 * columns))


@dataclass(frozen=True)
class PrivatePlan:
    """A fit with noise that every party has planned alike. `plain`: the same terms in mode exact. levels: of numbers that take few
    values."""

    plain: GlmPlan
    setting: Setting
    name: str
    levels: likeness.Levels = field(default_factory=dict, kw_only=True)

    @property
    def question(self) -> Glm:
        return self.plain.question

    @property
    def dictionary(self) -> Dictionary:
        return self.plain.dictionary

    @property
    def design(self) -> Design:
        return self.plain.design

    @property
    def gaussian(self) -> bool:
        return self.question.family == "gaussian"

    @property
    def p(self) -> int:
        """Columns with the constant."""
        return 1 + len(self.design.pieces)

    @property
    def wide(self) -> int:
        """Columns that are multiplied: the outcome of a gaussian model is one."""
        return self.p + self.gaussian

    @property
    def norm(self) -> float:
        return row_norm(self.p - 1)

    @property
    def most_rows_each(self) -> int:
        """Of one holder, where one has several."""
        return 1

    @property
    def reach(self) -> float:
        """The most that |residuals| of one holder add up to."""
        return 1.0

    @cached_property
    def longest(self) -> float:
        """The longest row of what is multiplied."""
        return sqrt(self.norm**2 + OUTCOME**2) if self.gaussian else self.norm

    # --- the schedule

    @cached_property
    def standard(self) -> tuple[Columns, Numbers] | None:
        """Centres and scales that the dictionary says; None where it does not say all."""
        found = [self._said(piece) for piece in self.design.pieces]
        outcome = (0.0, 1.0) if self.question.family == "binomial" else self._stated(self.question.outcome)
        if outcome is None or any(each is None for each in found):
            return None
        if self.question.family == "poisson":
            outcome = (0.0, self._most(outcome[0]))
        pairs = [each for each in found if each is not None]
        return _columns([centre for centre, _ in pairs], [scale for _, scale in pairs]), outcome

    def _said(self, piece: Piece) -> tuple[float, float] | None:
        if piece.indicator:
            return 0.5, 0.5
        return self._stated(piece.name) if piece.name in self.dictionary.variables else None

    def _stated(self, name: str) -> tuple[float, float] | None:
        entry = self.dictionary.variables.get(name)
        centre, spread = getattr(entry, "centre", None), getattr(entry, "spread", None)
        return None if centre is None or spread is None else (float(centre), float(spread))

    @cached_property
    def purposes(self) -> tuple[str, ...]:
        first = () if self.standard else (MOMENTS,)
        return (*first, PRODUCTS, *SCORES)

    @cached_property
    def draws(self) -> tuple[Draw, ...]:
        """A twentieth for moments and three for products, the scores 1:2:4:8:16 of what is left."""
        shares = {MOMENTS: Fraction(1, 20), PRODUCTS: Fraction(3, 20)}
        left = 1 - sum(shares[each] for each in self.purposes if each in shares)
        shares |= {name: left * Fraction(part, sum(WEIGHTS)) for name, part in zip(SCORES, WEIGHTS, strict=True)}
        return tuple(Draw(each, self.length_of(each), *self._moves(each), shares[each]) for each in self.purposes)

    def _moves(self, purpose: str) -> tuple[int, int]:
        """D1 and D2: what one holder changes, in sum of absolute values and of squares.

        Sums are rounded once in a city, which moves each cell by one more than the holder does at most. A row of length r has on its grid
        the length r + sqrt(p)/2 at most.
        """
        if purpose == MOMENTS:
            each = self._most_moments
            size = sum(each) + len(self._measured) / 2 ** (FINE + 1)  # rounding on the grid
            one = size * (1 << UNITS[MOMENTS]) + self.length_of(MOMENTS)
            squares = sqrt(sum(each)) + sqrt(len(self._measured)) / 2 ** (FINE + 1)
            both = (squares * (1 << UNITS[MOMENTS]) + sqrt(self.length_of(MOMENTS))) ** 2
            return ceil(one), ceil(both)
        if purpose == PRODUCTS:
            d, cells, rows = self.wide, self.wide * (self.wide + 1) // 2, self.most_rows_each
            length = rows * (self.longest + sqrt(d) / 2 ** (GRID + 1)) ** 2 * (1 << UNITS[PRODUCTS])
            beside = rows * self.counted * (self.beside - 1)  # a row is counted or left out
            one = length * ((d - 1) / 2 + DIAGONAL) + cells + beside
            return ceil(one), ceil((length * sqrt(0.5) + sqrt(cells)) ** 2 + beside * rows * self.counted)
        length = self.reach * (self.norm + sqrt(self.p) / 2 ** (GRID + 1)) * (1 << SCORE_UNITS)
        beside = self.marked * (1 + self.gaussian)
        one = sqrt(self.p) * length + self.p + beside
        return ceil(one), ceil((length + sqrt(self.p)) ** 2 + beside * self.marked)

    @cached_property
    def counted(self) -> int:
        """What a holder adds to each count that stands beside products: a fiftieth of their D2 each."""
        return round(self.longest**2 * (1 << UNITS[PRODUCTS]) / 10)

    @cached_property
    def marked(self) -> int:
        """What a holder whose row was too long adds to the count beside a score."""
        return round(self.norm * (1 << SCORE_UNITS) / 8)

    @cached_property
    def _numbers(self) -> tuple[int, ...]:
        """The pieces whose squares are asked for: those that are no indicators."""
        return tuple(number for number, piece in enumerate(self.design.pieces) if not piece.indicator)

    @cached_property
    def _measured(self) -> tuple[str, ...]:
        """The cells of the moments: holders, columns, squares, and of the outcome both."""
        outcome = () if self.question.family == "binomial" else ("y", "yy") if self.gaussian else ("y",)
        return ("n", *(f"x{at}" for at in range(self.p - 1)), *(f"xx{at}" for at in self._numbers), *outcome)

    @cached_property
    def _most_moments(self) -> tuple[int, ...]:
        """The squares that one holder adds. Of the codes of a category, or of two, there is one; a number adds its square too, also where 0
        stands for it, which need not be the middle of its range."""
        of_terms = [tuple(self.design.of_term(term)) for term in self.design.terms]
        apart = [1 if all(piece.indicator for piece in pieces) else 2 * len(pieces) for pieces in of_terms]
        missing = [1] * len(self.design.variables) if self.question.missing == "indicator" else []
        outcome = {"binomial": 0, "gaussian": 2, "poisson": 1}[self.question.family]
        return (1, *apart, *missing, outcome)

    @property
    def beside(self) -> int:
        """Counts beside products."""
        return 3 - self.gaussian

    def _cells(self, purpose: str) -> tuple[tuple[str, int], ...]:
        if purpose == MOMENTS:
            return ((MOMENTS, len(self._measured)),)
        if purpose == PRODUCTS:
            return ((PRODUCTS, self.wide * (self.wide + 1) // 2 + self.beside),)
        return ((purpose, self.p + 1 + self.gaussian),)

    def length_of(self, purpose: str) -> int:
        return sum(cells for _, cells in self._cells(purpose))

    @property
    def most_rounds(self) -> int:
        return len(self.purposes)

    @property
    def most_cells(self) -> int:
        return max(self.length_of(each) for each in self.purposes)

    @property
    def scope(self) -> str:
        return "rows"

    def sd(self, purpose: str) -> float:
        """Of the noise in one cell of the sum of all cities, in what the cells count."""
        units = 1 << UNITS.get(purpose, SCORE_UNITS)
        return sqrt(self.setting.variances.get(purpose, 0.0)) / units

    def ratio(self, rows: float) -> float | None:
        """How many times the error of sampling that of noise is for so many rows, as far as public figures tell: an outcome that is true of
        half of them, or 1 in the mean. None where the noise is not known."""
        if PRODUCTS not in self.setting.variances or rows <= 0:
            return None
        of_last = sum(WEIGHTS[-LAST:])
        sd = sqrt(sum((part / of_last * self.sd(name)) ** 2 for name, part in _last()))
        if self.question.family != "poisson":
            return sd / sqrt(rows) * (REACH if self.gaussian else 2)
        mean = (self._stated(self.question.outcome) or (1.0, 1.0))[0]
        return sd * self._most(mean) / sqrt(rows * max(mean, 1e-3))

    def _most(self, mean: float) -> float:
        """The most of a count, to which larger ones are moved: three of its own standard errors above the mean."""
        high = design.range_of(self.dictionary, self.question.outcome)[1]
        return float(min(high, ceil(mean + 3 * sqrt(max(mean, 0.0)))) if mean > 0 else min(high, 3.0)) or 1.0

    # --- what is asked

    def start(self) -> PrivateFit:
        if self.standard is None:
            return PrivateFit(chain=self.setting.study)
        columns, outcome = self.standard
        return PrivateFit(chain=self.setting.study, columns=columns, outcome=outcome)

    def ask(self, state: PrivateFit) -> PrivateAsk | Done:
        if state.round >= len(self.purposes):
            return Done()
        named, purpose = ("columns", "point", "outcome", "whiten"), self.purposes[state.round]
        return asked(PrivateAsk, self.setting.study, state, named, self.blocks, purpose=purpose)

    def blocks(self, ask: Ask) -> tuple[Block, ...]:
        return tuple(Block(name, cells) for name, cells in self._cells(ask.purpose))

    def length(self, ask: Ask) -> int:
        return self.length_of(ask.purpose)

    def drawn(self, ask: Ask) -> tuple[str, ...]:
        return tuple(name for name, _ in self._cells(ask.purpose))

    # --- in a city

    def measure(self, ask: PrivateAsk, read: Read, rows: int) -> Sums:
        """Whole numbers, which float64 adds exactly."""
        names = (*self.design.variables, self.question.outcome)
        return in_pieces(names, read, rows, lambda near, size: self._of_rows(ask, near, size))

    def _of_rows(self, ask: PrivateAsk, read: Read, rows: int) -> Sums:
        x, y, whole = self.known(read, rows)
        if ask.purpose == MOMENTS:
            return Sums({"cells": np.rint(self.moments(x, y) * (1 << FINE)).sum(axis=0)})
        z, y = ask.columns.standardised(x), (y - ask.outcome[0]) / ask.outcome[1]
        if ask.purpose == PRODUCTS:
            return self.products(z, y, float(rows - whole.sum()))
        return self._score(ask, z, y)

    def known(self, read: Read, rows: int) -> tuple[Reals, Reals, Flags]:
        """Columns and outcome of the rows that are in the fit, inside their public ranges; and which of all these are."""
        matrix, whole = self.design.matrix(read, rows)
        whole &= read(self.question.outcome).known
        low, high = (np.array([getattr(piece, end) for piece in self.design.pieces]) for end in ("low", "high"))
        x = matrix if whole.all() else matrix.T[:, whole].T
        np.nan_to_num(x, copy=False)
        np.clip(x, low, high, out=x)
        y = design.amounts(self.dictionary, self.question.outcome, read(self.question.outcome))[whole]
        y = np.clip(np.nan_to_num(y), self.plain.outcome.low, self.plain.outcome.high)
        return x, y, whole

    def moments(self, x: Reals, y: Reals) -> Reals:
        """What each row adds to the cells of round 0."""
        outcome = self.plain.outcome
        scaled = design.scaled(self.design.pieces, x)
        y = (y - (outcome.low + outcome.high) / 2) / ((outcome.high - outcome.low) / 2)
        of_y = {"y": y, "yy": y * y}
        beside = [of_y[name] for name in self._measured if name in of_y]
        made = np.column_stack([np.ones(len(x)), scaled, scaled[:, list(self._numbers)] ** 2, *beside])
        return np.asarray(np.clip(made, -1, 1), np.float64)

    def products(self, z: Reals, y: Reals, left_out: float) -> Sums:
        """Beside them: holders, those left out, and the sum of an outcome that is no column."""
        factor, _ = self.factor(z)
        outcome = np.rint(np.clip(y, 0, 1) * self.counted).sum()
        if self.gaussian:
            z = np.column_stack([z, np.clip(y, -OUTCOME, OUTCOME)])
        whole = z * (factor * (1 << GRID))[:, None]
        np.rint(whole, out=whole)
        square = (whole.T @ whole)[np.triu_indices(self.wide)]
        beside = [len(z) * self.counted, left_out * self.counted, *([] if self.gaussian else [outcome])]
        return Sums({"cells": square, "beside": np.array(beside, np.float64)})

    def _score(self, ask: PrivateAsk, z: Reals, y: Reals) -> Sums:
        white = z @ np.array(ask.whiten).reshape(self.p, self.p)
        factor, moved = self.factor(white)
        fitted = self.curve(ask.outcome).mean(z @ np.array(ask.point))
        if self.gaussian:
            far = y / ask.outcome[2] - fitted
            residual, moved = np.clip(far, -1, 1), moved | (np.abs(far) > 1)
        else:
            residual, moved = np.clip(y, 0, 1) - fitted, moved | (y > 1)
        whole = np.rint(white * factor[:, None] * (1 << GRID))
        score = whole.T @ np.rint(residual * (1 << FINE))
        squares = [np.rint(residual**2 * self.marked).sum()] if self.gaussian else []
        return Sums({"cells": score, "beside": np.array([float(moved.sum() * self.marked), *squares])})

    def factor(self, z: Reals) -> tuple[Reals, Flags]:
        """What each row is multiplied by so that it is not longer than C, and which rows are."""
        length = np.sqrt(np.einsum("ij,ij->i", z, z))
        return np.minimum(1.0, self.norm / np.maximum(length, 1e-9)), length > self.norm

    def encode(self, ask: PrivateAsk, sums: Sums) -> Vector:
        """What a city adds noise to. Errors: `PeerError MODEL_ASK_FOREIGN` for an ask of another study or layout."""
        if ask.study != self.setting.study or ask.layout != layout_digest(self.blocks(ask)):
            raise PeerError("MODEL_ASK_FOREIGN")
        cells = sums.values["cells"].astype(np.int64)
        if ask.purpose == MOMENTS:
            return _coarser(cells, FINE - UNITS[MOMENTS])
        beside = sums.values["beside"].astype(np.int64)
        if ask.purpose == PRODUCTS:
            more = 2 * GRID - UNITS[PRODUCTS]
            halved = _coarser(cells * HALVED, more + 8)
            found = np.where(_on_diagonal(self.wide), halved, _coarser(cells, more))
            return np.concatenate([found, beside])
        return np.concatenate([_coarser(cells, GRID + FINE - SCORE_UNITS), beside])

    # --- what a total means

    def tell(self, state: PrivateFit, ask: PrivateAsk, total: Vector) -> PrivateFit:
        """The next state. Errors: `PeerError MODEL_NOT_REPLAYABLE` if the ask does not follow from the state."""
        expected = self.ask(state)
        if isinstance(expected, Done) or not agrees(ask, expected) or len(total) != self.length(ask):
            raise PeerError("MODEL_NOT_REPLAYABLE", round=ask.round)
        with_ = {"columns": ask.columns, "point": ask.point, "outcome": ask.outcome, "whiten": ask.whiten}
        after = {"round": state.round + 1, "chain": chained(state.chain, ask, total)}
        state = state.model_copy(update={**with_, **after})
        cells = total.astype(np.float64)
        if ask.purpose == MOMENTS:
            return self._on_moments(state, dict(zip(self._measured, cells / (1 << UNITS[MOMENTS]), strict=True)))
        return self.told(state, cells) if ask.purpose == PRODUCTS else self._on_score(state, ask, cells)

    @property
    def least_rows(self) -> float:
        """With fewer there is no answer; rounds go on as with so many, since how many there are is no city's to learn from."""
        return float(FEWEST * self.p)

    def _on_moments(self, state: PrivateFit, found: dict[str, float]) -> PrivateFit:
        """A spread is not taken for less than noise lets it be told."""
        rows, noise = max(found["n"], self.least_rows), self.sd(MOMENTS)
        least = sqrt(2 * noise / rows) if noise else 1e-6

        def spread(first: float, second: float) -> float:
            return sqrt(max(second / rows - (first / rows) ** 2, least**2))

        centre, scale = [], []
        for number, piece in enumerate(self.design.pieces):
            first = float(np.clip(found[f"x{number}"], 0 if piece.indicator else -rows, rows))
            centre.append(piece.middle + piece.half * first / rows)
            scale.append(piece.half * spread(first, found.get(f"xx{number}", first)))
        outcome, y = (0.0, 1.0), self.plain.outcome
        middle, half = (y.low + y.high) / 2, (y.high - y.low) / 2
        if self.gaussian:
            first = float(np.clip(found["y"], -rows, rows))
            outcome = (middle + half * first / rows, half * spread(first, found["yy"]))
        elif self.question.family == "poisson":
            outcome = (0.0, self._most(middle + half * (found["y"] + 2 * noise) / rows))
        return state.model_copy(update={"columns": _columns(centre, scale), "outcome": outcome})

    def told(self, state: PrivateFit, cells: Reals) -> PrivateFit:
        d, noise = self.wide, self.sd(PRODUCTS)
        square, beside = np.split(cells, [d * (d + 1) // 2])
        counted, left_out, *summed = self.counts(beside)
        rows = max(counted, self.least_rows)
        found = private_answer.symmetric(square / (1 << UNITS[PRODUCTS]), d)
        found[0, 0] = rows  # counted with less noise
        square, hidden = private_answer.floored(found[: self.p, : self.p], noise)
        update = {
            "rows": rows,
            "counted": counted,
            "left_out": max(left_out, 0.0),
            "products": _flat(square),
            "hidden": hidden,
        }
        point, outcome = np.zeros(self.p), state.outcome
        if self.gaussian:
            outcome, mean = (*outcome, REACH * self._residual(square, found[:, self.p], rows)), 0.0
        else:
            least = min(0.5, max(1.0, self.counted_sd) / rows)
            mean = float(np.clip(summed[0] / rows, least, 1 - least))
            point[0] = self.curve(outcome).link(mean)
        update |= {"mean": mean, "whiten": _flat(private_answer.root(square / rows, -0.5)), "point": _flat(point)}
        return state.model_copy(update={**update, "outcome": outcome})

    def counts(self, beside: Reals) -> tuple[float, ...]:
        """Rows, those left out, and the sum of an outcome that is no column."""
        return tuple(float(each) for each in beside / self.counted)

    def _residual(self, square: Reals, outcome: Reals, rows: float) -> float:
        """The standard deviation of what the columns leave of a scaled outcome, no less than noise lets it be told."""
        with_columns, own = outcome[: self.p], outcome[self.p]
        left = own - with_columns @ np.linalg.solve(square, with_columns)
        return sqrt(max(float(left), self.sd(PRODUCTS) * sqrt(self.p), 1e-9 * rows) / rows)

    @property
    def counted_sd(self) -> float:
        """Of the noise of the counts beside products, in holders."""
        return self.sd(PRODUCTS) * (1 << UNITS[PRODUCTS]) / self.counted

    def _on_score(self, state: PrivateFit, ask: PrivateAsk, cells: Reals) -> PrivateFit:
        white, point = np.array(ask.whiten).reshape(self.p, self.p), np.array(ask.point)
        score = np.linalg.solve(white, cells[: self.p] / (1 << SCORE_UNITS))
        counts = np.clip(cells[self.p :] / self.marked / self.marks(state), 0, 1)
        released = self.released(state)
        step = private_answer.bounded(released.step(self._population(state), point, score), released, FARTHEST)
        implied = (*state.implied, _flat(point + step))
        return state.model_copy(
            update={
                "implied": implied,
                "point": _flat(private_answer.together(implied, WEIGHTS, LAST)),
                "clipped": float(counts[0]),
                "square": float(counts[-1]) if self.gaussian else 0.0,
            }
        )

    def marks(self, state: PrivateFit) -> float:
        """How many can be marked."""
        return state.rows

    def curve(self, outcome: Numbers) -> Curve:
        """Of an outcome as scores have it."""
        return Curve(self.question.family, outcome[-1])

    def released(self, state: PrivateFit) -> Released:
        """What the rounds told, as numbers."""
        return Released(
            curve=self.curve(state.outcome),
            square=state.square,
            rows=state.rows,
            mean=state.mean,
            products=np.array(state.products).reshape(self.p, self.p),
            whiten=np.array(state.whiten).reshape(self.p, self.p) if state.whiten else np.eye(self.p),
            norm=self.norm,
            products_sd=self.sd(PRODUCTS),
            score_sd=tuple(self.sd(name) for name in SCORES),
            weights=WEIGHTS,
            last=LAST,
            farthest=FARTHEST,
            codes=tuple(
                (number, 1 / scale)
                for number, (piece, scale) in enumerate(zip(self.design.pieces, state.columns.scale, strict=True))
                if piece.indicator
            ),
        )

    def _population(self, state: PrivateFit) -> Population:

        found = self.released(state)
        mean = found.products[0, 1:] / found.products[0, 0]
        shaped = partial(likeness.shaped, self.design, state.columns, mean, self.levels)
        return Population.of(found, self.setting.study, self.name, shaped)

    def seen(self, state: PrivateFit) -> Seen | None:  # noqa: ARG002 exact sums alone say what thresholds can be held against
        return None

    # --- the answer

    def result(self, state: PrivateFit) -> Result:
        """Errors: `ConfigError MODEL_FEW_ROWS`."""
        if state.counted < self.least_rows:
            raise ConfigError("MODEL_FEW_ROWS", rows=max(0, round(state.counted)), columns=self.p)
        names, answer = ("intercept", *state.columns.names(self.design.pieces)), self.answered(state)
        back = state.columns.back()
        unit, shift = (state.outcome[1], state.outcome[0]) if self.gaussian else (1.0, 0.0)
        found, covariance = answer.result(
            names,
            unit * back,
            shift,
            self.setting.confidence,
            rounds=state.round,
            left_out=state.left_out,
            clipped=state.clipped,
            hidden=state.hidden,
        )
        return replace(found, model=self.left(found, covariance))

    def answered(self, state: PrivateFit) -> private_answer.Answered:
        return private_answer.Answered(
            self.released(state), self._population(state), np.array(state.point), self.setting.study, self.name
        )

    def left(self, found: Result, covariance: Reals) -> dict[str, Any]:
        """What scores by it."""
        fit = self.linear(found, covariance)
        return saved.left(self.design.variables, self.question.outcome, fit, self.dictionary)

    def linear(self, found: Result, covariance: Reals) -> Linear:
        """Its errors hold the noise: there is no bound beside them."""
        names = ((), *((piece.name,) for piece in self.design.pieces))
        return Linear(
            family=self.question.family,
            link=self.plain.law.link,
            terms=self.question.terms,
            missing=self.question.missing,
            weights=tuple(
                Weight(term=each["term"], columns=columns, estimate=each["estimate"], std_error=each["std_error"])
                for each, columns in zip(found.coefficients, names, strict=True)
            ),
            covariance=tuple(_flat(row) for row in covariance),
            error_bound=0.0,
        )


def plan(plain: GlmPlan, setting: Setting, name: str) -> PrivatePlan:
    """Errors: `ConfigError MODEL_DP_TOO_NOISY` where the noise is known, and even with all rows that cities can have it is too much."""
    made = PrivatePlan(plain, setting, name)
    worth(name, made.ratio, setting)
    return made


def worth(name: str, ratio: Callable[[float], float | None], setting: Setting) -> None:
    """Errors: `ConfigError MODEL_DP_TOO_NOISY` as `plan`, by the ratio for so many rows."""
    rows = setting.cities * setting.most_rows
    found = ratio(rows)
    if found is not None and found > TOO_NOISY:
        raise too_noisy(name, found, rows)


def too_noisy(name: str, ratio: float, rows: int) -> ConfigError:
    """It says what gives as much noise as sampling: noise is about as the inverse of epsilon, its part as that of the root of the rows."""
    return ConfigError(
        "MODEL_DP_TOO_NOISY", name=name, ratio=f"{ratio:.1f}", times=f"{ratio:.1f}", rows=ceil(rows * ratio**2)
    )


def _last() -> Iterator[tuple[str, int]]:
    return zip(SCORES[-LAST:], WEIGHTS[-LAST:], strict=True)


def _columns(centre: list[float], scale: list[float]) -> Columns:
    return Columns(groups=tuple((number,) for number in range(len(centre))), centre=tuple(centre), scale=tuple(scale))


def _coarser(cells: Vector, bits: int) -> Vector:
    """Divided by 2^bits and rounded: by one half at most."""
    return np.asarray((cells + (1 << (bits - 1))) >> bits, np.int64)


def _on_diagonal(d: int) -> Flags:
    first, second = np.triu_indices(d)
    return np.asarray(first == second)


def _flat(values: Reals) -> Numbers:
    return tuple(float(each) for each in np.asarray(values).ravel())
