"""`hpfed-coordinator start`, `stop`, `status`, `certificate`: the processes of a coordinator that is reached over links."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from coordinator.deployed.cli import now
from coordinator.shell import HERE, AsJson, Home, Lang, guarded, printed, spoken

if TYPE_CHECKING:
    from protocols.supervision import Supervision

certificate_app = typer.Typer(help="The certificate that the gateway shows to cities.", no_args_is_help=True)
WORDS = {
    "zh": {
        "away": "未运行",
        "starting": "启动中",
        "restarting": "将重启",
        "waiting": "等待",
        "failed": "已停止",
        "seen": "已见 {seen}/{cities} 个城市",
    },
    "en": {"seen": "{seen} of {cities} cities seen"},
}


def start(
    only: Annotated[
        Literal["superlink", "gateway", "engine"] | None,
        typer.Option("--only", help="One process, in the place of this one: for a service manager."),
    ] = None,
    home: Home = HERE,
    lang: Lang = None,
    as_json: AsJson = False,
) -> None:
    """Keep SuperLink, gateway and engine running until they are stopped. One that ends is started again.

    Example:  hpfed-coordinator start
    """

    def work() -> None:
        import os

        from coordinator import supervisor
        from protocols.entropy import operating_system
        from protocols.errors import ConfigError, Place

        if only is not None:
            host = supervisor.checked(home, only, now())
            command, around = host.command(only), host.environment(os.environ)
            if only == "superlink":
                raise typer.Exit(supervisor.captured(host, around))
            os.execve(command[0], command, around)  # noqa: S606 our own programs
        with supervisor.alone(home):
            supervisor.swept(home)
            host = supervisor.checked(home, None, now())
            ready: list[bool] = []

            def said(state: "Supervision") -> None:
                if not ready and all(each.state == "ok" for each in state.kept.values()):
                    ready.append(True)
                    _ready(host.config.addresses[0], lang, as_json)

            ended = supervisor.Kept(host, operating_system, said).run()
            if ended.failed:
                log = supervisor.log(host.home, ended.failed[0])
                raise ConfigError("FLOWER_START", Place(str(log)), name=ended.failed[0], said=_last(log, spoken(lang)))

    guarded(lang, as_json, work)


def _ready(address: str, lang: str | None, as_json: bool) -> None:
    zh, en = f"已启动，各市可经 {address} 连接", f"started: cities reach it at {address}"
    printed({"started": True, "address": address}, as_json, lambda: zh if spoken(lang) == "zh" else en)


def _last(log: Path, language: str) -> str:
    """The last line that a child wrote; the engine says it in both languages, Chinese first."""
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["-"]
    return lines[-2] if language == "zh" and len(lines) > 1 else lines[-1]


def stop(home: Home = HERE, lang: Lang = None, as_json: AsJson = False) -> None:
    """End what `start` keeps running. Studies that are open go on when it is started again.

    Example:  hpfed-coordinator stop
    """

    def work() -> None:
        from coordinator import supervisor

        there = supervisor.stop(home)
        zh, en = ("已停止", "stopped") if there else ("没有运行", "nothing was running")
        printed({"stopped": there}, as_json, lambda: zh if spoken(lang) == "zh" else en)

    guarded(lang, as_json, work)


def status(
    wait: Annotated[
        float, typer.Option("--wait", min=0, help="Seconds to wait until all is well and every city was seen.")
    ] = 0,
    home: Home = HERE,
    lang: Lang = None,
    as_json: AsJson = False,
) -> None:
    """How the processes stand, and which cities were seen within the last minute. Exit 1 where one of the processes is away.

    Example:  hpfed-coordinator status
    """

    def work() -> None:
        import time

        from coordinator import supervisor

        end = time.monotonic() + wait
        found = supervisor.status(home, now())
        while not (found["ready"] and len(found["seen"]) == found["cities"]) and time.monotonic() < end:
            time.sleep(0.2)
            found = supervisor.status(home, now())
        printed(found, as_json, lambda: "\n".join(_lines(found, spoken(lang))))
        if not found["ready"]:
            raise typer.Exit(1)

    guarded(lang, as_json, work)


def _lines(found: dict[str, Any], language: str) -> list[str]:
    words = WORDS[language]
    seen = words["seen"].format(seen=len(found["seen"]), cities=found["cities"])
    lines = [" · ".join([*(f"{name} {words.get(state, state)}" for name, state in found["pieces"].items()), seen])]
    if found["fault"]:
        lines.append(found["fault"][language])
    for each, zh, en in (("roster", "名册", "the roster"), ("certificate", "网关证书", "the gateway's certificate")):
        left = found[f"{each}_days_left"]
        if left is not None and left < {"roster": 14, "certificate": 30}[each]:
            lines.append(f"{zh}还有 {left} 天到期" if language == "zh" else f"{en} is good for {left} days more")
    return lines


@certificate_app.command("renew")
def certificate_renew(
    address: Annotated[
        list[str] | None, typer.Option("--address", help="HOST:PORT of the gateway, from now on; may be repeated.")
    ] = None,
    superlink_port: Annotated[
        int, typer.Option("--superlink-port", envvar="HPFED_SUPERLINK_PORT", help="Of loopback, where none is set up.")
    ] = 8000,
    home: Home = HERE,
    lang: Lang = None,
    as_json: AsJson = False,
) -> None:
    """Make a new certificate of the same authority. What runs reads it at once; cities need nothing, but for another address a new roster.

    Example:  hpfed-coordinator certificate renew
    """

    def work() -> None:
        from contextlib import suppress
        from os import kill
        from signal import SIGHUP

        from coordinator import home as homes
        from coordinator import roster, supervisor
        from protocols.entropy import operating_system

        entries = roster.following(home)
        addresses = tuple(address or ()) or homes.config(home).addresses
        ca = homes.prepared(home, addresses, superlink_port, entropy=operating_system, now=now())
        changed = (entries.gateway, entries.ca) != (addresses, ca)
        roster.reached(home, addresses, ca)
        if supervisor.held(home):
            with suppress(ProcessLookupError):
                kill(int(supervisor.read(home / supervisor.STATE)["pid"]), SIGHUP)
        names = homes.shown(home).names
        value = {"days": homes.DAYS, "names": list(names), "roster": changed}
        zh = f"网关证书 {', '.join(names)}，有效 {homes.DAYS} 天" + ("；请运行 roster sign 并送各市" if changed else "")
        en = f"certificate for {', '.join(names)}, good for {homes.DAYS} days"
        en += "; run roster sign, and send it to the cities" if changed else ""
        printed(value, as_json, lambda: zh if spoken(lang) == "zh" else en)

    guarded(lang, as_json, work)
