"""What a regression answers: coefficients with their errors and their certificate, or why there are none."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass
from decimal import ROUND_CEILING, Context
from typing import Any, Final, Literal

import numpy as np
from scipy.special import chdtrc, fdtrc, ndtr, ndtri, stdtr, stdtrit

from protocols.errors import ConfigError
from protocols.models.design import Numbers
from protocols.models.fixedpoint import Reals
from protocols.models.interface import Result
from protocols.statistics.rows import Test, significant

SELDOM: Final = (
    "alpha",
    "alpha_error",
    "heterogeneity",
    "influence",
    "events",
    "holders",
    "path",
    "kkt_residual",
)  # said of what has them
_UP: Final = Context(prec=2, rounding=ROUND_CEILING)
Cause = Literal["", "separation", "no_convergence", "no_descent", "perfect", "underdispersed", "few_cities"]


@dataclass(frozen=True)
class Coefficient:
    """error_bound: how far the estimate can be from that of the pooled rows. statistic: z, or t where the dispersion is estimated."""

    term: str
    estimate: float
    std_error: float
    statistic: float
    p_value: float
    ci_low: float
    ci_high: float
    error_bound: float


@dataclass(frozen=True)
class Selected:
    """A coefficient after a choice of columns, which leaves no error to speak of; 0 where the column was not chosen."""

    term: str
    estimate: float
    error_bound: float


@dataclass(frozen=True)
class Stopped:
    """One strength of a path: how many columns stayed, and the extended BIC by which one was chosen."""

    strength: float
    columns: int
    criterion: float


@dataclass(frozen=True)
class Heterogeneity:
    """How much a coefficient differs between cities. q: chi-square with `cities` - 1 degrees if it does not; i2: the share of its variation
    that is between cities; tau2: its variance, as DerSimonian and Laird estimate it, negative where cities differ less than by chance."""

    term: str
    cities: int
    q: float
    p_value: float
    i2: float
    tau2: float


@dataclass(frozen=True)
class Influence:
    """How far a fit would move without one city, as the city itself tells: the largest change of a coefficient in its standard errors, to
    0.1; none where what is left does not determine them, or it has no rows. place: among the cities of the plan, from 0. marked: above
    2, or it cannot tell."""

    place: int
    estimate: float | None
    marked: bool
    cause: Literal["", "cannot_tell", "no_rows"] = ""


@dataclass(frozen=True)
class Fit:
    """Converged, or `cause` says why not and `named` which columns did it; then there are no coefficients.

    obs_status: `u` where the bound exceeds 1e-6 standard errors or more than 30 % of the rows were left out, `x` where there is no
    estimate. degrees: of t; none: normal. alpha: of a negative binomial, where it is estimated, with its standard error. holders: of whom
    the n rows are, where one has several.
    """

    converged: bool
    rounds: int
    n: float
    left_out: int
    dropped: tuple[str, ...]
    collinear: tuple[str, ...]
    cause: Cause = ""
    named: tuple[str, ...] = ()
    coefficients: tuple[Coefficient, ...] = ()
    covariance: tuple[Numbers, ...] = ()
    degrees: float | None = None
    deviance: float | None = None
    null_deviance: float | None = None
    pearson: float | None = None
    dispersion: float | None = None
    log_likelihood: float | None = None
    aic: float | None = None
    bic: float | None = None
    clusters: int | None = None
    coefficient_error_bound: float | None = None
    se_error_bound: float | None = None
    rms_error: float | None = None
    shrunken: bool = False
    few_clusters: bool = False
    obs_status: str = ""
    alpha: float | None = None
    alpha_error: float | None = None
    heterogeneity: tuple[Heterogeneity, ...] = ()
    influence: tuple[Influence, ...] = ()
    events: int | None = None
    holders: int | None = None
    selected: tuple[Selected, ...] = ()
    path: tuple[Stopped, ...] = ()
    kkt_residual: float | None = None

    def joint(self, terms: tuple[str, ...]) -> tuple[float, float]:
        """Wald's test that these coefficients are all 0: the statistic (chi-square, or F with `degrees`) and its p-value.

        Errors: `ConfigError MODEL_CLUSTER_RANK` where G clusters are asked about more than G - 1 terms: their sum has no more rank.
        """
        if self.clusters is not None and len(terms) > self.clusters - 1:
            raise ConfigError("MODEL_CLUSTER_RANK", terms=len(terms), clusters=self.clusters)
        places = [[each.term for each in self.coefficients].index(term) for term in terms]
        estimates = np.array([self.coefficients[place].estimate for place in places])
        covariance = np.array(self.covariance)[np.ix_(places, places)]
        statistic = float(estimates @ np.linalg.solve(covariance, estimates))
        if self.degrees is None:
            return statistic, float(chdtrc(len(terms), statistic))
        return statistic / len(terms), float(fdtrc(len(terms), self.degrees, statistic / len(terms)))


def tests(fit: Fit, families: Mapping[str, Sequence[str]], ratio: bool) -> tuple[Test, ...]:
    """Whether all coefficients of a term are 0, for each term of several columns: Wald's test, F where the errors are those of t. `ratio`:
    and whether all terms are, by the ratio of likelihoods to the model of the constant alone, where the fit is one of maximum likelihood
    whose dispersion is known. families: names of the columns of each term.

    More columns than clusters less one have no joint test (MODEL_CLUSTER_RANK): its numbers are not there, status `x`.
    """
    fitted = {each.term for each in fit.coefficients}
    found = []
    for term, names in families.items():
        inside = tuple(name for name in names if name in fitted)
        if len(inside) < 2 or fit.shrunken:
            continue
        values: dict[str, float | int | str | None] = {"term": term, "statistic": None, "df": len(inside)}
        if fit.degrees is not None:
            values["df_residual"] = significant(fit.degrees)
        try:
            statistic, p_value = fit.joint(inside)
        except ConfigError:
            values |= {"p_value": None, "obs_status": "x"}
        else:
            values |= {"statistic": significant(statistic), "p_value": significant(p_value)}
        found.append(Test("wald", values))
    slopes = len(fit.coefficients) - sum(each.term.partition("[")[0] == "intercept" for each in fit.coefficients)
    if ratio and slopes and fit.deviance is not None and fit.null_deviance is not None:
        statistic = max(fit.null_deviance - fit.deviance, 0.0)
        p_value = significant(float(chdtrc(slopes, statistic)))
        found.append(Test("likelihood_ratio", {"statistic": significant(statistic), "df": slopes, "p_value": p_value}))
    return tuple(found)


def published(fit: Fit, said: Sequence[Test] = ()) -> Result:
    """A fit as results.json has it: `z`, or `t` where the dispersion is estimated or clusters are counted. Without noise all of an error is
    that of sampling."""
    statistic = "z" if fit.degrees is None else "t"
    rows: list[dict[str, Any]] = [
        {
            "term": each.term,
            "estimate": significant(each.estimate),
            "std_error": significant(each.std_error),
            "se_sampling": significant(each.std_error),
            "se_noise": 0.0,
            statistic: significant(each.statistic),
            "p_value": significant(each.p_value),
            "ci_low": significant(each.ci_low),
            "ci_high": significant(each.ci_high),
            "error_bound": _bound(each.error_bound),
        }
        for each in fit.coefficients
    ]
    rows += [
        {"term": each.term, "estimate": significant(each.estimate), "error_bound": _bound(each.error_bound)}
        for each in fit.selected
    ]
    bounds = ("coefficient_error_bound", "se_error_bound", "rms_error")
    whole: dict[str, Any] = {
        each.name: getattr(fit, each.name)
        for each in fields(fit)
        if each.name not in ("coefficients", "covariance", "selected")
    }
    whole = {name: value for name, value in whole.items() if name not in SELDOM or value not in (None, ())}
    for name, value in whole.items():
        if isinstance(value, float):
            whole[name] = _bound(value) if name in bounds else significant(value)
        elif isinstance(value, tuple):
            whole[name] = [_plain(each) if is_dataclass(each) else each for each in value]
    return Result(coefficients=tuple(rows), fit=whole, tests=tuple(said))


def _plain(value: Any) -> dict[str, Any]:
    return {name: significant(each) if isinstance(each, float) else each for name, each in asdict(value).items()}


def _bound(value: float) -> float:
    """A bound is rounded up to two digits: it says how far something can be, and its last digits are another machine's."""
    return float(_UP.create_decimal_from_float(value))


def _below(statistic: float, degrees: float | None) -> float:
    """The probability of less than this, under the normal or t."""
    return float(ndtr(statistic) if degrees is None else stdtr(degrees, statistic))


def coefficients(
    names: Sequence[str],
    estimates: Reals,
    covariance: Reals,
    degrees: float | None,
    confidence: float,
    bounds: Reals,
) -> tuple[Coefficient, ...]:
    """degrees: of t; none: normal."""
    errors = np.sqrt(np.diag(covariance))
    tail = (1 - confidence) / 2
    reach = -float(ndtri(tail) if degrees is None else stdtrit(degrees, tail))
    return tuple(
        Coefficient(
            term=name,
            estimate=float(estimate),
            std_error=float(error),
            statistic=float(estimate / error),
            p_value=2 * _below(-abs(float(estimate / error)), degrees),
            ci_low=float(estimate - reach * error),
            ci_high=float(estimate + reach * error),
            error_bound=float(bound),
        )
        for name, estimate, error, bound in zip(names, estimates, errors, bounds, strict=True)
    )
