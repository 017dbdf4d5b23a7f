"""Laws of dominated sums: what a city counts against a slow oracle, in whatever batches; and what is said beside earlier releases."""

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.policy import load
from protocols.entropy import seeded
from protocols.statistics import dominance
from protocols.statistics.dominance import Few, Leaders, Printed, guards, withheld_amounts
from protocols.statistics.layout import Amount, Axis, Block, amount, dominated
from protocols.statistics.resolution import Resolution
from protocols.statistics.suppression import withheld
from simulations.attacks import dominance as attack

GROUP: Final = Axis("g", ("p0", "p1", "_missing"), "g")
X: Final = Amount("x", 0, 1_000, "fen")
AT: Final = dominated(X, [GROUP])
HELD: Final = st.lists(st.tuples(st.integers(0, 2), st.sampled_from([0, 1, 10, 80, 100, 1_000])), max_size=14)


def slowly(values: list[int], few: Few) -> int:
    """The rule as it is written, for one cell."""
    held, p = sorted(values, reverse=True), Fraction(few.p_percent) / 100
    first, second = (*held, 0, 0)[:2]
    rest = sum(held) - first - second
    squares = sum(value**2 for value in held) - first**2 - second**2
    top = sum(held[: few.top])
    return int(top > Fraction(few.share) * sum(held) or rest < p * first or squares < ((1 + p) ** 2 - 1) * first**2)


def noted(few: Few, of: Amount, *batches: list[tuple[int, int]]) -> list[int]:
    leaders, block = Leaders(few), dominated(of, [GROUP])
    for batch in batches:
        codes = np.array([group for group, _ in batch], dtype=np.uint8)
        leaders.add(block, codes, np.array([value - of.centre for _, value in batch], dtype=np.int64))
    return [int(cell) for cell in leaders.dominated(block)]


@settings(max_examples=60)
@given(
    HELD,
    st.integers(0, 14),
    st.sampled_from([Few(), Few(3, Decimal("0.5"), Decimal("12.5")), Few(1, Decimal(1), Decimal(0))]),
)
def test_a_city_counts_as_the_rule_is_written_in_whatever_batches(
    held: list[tuple[int, int]], cut: int, few: Few
) -> None:
    expected = [slowly([value for at, value in held if at == group], few) for group in range(3)]
    assert noted(few, X, held) == expected
    assert noted(few, X, held[:cut], held[cut:]) == expected


def test_amounts_below_nothing_are_taken_above_the_least() -> None:
    below = replace(X, low=-100)
    held = [(0, value - 100) for value in (900, 100, 80, 10)]
    assert noted(Few(), below, held) == noted(Few(), X, [(0, value + 100) for _, value in held])


def test_a_city_without_rows_dominates_nothing_and_passing_cells_make_passing_margins() -> None:
    assert Leaders().dominated(AT).tolist() == [0, 0, 0]
    even = [(group, 100) for group in (0, 1) for _ in range(20)]
    assert noted(Few(), X, even) == [0, 0, 0]


def test_every_margin_of_a_sum_has_its_number_of_cities_and_counts_have_none() -> None:
    found = guards([amount(X, [GROUP]), amount(X)])
    assert found == (dominated(X), AT)
    assert [(each.step, each.low, each.high, each.unit, each.rounded) for each in found] == [
        (1, 0, 1, "cities", False)
    ] * 2
    assert guards([Block(AT.measure, (), (X,))]) == ()


def test_what_was_printed_before_decides_whether_all_or_nothing_is_printed_now() -> None:
    """The attacker subtracts: another clip, or a total that was withheld once, takes everything of the variable with it."""
    crowd = attack.drawn(seeded("laws", "dominance"), 1)
    even = replace(crowd, held=np.full_like(crowd.held, 500))
    layout, total, families = attack.tables(even)
    (counts,) = (family for key, family in families.items() if not key[1])
    hidden = withheld(counts, Resolution.of(layout), 1)

    def number(*before: Printed) -> int:
        (found,) = withheld_amounts(layout, families, total, hidden, before).values()
        return found.number

    every = 5 + 1
    assert number() == 0
    assert number(Printed("x", attack.X.name, False)) == 0
    assert number(Printed("x", attack.X.name, True)) == every
    assert number(Printed("x", "x 0..10", False)) == every
    assert number(Printed("y", "y 0..10", True)) == 0
    layout, total, families = attack.tables(crowd)
    some = number()
    assert 0 < some < every
    assert number(Printed("x", attack.X.name, False)) == every


def test_the_shipped_rule_is_that_of_the_shipped_policy(tmp_path: Path) -> None:
    rule = load(tmp_path, loose=False).file.exact.dominance
    assert Few(rule.top, rule.share, rule.p_percent) == dominance.SHIPPED
    assert float(rule.p_percent) == pytest.approx(100 * dominance.PROTECTED)
