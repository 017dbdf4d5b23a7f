"""`hpfed-node start`, `stop`, `status`: this city's node as processes that run on."""

import os
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from node.deployed.cli import now
from node.shell import HERE, AsJson, Folder, Home, Lang, guarded, home_of, printed, spoken

if TYPE_CHECKING:
    from node.link import Way
    from node.settings import Settings
    from protocols.errors import HpfedError
    from protocols.roster import Roster

STOP_S = 90.0
GATE_S = 3.0  # for the gate to say how it is
BESIDE = "127.0.0.1"  # where a stock SuperNode listens, and its link asks


def start(
    only: Annotated[
        Literal["gate", "link"] | None, typer.Option("--only", help="One of the two processes, which something keeps.")
    ] = None,
    link: Annotated[
        Literal["direct", "supernode"],
        typer.Option("--link", help="Our own link, or one behind a stock flower-supernode."),
    ] = "direct",
    folder: Folder = HERE,
    home: Home = None,
    lang: Lang = None,
    as_json: AsJson = False,
) -> None:
    """Run this city's gate and its link, and start again what ends, until stopped. Exit 5 where software or certificate does not hold.

    Example:  hpfed-node start
    """

    def work() -> None:
        where = home_of(folder, home)
        roster = roster_of(where)
        _installed(roster)
        if only == "gate":
            _gate(folder, where, roster, lang, as_json)
        elif only == "link":
            _link(where, roster, link)
        else:
            _node(folder, where, roster, link, lang, as_json)

    guarded(lang, as_json, work, peer=5)


def roster_of(home: Path) -> "Roster":
    """The roster of a home. Errors: `ConfigError ROSTER_FIRST`."""
    from node.held import ROSTER, held
    from protocols.errors import ConfigError, Place

    found = held(home)
    if found is None:
        raise ConfigError("ROSTER_FIRST", Place(str(home / ROSTER)))
    return found


def _installed(roster: "Roster") -> None:
    """Errors: `PeerError` SOFTWARE_…"""
    from protocols.distribution import check, installed, software

    no = check(installed(), software(), roster.entries.software)
    if no is not None:
        raise no


def _gate(folder: Path, home: Path, roster: "Roster", lang: str | None, as_json: bool) -> None:
    """The gate, in this process."""
    import signal
    import sys
    import threading
    import time

    from node import city, mapping, membership, policy
    from node.desk import nobody
    from node.opened import opened
    from node.running import SOCKET, when_left
    from node.serve import DRAIN_S, listening
    from node.space import room
    from node.station import station
    from node.watched import remaining, watched
    from protocols.clock import wall_ms
    from protocols.entropy import operating_system
    from protocols.logfile import log_of, uncaught
    from protocols.logged import Event

    here = city.load(folder)
    membership.followed(home, here, roster, now())  # a roster that came by wire may list it
    rules, means = policy.load(folder, loose=here.synthetic or here.open_data), mapping.load(folder)
    who = station(here, means, home, roster, operating_system)
    streams = {"entropy": operating_system, "ledger_entropy": operating_system}
    with opened(who, rules, nobody, **streams, now=now()) as gate, listening(home / SOCKET) as served:

        def drained() -> None:
            held = set(gate.talks)
            served.drain(lambda: not held.isdisjoint(gate.talks), DRAIN_S)

        signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=drained, daemon=True).start())
        when_left(served.stop)
        zh, en = f"{here.city} 的网关已打开", f"the gate of {here.city} is open"
        printed({"city": here.city, "gate": "open"}, as_json, lambda: zh if spoken(lang) == "zh" else en)
        gate.room = partial(room, home)
        log = log_of(home, "gate", wall_ms)
        sys.excepthook = uncaught(log)
        log.say(Event.STARTED)
        served.answer(watched(gate.answer, log, time.monotonic), now, remaining(gate.ledger))
        log.say(Event.STOPPED)


def _link(home: Path, roster: "Roster", link: str) -> None:
    """The link, as the program that this process becomes: it reads a transport key and a file with its way, and no more of the home."""
    import sys

    from node.link import command

    way = _way(home, roster, link)
    sys.stdout.flush()
    os.execve(sys.executable, command(way), _environment(home))  # noqa: S606 our own program


def _environment(home: Path) -> dict[str, str]:
    from protocols.flower import environment

    return environment(os.environ, str(home / "transport" / "flwr"))


def _way(home: Path, roster: "Roster", link: str) -> Path:
    """The file that a link reads, with the gateway that answers, or the first one where none does; `link`: as it was started.

    Errors: `ConfigError` GATEWAY_NONE, CLOCK_OFF, FLOWER_MISSING, KEY_NONE; `PeerError GATEWAY_CERTIFICATE`.
    """
    from importlib.util import find_spec

    from node import settings
    from node.transport import KEY, claims, followed
    from protocols.entropy import operating_system
    from protocols.errors import ConfigError, HpfedError, Place

    entries, found = roster.entries, settings.load(home, os.environ)
    if not (entries.gateway and entries.ca):
        raise ConfigError("GATEWAY_NONE")
    if find_spec("flwr") is None:
        raise ConfigError("FLOWER_MISSING")
    if not (home / KEY).is_file():
        raise ConfigError("KEY_NONE", Place(str(home / KEY)))
    followed(home, roster)
    try:
        address = _looked(roster, found)
    except HpfedError as away:
        if away.code != "GATEWAY_AWAY":
            raise
        address = entries.gateway[0]  # the link waits for it
    way = _told(home, address, entries.ca, found)
    if link == "supernode":
        way = replace(
            way, supernode=f"{BESIDE}:{found.link.supernode}", secret=str(claims(home, operating_system)), at_once=1
        )
    way.write(path := way.beside("link.json"))
    return path


def _looked(roster: "Roster", found: "Settings") -> str:
    """The gateway that answers. Errors: `HpfedError GATEWAY_AWAY`, and those of `_way`."""
    from node.reach import REFUSE_S, clock, reach_any

    reached = reach_any(roster.entries.gateway, roster.entries.ca, found.link.proxy, now)
    off = clock(reached.skew_s, REFUSE_S)
    if off is not None:
        raise off
    return reached.address


def _told(home: Path, address: str, ca: str, found: "Settings") -> "Way":
    from node.link import Way
    from node.running import SOCKET
    from node.serve import fitting
    from node.transport import KEY

    trusted = home / KEY.parent / "ca.pem"
    trusted.write_text(ca, encoding="ascii")
    return Way(
        address=address,
        ca=str(trusted),
        key=str(home / KEY),
        gate=str(fitting(home / SOCKET)),
        node=str(home / KEY.parent / "node"),
        active_s=found.link.active_s,
        idle_s=found.link.idle_s,
        proxy=found.link.proxy,
        at_once=found.link.at_once,
        home=str(home),
        metrics=found.link.metrics,
    )


def _node(folder: Path, home: Path, roster: "Roster", link: str, lang: str | None, as_json: bool) -> None:
    """Both, as children of this process."""
    import signal
    import sys

    from node import city, identity, settings, transport
    from node.doctor import listed
    from node.keeping import Kept
    from node.running import SOCKET, alone
    from node.serve import fitting
    from node.transport import claims
    from protocols.clock import wall_ms
    from protocols.entropy import operating_system
    from protocols.errors import HpfedError, said
    from protocols.logfile import log_of

    here = city.load(folder)
    no = listed(roster, here.city, identity.public(home).hex(), transport.listed(home), now())
    if no is not None:
        raise no
    fitting(home / SOCKET)
    found = settings.load(home, os.environ)
    linked = bool(roster.entries.gateway)
    with alone(home):
        if linked:
            try:
                _looked(roster, found)
            except HpfedError as away:
                if away.code != "GATEWAY_AWAY":
                    raise
                typer.echo(said(away, spoken(lang)), err=True)
        own = [*(sys.executable, "-P", "-m", "node.cli", "start"), *("--folder", str(folder)), *("--home", str(home))]
        commands = {"gate": [*own, "--only", "gate"]}
        if linked:
            commands["link"] = [*own, "--only", "link", "--link", link]
        language = {"HPFED_LANG": spoken(lang)}
        shown = list[str]()

        def told(children: dict[str, Any]) -> None:
            value = {"city": here.city, **_state(roster, children, "ok")}
            text = f"{here.city}  {line(value)}"
            whole = all(each["state"] == "ok" for each in children.values())
            if (whole or shown) and text != (shown or [""])[-1] and not kept.stopping.is_set():
                shown.append(text)
                printed(value, as_json, lambda: text)
                sys.stdout.flush()
            elif any(each["state"] == "restarting" for each in children.values()):
                typer.echo(text, err=True)
            no = why(children.get("link", {}))
            if no is not None:
                typer.echo(said(no, spoken(lang)), err=True)

        kept = Kept(home, commands, {**_environment(home), **language}, told, log_of(home, "node", wall_ms))
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: kept.stopping.set())
        if link == "supernode":
            typer.echo(beside(home, roster, claims(home, operating_system), found.link.supernode), err=True)
        ended = kept.run()
    for name in ended.failed:
        raise typer.Exit(ended.kept[name].status or 1)


def why(link: dict[str, Any]) -> "HpfedError | None":
    """What a link that ended says by its status, where that calls for somebody."""
    from importlib.metadata import version

    from node.link import INCOMPATIBLE, UNAUTHORISED
    from protocols.errors import HpfedError

    if link.get("state") != "restarting":
        return None
    if link["last_exit"] == INCOMPATIBLE:
        return HpfedError("SUPERLINK_VERSION", version=version("flwr"))
    return HpfedError("LINK_UNKNOWN") if link["last_exit"] == UNAUTHORISED else None


def beside(home: Path, roster: "Roster", secret: Path, port: int) -> str:
    """What a city runs beside gate and link where a stock SuperNode stands between them and the coordinator."""
    from node.transport import KEY

    address = next(iter(roster.entries.gateway), "HOST:PORT")
    return (
        f"flower-supernode --superlink {address} --root-certificates {home / KEY.parent / 'ca.pem'}"
        f" --auth-supernode-private-key {home / KEY} --isolation process --host {BESIDE} --port {port}"
        f" --superexec-auth-secret-file {secret}"
    )


def _state(roster: "Roster", children: dict[str, Any], link: str) -> dict[str, Any]:
    """What `status` says. `link`: how it is, where its process runs."""
    states = {name: {**each} for name, each in children.items()}
    if "link" in states and states["link"]["state"] == "ok":
        states["link"]["state"] = link
    outbound = list(roster.entries.gateway) if "link" in states else []
    return {"children": states, "outbound": outbound}


def line(value: dict[str, Any]) -> str:
    """`gate ok · link ok · outbound hpf.example.cn:8443`."""
    from node.link import INCOMPATIBLE, UNAUTHORISED

    why = {UNAUTHORISED: "401", INCOMPATIBLE: "flwr"}
    parts = []
    for name, each in value["children"].items():
        status = each.get("last_exit")
        ended = f" ({why.get(status, status)})" if each["state"] in ("restarting", "failed") else ""
        parts.append(f"{name} {each['state']}{ended}")
    return " · ".join([*parts, *(f"outbound {each}" for each in value["outbound"][:1])])


def stop(folder: Folder = HERE, home: Home = None, lang: Lang = None, as_json: AsJson = False) -> None:
    """End the node of this home: conversations that are open may be finished for up to a minute. Without a node nothing is done.

    Example:  hpfed-node stop
    """

    def work() -> None:
        import signal
        import time

        from node.running import running
        from protocols.errors import HpfedError

        where = home_of(folder, home)
        found = running(where)
        pid = found.get("pid") if found else None
        if pid:
            os.kill(pid, signal.SIGTERM)
        end = time.monotonic() + STOP_S
        while pid and (running(where) or {}).get("pid") == pid:
            if time.monotonic() > end:
                raise HpfedError("NODE_STAYS", pid=pid, seconds=round(STOP_S))
            time.sleep(0.1)
        zh = "已停止" if pid else "没有在运行"
        en = "stopped" if pid else "none is running"
        printed({"stopped": pid}, as_json, lambda: zh if spoken(lang) == "zh" else en)

    guarded(lang, as_json, work)


def status(folder: Folder = HERE, home: Home = None, lang: Lang = None, as_json: AsJson = False) -> None:
    """How gate and link are. Exit 0 if both do their work, else 1.

    Example:  hpfed-node status
    """

    def work() -> None:
        where = home_of(folder, home)
        value = state_of(where, roster_of(where))
        printed(value, as_json, lambda: line(value))
        if not value["ok"]:
            raise typer.Exit(1)

    guarded(lang, as_json, work, peer=5)


def state_of(home: Path, roster: "Roster") -> dict[str, Any]:
    """How a home's processes are, whoever keeps them. `ok`: all do their work."""
    from node.running import HEARD, SEEN_S, SOCKET, running, touched
    from node.serve import GateAwayError, stats

    at, found, gate = now(), running(home), {}
    with suppress(GateAwayError):
        said = stats(home / SOCKET, GATE_S)
        gate = {"queue": said.queue, "busy_s": said.busy_s}
    heard = touched(home / HEARD)
    there = heard is not None and at - heard <= SEEN_S
    if found is None:  # nothing is kept here: `--only` processes, or none
        children = {"gate": {"state": "ok" if gate else "stopped"}}
        if roster.entries.gateway:
            children["link"] = {"state": "ok" if there else "stopped"}
    else:
        children = found.get("children", {})
    value = _state(roster, children, "ok" if there else "silent")
    if "gate" in value["children"]:
        value["children"]["gate"] |= gate
        if not gate and value["children"]["gate"]["state"] == "ok":
            value["children"]["gate"]["state"] = "silent"
    states = [each["state"] for each in value["children"].values()]
    return {
        "ok": bool(states) and all(each == "ok" for each in states),
        "pid": found and found.get("pid"),
        **value,
        "heard_s": None if heard is None else max(0, at - heard),
    }
