"""The numeric and textual tools behind the invented cities: laws first."""

from decimal import ROUND_HALF_UP, Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulations.cities import text
from simulations.cities.population import drawn_down, settled, stretched
from simulations.cities.solve import apportion, expit, inclusion, least_divergence, root, spread
from simulations.cities.streams import Streams, choose, deal

weights = st.lists(st.floats(0.01, 1000), min_size=1, max_size=30)


@given(weights, st.integers(0, 10_000))
def test_apportioned_numbers_add_up_and_are_within_one_of_their_share(shares: list[float], total: int) -> None:
    found = apportion(shares, total)
    assert found.sum() == total
    assert np.abs(found - np.array(shares) / sum(shares) * total).max() < 1 + 1e-6


@given(weights, st.integers(0, 10_000))
def test_spread_numbers_add_up_and_every_run_is_within_one(shares: list[float], total: int) -> None:
    found = spread(np.array(shares), total)
    exact = np.cumsum(shares) / sum(shares) * total
    assert found.sum() == total
    assert found.min() >= 0
    assert np.abs(np.cumsum(found) - exact).max() < 0.5 + 1e-5


@given(weights, st.integers(0, 30))
def test_inclusion_probabilities_add_up_to_the_count(values: list[float], count: int) -> None:
    if count > len(values):
        with pytest.raises(ArithmeticError):
            inclusion(np.array(values), count)
        return
    found = inclusion(np.array(values), count)
    assert found.sum() == pytest.approx(count)
    assert found.min() >= 0
    assert found.max() <= 1 + 1e-9
    below = np.flatnonzero(found < 1 - 1e-9)
    ratios = found[below] / np.array(values)[below]
    assert ratios == pytest.approx(ratios[:1].repeat(len(ratios)))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60), st.integers(0, 1000))
def test_systematic_sampling_chooses_the_expected_number(probabilities: list[float], seed: int) -> None:
    chosen = choose(np.array(probabilities), Streams(seed, "law")("choose"))
    assert abs(chosen.sum() - sum(probabilities)) < 1 + 1e-6
    assert not chosen[np.array(probabilities) == 0].any()
    assert chosen[np.array(probabilities) == 1].all()


def test_systematic_sampling_takes_each_row_with_its_own_probability() -> None:
    probabilities = np.array([0.1, 0.7, 0.45, 0.2, 0.55])
    taken = sum(choose(probabilities, Streams(seed, "law")("choose")).astype(int) for seed in range(4000))
    deviation = np.sqrt(probabilities * (1 - probabilities) / 4000)
    assert (np.abs(taken / 4000 - probabilities) < 4 * deviation).all()


@given(st.lists(st.integers(0, 2), min_size=0, max_size=200), st.integers(0, 100))
def test_dealt_codes_follow_the_shares_in_every_cell(cells: list[int], seed: int) -> None:
    shares = np.array([[0.5, 0.3, 0.2], [1.0, 0.0, 0.0], [0.1, 0.1, 0.8]])
    codes = deal(np.array(cells, dtype=np.int64), shares, Streams(seed, "law")("deal"))
    for cell, share in enumerate(shares):
        held = np.bincount(codes[np.array(cells, dtype=int) == cell], minlength=3)
        assert held.tolist() == apportion(share, int(held.sum())).tolist()


def test_the_table_of_least_divergence_meets_its_conditions_and_keeps_odds_that_no_condition_names() -> None:
    prior = np.array([0.1, 0.2, 0.3, 0.4])  # 2 x 2, row by row
    found = least_divergence(
        prior, np.array([[1, 1, 0, 0], [0, 0, 1, 1], [1, 0, 1, 0]], dtype=float), np.array([0.5, 0.5, 0.6])
    )
    assert found[:2].sum() == pytest.approx(0.5)
    assert found[[0, 2]].sum() == pytest.approx(0.6)
    assert found[0] * found[3] / (found[1] * found[2]) == pytest.approx(0.1 * 0.4 / (0.2 * 0.3))


def test_conditions_that_contradict_each_other_are_a_bug_not_a_warning() -> None:
    with pytest.raises(ArithmeticError):
        least_divergence(np.array([0.5, 0.5]), np.array([[1.0, 1.0], [1.0, 1.0]]), np.array([1.0, 2.0]))


@given(st.floats(-5, 5))
def test_a_root_is_found(at: float) -> None:
    assert root(lambda x: float(expit(x) - expit(at)), -20, 20) == pytest.approx(at, abs=1e-6)
    assert root(lambda x: float(expit(at) - expit(x)), -20, 20) == pytest.approx(at, abs=1e-6)


def test_without_a_sign_change_there_is_no_root() -> None:
    with pytest.raises(ArithmeticError):
        root(lambda x: x * x + 1, -1, 1)


amounts = st.lists(st.integers(0, 5000), min_size=1, max_size=40)


@given(amounts, st.integers(0, 250_000))
def test_settled_amounts_reach_any_total_that_their_bounds_allow(values: list[int], total: int) -> None:
    found = settled(np.array(values), total, 10, 4000)
    assert found.min() >= 10
    assert found.max() <= 4000
    assert found.sum() == min(max(total, 10 * len(values)), 4000 * len(values))


@given(st.lists(st.integers(10, 4000), min_size=1, max_size=40), st.integers(0, 250_000))
def test_stretched_amounts_keep_their_order(values: list[int], total: int) -> None:
    found = stretched(np.array(sorted(values)), total, 10, 4000)
    assert found.sum() == min(max(total, 10 * len(values)), 4000 * len(values))
    assert (np.diff(found) >= -1).all()  # units left over go to the first rows


@given(
    st.lists(st.tuples(st.integers(1, 10**8), st.floats(0.3, 1.0), st.booleans()), min_size=1, max_size=30),
    st.integers(1, 10**9),
)
def test_nothing_is_drawn_down_below_zero(accounts: list[tuple[int, float, bool]], total: int) -> None:
    paid = np.array([amount for amount, _, _ in accounts])
    shares = np.array([np.inf if gone else share for _, share, gone in accounts])
    taken = drawn_down(paid, shares, total)
    assert (taken >= 1).all()
    assert (taken <= paid).all()
    assert (taken[np.isinf(shares)] == paid[np.isinf(shares)]).all()
    everything = int(paid[np.isinf(shares)].sum())
    asked = max(min(total, int(0.95 * paid.sum())) - everything, int((~np.isinf(shares)).sum()))
    assert taken.sum() - everything == min(asked, int(paid[~np.isinf(shares)].sum()))


# --- text


def lines(cell: text.Cell, rows: int, encoding: str = "utf-8") -> list[str]:
    return text.written({"x": cell}, rows, encoding, b",", b"|").decode(encoding).split("|")[1:-1]


numbers = st.lists(st.integers(0, 10**12), min_size=1, max_size=30)


@given(numbers)
def test_numbers_are_written_as_python_writes_them(values: list[int]) -> None:
    column = np.array(values)
    assert lines(text.whole(column), len(values)) == [str(value) for value in values]
    assert lines(text.whole(column, b","), len(values)) == [f"{value:,}" for value in values]


@given(numbers)
def test_money_is_exact(fen: list[int]) -> None:
    column = np.array(fen)
    assert lines(text.yuan(column), len(fen)) == [str(Decimal(value).scaleb(-2)) for value in fen]
    assert lines(text.yuan(column, b","), len(fen)) == [f"{Decimal(value).scaleb(-2):,}" for value in fen]
    tens = lines(text.ten_thousand_yuan(column), len(fen))
    assert tens == [str(Decimal(value).scaleb(-4).quantize(Decimal("0.0001"), ROUND_HALF_UP)) for value in fen]


@given(st.lists(st.dates(), min_size=1, max_size=30))
def test_dates_are_written_as_the_calendar_has_them(days: list[np.datetime64]) -> None:
    at = np.array(days, dtype="datetime64[D]")
    at = np.where(at < np.datetime64("1900-01-01"), np.datetime64("1990-03-07"), at)
    column = at.astype(np.int64)
    assert lines(text.date(column, b"-", b"-"), len(at)) == at.astype(str).tolist()
    assert lines(text.date(column, b"", b""), len(at)) == [day.replace("-", "") for day in at.astype(str)]
    plain = ["/".join(str(int(part)) for part in day.split("-")) for day in at.astype(str)]
    assert lines(text.date(column, b"/", b"/", two_digits=False), len(at)) == plain


@given(numbers)
def test_full_width_digits_stand_in_some_rows_only(values: list[int]) -> None:
    rows = np.arange(len(values)) % 2 == 0
    wide = str.maketrans("0123456789", "０１２３４５６７８９")
    expected = [str(value).translate(wide) if place % 2 == 0 else str(value) for place, value in enumerate(values)]
    assert lines(text.full_width(text.whole(np.array(values)), rows), len(values)) == expected


def test_a_missing_value_replaces_the_whole_cell() -> None:
    cell = text.unless(np.array([True, False]), b"NULL", text.quoted(text.yuan(np.array([123456, 100]), b",")))
    assert lines(cell, 2) == ["NULL", '"1.00"']


def test_a_file_is_written_in_its_encoding() -> None:
    columns: dict[str, text.Cell] = {"甲": [np.array(["𬭎".encode("gb18030"), b"a"])], "乙": ["丙".encode("gb18030")]}
    assert text.written(columns, 2, "gb18030", b"\t", b"\r\n").decode("gb18030") == "甲\t乙\r\n𬭎\t丙\r\na\t丙\r\n"
    assert text.written({"a": [b"1"]}, 1, "utf-8-sig", b",", b"\n") == b"\xef\xbb\xbfa\n1\n"


# --- streams


def test_a_stream_depends_on_seed_city_field_and_chunk_and_on_nothing_else() -> None:
    first = Streams(7, "suzhou", 0)("income").random(4)
    streams = Streams(7, "suzhou", 0)
    streams("another field").random(1000)
    assert (streams("income").random(4) == first).all()
    for other in (
        Streams(8, "suzhou", 0)("income"),
        Streams(7, "chengdu", 0)("income"),
        Streams(7, "suzhou", 1)("income"),
    ):
        assert (other.random(4) != first).any()
    assert (streams("incomes").random(4) != first).any()
