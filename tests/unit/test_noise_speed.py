"""How fast draws are made, as a ratio to opendp's vector sampler in the same run, and how much memory they take."""

import time
import tracemalloc

import numpy as np
import opendp.prelude as dp
import pytest

from protocols import noise
from protocols.entropy import operating_system


def ours_per_second(variance: int, size: int) -> float:
    stream = noise.release_stream(operating_system)
    noise.skellam(stream, variance * noise.UNIT, 1)  # the table is made once
    start = time.process_time()
    noise.skellam(stream, variance * noise.UNIT, size)
    return size / (time.process_time() - start)


def opendp_per_second(variance: int, size: int) -> float:
    dp.enable_features("contrib")
    space = dp.vector_domain(dp.atom_domain(T="i64"), size=size), dp.l2_distance(T=float)
    gaussian, zeros = dp.m.make_gaussian(*space, scale=variance**0.5), [0] * size
    start = time.process_time()
    gaussian(zeros)
    return size / (time.process_time() - start)


@pytest.mark.parametrize("variance", [1, 25, 10_000])
def test_a_million_draws_take_a_fiftieth_of_the_time_per_draw_of_opendp(variance: int) -> None:
    ratio = ours_per_second(variance, 10**6) / opendp_per_second(variance, 10**4)
    assert ratio >= 50, f"{ratio:.0f}x"


@pytest.mark.slow  # opendp needs some 15 s for a million draws
@pytest.mark.parametrize("variance", [1, 25, 10_000])
def test_the_same_with_a_million_draws_of_both(variance: int, capsys: pytest.CaptureFixture[str]) -> None:
    ours, theirs = ours_per_second(variance, 10**6), opendp_per_second(variance, 10**6)
    with capsys.disabled():
        print(f"\nV = {variance}: {ours / 1e6:.1f} against {theirs / 1e6:.3f} million draws/s, {ours / theirs:.0f}x")
    assert ours / theirs >= 50


@pytest.mark.parametrize("v20", [4 * noise.UNIT, 10_000 * noise.UNIT, 3 * noise.PER_TABLE])
def test_a_draw_needs_at_most_32_bytes_beside_its_result(v20: int) -> None:
    stream, size = noise.release_stream(operating_system), 10**6
    noise.skellam(stream, v20, 1)
    tracemalloc.start()
    try:
        drawn = noise.skellam(stream, v20, size)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak - drawn.nbytes <= 32 * size


@pytest.mark.slow  # a time, not a ratio: for a machine that does nothing else
def test_the_largest_table_is_built_in_50_ms() -> None:
    def build(v20: int) -> float:
        start = time.process_time()
        noise._table(v20)
        return time.process_time() - start

    assert np.median([build(noise.PER_TABLE - 1 - fresh) for fresh in range(5)]) <= 0.05
