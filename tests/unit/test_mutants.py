"""Faults that would cost privacy and break nothing that anyone sees: each is put into the code, and a named test must fail.

- the noise of a city is V / n, as if nobody colluded or dropped out, where the plan allows both;
- amounts are paid for by D1 where they must be by D2;
- the noise of two releases is drawn from one stream.

That events of one holder are bounded before they are summed has no mutant here: this version refuses dictionaries with events.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from node import gate
from protocols import dictionary as dictionaries
from protocols import study
from protocols.entropy import seeded
from protocols.errors import ConfigError
from protocols.plan import Agreement, agree
from protocols.privacy import Need
from protocols.statistics.layout import Block, Layout, Measure, amount
from protocols.yamltext import read
from tests import gates
from tests.conversations.table import roster_of
from tests.gates import Rig
from tests.laws import test_measures_laws as measures
from tests.laws.generated import INCOME
from tests.unit import test_gate, test_plan

Patch = pytest.MonkeyPatch


def killed(test: Callable[..., None], *given: Any) -> bool:
    """Whether a test fails, by what it asserts."""
    try:
        test(*given)
    except AssertionError:
        return True
    return False


def agreed(folder: Path) -> Agreement:
    return agree(test_plan.asked(folder), test_plan.CITIES, roster_of(test_plan.CITIES))


def test_noise_divided_by_all_cities_is_noticed(tmp_path: Path, monkeypatch: Patch) -> None:
    named = test_plan.test_the_fewest_honest_cities_alone_reach_the_noise_that_was_planned
    assert not killed(named, agreed(tmp_path))
    monkeypatch.setattr(Agreement, "honest", property(lambda of: len(of.cities)))
    assert killed(named, agreed(tmp_path))


def test_noise_divided_by_all_that_may_answer_colluders_among_them_is_noticed(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(Agreement, "honest", property(lambda of: of.limits.t))
    assert killed(test_plan.test_the_fewest_honest_cities_alone_reach_the_noise_that_was_planned, agreed(tmp_path))


def test_amounts_paid_for_by_their_sum_are_noticed(tmp_path: Path, monkeypatch: Patch) -> None:
    named = test_plan.test_every_block_pays_its_share_whatever_its_unit
    assert not killed(named, agreed(tmp_path))
    monkeypatch.setattr(study, "Need", lambda l1, _l2sq, share, times: Need(l1, l1, share, times))
    assert killed(named, agreed(tmp_path))


def test_amounts_declared_by_their_sum_are_noticed(monkeypatch: Patch) -> None:
    """By the law of every measure, and, before any study is read, by the register itself."""
    named = measures.test_one_holder_changes_no_more_than_is_declared.hypothesis.inner_test  # type: ignore[attr-defined]  # hypothesis adds it
    block = amount(INCOME)
    layout, rich = Layout((block,)), measures.EXTREME
    assert block.measure is Measure.AMOUNT
    assert not killed(named, layout, [], rich)
    monkeypatch.setattr(Block, "l2sq", property(lambda of: of.l1))
    assert killed(named, layout, [], rich)
    with pytest.raises(ConfigError, match="smaller effect"):
        Layout((block,))


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Rig]:
    gates.write(tmp_path / "cities")
    with gates.rig(tmp_path / "cities") as open_rig:
        yield open_rig


@pytest.mark.parametrize(
    ("where", "mutant"),
    [("aes_stream", lambda _key: seeded("one stream for all")), ("exactly", lambda _entropy, size: bytes(size))],
    ids=["one stream", "one seed"],
)
def test_noise_from_a_reused_stream_is_noticed(
    tiny: Rig, monkeypatch: Patch, where: str, mutant: Callable[..., Any]
) -> None:
    monkeypatch.setattr(gate, where, mutant)
    with monkeypatch.context() as inner:
        assert killed(test_gate.test_every_city_draws_its_noise_afresh_for_every_conversation, tiny, inner)


def test_no_dictionary_with_events_is_read_yet() -> None:
    """When this fails, a mutant that leaves them unbounded belongs above."""
    content = b"dictionary: d\nversion: 1\nvariables: {a: {type: boolean}}\nevents: {most_rows_per_holder: 12}\n"
    with pytest.raises(ConfigError) as caught:
        dictionaries.parse(read(content, "d.yaml"))
    assert caught.value.code == "NOT_YET"
