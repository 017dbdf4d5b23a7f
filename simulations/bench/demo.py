"""How long `hpfed-simulate demo` takes, reports included, in a process of its own."""

import statistics
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from simulations.bench import Line, alone, line

LIMIT_S: Final = 30.0


def lines(quick: bool = False) -> Iterator[Line]:
    """Seconds on the clock and of CPU, median of three. Target: 30 s."""
    with tempfile.TemporaryDirectory(prefix="hpfed-bench-") as place:
        rounds = range(1 if quick else 3)
        runs = [alone("made", str(Path(place) / str(at)), "x" * quick) for at in rounds]
    parts = {part: statistics.median(run.said[part] for run in runs) for part in runs[0].said}
    note = ", ".join(f"{part} {seconds:.2f}" for part, seconds in parts.items())
    clock, cpu = (statistics.median(figures) for figures in zip(*((r.clock, r.whole_cpu) for r in runs), strict=True))
    yield line("demo, on the clock", "s", clock, LIMIT_S, "limit", 1.0, "less", note)
    yield line("demo, CPU", "s", cpu, LIMIT_S, "limit", 1.0, "less")


def made(out: str, small: str) -> Callable[[], dict[str, float]]:
    """A demo in the folder `out`, which says how many seconds each stage took. `small`: of cities of 500 accounts."""
    from simulations import demonstration

    rows = 500 if small else None

    def work() -> dict[str, float]:
        outcome, _ = demonstration.make(Path(out), None, lambda _: None, rows)
        return dict(outcome.seconds)

    return work
