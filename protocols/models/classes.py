"""Outcomes of several classes: `kind: ordinal` (proportional odds) and `kind: multinomial`.

Leaves the city: how many rows each class has, moments of every column; then, at a point, log-likelihood, score and observed information.

ordinal: P(y <= j) = 1 / (1 + exp(-(a_j - x'b))), one threshold a_j between neighbouring classes in the order of the dictionary, one
coefficient per column. With u = a_j - x'b, l = a_(j-1) - x'b and F the logistic function, a row's log-likelihood is log(F(u) - F(l)).
multinomial: log odds of each class against the first, with coefficients of its own.

Source: A. Agresti, Categorical Data Analysis, 3rd edition, 8.1 and 8.2; P. McCullagh, J. R. Stat. Soc. B 42 (1980).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

import numpy as np
from scipy.special import expit, logsumexp

from protocols.dictionary import Dictionary, Read
from protocols.errors import ConfigError
from protocols.models import design
from protocols.models.design import Columns, Design, Flags, Numbers
from protocols.models.fixedpoint import Block, Reals, Total
from protocols.models.glm_keys import Names
from protocols.models.interface import Ask
from protocols.models.likelihood import Known, LikelihoodPlan, Look, MakeBlock, Part, plain_blocks, plain_look
from protocols.models.newton import Limits
from protocols.yamltext import Record

CLASS_ROWS: Final = 20


class Classes(Record):
    """The keys of both kinds. A class that nobody has is left out; one that fewer than 20 have is refused."""

    kind: Literal["ordinal", "multinomial"]
    outcome: str
    terms: Names
    missing: Literal["drop", "indicator"] = "drop"
    collinear: Literal["refuse", "drop"] = "refuse"


@dataclass(frozen=True)
class _Coded:
    """What both share: an outcome whose codes are classes."""

    name: str
    codes: tuple[str, ...]
    class_rows: int

    whole = False

    @property
    def outcomes(self) -> int:
        return len(self.codes)

    def read(self, read: Read, rows: int, columns: Design) -> Known:
        matrix, whole = columns.matrix(read, rows)
        given = read(self.name)
        whole &= given.known
        y = given.values[whole].astype(np.float64)
        return Known(matrix[whole], y, np.ones(len(y), bool), int(rows - whole.sum()))

    def outcome(self, known: Known) -> Reals:
        return np.bincount(known.y.astype(np.int64), minlength=len(self.codes)).astype(np.float64)

    def kept(self, counts: Reals) -> tuple[int, ...]:
        return tuple(np.flatnonzero(counts > 0).tolist())

    def counted(self, counts: Reals) -> Reals:
        """Rows of the classes that somebody has. Errors: `ConfigError` MODEL_CLASS_THIN, MODEL_COLUMN_CONSTANT."""
        kept = self.kept(counts)
        if len(kept) < 2:
            raise ConfigError("MODEL_COLUMN_CONSTANT", name=self.name)
        thin = [self.codes[each] for each in kept if counts[each] < self.class_rows]
        if thin:
            raise ConfigError("MODEL_CLASS_THIN", name=self.name, codes=", ".join(thin), least=self.class_rows)
        return np.asarray(counts[list(kept)], np.float64)

    def events(self, counts: Reals) -> int | None:  # noqa: ARG002 classes are no events
        return None

    def cities(self, counts: Reals) -> int | None:  # noqa: ARG002 all that have rows tell
        return None

    def thinnest(self, counts: Reals) -> int | None:  # noqa: ARG002 classes are counted
        return None

    def look(self, ask: Ask, found: Total, rounding: Mapping[str, float]) -> Look:  # noqa: ARG002 the sums say it all
        return plain_look(found, rounding)


@dataclass(frozen=True)
class Ordinal(_Coded):
    def start(self, counts: Reals, columns: int, limits: Limits) -> Numbers:  # noqa: ARG002 classes have a limit of their own
        share = np.cumsum(self.counted(counts))[:-1] / counts.sum()
        return (*(np.log(share) - np.log1p(-share)).tolist(), *[0.0] * columns)

    def names(self, kept: Sequence[int], columns: Sequence[str]) -> tuple[str, ...]:
        codes = [self.codes[each] for each in kept]
        return (*(f"{low}|{high}" for low, high in pairwise(codes)), *columns)

    def free(self, kept: Sequence[int], columns: int) -> Flags:
        return np.arange(len(kept) - 1 + columns) < len(kept) - 1

    def of_columns(self, kept: Sequence[int], columns: int, gone: Sequence[int]) -> Flags:
        return ~np.isin(np.arange(len(kept) - 1 + columns) - (len(kept) - 1), gone)

    def back(self, kept: Sequence[int], columns: Columns) -> Reals:
        """A threshold of x is that of z plus b'mean/sd: it has the other sign of a constant."""
        plain, m = columns.back(), len(kept) - 1
        out = np.eye(m + len(plain) - 1)
        out[m:, m:] = plain[1:, 1:]
        out[:m, m:] = -plain[0, 1:]
        return out

    def blocks(self, ask: Ask, z: float, make: MakeBlock) -> tuple[Block, ...]:
        return plain_blocks(len(ask.point), z, z * z, make)

    def measure(self, ask: Ask, z: Reals, known: Known) -> Mapping[str, Reals]:
        m, n = len(ask.places) - 1, len(known.y)
        thresholds, slopes = np.array(ask.point[:m]), np.array(ask.point[m:])
        place = np.searchsorted(ask.places, known.y)
        eta = z[:, 1:] @ slopes
        ends = np.concatenate([[-np.inf], thresholds, [np.inf]])
        upper, lower = ends[place + 1] - eta, ends[place] - eta
        # F(u) - F(l) = F(u) F(-l) (1 - exp(l - u)), which keeps its digits where both are near 0 or 1
        share = expit(upper) * expit(-lower) * -np.expm1(lower - upper)
        high, low = expit(upper) * expit(-upper) / share, expit(lower) * expit(-lower) / share
        sharp = high * (expit(-upper) - expit(upper)) - high * high
        flat = -low * (expit(-lower) - expit(lower)) - low * low
        mixed = high * low
        one = np.eye(m + 2)[:, 1:-1]
        a, b = np.hstack([one[place + 1], -z[:, 1:]]), np.hstack([one[place], -z[:, 1:]])
        score = a.T @ high - b.T @ low
        crossed = a.T @ (b * mixed[:, None])
        information = -(a.T @ (a * sharp[:, None]) + b.T @ (b * flat[:, None]) + crossed + crossed.T)
        sound = n == 0 or (bool(np.all(np.diff(thresholds) > 0)) and bool(np.all(share > 0)))
        weight = -(sharp + flat + 2 * mixed)
        return {
            "spread": np.array([float(n), weight.sum(), weight @ weight]),
            "likelihood": np.array([np.log(share).sum() if sound else np.nan]),
            "score": score,
            "information": information[np.triu_indices(len(ask.point))],
        }


@dataclass(frozen=True)
class Multinomial(_Coded):
    """Parameters: for each class but the first, the constant and the columns."""

    def start(self, counts: Reals, columns: int, limits: Limits) -> Numbers:  # noqa: ARG002 classes have a limit of their own
        rows = self.counted(counts)
        return tuple(each for count in rows[1:] for each in (float(np.log(count / rows[0])), *[0.0] * columns))

    def names(self, kept: Sequence[int], columns: Sequence[str]) -> tuple[str, ...]:
        return tuple(f"{self.name}[{self.codes[each]}]:{term}" for each in kept[1:] for term in ("intercept", *columns))

    def free(self, kept: Sequence[int], columns: int) -> Flags:
        return np.asarray(np.arange((len(kept) - 1) * (1 + columns)) % (1 + columns) == 0, np.bool_)

    def of_columns(self, kept: Sequence[int], columns: int, gone: Sequence[int]) -> Flags:
        return ~np.isin(np.arange((len(kept) - 1) * (1 + columns)) % (1 + columns) - 1, gone)

    def back(self, kept: Sequence[int], columns: Columns) -> Reals:
        return np.asarray(np.kron(np.eye(len(kept) - 1), columns.back()), np.float64)

    def blocks(self, ask: Ask, z: float, make: MakeBlock) -> tuple[Block, ...]:
        return plain_blocks(len(ask.point), z, z * z, make)

    def measure(self, ask: Ask, z: Reals, known: Known) -> Mapping[str, Reals]:
        n, p, m = len(known.y), z.shape[1], len(ask.places) - 1
        eta = np.hstack([np.zeros((n, 1)), z @ np.array(ask.point).reshape(m, p).T])
        place = np.searchsorted(ask.places, known.y)
        logs = eta - logsumexp(eta, axis=1)[:, None]
        share = np.exp(logs)
        off = (place[:, None] == np.arange(1, m + 1)) - share[:, 1:]
        information = np.zeros((m, p, m, p))
        for i in range(m):
            for j in range(i, m):
                weights = share[:, 1 + i] * ((i == j) - share[:, 1 + j])
                information[i, :, j, :] = z.T @ (z * weights[:, None])
        weight = 1 - (share * share).sum(axis=1)
        return {
            "spread": np.array([float(n), weight.sum(), weight @ weight]),
            "likelihood": np.array([logs[np.arange(n), place].sum()]),
            "score": (off.T @ z).ravel(),
            "information": information.reshape(m * p, m * p)[np.triu_indices(m * p)],
        }


def plan(
    question: Classes,
    dictionary: Dictionary,
    cities: int,
    most_rows: int,
    study: str,
    limits: Limits | None = None,
    confidence: float = 0.95,
    class_rows: int = CLASS_ROWS,
) -> LikelihoodPlan:
    """Errors: `ConfigError` for names and types. At least one term."""
    columns = Design.of(question.terms, dictionary, question.missing)
    design.known(dictionary, question.outcome, ("category",), "outcome")
    if question.outcome in columns.variables:
        raise ConfigError("MODEL_TERM_OUTCOME", name=question.outcome)
    if not question.terms:
        raise ConfigError("MODEL_TOGETHER", key="terms: []", other=f"kind: {question.kind}")
    made = Ordinal if question.kind == "ordinal" else Multinomial
    part: Part = made(question.outcome, dictionary.codes(question.outcome), class_rows)
    return LikelihoodPlan(
        part=part,
        dictionary=dictionary,
        design=columns,
        outcome=question.outcome,
        cities=cities,
        most_rows=most_rows,
        study=study,
        limits=limits or Limits(),
        confidence=confidence,
        collinear=question.collinear == "drop",
    )
