"""Faults that would cost privacy and break nothing that anyone sees: each is put into the code, and a named test must fail.

- the noise of a city is V / n, as if nobody colluded or dropped out, where the plan allows both;
- amounts are paid for by D1 where they must be by D2;
- the noise of two releases is drawn from one stream;
- events of one holder are paid for as one, or are not bounded before they are summed.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from node import gate, ingest
from protocols import study
from protocols.entropy import seeded
from protocols.errors import ConfigError
from protocols.plan import Agreement, agree
from protocols.privacy import Need
from protocols.statistics import KINDS
from protocols.statistics.layout import Block, Layout, Measure, Occasions, amount
from tests import gates
from tests.conversations.table import roster_of
from tests.gates import Rig
from tests.laws import test_measures_laws as measures
from tests.laws.generated import INCOME, layout_of, written
from tests.unit import test_events, test_gate, test_plan

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


@pytest.mark.parametrize("kind", ["series", "transitions", "vintage"])
def test_events_of_a_holder_that_count_as_one_are_noticed(kind: str, monkeypatch: Patch) -> None:
    layout, one = layout_of(KINDS[kind].example()), written(KINDS[kind].EXAMPLE)
    assert not measures.beyond_declared(layout, [], one)
    monkeypatch.setattr(Occasions, "most", property(lambda _: 1))
    assert measures.beyond_declared(layout, [], one)


def test_events_of_a_holder_that_are_not_bounded_are_noticed(tmp_path: Path, monkeypatch: Patch) -> None:
    named = test_events.test_rows_of_a_month_are_added_up_then_clipped_and_the_latest_months_are_kept
    assert not killed(named, tmp_path / "kept")
    bounded = ingest._Making._monthly

    def unbounded(making: Any, rule: Any, *rest: Any) -> Any:
        return bounded(making, replace(rule, meant=rule.meant.model_copy(update={"most_rows_per_holder": 600})), *rest)

    monkeypatch.setattr(ingest._Making, "_monthly", unbounded)
    assert killed(named, tmp_path / "all")
