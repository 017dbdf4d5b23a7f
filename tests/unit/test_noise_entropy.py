"""What the sampler does with its source: short reads, and streams that no two readers share."""

import subprocess  # a fork is tried in a process of its own
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray

from protocols import noise
from protocols.entropy import Entropy, aes_stream, operating_system
from protocols.errors import Refusal

V20 = 10_000 * noise.UNIT
DRAWS = 1 << 13
STRETCH = 64


def stretches(drawn: NDArray[np.int64]) -> set[bytes]:
    """Every run of 64 neighbouring values."""
    raw, width = drawn.tobytes(), drawn.itemsize
    return {raw[width * at : width * (at + STRETCH)] for at in range(len(drawn) - STRETCH + 1)}


def one_release(_: int = 0) -> NDArray[np.int64]:
    return noise.skellam(noise.release_stream(operating_system), V20, DRAWS)


def short(entropy: Entropy, at: int) -> Entropy:
    """`entropy`, but the read number `at` lacks one byte."""
    reads = iter(range(at + 1))
    return lambda size: entropy(size - (next(reads) == at))


@pytest.mark.parametrize("at", [0, 1])
def test_a_short_read_is_a_typed_failure_and_no_draw(at: int) -> None:
    """Of zeros every word ties, so that a second read follows."""
    with pytest.raises(Refusal) as refused:
        noise.skellam(short(lambda size: bytes(size), at), V20, 10)
    assert refused.value.code == "ENTROPY_SHORT"


def test_a_short_read_in_a_later_summand_is_a_typed_failure_too() -> None:
    with pytest.raises(Refusal) as refused:
        noise.skellam(short(aes_stream(bytes(32)), 2), 3 * noise.PER_TABLE, 1 << 16)
    assert refused.value.code == "ENTROPY_SHORT"


def test_a_short_key_makes_no_stream() -> None:
    with pytest.raises(Refusal) as refused:
        noise.release_stream(lambda size: bytes(size - 1))
    assert refused.value.code == "ENTROPY_SHORT"


def test_two_releases_share_no_stretch_of_noise() -> None:
    assert not stretches(one_release()) & stretches(one_release())


def test_two_calls_on_one_stream_share_no_stretch_of_noise() -> None:
    stream = noise.release_stream(operating_system)
    first, second = (noise.skellam(stream, V20, DRAWS) for _ in range(2))
    assert not stretches(first) & stretches(second)


def test_a_stream_made_twice_from_one_key_is_seen_to_repeat() -> None:
    """The control of this file: noise drawn from a reused stream has equal stretches."""
    first, second = (noise.skellam(aes_stream(bytes(32)), V20, DRAWS) for _ in range(2))
    assert stretches(first) & stretches(second)


def test_two_threads_share_no_stretch_of_noise() -> None:
    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(one_release, range(2))
    assert not stretches(first) & stretches(second)


FORK = """
import os, sys
from protocols import noise
from protocols.entropy import operating_system
def release():
    stream = noise.release_stream(operating_system)
    sys.stdout.buffer.write(noise.skellam(stream, %d, %d).tobytes())
    sys.stdout.buffer.flush()
release()
child = os.fork()
if child == 0:
    release()
    os._exit(0)
os.waitpid(child, 0)
release()
"""


def test_a_fork_shares_no_stretch_of_noise_with_its_parent() -> None:
    """Before the fork, in the child, and after it in the parent."""
    script = [sys.executable, "-c", FORK % (V20, DRAWS)]
    written = subprocess.run(script, check=True, capture_output=True, timeout=60).stdout  # noqa: S603 this very interpreter
    before, child, after = np.frombuffer(written, np.int64).reshape(3, DRAWS)
    assert not stretches(before) & stretches(child)
    assert not stretches(child) & stretches(after)
    assert not stretches(before) & stretches(after)
