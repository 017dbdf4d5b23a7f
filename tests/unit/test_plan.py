"""What an agreement makes of amounts: the unit they are carried in, their noise, and what that costs."""

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import pytest

from protocols import plan as plans
from protocols.errors import Refusal
from protocols.noise import MOST_DRAWS, PER_TABLE, UNIT
from protocols.plan import Agreement, agree
from protocols.statistics.layout import MOST_SHIFT, Block, amount, count
from protocols.study import Study, load
from tests.conversations.table import roster_of
from tests.laws.generated import DOMAIN, INCOME

CITIES: Final = (1, 2, 3, 4, 5, 6)
STUDY: Final = """study: amounts
title: {zh: 数量}
purpose: {zh: 测试}
asker: analyst
dictionary: hpf-flexible-employment@1
as_of: 2022-05-31
privacy: {mode: dp, epsilon: EPSILON, tolerate: {dropouts: 1, colluders: 1}}
questions:
  - {id: paid, kind: mean, of: paid_total, by: product, clip: [0, 100000]}
  - {id: whole, kind: mean, of: paid_total, by: [product, sex]}
  - {id: age, kind: mean, of: age, weight: 2}
  - {id: product, kind: frequency, of: product}
"""


def asked(folder: Path, epsilon: str = "1.0") -> Study:
    (folder / "study.yaml").write_text(STUDY.replace("EPSILON", epsilon), encoding="utf-8")
    return load(folder / "study.yaml")


@pytest.fixture
def agreed(tmp_path: Path) -> Agreement:
    return agree(asked(tmp_path), CITIES, roster_of(CITIES))


def test_amounts_are_carried_in_the_finest_unit_whose_noise_costs_few_enough_draws(agreed: Agreement) -> None:
    shifts = {}
    for block, own in zip(agreed.layout.blocks, agreed.node_v20, strict=True):
        assert block.cells * -(-own // PER_TABLE) <= MOST_DRAWS
        shifts[block.measure, block.cells] = block.shift
        if block.shift:  # twice as fine, four times the variance: too many draws, but for what rounding moves
            assert block.cells * -(-4 * own // PER_TABLE) > 0.99 * MOST_DRAWS
        finer = next(each for each in agreed.study.workload.layout.blocks if each == replace(block, shift=0))
        assert abs(block.step * 2**block.shift - finer.step) <= 2**block.shift / 2
    assert sum(shift > 0 for shift in shifts.values()) == 4
    assert max(shifts.values()) <= 16


def test_every_block_pays_its_share_whatever_its_unit(agreed: Agreement) -> None:
    """V = D2 lambda / share, with one lambda for all; and the whole costs what the study says."""
    shares = agreed.study.workload.shares()
    rates = [
        Fraction(total) * share / block.l2sq / UNIT
        for block, total, share in zip(agreed.layout.blocks, agreed.v20, shares, strict=True)
        if total > 4 * UNIT
    ]
    assert float(max(rates) / min(rates)) == pytest.approx(1, rel=1e-6)
    assert Decimal("0.9999") <= agreed.epsilon <= 1
    assert [(event.l1, event.l2sq) for event in agreed.events] == [(b.l1, b.l2sq) for b in agreed.layout.blocks]


def test_cities_approve_the_unit_with_the_noise(agreed: Agreement) -> None:
    shifted = [block for block in agreed.layout.blocks if block.shift]
    assert agreed.layout.digest != agreed.study.workload.layout.digest
    for block in shifted:
        assert f'"shift":{block.shift}'.encode() in agreed.noise
        assert block.declared()["shift"] == block.shift
    assert agreed.bound == agreed.layout.largest_step * agreed.most_rows
    assert agreed.ring == 64
    assert agreed.draws <= len(CITIES) * len(agreed.layout.blocks) * MOST_DRAWS


def test_less_epsilon_coarser_units_and_exact_sums_in_whole_steps(tmp_path: Path) -> None:
    few, many = (agree(asked(tmp_path, epsilon), CITIES, roster_of(CITIES)) for epsilon in ("0.1", "4.0"))
    pairs = list(zip(few.layout.blocks, many.layout.blocks, strict=True))
    assert all(one.shift >= other.shift for one, other in pairs)
    assert any(one.shift > other.shift for one, other in pairs)
    exact = agree(asked(tmp_path).in_exact_mode(), CITIES, roster_of(CITIES))
    assert exact.layout == exact.study.workload.layout
    assert not any(block.shift for block in exact.layout.blocks)
    assert not any(exact.v20)


def test_what_has_no_coarser_unit_and_too_much_noise_is_refused() -> None:
    tables: list[tuple[Block, int]] = [
        (count([DOMAIN.axis("sex")]), PER_TABLE * MOST_DRAWS),
        (amount(INCOME), PER_TABLE * MOST_DRAWS * 4 ** (MOST_SHIFT + 1)),
        (replace(amount(INCOME), shift=23), PER_TABLE * MOST_DRAWS * 4**3),
    ]
    for block, v20 in tables:
        with pytest.raises(Refusal) as caught:
            plans.carried(block, v20)
        assert caught.value.code == "NOISE_VARIANCE"
    carried: Any = plans.carried(amount(INCOME), PER_TABLE * MOST_DRAWS * 4 + 1)
    assert carried.shift == 2


def test_the_fewest_honest_cities_alone_reach_the_noise_that_was_planned(agreed: Agreement) -> None:
    """Six cities, of which one may drop out and one collude: the four that are left, for every block."""
    least = len(CITIES) - 1 - 1
    assert all(least * own >= total for own, total in zip(agreed.node_v20, agreed.v20, strict=True))
    assert all(least * (own - 1) < total for own, total in zip(agreed.node_v20, agreed.v20, strict=True))  # and no more
