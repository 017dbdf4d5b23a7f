"""Skellam draws against the integer vector sampler of opendp at the same variance; and the table they are drawn from."""

import statistics
from collections.abc import Iterator
from typing import Final

from protocols import noise
from protocols.entropy import operating_system
from simulations.bench import Line, compared, line, rate, spent

MOST_MS: Final = 50.0  # for the largest table


def lines(quick: bool = False) -> Iterator[Line]:
    """Draws per CPU second at three variances, target 50 times its peer; and CPU time of the largest table, of variance 2^20."""
    import opendp.prelude as dp

    ours_of, theirs_of, rounds = (10**3, 10, 1) if quick else (10**6, 10**4, 5)  # opendp needs some 15 s for as many
    dp.enable_features("contrib")
    for variance in (1, 25, 10_000):
        space = dp.vector_domain(dp.atom_domain(T="i64"), size=theirs_of), dp.l2_distance(T=float)
        gaussian, zeros = dp.m.make_gaussian(*space, scale=variance**0.5), [0] * theirs_of
        stream = noise.release_stream(operating_system)
        noise.skellam(stream, variance * noise.UNIT, 1)  # the table is made once

        def ours(v20: int = variance * noise.UNIT) -> float:
            return rate(ours_of, lambda: noise.skellam(noise.release_stream(operating_system), v20, ours_of))

        def peer(draw=gaussian, data=zeros) -> float:  # type: ignore[no-untyped-def]  # opendp publishes no types
            return rate(theirs_of, lambda: draw(data))

        yield compared(
            f"sampler, variance {variance}", "draws/s", "opendp make_gaussian, i64", 50.0, ours, peer, rounds
        )
    largest = noise.PER_TABLE
    tables = [1000 * spent(lambda at=at: noise.support(largest - at))[1] for at in range(rounds)]  # type: ignore[misc]  # another one each time: tables are kept
    yield line("sampler, table of variance 2^20", "ms", statistics.median(tables), MOST_MS, "limit", 1.0, "less")
