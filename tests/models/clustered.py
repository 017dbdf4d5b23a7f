"""Holders in clusters, and cities that find them: integer sums modulo 2^64 in place of masks, with the noise of a study."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from protocols import dictionary as dictionaries
from protocols import entropy, noise
from protocols.dictionary import Column, Dictionary, Reading, Table
from protocols.models.interface import Ask, Done, Result, Sums
from protocols.models.kmeans import Clustering, Clusters, KMeans
from protocols.models.question import Setting
from protocols.privacy import Need, calibrate
from protocols.ring import Vector
from protocols.statistics.layout import Domain
from protocols.yamltext import read
from tests.models.federation import secure_sum

NAMES: Final = ("a", "b", "c", "d", "e", "f")
MEANT: Final = dictionaries.parse(
    read(
        b"dictionary: clustered\nversion: 1\nvariables:\n"
        + b"".join(b"  %s: {type: number, range: [-1, 1]}\n" % name.encode() for name in NAMES)
        + b"  years: {type: integer, range: [0, 4]}\n  paid: {type: money, range: [0, 100000]}\n",
        "clustered.yaml",
    )
)
AS_OF: Final = date(2022, 5, 31)
STUDY: Final = "sha256:" + "5" * 64
Floats = npt.NDArray[np.float64]


def mixture(
    seed: int, holders: int, clusters: int = 6, variables: int = 6, spread: tuple[float, float] = (0.1, 0.3)
) -> Floats:
    """Normal clusters of unequal sizes and shapes in [-1, 1]^d: some apart, some overlapping."""
    draw = entropy.public_stream("clusters", str(seed), f"{clusters} {variables} {spread}")
    middle = draw.uniform(-0.7, 0.7, (clusters, variables))
    sd = draw.uniform(*spread, (clusters, variables))
    which = draw.choice(clusters, holders, p=draw.dirichlet(np.full(clusters, 5.0)))
    return np.clip(middle[which] + sd[which] * draw.normal(size=(holders, variables)), -1, 1)


def table(points: Floats) -> Table:
    known = np.ones(len(points), dtype=bool)
    return Table(len(points), {name: Column(points[:, at], known) for at, name in enumerate(NAMES[: points.shape[1]])})


@dataclass(frozen=True)
class Federation:
    """One k-means over several cities. `epsilon`: none in mode exact. Noise is one draw of Skellam for all of them together."""

    question: KMeans
    epsilon: str | None = None
    dictionary: Dictionary = MEANT
    cities: int = 3
    seed: int = 0

    @property
    def domain(self) -> Domain:
        return Domain(self.dictionary, exact=self.epsilon is None)

    @property
    def v20(self) -> Mapping[str, int]:
        """Of each draw."""
        if self.epsilon is None:
            return {}
        draws = self.question.draws(self.domain)
        needs = [Need(each.l1, each.l2sq, each.share, each.times) for each in draws]
        found = calibrate(needs, Decimal(self.epsilon), Decimal("1e-6"))
        return {each.name: v20 for each, v20 in zip(draws, found, strict=True)}

    def model(self) -> Clustering:
        variances = {name: v20 / noise.UNIT for name, v20 in self.v20.items()}
        return self.question.planned(Setting(self.domain, self.cities, 1 << 20, STUDY, 0.95, variances))

    def vector(self, model: Clustering, ask: Ask, rows: Table) -> Vector:
        """A city's answer, in one batch."""
        return model.encode(ask, model.measure(ask, Reading(rows, self.dictionary, AS_OF), rows.holders))

    def rounds(
        self, model: Clustering, cities: list[Table], state: Clusters | None = None
    ) -> Iterator[tuple[Ask, Clusters]]:
        """Every ask, and the state that it led to, written as JSON and read again in between."""
        state, v20 = state or model.start(), self.v20
        source = entropy.seeded("kmeans", self.seed)
        while not isinstance(ask := model.ask(state), Done):
            asked = Ask.model_validate_json(ask.model_dump_json())
            total = secure_sum([self.vector(model, asked, city) for city in cities])
            blocks = model.blocks(ask)
            assert len(total) == model.length(ask) <= model.most_cells
            if v20:
                assert model.drawn(ask) == tuple(each.name for each in blocks)
                total = total + np.concatenate([noise.skellam(source, v20[each.name], each.cells) for each in blocks])
            state = Clusters.model_validate_json(model.tell(state, asked, total).model_dump_json())
            yield ask, state

    def answer(self, cities: list[Table]) -> tuple[Result, list[tuple[Ask, Clusters]]]:
        model = self.model()
        told = list(self.rounds(model, cities))
        return model.result(told[-1][1]), told


def asked(**keys: Any) -> KMeans:
    return KMeans.model_validate({"id": "q", "kind": "kmeans", "of": list(NAMES), "k": "6", **keys})


def in_cities(points: Floats, cities: int = 3) -> list[Table]:
    return [table(each) for each in np.array_split(points, cities)]


def doubled(sums: Sums, times: int) -> Sums:
    return replace(sums, values={name: value * times for name, value in sums.values.items()})
