"""Benchmarks: each measures this product beside a peer or a limit, in the same run, alternating, and prints the ratio and its target.

A target that is not reached is printed as such; it is a figure, not an error. Every benchmark is a function of this folder and one line of
the register. Results go to `bench/results.json`, which is not kept. Times of a loaded machine are long; ratios of CPU
time say most there.
"""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

from protocols.errors import ConfigError

Better = Literal["more", "less"]


@dataclass(frozen=True)
class Line:
    """One comparison, in `unit`. `ratio` is ours / peer, and reaches `target` from the side that is `better`.

    `note`: of what ours is made.
    """

    name: str
    ours: float
    peer: float
    peer_name: str
    unit: str
    ratio: float
    target: float
    reached: bool
    better: Better = "more"
    note: str = ""

    def __str__(self) -> str:
        aim = f"{'>=' if self.better == 'more' else '<='} {self.target:.4g}x"
        figures = f"{self.ours:>11.4g}{self.peer:>11.4g}  {self.unit:<14}{self.ratio:>8.3g}x {aim:>9}"
        missed = "" if self.reached else "  NOT REACHED"
        return f"{self.name:<48}{figures}  {self.peer_name}{missed}" + (f"\n    {self.note}" if self.note else "")


HEAD: Final = f"{'benchmark':<48}{'ours':>11}{'peer':>11}  {'unit':<14}{'ratio':>9} {'target':>9}  peer"

Measured = Callable[[], float]  # measures itself and returns its figure


def line(
    name: str, unit: str, ours: float, peer: float, peer_name: str, target: float, better: Better, note: str = ""
) -> Line:
    ratio = ours / max(peer, 1e-9)
    reached = ratio >= target if better == "more" else ratio <= target
    return Line(name, ours, peer, peer_name, unit, ratio, target, reached, better, note)


def compared(
    name: str, unit: str, peer_name: str, target: float, ours: Measured, peer: Measured, rounds: int = 5
) -> Line:
    """Run both in turn, `rounds` times, and compare the medians of a rate, more being better."""
    pairs = [(ours(), peer()) for _ in range(rounds)]
    mine, theirs = (statistics.median(side) for side in zip(*pairs, strict=True))
    return line(name, unit, mine, theirs, peer_name, target, "more")


def rate(amount: float, work: Callable[[], object]) -> float:
    """Amount per second of CPU time."""
    return amount / max(spent(work)[1], 1e-9)


def spent(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds on the clock, and of CPU in all threads."""
    clock, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - clock, time.process_time() - cpu


@dataclass(frozen=True)
class Alone:
    """What a piece of work took in a process of its own. Memory in MiB: at most resident, and that above what imports had taken.

    `clock`: of the whole process. `cpu`: of the work alone. `said`: what the work returned.
    """

    clock: float
    cpu: float
    whole_cpu: float
    resident: float
    above: float
    said: Any


def alone(work: str, *arguments: str) -> Alone:
    """Run one of `works` with texts in a fresh process.

    Its function imports and prepares, and returns the work. A child's own peak is read from /proc where there is one: what the kernel
    tells the parent includes what the parent held when it started the child.
    """
    began = time.perf_counter()
    command = [sys.executable, "-c", f"from simulations.bench import child; child({work!r})", *arguments]
    done = subprocess.run(command, capture_output=True, check=True, text=True)  # noqa: S603 this very interpreter
    return Alone(time.perf_counter() - began, **json.loads(done.stdout.splitlines()[-1]))


def child(work: str) -> None:
    """The other side of `alone`: says in one line of JSON what the work took."""
    ready = works()[work](*sys.argv[1:])
    before, said = _resident("VmRSS"), None

    def called() -> None:
        nonlocal said
        said = ready()

    _, cpu = spent(called)
    peak = _resident("VmHWM")
    whole = time.process_time()
    print(json.dumps({"cpu": cpu, "whole_cpu": whole, "resident": peak, "above": peak - before, "said": said}))


def _resident(which: str) -> float:
    """MiB of this process: VmRSS now, VmHWM at most."""
    status = Path("/proc/self/status")
    if status.is_file():
        fields = dict(each.split(":", 1) for each in status.read_text(encoding="utf-8").splitlines())
        return int(fields[which].split()[0]) / 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)


def works() -> dict[str, Callable[..., Callable[[], Any]]]:
    """What can be run alone: functions of texts that prepare, and return the work."""
    from simulations.bench import demo, encoding, files, models

    return {
        "counted": encoding.counted,
        "copied": files.copied,
        "made": demo.made,
        "stepped": models.stepped,
        "taken in": files.taken_in,
        "written": files.written,
    }


Lines = Callable[[bool], Iterator[Line]]


def register() -> dict[str, Lines]:
    """Every benchmark. Each takes whether to be quick: sizes at which figures say nothing, for tests of the benchmarks themselves."""
    from simulations.bench import (
        audit,
        coverage,
        demo,
        encoding,
        exchanging,
        files,
        ledger,
        links,
        masks,
        models,
        plan,
        sampler,
        secagg,
        utility,
    )

    return {
        "audit": audit.lines,
        "coverage": coverage.lines,
        "demo": demo.lines,
        "encoding": encoding.lines,
        "exchange": exchanging.lines,
        "files": files.lines,
        "ledger": ledger.lines,
        "links": links.lines,
        "masks": masks.lines,
        "models": models.lines,
        "plan": plan.lines,
        "sampler": sampler.lines,
        "secagg": secagg.lines,
        "scale": secagg.scale,
        "utility": utility.lines,
    }


def run(names: list[str], out: Path, say: Callable[[str], None], quick: bool = False) -> list[Line]:
    """The benchmarks named, all if none is; a table on `say`, and `out/results.json`. Errors: `ConfigError BENCH_UNKNOWN`."""
    known = register()
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ConfigError("BENCH_UNKNOWN", name=unknown[0], known=", ".join(known))
    found: list[Line] = []
    say(HEAD)
    for name in names or known:
        for each in known[name](quick):
            found.append(each)
            say(str(each))
    out.mkdir(parents=True, exist_ok=True)
    (out / "results.json").write_text(json.dumps([asdict(each) for each in found], indent=1), encoding="utf-8")
    return found
