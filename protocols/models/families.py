"""What one row contributes to a generalised linear model: link, variance, deviance, likelihood.

Written with u = (y - mu) h for the score of a row with respect to eta, where h = mu'/V: h and its derivative are smooth where V and mu'
both vanish, so that nothing is divided by a vanishing number. Expected information of a row: w = mu' h. Observed: mu' h - (y - mu) h'.
Checked against statsmodels' families, which a node does not install (docs/adr/0060).

Source: P. McCullagh and J. A. Nelder, Generalized Linear Models, 2nd edition, chapter 2; for cloglog and probit as binary links, chapter 4.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from scipy.special import expit, gammaln, ndtr, ndtri, xlog1py, xlogy

from protocols.models.fixedpoint import Reals

Family = Literal["gaussian", "binomial", "poisson", "gamma", "negative_binomial"]
Link = Literal["identity", "logit", "probit", "cloglog", "log", "inverse"]
LINKS: Final[dict[Family, tuple[Link, ...]]] = {  # the default first
    "gaussian": ("identity",),
    "binomial": ("logit", "probit", "cloglog"),
    "poisson": ("log",),
    "gamma": ("log", "inverse"),
    "negative_binomial": ("log",),
}
_ROOT: Final = 1 / np.sqrt(2 * np.pi)


def _xlogy(x: Reals | float, y: Reals) -> Reals:
    """x log y, and 0 where x is."""
    return np.asarray(xlogy(x, y), np.float64)


def _xlog1py(x: Reals, y: Reals) -> Reals:
    """x log(1 + y), and 0 where x is."""
    return np.asarray(xlog1py(x, y), np.float64)


def _gammaln(x: Reals) -> Reals:
    return np.asarray(gammaln(x), np.float64)


@dataclass(frozen=True)
class Mean:
    """Of each row: the mean, its complement 1 - mu where that matters, mu' = d mu / d eta, h = mu'/V, and h'."""

    mu: Reals
    rest: Reals
    slope: Reals
    h: Reals
    bend: Reals


@dataclass(frozen=True)
class Law:
    """A family with its link. `alpha`: of the negative binomial, V = mu + alpha mu^2."""

    family: Family
    link: Link
    alpha: float = 1.0

    @property
    def canonical(self) -> bool:
        """Observed and expected information are the same."""
        return (self.family, self.link) in (
            ("gaussian", "identity"),
            ("binomial", "logit"),
            ("poisson", "log"),
            ("gamma", "inverse"),
        )

    @property
    def dispersed(self) -> bool:
        """The dispersion is estimated, by Pearson / (n - p)."""
        return self.family in ("gaussian", "gamma")

    def link_of(self, mean: float) -> float:
        """eta of a mean. Pre-condition: the mean lies inside the family's range."""
        return float(_LINKS[self.link](mean))

    def mean(self, eta: Reals) -> Mean:
        """Pre-condition: eta is inside the link's range (`inside`)."""
        one, none = np.ones_like(eta), np.zeros_like(eta)
        match self.link:
            case "identity":
                return Mean(eta, one, one, one, none)
            case "logit":
                eta = np.clip(eta, -700, 700)
                mu, rest = expit(eta), expit(-eta)
                return Mean(mu, rest, mu * rest, one, none)
            case "probit":
                eta = np.clip(eta, -37, 37)
                mu, rest, slope = ndtr(eta), ndtr(-eta), _ROOT * np.exp(-0.5 * eta * eta)
                h = slope / (mu * rest)
                return Mean(mu, rest, slope, h, h * (h * (mu - rest) - eta))
            case "cloglog":
                eta = np.clip(eta, -700, 6.5)
                rate = np.exp(eta)
                mu, rest = -np.expm1(-rate), np.exp(-rate)
                slope, h = rate * rest, rate / mu
                return Mean(mu, rest, slope, h, h * (1 - slope / mu))
            case "log":
                mu = np.exp(np.minimum(eta, 700))
                match self.family:
                    case "gamma":
                        return Mean(mu, one, mu, 1 / mu, -1 / mu)
                    case "negative_binomial":
                        h = 1 / (1 + self.alpha * mu)
                        return Mean(mu, one, mu, h, -self.alpha * mu * h * h)
                    case _:
                        return Mean(mu, one, mu, one, none)
            case "inverse":
                mu = 1 / eta
                return Mean(mu, one, -mu * mu, -one, none)

    def mu(self, eta: Reals) -> Reals:
        """The mean alone."""
        return np.asarray(expit(np.clip(eta, -700, 700))) if self.link == "logit" else self.mean(eta).mu

    def inside(self, eta: Reals) -> bool:
        """Whether every eta has a mean: the inverse link needs eta > 0."""
        return bool(np.all(np.isfinite(eta))) and (self.link != "inverse" or bool(np.all(eta > 0)))

    def variance(self, at: Mean) -> Reals:
        match self.family:
            case "gaussian":
                return np.ones_like(at.mu)
            case "binomial":
                return at.mu * at.rest
            case "poisson":
                return at.mu
            case "gamma":
                return at.mu * at.mu
            case "negative_binomial":
                return at.mu * (1 + self.alpha * at.mu)

    def deviance(self, y: Reals, at: Mean) -> Reals:
        """Of each row, before weights."""
        mu = at.mu
        match self.family:
            case "gaussian":
                return np.asarray(np.square(y - mu), np.float64)
            case "binomial":
                yes = y == 1
                if np.all(yes | (y == 0)):  # no share: one logarithm a row
                    return -2 * _xlogy(1.0, np.where(yes, mu, at.rest))
                return 2 * (_xlogy(y, y) - _xlogy(y, mu) + _xlogy(1 - y, 1 - y) - _xlogy(1 - y, at.rest))
            case "poisson":
                return 2 * (_xlogy(y, y) - _xlogy(y, mu) - (y - mu))
            case "gamma":
                return np.asarray(2 * ((y - mu) / mu - np.log(y / mu)), np.float64)
            case "negative_binomial":
                a = self.alpha
                rest = (y + 1 / a) * (np.log1p(a * y) - np.log1p(a * mu))
                return np.asarray(2 * (_xlogy(y, y) - _xlogy(y, mu) - rest), np.float64)

    def own(self, y: Reals) -> Reals:
        """The part of half a deviance that depends on y alone: with sums of it and of y, the null deviance is closed (`null_deviance`)."""
        match self.family:
            case "gaussian":
                return y * y
            case "binomial":
                return _xlogy(y, y) + _xlog1py(1 - y, -y)
            case "poisson":
                return _xlogy(y, y)
            case "gamma":
                return -np.log(y)
            case "negative_binomial":
                return _xlogy(y, y) - (y + 1 / self.alpha) * np.log1p(self.alpha * y)

    def null_deviance(self, weight: float, y: float, own: float) -> float:
        """The deviance of the constant alone, without offset, from the weighted sums of 1, y and `own(y)`."""
        mean, a = y / weight, self.alpha
        match self.family:
            case "gaussian":
                return own - y * mean
            case "binomial":
                return 2 * (own - float(xlogy(y, mean) + xlog1py(weight - y, -mean)))
            case "poisson":
                return 2 * (own - float(xlogy(y, mean)))
            case "gamma":
                return 2 * (own + weight * float(np.log(mean)))
            case "negative_binomial":
                return 2 * (own - float(xlogy(y, mean)) + (y + weight / a) * float(np.log1p(a * mean)))

    def likelihood(self, y: Reals, at: Mean) -> Reals:
        """Log-likelihood of each row where it needs no dispersion; of a share its kernel. Gaussian and gamma: `dispersed_likelihood`."""
        mu, a = at.mu, self.alpha
        match self.family:
            case "binomial":
                return _xlogy(y, mu) + _xlogy(1 - y, at.rest)
            case "poisson":
                return _xlogy(y, mu) - mu - _gammaln(y + 1)
            case "negative_binomial":
                known = _gammaln(y + 1 / a) - gammaln(1 / a) - _gammaln(y + 1)
                return known + _xlogy(y, a * mu) - (y + 1 / a) * np.log1p(a * mu)
            case "gaussian":
                return np.zeros_like(y)
            case "gamma":
                return np.log(y)

    def dispersed_likelihood(self, n: float, deviance: float, ratio: float, logs: float, scale: float) -> float:
        """The log-likelihood of a whole sum: gaussian with its dispersion profiled out, gamma at 1 / scale.

        ratio: sum of y / mu; logs: sum of log y (gamma alone). Unweighted, or with frequency weights.
        """
        if self.family == "gaussian":
            return -n / 2 * (float(np.log(2 * np.pi * deviance / n)) + 1)
        shape = 1 / scale
        log_ratio = ratio - n - deviance / 2  # the deviance is 2 sum (y/mu - 1 - log(y/mu))
        return shape * (log_ratio - ratio) + n * (shape * float(np.log(shape)) - float(gammaln(shape))) - logs


_LINKS: Final[dict[Link, Callable[[float], float]]] = {
    "identity": lambda mean: mean,
    "logit": lambda mean: float(np.log(mean) - np.log1p(-mean)),
    "probit": lambda mean: float(ndtri(mean)),
    "cloglog": lambda mean: float(np.log(-np.log1p(-mean))),
    "log": lambda mean: float(np.log(mean)),
    "inverse": lambda mean: 1 / mean,
}
