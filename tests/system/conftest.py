"""Small synthetic cities, made once for each process of a test run."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from node import ingest
from protocols import study
from protocols.entropy import seeded
from protocols.study import Study
from simulations import cities
from simulations import world as worlds
from tests.six import Six, written

ROWS = 1200
SMALL = """study: small-profile
title: {zh: 小研究, en: A small study}
purpose: {zh: 测试, en: a test}
asker: analyst
dictionary: hpf-flexible-employment@1
as_of: 2022-05-31
cohort: {variable: account_type, is: flexible}
privacy: {mode: dp, epsilon: 1.0, tolerate: {dropouts: 1, colluders: 1}}
questions:
  - {id: accounts, kind: count}
  - {id: product, kind: frequency, of: product}
  - {id: tgi_generation, kind: tgi, target: product, by: generation}
  - {id: withdrew_sex, kind: crosstab, by: [withdrew_24m, sex]}
  - {id: residence, kind: frequency, of: residence}
"""


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six cities of 1,200 rows each. Read only: runs with a seed keep their homes elsewhere."""
    out = tmp_path_factory.mktemp("made") / "cities"
    cities.write(out, cities.ALL, ROWS)
    return out


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The six cities at their own sizes, as the demo writes them. Read only."""
    out = tmp_path_factory.mktemp("cities") / "world"
    cities.write(out)
    return out


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A study file of five questions."""
    path = tmp_path / "study.yaml"
    path.write_text(SMALL, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def ingested(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Homes of the six cities with their snapshots, to be copied."""
    homes = tmp_path_factory.mktemp("ingested")
    for city in cities.ALL:
        ingest.ingest(made / city, homes / city, seeded("tests", city))
    return homes


@pytest.fixture(scope="session")
def six(tmp_path_factory: pytest.TempPathFactory) -> Six:
    """Six cities of 400 known rows each, ingested. Read only, but for a policy that is put back."""
    return written(tmp_path_factory.mktemp("six"))


Ask = Callable[..., worlds.Outcome]


@pytest.fixture
def ask(made: Path, ingested: Path, small: Path, tmp_path: Path) -> Ask:
    """Runs a study over the six cities, in a seeded world of its own whose snapshots are there already."""

    def run(asked: Study | None = None, *, seed: int = 7, drops: tuple[str, ...] = ()) -> worlds.Outcome:
        found = asked or study.load(small)
        homes = worlds.fresh_homes(tmp_path)
        shutil.copytree(ingested, homes, dirs_exist_ok=True)
        return worlds.run(found, made, homes, seed=seed, drops=[worlds.drop(text) for text in drops])

    return run
