"""The processes of a coordinator's host: what each is started with, one process that keeps them running, and how they stand.

    <home>/run/lock             held by the process that keeps them
    <home>/run/state.json       its process id, and how each child stands (`protocols/supervision.py`)
    <home>/run/engine.json      what the engine says of itself, and when
    <home>/run/<child>.log      what gateway and engine write on stderr; of the SuperLink's lines, level and number stand in log/

Children are ended by their own ids. Those that a killed supervisor left are ended by the next one, told from strangers by their home.
"""

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from typing import IO, Any, Final, Literal

from coordinator import home as homes
from coordinator import roster
from coordinator.store import write
from coordinator.superlink import Gateway, SuperLink, healthy, listens
from protocols.clock import wall_ms
from protocols.entropy import Entropy, exactly
from protocols.errors import ConfigError, Place
from protocols.flower import environment
from protocols.logfile import log_of
from protocols.supervision import Child, Supervision, World, aged, keep, value

Piece = Literal["superlink", "gateway", "engine"]
PIECES: Final[tuple[Piece, ...]] = ("superlink", "gateway", "engine")
LOCK: Final = homes.RUN / "lock"
STATE: Final = homes.RUN / "state.json"
ENGINE: Final = homes.RUN / "engine.json"
STALE_S: Final = 20  # an engine that said nothing for so long is away
STOPS_S: Final = 30.0
BROKEN: Final = frozenset({2})  # exit statuses of an engine whose files are wrong: another start does not change them
CHILDREN: Final = (
    Child("superlink", outlives=("engine", "gateway")),
    Child("gateway"),
    Child("engine", needs=("superlink",), final=BROKEN),
)


@dataclass(frozen=True)
class Host:
    """A home that is set up, and what its processes are started with."""

    home: Path
    config: homes.Config
    superlink: SuperLink = field(init=False)
    gateway: Gateway = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "superlink", homes.superlink(self.home, self.config))
        object.__setattr__(self, "gateway", homes.gateway(self.home, self.config))

    @classmethod
    def of(cls, home: Path) -> "Host":
        """Errors: `ConfigError` HOME_NO_ADDRESS and those of the configuration."""
        return cls(home.resolve(), homes.config(home))

    def command(self, piece: Piece) -> list[str]:
        """The command line of one process."""
        match piece:
            case "superlink":
                return self.superlink.command()
            case "gateway":
                return self.gateway.command()
            case "engine":
                return [sys.executable, "-m", "coordinator.engine", str(self.home)]

    def environment(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """What every child finds around it."""
        return environment(inherited, str(self.home / homes.RUN / "flwr"))

    def answers(self, piece: str, pid: int) -> bool:
        """Whether a child that was started is ready."""
        match piece:
            case "superlink":
                return healthy(self.superlink)()
            case "gateway":
                return listens(_near(self.gateway.host), self.gateway.port)()
            case _:
                return engine(self.home).get("pid") == pid


def checked(home: Path, only: Piece | None, now: int) -> Host:
    """A home whose processes, or one of them, can be started. Errors: `ConfigError` of what has to be put right first: HOME_NO_ADDRESS,
    FLOWER_MISSING, ROSTER_UNSIGNED, CERTIFICATE_…, ROSTER_CA, PORT_TAKEN, DISK_FULL."""
    found = Host.of(home)
    if only != "gateway" and find_spec("flwr") is None:
        raise ConfigError("FLOWER_MISSING")
    if only in (None, "engine"):
        held = roster.signed(home)
        roster.key_of(home / roster.IDENTITY)
        if held.entries.ca != (home / homes.CA).read_text(encoding="ascii"):
            raise ConfigError("ROSTER_CA", Place(str(home / roster.ROSTER)))
    if only in (None, "gateway"):
        homes.sound(home, now)
        _free(found.gateway.host, found.gateway.port, home)
    if only in (None, "superlink"):
        _free(found.superlink.address.rpartition(":")[0], found.superlink.port, home)
    if not homes.room(home, free_bytes):
        raise ConfigError("DISK_FULL", Place(str(home)), free=free_bytes(home) >> 20, needed=homes.FREE >> 20)
    return found


def free_bytes(place: Path) -> int:
    """What is left on the disk of a folder, for this user."""
    found = os.statvfs(place)
    return found.f_bavail * found.f_frsize


def _free(host: str, port: int, home: Path) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            raise ConfigError("PORT_TAKEN", Place(str(home / homes.CONFIG)), address=f"{host}:{port}") from None


def _near(host: str) -> str:
    return "127.0.0.1" if host == homes.EVERYWHERE else host


# --- keeping them


@contextmanager
def alone(home: Path, lock: Path = LOCK) -> Iterator[None]:
    """One supervisor, or one engine, of one home. Errors: `ConfigError HOME_IN_USE`."""
    path = home / lock
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with path.open("a") as file:
        for _ in range(20):
            if _locked(file):
                break
            time.sleep(0.05)  # somebody may only be looking
        else:
            raise ConfigError("HOME_IN_USE", Place(str(home)), pid=read(home / STATE).get("pid", "?"))
        yield


def held(home: Path) -> bool:
    """Whether a supervisor runs."""
    path = home / LOCK
    if not path.is_file():
        return False
    with path.open("a") as file:
        return not _locked(file)


def _locked(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@dataclass
class Kept:
    """The processes of a host, kept running by this one. `jitter`: entropy for the waits. `said`: is told whenever one stands otherwise."""

    host: Host
    jitter: Entropy
    said: Callable[[Supervision], None] = lambda _state: None
    stopping: bool = False
    pids: Mapping[str, int] = field(default_factory=dict)
    started: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def run(self) -> Supervision:
        """Until somebody asks for the end (SIGTERM, SIGINT), or a child is given up."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: setattr(self, "stopping", True))
        signal.signal(signal.SIGHUP, lambda *_: self.reread())
        return self.kept()

    def kept(self) -> Supervision:
        """The same, until `stopping` alone says so."""
        world = World(
            spawn=self.spawn,
            answers=lambda name: self.host.answers(name, self.started[name].pid),
            told=self.told,
            stopping=lambda: self.stopping,
            clock=time.monotonic,
            wait=time.sleep,
            jitter=lambda: int.from_bytes(exactly(self.jitter, 2), "big") / 32_767.5 - 1,
        )
        try:
            return keep(Supervision.of(CHILDREN), world)
        finally:
            (self.host.home / STATE).unlink(missing_ok=True)

    def spawn(self, name: str) -> subprocess.Popen[bytes]:
        """Start a child in a session of its own: a key pressed at the terminal is not theirs."""
        if name == "engine":
            (self.host.home / ENGINE).unlink(missing_ok=True)
        piece: Piece = next(each for each in PIECES if each == name)
        command, around = self.host.command(piece), self.host.environment(os.environ)
        if piece == "superlink":
            self.started[name] = heard(command, around)
            Thread(target=logged, args=(self.host.home, self.started[name]), daemon=True).start()
            return self.started[name]
        with log(self.host.home, name).open("ab") as said:
            self.started[name] = subprocess.Popen(  # noqa: S603 our own programs
                command,
                env=around,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        return self.started[name]

    def told(self, state: Supervision, pids: Mapping[str, int]) -> None:
        """Written down, for `status` and for whoever comes after this process."""
        self.pids = pids
        with suppress(OSError):  # a full disk stops no child
            now = time.monotonic()
            told = {"pid": os.getpid(), "at": int(now), "children": value(state, pids, now)}
            write(self.host.home / homes.RUN, {STATE.name: json.dumps(told).encode()})
        self.said(state)

    def reread(self) -> None:
        """Have the gateway read its certificate again, and the engine its roster."""
        for name in ("gateway", "engine"):
            if name in self.pids:
                with suppress(ProcessLookupError):
                    os.kill(self.pids[name], signal.SIGHUP)


def heard(command: Sequence[str], around: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    """A program of others, whose lines are read and not kept as they are."""
    return subprocess.Popen(  # noqa: S603 our own configuration
        command,
        env=around,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def logged(home: Path, process: "subprocess.Popen[bytes]") -> None:
    """Keep levels and codes of a SuperLink's lines until it ends."""
    assert process.stdout is not None  # noqa: S101 it was asked for
    with process.stdout as lines:
        log_of(home, "superlink", wall_ms).capture(lines)


def captured(host: Host, around: Mapping[str, str]) -> int:
    """The SuperLink alone, for a service manager: this process keeps its lines, hands signals on, and returns its status, as shells have it
    (128 and more for a signal)."""
    process = heard(host.command("superlink"), around)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: process.terminate())
    logged(host.home, process)
    status = process.wait()
    return status if status >= 0 else 128 - status


def log(home: Path, name: str) -> Path:
    """What a child writes on stderr; of a long one, the part before is beside it."""
    path = home / homes.RUN / f"{name}.log"
    if path.is_file() and path.stat().st_size > LOG_BYTES:
        path.replace(path.with_suffix(".log.1"))
    return path


LOG_BYTES: Final = 20 << 20


def swept(home: Path) -> None:
    """End what a supervisor that was killed left running. Pre-condition: this process holds the lock."""
    left = read(home / STATE).get("children", {})
    own = [each["pid"] for each in left.values() if each.get("pid") and _of(home, each["pid"])]
    for pid in own:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    end = time.monotonic() + 5
    while any(map(alive, own)) and time.monotonic() < end:
        time.sleep(0.05)
    for pid in filter(alive, own):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    while (
        any(map(alive, own)) and time.monotonic() < end + 5
    ):  # one that not even that ends holds its port: said at the start
        time.sleep(0.05)


def _of(home: Path, pid: int) -> bool:
    """Whether a process was started for this home, as its command line says; no process is where nothing tells."""
    with suppress(OSError):
        return str(home.resolve()).encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def alive(pid: int) -> bool:
    """Whether a process runs, and not only waits to be noticed."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(") ")[2][:1] != "Z"
    except ProcessLookupError:
        return False
    except OSError:  # no /proc, or a process of somebody else
        return True


def stop(home: Path) -> bool:
    """Ask the supervisor to end and wait for it; whether there was one. Errors: `ConfigError HOME_IN_USE` where it does not end."""
    pid = read(home / STATE).get("pid")
    if not isinstance(pid, int) or not held(home):
        return False
    os.kill(pid, signal.SIGTERM)
    end = time.monotonic() + STOPS_S
    while held(home):
        if time.monotonic() > end:
            raise ConfigError("HOME_IN_USE", Place(str(home)), pid=pid)
        time.sleep(0.05)
    return True


# --- how they stand


def read(path: Path) -> dict[str, Any]:
    """A file of `run/`; nothing where there is none, or none that can be read."""
    with suppress(OSError, ValueError):
        found = json.loads(path.read_bytes())
        return found if isinstance(found, dict) else {}
    return {}


def engine(home: Path) -> dict[str, Any]:
    """What the engine last said of itself; nothing where it never did."""
    return read(home / ENGINE)


def running(home: Path, now: int) -> bool:
    """Whether an engine takes studies here."""
    said = engine(home)
    return now - int(said.get("at", 0)) <= STALE_S and alive(int(said.get("pid", 0)))


def status(home: Path, now: int) -> dict[str, Any]:
    """How every piece stands, whoever keeps it, and which cities were seen. Errors: those of `Host.of`."""
    host, said = Host.of(home), engine(home)
    kept = read(home / STATE) if held(home) else {}
    certificate, signed = homes.shown(home), roster.held(home)
    ok = {
        "superlink": healthy(host.superlink)(),
        "gateway": listens(_near(host.gateway.host), host.gateway.port)(),
        "engine": running(home, now),
    }
    return {
        "pieces": {
            name: "ok" if ok[name] else kept.get("children", {}).get(name, {}).get("state", "away") for name in ok
        },
        "ready": all(ok.values()),
        "supervisor": kept.get("pid"),
        "children": aged(kept.get("children", {}), time.monotonic() - kept.get("at", 0)),
        "address": list(host.config.addresses),
        "cities": said.get("cities", 0) if ok["engine"] else 0,
        "seen": said.get("seen", []) if ok["engine"] else [],
        "studies": said.get("studies", []) if ok["engine"] else [],
        "fault": said.get("fault") if ok["engine"] else None,
        "checks": {
            "superlink": ok["superlink"],
            "run": ok["engine"] and bool(said.get("run")),
            "roster": signed is not None and signed.in_force(now),
        },
        "roster_days_left": (signed.entries.valid_until - now) // 86_400 if signed else None,
        "certificate_days_left": certificate.days_left(now),
    }
