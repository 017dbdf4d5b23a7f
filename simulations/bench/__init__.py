"""Benchmarks: each measures this product and a peer in one process, alternating, and prints the ratio beside its target.

A target that is not reached is printed as such; it is a figure, not an error. Every benchmark is a function of this folder and one line of
`REGISTER`. Results go to `bench/results.json`, which is not kept.
"""

import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from protocols.errors import ConfigError


@dataclass(frozen=True)
class Line:
    """One comparison. `ours` and `peer` are medians in `unit`; `ratio` is how much better ours is; `target`: what it should reach."""

    name: str
    ours: float
    peer: float
    peer_name: str
    unit: str
    ratio: float
    target: float
    reached: bool


Measured = Callable[[], float]  # measures itself and returns its rate


def compared(
    name: str, unit: str, peer_name: str, target: float, ours: Measured, peer: Measured, rounds: int = 5
) -> Line:
    """Run both in turn, `rounds` times, and compare the medians of a rate, more being better."""
    pairs = [(ours(), peer()) for _ in range(rounds)]
    mine, theirs = (statistics.median(side) for side in zip(*pairs, strict=True))
    return Line(name, mine, theirs, peer_name, unit, mine / theirs, target, mine / theirs >= target)


def rate(amount: float, work: Callable[[], object]) -> float:
    """Amount per second of CPU time."""
    began = time.process_time()
    work()
    return amount / max(time.process_time() - began, 1e-9)


def run(names: list[str], out: Path, say: Callable[[str], None]) -> list[Line]:
    """The benchmarks named, all if none is; a table on `say`, and `out/results.json`. Errors: `ConfigError BENCH_UNKNOWN`."""
    from simulations.bench import encoding, masks, sampler

    register: Final = {"encoding": encoding.lines, "masks": masks.lines, "sampler": sampler.lines}
    unknown = [name for name in names if name not in register]
    if unknown:
        raise ConfigError("BENCH_UNKNOWN", name=unknown[0], known=", ".join(register))
    found: list[Line] = []
    say(f"{'benchmark':<34}{'ours':>12}{'peer':>12}  {'unit':<16}{'ratio':>8}{'target':>8}  peer")
    for name in names or register:
        for line in register[name]():
            found.append(line)
            figures = f"{line.ours:>12.3g}{line.peer:>12.3g}  {line.unit:<16}{line.ratio:>7.2f}x{line.target:>7.2f}x"
            say(f"{line.name:<34}{figures}  {line.peer_name}{'' if line.reached else '  NOT REACHED'}")
    out.mkdir(parents=True, exist_ok=True)
    (out / "results.json").write_text(json.dumps([asdict(line) for line in found], indent=1), encoding="utf-8")
    return found
