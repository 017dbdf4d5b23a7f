"""Laws of sharing and splitting noise: no rounding ever takes variance away."""

from hypothesis import given, settings
from hypothesis import strategies as st

from protocols import noise
from protocols.entropy import seeded

TOTALS = st.integers(4 * noise.UNIT, 1 << 58)
NODES = st.integers(noise.LEAST, noise.MOST_DRAWS * noise.PER_TABLE)


@settings(max_examples=1000)
@given(v20=TOTALS, cities=st.integers(3, 400), data=st.data())
def test_noise_of_the_honest_survivors_alone_reaches_the_planned_variance(
    v20: int, cities: int, data: st.DataObject
) -> None:
    """h = threshold - colluders shares suffice, whoever they are; a share of 1 / cities would not, once anyone colludes or is lost."""
    threshold = data.draw(st.integers(2, cities))
    colluders = data.draw(st.integers(0, threshold - 1))
    h = threshold - colluders
    share = noise.node_v20(v20, h)
    assert v20 <= h * share < v20 + h
    if h < cities:
        assert h * noise.node_v20(v20, cities) < v20


@settings(max_examples=1000)
@given(v20=NODES)
def test_equal_draws_add_up_to_at_least_the_variance_and_each_fits_one_table(v20: int) -> None:
    count, each = noise.draws(v20), noise.per_draw(v20)
    assert v20 <= count * each < v20 + count
    assert noise.LEAST <= each <= noise.PER_TABLE
    assert count == 1 or (count - 1) * noise.PER_TABLE < v20


@settings(max_examples=60, deadline=None)
@given(v20=st.integers(noise.LEAST, 64 * noise.UNIT), size=st.integers(0, 300), seed=st.integers(0, 9))
def test_noise_never_exceeds_what_the_overflow_proof_counts_on(v20: int, size: int, seed: int) -> None:
    drawn = noise.skellam(seeded(seed), v20, size)
    assert drawn.shape == (size,)
    assert all(abs(int(x)) <= noise.largest_noise(v20) for x in drawn)


@settings(max_examples=100, deadline=None)
@given(low=st.integers(noise.LEAST, 100 * noise.UNIT), more=st.integers(0, 100 * noise.UNIT))
def test_more_variance_never_has_a_smaller_support(low: int, more: int) -> None:
    assert noise.support(low) <= noise.support(low + more)
