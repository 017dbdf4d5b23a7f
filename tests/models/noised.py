"""Regressions with noise over rows in one process: the noise is one draw of Skellam for all cities together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property
from typing import Any, Final

import numpy as np

from protocols import noise
from protocols.dictionary import Column
from protocols.entropy import seeded
from protocols.models.interface import Done, Result
from protocols.models.private import PrivateFit, PrivatePlan
from protocols.models.question import ManyRounds, Setting
from protocols.models.regression import Regression
from protocols.privacy import Need, calibrate
from protocols.statistics.layout import Domain
from tests.models.data import Frame, dictionary
from tests.models.federation import secure_sum

STUDY: Final = "sha256:" + "7" * 64
DELTA: Final = Decimal("1e-6")


@dataclass(frozen=True)
class Noised:
    """A regression of a study that asks nothing else. `epsilon`: none for the schedule without its noise."""

    frame: Frame
    question: Regression
    epsilon: str | None = "1"
    most_rows: int = 1 << 20

    @cached_property
    def v20(self) -> Mapping[str, int]:
        return variances(self.question, self.frame, self.epsilon)

    @cached_property
    def plan(self) -> PrivatePlan:
        variances = {name: v20 / noise.UNIT for name, v20 in self.v20.items()}
        setting = Setting(Domain(self.frame.dictionary), 6, self.most_rows, STUDY, 0.95, variances)
        found = self.question.planned(setting)
        assert isinstance(found, PrivatePlan)
        return found

    def fitted(self, seed: object = 0, cities: Sequence[Frame] = ()) -> tuple[Result, PrivateFit]:
        """Every round."""
        state: PrivateFit = played(self.plan, cities or (self.frame,), self.v20, seed)
        return self.plan.result(state), state


def variances(question: ManyRounds, frame: Frame, epsilon: str | None) -> Mapping[str, int]:
    """Of each draw, in 2^-20, in a study that asks nothing else."""
    draws = question.draws(Domain(frame.dictionary))
    if epsilon is None:
        return {}
    needs = [Need(each.l1, each.l2sq, each.share, each.times) for each in draws]
    return dict(zip((each.name for each in draws), calibrate(needs, Decimal(epsilon), DELTA), strict=True))


def played(plan: Any, cities: Sequence[Frame], v20: Mapping[str, int], seed: object = 0) -> Any:
    """The last state; asks and states are written as JSON and read again."""
    source, state = seeded("private", str(seed)), plan.start()
    while not isinstance(ask := plan.ask(state), Done):
        asked = type(ask).model_validate_json(ask.model_dump_json(), strict=True)
        vectors = [plan.encode(asked, plan.measure(asked, each.columns.__getitem__, each.rows)) for each in cities]
        total = secure_sum(vectors)
        assert len(total) == plan.length(ask) <= plan.most_cells
        if v20:
            (name,) = plan.drawn(ask)
            total = total + noise.skellam(source, v20[name], len(total))
        told = plan.tell(state, asked, total)
        state = type(told).model_validate_json(told.model_dump_json(), strict=True)
    return state


def question(family: str, terms: Sequence[str], **keys: Any) -> Regression:
    return Regression.model_validate(
        {"id": "fit", "kind": "glm", "family": family, "outcome": "y", "terms": list(terms), **keys}
    )


def population(rows: int, numbers: int, indicators: int, family: str, seed: int = 1) -> Frame:
    """Columns that are correlated with each other, of unequal spreads and shares, and an outcome that follows them. The public ranges are
    those that a dictionary would have: the numbers use up to a third of theirs."""
    draw = np.random.default_rng(seed)  # noqa: TID251 a test's own rows
    q = numbers + indicators
    mix = np.eye(q) + 0.2 * np.random.default_rng(1).normal(size=(q, q))  # noqa: TID251 the same of every seed
    latent = draw.normal(size=(rows, q)) @ mix.T
    spreads = np.exp(np.linspace(0, 2, numbers))
    values = np.clip(latent[:, :numbers] * spreads + spreads, -7 * spreads, 9 * spreads)
    codes = latent[:, numbers:] > np.linspace(0, 1.3, indicators) if indicators else np.zeros((rows, 0), bool)
    eta = np.column_stack([values, codes]) @ law(numbers, indicators)[1:]
    eta = eta - eta.mean()
    known = np.ones(rows, bool)
    variables: dict[str, Any] = {}
    columns = {}
    for at in range(numbers):
        low, high = np.floor(-7 * spreads[at]), np.ceil(9 * spreads[at])
        variables[f"x{at}"] = {"type": "number", "range": (str(low), str(high))}
        columns[f"x{at}"] = Column(values[:, at], known)
    for at in range(indicators):
        variables[f"c{at}"] = {"type": "boolean"}
        columns[f"c{at}"] = Column(codes[:, at].astype(np.int8), known)
    match family:
        case "binomial":
            variables["y"] = {"type": "boolean"}
            y: Any = (draw.random(rows) < 1 / (1 + np.exp(1.4 - eta))).astype(np.int8)
        case "poisson":
            variables["y"] = {"type": "integer", "range": (0, 40)}
            y = np.minimum(draw.poisson(np.exp(0.3 * eta)), 40)
        case _:
            variables["y"] = {"type": "number", "range": ("-30", "30")}
            y = np.clip(eta + draw.normal(size=rows) * 2, -30, 30)
    columns["y"] = Column(y, known)
    return Frame(dictionary(variables), columns, rows)


def law(numbers: int, indicators: int) -> Any:
    """The coefficients of that outcome, of a binomial model; the constant, which is not the same in all, as 0."""
    slopes = np.concatenate([0.25 / np.exp(np.linspace(0, 2, numbers)), np.full(indicators, 0.4)])
    return np.concatenate([[0.0], slopes * np.where(np.arange(numbers + indicators) % 3 == 0, -1, 1)])


def names(frame: Frame) -> list[str]:
    return [name for name in frame.columns if name != "y"]


def stated(frame: Frame, **said: Mapping[str, str]) -> Frame:
    """The same rows, whose dictionary says centre and spread of some variables."""
    variables = {name: each.model_dump(exclude_defaults=True) for name, each in frame.dictionary.variables.items()}
    for name, keys in said.items():
        variables[name] |= keys
    return replace(frame, dictionary=dictionary(variables))
