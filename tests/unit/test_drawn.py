"""What the rounds of many-round questions release with noise: in the study, in the plan, and in a city's books."""

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from coordinator import split
from node.entries import Claim
from protocols import privacy
from protocols import study as studies
from protocols.errors import ConfigError
from protocols.models.kmeans import Clustering
from protocols.noise import UNIT, node_v20
from protocols.plan import between
from protocols.session import Session
from protocols.stated import Noise
from protocols.study import Study

HEAD = """study: clusters
title: {zh: 类, en: clusters}
purpose: {zh: 试, en: a test}
asker: analyst
dictionary: hpf-flexible-employment@1
as_of: 2022-05-31
privacy: {epsilon: 1.0}
"""
COUNT = "  - {id: accounts, kind: count}\n"
ONE = "  - {id: one, kind: kmeans, of: [age, homes], k: 2, rounds: 3}\n"
TWO = "  - {id: two, kind: kmeans, of: [age, homes, months_paying], k: 3, rounds: 1, weight: 2}\n"


def study(folder: Path, questions: str, more: str = "") -> Study:
    path = folder / "study.yaml"
    path.write_text(f"{HEAD}{more}questions:\n{questions}", encoding="utf-8")
    return studies.load(path)


def test_a_many_round_question_weighs_as_many_blocks_as_it_releases(tmp_path: Path) -> None:
    asked = study(tmp_path, COUNT + ONE + TWO)
    whole = 1 + 7 + 2 * 3  # one block; 1 + 2 * 3 releases; 1 + 2 releases of twice the weight
    names = [f"{name}: {draw.name}" for name, draw in asked.drawn]
    assert names == [f"{name}: {part}" for name in ("one", "two") for part in ("pairs", "holders", "sums")]
    of_one = [Fraction(7, whole) * part for part in (Fraction(2, 5), Fraction(3, 10), Fraction(3, 10))]
    of_two = [Fraction(6, whole) * part for part in (Fraction(2, 5), Fraction(3, 10), Fraction(3, 10))]
    assert asked.shares == (Fraction(1, whole), *of_one, *of_two)
    assert sum(asked.shares) == 1
    assert asked.in_exact_mode().drawn == ()


@pytest.mark.parametrize("more", ["", "repeat: {every: month, times: 3}\n"])
def test_a_plan_of_all_that_rounds_release_costs_the_epsilon_of_the_study(tmp_path: Path, more: str) -> None:
    asked = study(tmp_path, COUNT + ONE + TWO, more)
    agreement = between(asked, (1, 2, 3, 4, 5, 6), 5_000)
    assert len(agreement.v20) == 1
    assert agreement.own_v20 == ()
    assert [each.name for each in agreement.drawn][:2] == ["one: pairs", "one: holders"]
    assert Decimal("0.999") < agreement.epsilon <= 1
    for each in agreement.drawn:
        assert each.node_v20 == node_v20(each.v20, agreement.honest)
    sums = {each.name: each for each in agreement.drawn}
    assert sums["one: sums"].v20 > 1000 * sums["one: holders"].v20
    one, two = Session(agreement).models.models.values()
    assert isinstance(one, Clustering)
    assert isinstance(two, Clustering)
    assert one.setting.variances["pairs"] == pytest.approx(6 * sums["one: pairs"].node_v20 / UNIT)
    assert two.setting.variances.keys() == {"pairs", "holders", "sums"}


def test_a_city_holds_all_rounds_of_a_session_at_once_and_each_of_them_has_its_part(tmp_path: Path) -> None:
    asked = study(tmp_path, ONE + TWO)
    session = Session(between(asked, (1, 2, 3), 5_000))
    claim = Claim.of(
        asked,
        conversation=bytes(16),
        plan=bytes(32),
        run=1,
        expires=1,
        cities=session.cities,
        snapshot="hmac:x",
        rounds=session.rounds,
        drawn=session.agreement.drawn,
        part=1,
    )
    assert [(each.block, each.rounds) for each in claim.charges] == [
        (each.name, each.draw.times) for each in session.agreement.drawn
    ]
    assert privacy.epsilon_of(claim.cost.curve, asked.delta) == session.agreement.epsilon
    asks = session.models.begin().asks
    assert session.released(asks) == (0, 3)
    exact = Session(between(asked.in_exact_mode(), (1, 2, 3), 5_000))
    assert exact.released(exact.models.begin().asks) == ()
    assert exact.noise != session.noise


def test_noise_that_a_study_states_is_of_rounds_too(tmp_path: Path) -> None:
    asked = study(tmp_path, COUNT + ONE)
    assert split.stated(asked) is asked, "many-round questions say themselves how they share"
    given = asked.with_noise(Noise(accounting="rdp", shares=(5, 2, 2, 1)))
    assert given.shares == (Fraction(1, 2), Fraction(1, 5), Fraction(1, 5), Fraction(1, 10))
    assert given.digest != asked.digest
    with pytest.raises(ConfigError, match="4"):
        asked.with_noise(Noise(accounting="rdp", shares=(5, 2, 2)))
    with pytest.raises(ConfigError, match="pld"):
        asked.with_noise(Noise(accounting="pld", shares=(5, 2, 2, 1), scale=1 << 30))


def test_cells_with_more_noise_in_them_are_planned_for(tmp_path: Path) -> None:
    agreement = between(study(tmp_path, ONE), (1, 2, 3), 5_000)
    assert agreement.drawn_draws > 0
    assert replace(agreement, cities=(1, 2, 3, 4)).draws * 3 == agreement.draws * 4
