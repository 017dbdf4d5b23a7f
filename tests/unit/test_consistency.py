"""Consistency by hand: two measurements of one number, and how far each is trusted."""

import numpy as np
import pytest

from coordinator.consistency import reconcile
from protocols.statistics.estimates import KNOWN, Family
from protocols.statistics.layout import Layout, Measure, amount, count, yes_no
from tests.laws.generated import DOMAIN, INCOME, WORRIES

OWNER, KNOWN_INCOME = DOMAIN.axis("owner"), DOMAIN.known("income")


def family(layout: Layout, summed: list[int], variances: list[float]) -> Family:
    return reconcile(layout, np.array(summed), variances)[Measure.ONE, (), None, None, None]


def test_a_total_measured_twice_is_the_mean_weighted_by_precision() -> None:
    """The count says 100 with variance 6; three cells of variance 2 say 106, which has variance 6 too: both are moved by half."""
    found = family(Layout((count(), count([OWNER]))), [100, 80, 20, 6], [6.0, 2.0])
    assert found.table(frozenset()).values == 103
    assert found.table(frozenset(("owner",))).values.tolist() == [79, 19, 5]
    assert found.table(frozenset()).sd ** 2 == pytest.approx(3)
    noise = {names: part.item() for names, part in found.noise[frozenset(("owner",))].items()}
    assert noise == {frozenset(): pytest.approx(3), frozenset(("owner",)): pytest.approx(2)}


def test_the_noise_of_a_cell_and_of_its_base_go_together() -> None:
    found = family(Layout((count([OWNER]),)), [80, 20, 6], [2.0]).table(frozenset(("owner",)))
    assert np.allclose(found.covariance((0,), (KNOWN,), (-1,)), [[2, 2, 0], [2, 4, 0], [0, 0, 2]], atol=1e-12)


def test_the_rest_of_a_rounding_goes_to_missing() -> None:
    """Thirds are rounded to the sixth decimal; the last position is what makes the total whole."""
    found = family(Layout((count(), count([OWNER]))), [100, 80, 20, 1], [1.0, 1.0])
    cells = found.table(frozenset(("owner",)))
    total = found.table(frozenset())
    assert total.units == 100_250_000
    assert cells.units.tolist() == [79_750_000, 19_750_000, 750_000]
    assert cells.units.sum() == total.units
    odd = family(Layout((count(), count([OWNER]))), [100, 80, 20, 1], [1.0, 2.0])
    assert odd.table(frozenset(("owner",))).units.tolist() == [79_714_286, 19_714_286, 714_285]
    assert odd.table(frozenset()).units == 100_142_857


def test_sums_of_another_measure_are_another_family() -> None:
    """Of an amount, official tables hold x itself: 10^7 fen, the centre, for each of the 11 whose income is known."""
    layout = Layout((count([KNOWN_INCOME, OWNER]), amount(INCOME, [OWNER])))
    families = reconcile(layout, np.array([5, 6, 0, 0, 0, 7, 1_000, -2_000, 0]), [0.0, 0.0])
    assert set(families) == {(Measure.ONE, (), None, None, None), (Measure.AMOUNT, (INCOME,), None, None, None)}
    assert families[Measure.AMOUNT, (INCOME,), None, None, None].table(frozenset()).values == 110_000_000 - 1_000
    with pytest.raises(ValueError, match="known"):
        reconcile(Layout((count([OWNER]), amount(INCOME, [OWNER]))), np.zeros(6, dtype=np.int64), [0.0, 0.0])


def test_sums_of_a_set_are_no_cells_that_add_up_to_a_margin() -> None:
    with pytest.raises(ValueError, match="yes-no"):
        reconcile(Layout((yes_no(WORRIES),)), np.zeros(3, dtype=np.int64), [4.0])
