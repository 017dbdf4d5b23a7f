"""The keys of a question `kind: glm`, and which of them go together."""

from typing import Annotated, Literal

import numpy as np
from pydantic import BeforeValidator, Field

from protocols.dictionary import Dictionary
from protocols.errors import ConfigError
from protocols.models import design
from protocols.models.design import Design
from protocols.models.effects import CityEffects
from protocols.models.families import LINKS, Family, Law, Link
from protocols.models.fixedpoint import Reals
from protocols.models.rows import Weights
from protocols.yamltext import Flag, Real, Record, Whole

FEW_CLUSTERS = 5
Names = Annotated[tuple[str, ...], BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)]


class Clustered(Record):
    """`cluster: city`, or a column whose groups lie inside a city. correction: statsmodels' factor G/(G-1) (n-1)/(n-p)."""

    cluster: str
    correction: Flag = True


class Ridge(Record):
    """Adds strength / 2 times the sum of squared standardised coefficients, without the constant, to minus the log-likelihood."""

    kind: Literal["ridge"]
    strength: Annotated[Real, Field(gt=0)]


class Firth(Record):
    """Adds half the log determinant of the information to the log-likelihood of a logit: estimates are finite where codes separate.

    Source: D. Firth, Bias reduction of maximum likelihood estimates, Biometrika 80 (1993).
    """

    kind: Literal["firth"]


class Sparse(Record):
    """`lasso`, or `elastic_net` with `mix`, the share of |b| in the penalty. One strength, or a path of `steps` of them, of which that
    with the least extended BIC is answered. There are no errors and p-values after a choice of columns."""

    kind: Literal["lasso", "elastic_net"]
    strength: Annotated[Real, Field(gt=0)] | None = None
    steps: Annotated[Whole, Field(ge=2, le=12)] | None = None
    mix: Annotated[Real, Field(gt=0, le=1)] = 1.0


class Glm(Record):
    """errors: `robust` is `hc1`. alpha: of the negative binomial, `estimate` for the value of the largest likelihood. influence: each city
    tells how far the coefficients would move without it."""

    family: Family
    link: Link | None = None
    outcome: str
    terms: Names = ()
    offset: str | None = None
    weights: Weights | None = None
    alpha: Annotated[Real, Field(gt=0)] | Literal["estimate"] | None = None
    dispersion: Literal["pearson"] | None = None
    missing: Literal["drop", "indicator"] = "drop"
    collinear: Literal["refuse", "drop"] = "refuse"
    errors: Literal["model", "robust", "hc0", "hc1"] | Clustered = "model"
    penalty: Ridge | Firth | Sparse | None = None
    city_effects: CityEffects = "none"
    influence: Flag = False

    @property
    def law(self) -> Law:
        """With an alpha that is estimated, at alpha = 1."""
        link = self.link or LINKS[self.family][0]
        return Law(self.family, link, 1.0 if self.alpha in (None, "estimate") else float(self.alpha or 1))

    @property
    def clustered(self) -> str:
        """`city`, the column that clusters, or an empty text."""
        return self.errors.cluster if isinstance(self.errors, Clustered) else ""

    def ridge(self, size: int, slopes: int) -> Reals:
        """The diagonal that a ridge adds to the information of so many parameters; constants, in front of the slopes, are free."""
        strength = self.penalty.strength if isinstance(self.penalty, Ridge) else 0.0
        return np.concatenate([np.zeros(size - slopes), np.full(slopes, strength)])

    @property
    def estimates_alpha(self) -> bool:
        return self.alpha == "estimate"

    @property
    def sparse(self) -> Sparse | None:
        return self.penalty if isinstance(self.penalty, Sparse) else None

    @property
    def firth(self) -> bool:
        return isinstance(self.penalty, Firth)


def check(question: Glm, dictionary: Dictionary, cities: int, columns: Design, offset: Design | None) -> None:
    """Errors: `ConfigError` for names, types, ranges and keys that do not go together."""
    family, name, weights = question.family, question.outcome, question.weights
    if question.link is not None and question.link not in LINKS[family]:
        raise ConfigError("MODEL_LINK", family=family, link=question.link, known=", ".join(LINKS[family]))
    if (family == "negative_binomial") != (question.alpha is not None):
        raise ConfigError("MODEL_ALPHA")
    kind = design.known(dictionary, name, (*design.NUMERIC, "boolean"), "outcome")
    low, high = design.range_of(dictionary, name)
    fits = {
        "gaussian": kind != "boolean",
        "binomial": kind == "boolean" or (weights is not None and low >= 0 and high <= 1),
        "poisson": kind == "integer" and low >= 0,
        "gamma": kind != "boolean" and low > 0,
        "negative_binomial": kind == "integer" and low >= 0,
    }
    if not fits[family]:
        raise ConfigError("MODEL_OUTCOME_RANGE", name=name, family=family, range=f"{kind} [{low:g}, {high:g}]")
    if name in columns.variables:
        raise ConfigError("MODEL_TERM_OUTCOME", name=name)
    if offset is not None and (len(offset.pieces) != 1 or offset.pieces[0].indicator):
        raise ConfigError("MODEL_TYPE", name=question.offset, kind="category", types="number", where="offset")
    if weights is not None:
        allowed = ("integer",) if weights.kind == "frequency" else design.NUMERIC
        design.known(dictionary, weights.of, allowed, "weights")
        if design.range_of(dictionary, weights.of)[0] < 0:
            raise ConfigError("MODEL_WEIGHTS", name=weights.of)
    if question.clustered == "city" and cities < FEW_CLUSTERS:
        raise ConfigError("MODEL_CLUSTERS_FEW", clusters=cities, least=FEW_CLUSTERS)
    if question.clustered not in ("", "city"):
        design.known(dictionary, question.clustered, (*design.CODED, "integer"), "errors.cluster")
    _together(question)


def of_cities(terms: tuple[str, ...], key: str) -> None:
    """Attributes of cities are constants of cities. Errors: `ConfigError MODEL_COLLINEAR`, naming the term."""
    for text in terms:
        if any(factor.how == "city" for factor in design.parse(text).factors):
            raise ConfigError("MODEL_COLLINEAR", name=text, names=key)


def _together(question: Glm) -> None:
    """Errors: `ConfigError MODEL_TOGETHER`."""
    effects = f"city_effects: {question.city_effects}"
    sparse = question.sparse
    within = question.city_effects in ("concentrated", "random")
    faults = {
        ("terms: []", effects): within and not question.terms,
        ("alpha: estimate", effects): question.estimates_alpha and within,
        ("alpha: estimate", "offset"): question.estimates_alpha and question.offset is not None,
        ("alpha: estimate", "penalty"): question.estimates_alpha and question.penalty is not None,
        ("penalty", effects): question.city_effects == "random" and question.penalty is not None,
        ("errors", effects): question.city_effects == "random" and question.errors != "model",
        ("penalty: firth", effects): question.firth and question.city_effects != "none",
        ("penalty: firth", "weights"): question.firth and question.weights is not None,
        ("penalty: firth", "errors"): question.firth and question.errors != "model",
        ("penalty: lasso", "errors"): sparse is not None and question.errors != "model",
        ("penalty: lasso", "terms: []"): sparse is not None and not question.terms,
        ("strength", "steps"): sparse is not None and (sparse.strength is None) == (sparse.steps is None),
        ("influence", effects): question.influence and question.city_effects != "none",
        ("influence", "alpha: estimate"): question.influence and question.estimates_alpha,
        ("influence", "penalty"): question.influence and (question.firth or sparse is not None),
        ("kind: lasso", "mix"): sparse is not None and (sparse.kind == "lasso") != (sparse.mix == 1),
        ("penalty: firth", f"{question.family} {question.law.link}"): question.firth and question.law.link != "logit",
    }
    for (key, other), wrong in faults.items():
        if wrong:
            raise ConfigError("MODEL_TOGETHER", key=key, other=other)
