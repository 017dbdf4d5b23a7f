"""What keeps a city's node from working, or soon will: each finding is one line, with what to do.

Every function here looks at one thing and is told the time. What would make a node refuse to start is the same fault here and there.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, Literal

from node.reach import DAY, REFUSE_S, WARN_S, clock, reach_any
from node.running import SEEN_S
from node.space import MIB, NEEDED, free
from protocols.distribution import Installed, check
from protocols.errors import Both, ConfigError, HpfedError, PeerError, Refusal
from protocols.roster import Roster, Software
from protocols.study import Study

ROSTER_DAYS: Final = 14
CERTIFICATE_DAYS: Final = 30
SUPERNODE: Final = b"flower-supernode"

NAMES: Final = {
    "software": Both("软件", "software"),
    "packages": Both("依赖", "packages"),
    "roster": Both("名册", "roster"),
    "enrolment": Both("登记", "enrolment"),
    "gateway": Both("网关地址", "gateway"),
    "certificate": Both("证书", "certificate"),
    "clock": Both("时钟", "clock"),
    "node": Both("节点", "node"),
    "round trip": Both("往返", "round trip"),
    "disk": Both("磁盘", "disk"),
    "courier": Both("信使", "courier"),
    "files": Both("文件传递", "files"),
}


@dataclass(frozen=True)
class Finding:
    """What was looked at and how it is: a fault that says what to do, or a few words."""

    name: str
    level: Literal["ok", "warn", "fail"]
    found: HpfedError | Both

    def line(self, language: Literal["zh", "en"]) -> str:
        """For people."""
        text = self.found.text(language) if isinstance(self.found, HpfedError) else getattr(self.found, language)
        return f"{self.level:<4}  {getattr(NAMES[self.name], language)}  {text}".rstrip()

    def value(self) -> dict[str, str]:
        """As data."""
        if isinstance(self.found, HpfedError):
            said = {each: self.found.text(each) for each in ("zh", "en")}
            return {"name": self.name, "level": self.level, "code": self.found.code, **said}
        return {"name": self.name, "level": self.level, "code": "", "zh": self.found.zh, "en": self.found.en}


def _ok(name: str, zh: str, en: str = "") -> Finding:
    return Finding(name, "ok", Both(zh, en or zh))


def software(found: Installed, own: Software, accepted: tuple[Software, ...]) -> Finding:
    """Whether this host may run what it has installed."""
    no = check(found, own, accepted)
    if no is not None:
        return Finding("software", "fail", no)
    if not found.recorded:
        return Finding("software", "warn", ConfigError("SOFTWARE_UNRECORDED"))
    return _ok("software", f"{own.version}  sha256:{own.sha256}")


def packages(altered: tuple[str, ...]) -> Finding:
    """Whether what this software needs is as it was installed."""
    if altered:
        return Finding("packages", "fail", ConfigError("PACKAGES_ALTERED", names=", ".join(altered)))
    return _ok("packages", "与安装记录相符", "as they were installed")


def enrolment(roster: Roster, city: str, identity: str, transport: str, now: int) -> Iterator[Finding]:
    """Whether the roster is in force and lists this city, under the keys that this host has (public, in hex; empty for none)."""
    days = (roster.entries.valid_until - now) // DAY
    if not roster.in_force(now):
        yield Finding("roster", "fail", PeerError("ROSTER_EXPIRED"))
    elif days < ROSTER_DAYS:
        yield Finding("roster", "warn", ConfigError("ROSTER_ENDS", days=days))
    else:
        named = f"{roster.entries.consortium} {roster.entries.version}"
        yield _ok("roster", f"{named}，还有 {days} 天", f"{named}, {days} days left")
    no = listed(roster, city, identity, transport, now)
    yield _ok("enrolment", city) if no is None else Finding("enrolment", "fail", no)


def listed(roster: Roster, city: str, identity: str, transport: str, now: int) -> HpfedError | None:
    """Why the roster does not let this city take part, if so."""
    entry = next((each for each in roster.entries.cities if each.name == city), None)
    if entry is None:
        return Refusal("ROSTER_STRANGER", city=city)
    if entry.state == "revoked":
        return Refusal("NODE_REVOKED", version=roster.entries.version, reason=entry.reason)
    if identity not in {key.hex() for key in roster.keys_at(entry.id, now)}:
        return PeerError("NODE_KEY_UNLISTED", key=Both("身份", "identity"))
    if roster.entries.gateway and transport not in entry.transport:
        return PeerError("NODE_KEY_UNLISTED", key=Both("传输", "transport"))
    return None


def gateway(roster: Roster, proxy: str, now: Callable[[], int]) -> Iterator[Finding]:
    """Whether the coordinator's gateway is reached, by its certificate, and has the time of this host."""
    entries = roster.entries
    if not entries.gateway:
        yield _ok("gateway", "名册上没有：本联合体用文件传递", "none on the roster: this consortium works over files")
        return
    try:
        found = reach_any(entries.gateway, entries.ca, proxy, now)
    except HpfedError as no:
        yield Finding("certificate" if no.code == "GATEWAY_CERTIFICATE" else "gateway", "fail", no)
        return
    yield _ok("gateway", found.address)
    days = (found.ends - now()) // DAY
    if days < CERTIFICATE_DAYS:
        yield Finding(
            "certificate", "warn", ConfigError("GATEWAY_CERTIFICATE_ENDS", address=found.address, days=max(days, 0))
        )
    else:
        yield _ok("certificate", f"还有 {days} 天", f"{days} days left")
    yield time_of(found.skew_s)


def time_of(skew_s: int | None) -> Finding:
    """How far this clock is from the coordinator's."""
    refused, warned = clock(skew_s, REFUSE_S), clock(skew_s, WARN_S)
    if refused or warned:
        return Finding("clock", "fail" if refused else "warn", refused or warned or ConfigError("GATEWAY_NONE"))
    return _ok(
        "clock", "对方没有报时" if skew_s is None else f"{skew_s:+d} s", "" if skew_s is not None else "none told"
    )


def node(state: Mapping[str, Any] | None, heard: int | None, answered: int | None, now: int) -> Iterator[Finding]:
    """Whether what runs does its work. `state`: of the node of this home, None where none runs. `heard`, `answered`: Unix s."""
    if state is None:
        yield _ok("node", "未运行", "not running")
        return
    children = state.get("children", {})
    for name, each in children.items():
        words = f"{name} {each['state']}"
        yield _ok("node", words) if each["state"] == "ok" else Finding("node", "warn", Both(words, words))
    if "link" not in children:
        return
    if heard is None or now - heard > SEEN_S:
        seconds = now - heard if heard is not None else children["link"]["for_s"]
        yield Finding("round trip", "fail", HpfedError("LINK_SILENT", seconds=seconds))
    elif answered is None:
        yield Finding("round trip", "warn", HpfedError("ROUND_TRIP"))
    else:
        ago = max(0, now - answered)
        yield _ok("round trip", f"{ago} 秒前本市网关答复过协调方", f"the gate answered the coordinator {ago} s ago")


def disk(home: Path) -> Finding:
    """Whether there is room for the books, and for the vectors of a study."""
    left = free(home)
    if left < NEEDED:
        return Finding("disk", "fail", ConfigError("DISK_LOW", free=left // MIB, needed=NEEDED // MIB))
    return _ok("disk", f"可用 {left // MIB:,} MiB", f"{left // MIB:,} MiB free")


def courier(commands: Iterable[bytes]) -> Finding:
    """Whether a stock node that runs what others ship is beside the gate. `commands`: command lines, words apart by NUL."""
    for each in commands:
        words = each.split(b"\0")
        if any(Path(word.decode(errors="replace")).name.encode() == SUPERNODE for word in words[:3]):
            isolated = b"--isolation=process" in words or (b"--isolation", b"process") in pairwise(words)
            if not isolated:
                return Finding("courier", "fail", ConfigError("COURIER_ISOLATION"))
    return _ok("courier", "没有执行外来代码的进程", "no process runs code that others ship")


def command_lines(proc: Path = Path("/proc")) -> Iterator[bytes]:
    """Of the processes that this user may look at; where there is no /proc, none."""
    for path in sorted(proc.glob("[0-9]*/cmdline")):
        try:
            yield path.read_bytes()
        except OSError:  # it has ended, or is somebody else's
            continue


def over_files(roster: Roster, studies: Iterable[Study]) -> Iterator[Finding]:
    """Studies that wait here and take many trips. `studies`: those that lie before this city's officers."""
    if roster.entries.gateway:
        return
    long = [each.file.study for each in studies if each.many]
    if long:
        yield Finding("files", "warn", ConfigError("FILES_ROUNDS", studies=", ".join(long)))
