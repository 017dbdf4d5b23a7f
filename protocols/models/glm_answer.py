"""What a generalised linear model answers, from the sums at its converged point."""

from dataclasses import dataclass, replace
from math import exp, log
from typing import Final

import numpy as np

from protocols.errors import ConfigError
from protocols.models.answer import Fit, Selected, Stopped, coefficients
from protocols.models.certificate import SAFE, UNIT, Certificate, Evaluated, certify
from protocols.models.design import Numbers, Piece
from protocols.models.effects import Constants
from protocols.models.families import Law
from protocols.models.fixedpoint import Reals
from protocols.models.glm_city import GlmCity
from protocols.models.glm_keys import FEW_CLUSTERS, Clustered, Glm, Ridge, Sparse
from protocols.models.interface import Ask
from protocols.models.leaving import told
from protocols.models.newton import Fitting, square
from protocols.models.sparse import residual

WIDE_ERROR: Final = 1e-6  # bound of a result that is marked
MOST_LEFT_OUT: Final = 0.3  # of the rows; more, and the result is marked
MANY_CLUSTERS: Final = 20


@dataclass(frozen=True)
class GlmAnswer:
    city: GlmCity
    confidence: float
    labels: tuple[str, ...]

    @property
    def question(self) -> Glm:
        return self.city.question

    @property
    def law(self) -> Law:
        return self.city.law

    @property
    def outcome(self) -> Piece:
        return self.city.outcome

    @property
    def study(self) -> str:
        return self.city.study

    def constants(self, state: Fitting) -> Constants:
        return Constants(self.question.city_effects, state.places)

    def _names(self, state: Fitting) -> tuple[str, ...]:
        return state.columns.names(self.city.design.pieces)

    def selected(self, sparse: Sparse, state: Fitting, bare: Fit) -> Fit:
        """The bound of an estimate is that of a fit of the columns that stayed: it holds if the pooled rows choose the same."""
        constants, half = self.constants(state), self.outcome.half
        sums, m = state.final, constants.count
        at = self._at(state, sums["pearson"][0])
        best = min(state.path, key=lambda stop: stop.criterion)
        slope = np.arange(len(at.point)) >= m
        stays = ~slope | (at.point != 0)
        ridge = np.where(slope, best.strength * (1 - sparse.mix), 0.0)
        pull = at.score - ridge * at.point - np.where(slope, best.strength * sparse.mix * np.sign(at.point), 0.0)
        back = constants.back(state.columns) * half
        inner = replace(
            at,
            point=at.point[stays],
            score=pull[stays],
            observed=(at.observed + np.diag(ridge))[np.ix_(stays, stays)],
            expected=at.expected[np.ix_(stays, stays)],
        )
        bounds = np.zeros(len(back))
        bounds[stays] = certify(inner, back[np.ix_(stays, stays)], state.roundings).coefficients
        estimates = back @ at.point
        estimates[:m] += self.outcome.middle
        names = (*constants.names(self.labels), *self._names(state))
        deviance = sums["deviance"][0] * half**2
        return replace(
            bare,
            selected=tuple(
                Selected(name, float(estimate), float(bound))
                for name, estimate, bound in zip(names, estimates, bounds, strict=True)
            ),
            path=tuple(
                Stopped(stop.strength, int(np.count_nonzero(stop.point[m:])), stop.criterion) for stop in state.path
            ),
            deviance=deviance,
            null_deviance=self._null_deviance(state, self.law) * half**2,
            kkt_residual=residual(at.point, at.score, m, best.strength, sparse.mix, bare.n),
            coefficient_error_bound=float(bounds.max()),
            shrunken=True,
        )

    def fitted(self, state: Fitting, bare: Fit) -> Fit:
        n, sums, constants = bare.n, state.final, self.constants(state)
        law, half = self.law, self.outcome.half
        if state.shape is not None:
            law = replace(law, alpha=exp(state.shape))
        p = len(state.point) + round(sums["constants"][0] if "constants" in sums else 0)
        back = constants.back(state.columns) * half
        pearson = sums["pearson"][0]
        dispersion = pearson / (n - p) if law.dispersed or self.question.dispersion == "pearson" else 1.0
        evaluated = self._at(state, pearson)
        certificate = self._certificate(state, evaluated, back)
        estimates = back @ evaluated.point
        estimates[: constants.count] += self.outcome.middle
        clusters = round(sums["clusters"][0]) if self.question.clustered else None
        if clusters is not None and clusters < FEW_CLUSTERS:
            raise ConfigError("MODEL_CLUSTERS_FEW", clusters=clusters, least=FEW_CLUSTERS)
        covariance = back @ self._covariance(state, evaluated, n, p, dispersion) @ back.T
        degrees = self._degrees(n - p, clusters)
        deviance = sums["deviance"][0] * half**2
        likelihood = self._likelihood(state, n, deviance, dispersion)
        names = (*constants.names(self.labels), *self._names(state))
        bounds = certificate.coefficients[: len(estimates)]
        listed = coefficients(names, estimates, covariance, degrees, self.confidence, bounds)
        doubtful = any(each.error_bound > WIDE_ERROR * each.std_error for each in listed)
        doubtful |= bare.left_out > MOST_LEFT_OUT * (bare.left_out + state.rows)
        estimated = p + (state.shape is not None)
        return replace(
            bare,
            coefficients=listed,
            covariance=tuple(tuple(row) for row in covariance.tolist()),
            degrees=degrees,
            deviance=deviance,
            null_deviance=self._null_deviance(state, law) * half**2,
            pearson=pearson * half**2,
            dispersion=dispersion * half**2,
            log_likelihood=likelihood,
            aic=None if likelihood is None else 2 * estimated - 2 * likelihood,
            bic=None if likelihood is None else estimated * log(n) - 2 * likelihood,
            clusters=clusters,
            alpha=None if state.shape is None else law.alpha,
            alpha_error=None if state.shape is None else law.alpha * sums["shape"][2] ** -0.5,
            coefficient_error_bound=float(bounds.max()),
            se_error_bound=float(certificate.errors[: len(estimates)].max()),
            rms_error=certificate.rms,
            shrunken=self.question.penalty is not None,
            few_clusters=clusters is not None and clusters < MANY_CLUSTERS,
            influence=told(sums) if self.question.influence else (),
            obs_status="u" if doubtful else "",
        )

    def around(self, state: Fitting) -> tuple[Numbers, Numbers]:
        """At the final point: the inverse of the information that a city is taken out of (upper triangle, of z), and the variances of the
        coefficients."""
        n, p = state.sums[0], len(state.point)
        pearson = state.final["pearson"][0]
        dispersion = pearson / (n - p) if self.law.dispersed or self.question.dispersion == "pearson" else 1.0
        back = self.constants(state).back(state.columns) * self.outcome.half
        at = self._at(state, pearson)
        variances = np.diag(back @ self._covariance(state, at, n, p, dispersion) @ back.T)
        inverse = np.linalg.inv(at.observed)
        return tuple(inverse[np.triu_indices(p)].tolist()), tuple(variances.tolist())

    def _at(self, state: Fitting, pearson: float) -> Evaluated:
        """The final sums as the certificate reads them, a ridge included."""
        point, sums = np.array(state.point), state.final
        slopes, constants = len(state.columns.groups), self.constants(state)
        penalty = self.question.ridge(len(point), slopes)
        expected = constants.whole(np.array(sums["information"]), 1 + slopes) + np.diag(penalty)
        observed = expected
        if "observed" in sums:
            observed = constants.whole(np.array(sums["observed"]), 1 + slopes) + np.diag(penalty)
        blocks = {each.name: each for each in self.city.blocks(self._last_ask(state))}
        return Evaluated(
            point=point,
            score=np.array(sums["score"]) - penalty * point,
            observed=observed,
            expected=expected,
            pearson=pearson,
            n=float(state.rows),
            score_rounding=state.roundings * blocks["score"].rounding,
            information_rounding=state.roundings * blocks["information"].rounding,
        )

    def _certificate(self, state: Fitting, at: Evaluated, back: Reals) -> Certificate:
        """Beside what `certify` knows: arithmetic before a city's own constant was taken out; ln alpha, whose derivatives hold
        differences of digamma functions; and leverages by the information of the point before."""
        size = np.sqrt(np.array(state.final["size"])) if "size" in state.final else None
        if state.shape is not None:
            _, first, second = state.final["shape"]
            border = np.array(state.final["cross"])
            added = SAFE * UNIT * 8 * at.n * (1 + exp(-state.shape))
            joint = replace(
                at,
                point=np.append(at.point, state.shape),
                score=np.append(at.score, first),
                observed=bordered(at.observed, border, second),
                expected=bordered(at.expected, 0 * border, second),
                score_rounding=at.score_rounding + added,
            )
            whole = np.eye(len(back) + 1)
            whole[:-1, :-1] = back
            return certify(joint, whole, state.roundings)
        if not self.question.firth:
            return certify(at, back, state.roundings, size)
        lag = apart(state.inverse, at.expected)
        widest = max(state.columns.most(self.city.design.pieces), default=1.0)
        lagging = replace(at, score_rounding=at.score_rounding + lag / 2 * len(at.point) * max(widest, 1.0))
        found = certify(lagging, back, state.roundings)
        return replace(found, coefficients=2 * found.coefficients)  # each step is at most half of the one before

    def _last_ask(self, state: Fitting) -> Ask:
        return Ask(
            round=state.round - 1,
            purpose="final",
            study=self.study,
            layout="",
            chain="",
            columns=state.columns,
            point=state.point,
            null=state.null,
            places=state.places,
            shape=state.shape,
        )

    def _covariance(self, state: Fitting, at: Evaluated, n: float, p: int, dispersion: float) -> Reals:
        """Of the coefficients of z: dispersion H^-1, or the sandwich J^-1 M J^-1 with its factor. A ridge has H inside its own inverse."""
        size, errors, slopes = len(at.point), self.question.errors, len(state.columns.groups)
        if errors == "model":
            inverse = np.linalg.inv(at.expected)
            free = at.expected - np.diag(self.question.ridge(size, slopes))
            shrunken = inverse @ free @ inverse if isinstance(self.question.penalty, Ridge) else inverse
            return np.asarray(dispersion * shrunken, np.float64)
        inverse = np.linalg.inv(at.observed)
        factor = 1.0
        if isinstance(errors, Clustered):
            groups = state.final["clusters"][0]
            factor = groups / (groups - 1) * (n - 1) / (n - p) if errors.correction and groups > 1 else 1.0
        elif errors != "hc0":
            factor = n / (n - p)
        meat = self.constants(state).whole(np.array(state.final["meat"]), 1 + slopes)
        return np.asarray(factor * (inverse @ meat @ inverse), np.float64)

    def _degrees(self, residual: float, clusters: int | None) -> float | None:
        if clusters is not None:
            return clusters - 1.0
        return residual if self.law.dispersed or self.question.dispersion == "pearson" else None

    def _null_deviance(self, state: Fitting, law: Law) -> float:
        if self.question.offset is not None:
            return state.final["null"][0]
        _, weight, y, own, _ = state.sums
        return law.null_deviance(weight, y, state.final["own"][0] if "own" in state.final else own)

    def _likelihood(self, state: Fitting, n: float, deviance: float, dispersion: float) -> float | None:
        """None where it is not a function of sums (gaussian and gamma with analytic weights), and of a quasi-likelihood, which is none."""
        if self.question.dispersion == "pearson" and not self.law.dispersed:
            return None
        first, second = state.final["likelihood"]
        if not self.law.dispersed:
            return first
        if self.question.weights is not None and self.question.weights.kind == "analytic":
            return None
        return self.law.dispersed_likelihood(n, deviance, second, first, dispersion)


def bordered(matrix: Reals, border: Reals, corner: float) -> Reals:
    """One parameter more."""
    return np.asarray(np.block([[matrix, border[:, None]], [border[None, :], np.array([[corner]])]]), np.float64)


def apart(inverse: Numbers, matrix: Reals) -> float:
    """How far an upper triangle is from the inverse of a matrix: the largest |eigenvalue - 1| of their product."""
    product = square(np.array(inverse), len(matrix)) @ matrix
    return float(np.abs(np.linalg.eigvals(product) - 1).max())
