"""How much memory draws take. How fast they are is a benchmark: `make bench`."""

import tracemalloc

import pytest

from protocols import noise
from protocols.entropy import operating_system


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
