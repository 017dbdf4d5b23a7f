"""`hpfed-node doctor`, `software`, `config show`: whether this city's host is as it should be."""

import os
from typing import Annotated, Any, Literal

import typer

from node.deployed.cli import now
from node.shell import HERE, AsJson, Folder, Home, Lang, guarded, home_of, printed, spoken

config_app = typer.Typer(help="How this city's processes run.", no_args_is_help=True)


def doctor(folder: Folder = HERE, home: Home = None, lang: Lang = None, as_json: AsJson = False) -> None:
    """Clock, TLS, enrolment, software, disk and processes, one line each: ok, warn or fail, and what to do. Exit 1 where one fails.

    Example:  hpfed-node doctor
    """

    def work() -> None:
        from node import city, doctor, identity, running, settings, transport
        from node.deployed.host import roster_of
        from node.desk import Desk
        from protocols.distribution import altered_dependencies, installed
        from protocols.distribution import software as own

        where, here, at = home_of(folder, home), city.load(folder), now()
        roster, found = roster_of(where), settings.load(where, os.environ)
        link, public = transport.listed(where), identity.public(where)
        heard, answered = (running.touched(where / each) for each in (running.HEARD, running.ANSWERED))
        asked = [each.asked() for each in Desk(where, here.city, public).requests().values() if each.state == "pending"]
        findings = [
            doctor.software(installed(), own(), roster.entries.software),
            doctor.packages(altered_dependencies()),
            *doctor.enrolment(roster, here.city, public.hex(), link, at),
            *doctor.gateway(roster, found.link.proxy, now),
            *doctor.node(running.running(where), heard, answered, at),
            doctor.disk(where),
            doctor.courier(doctor.command_lines()),
            *doctor.over_files(roster, asked),
        ]
        language: Literal["zh", "en"] = "zh" if spoken(lang) == "zh" else "en"
        failed = any(each.level == "fail" for each in findings)
        value = {"ok": not failed, "findings": [each.value() for each in findings]}
        printed(value, as_json, lambda: "\n".join(each.line(language) for each in findings))
        if failed:
            raise typer.Exit(1)

    guarded(lang, as_json, work, peer=5)


def software(lang: Lang = None, as_json: AsJson = False) -> None:
    """Version and digest of what is installed here, as a roster lists it.

    Example:  hpfed-node software
    """

    def work() -> None:
        from protocols.distribution import software

        own = software()
        printed(own.model_dump(), as_json, lambda: f"{own.version}  sha256:{own.sha256}")

    guarded(lang, as_json, work)


@config_app.command("show")
def config_show(
    folder: Folder = HERE,
    home: Home = None,
    origin: Annotated[bool, typer.Option("--origin", help="Say where each value comes from.")] = False,
    lang: Lang = None,
    as_json: AsJson = False,
) -> None:
    """Every setting in force: of the environment, of config.yaml in the home, or the default.

    Example:  hpfed-node config show --origin
    """

    def work() -> None:
        from node import settings
        from node.held import ROSTER, held

        where = home_of(folder, home)
        found: list[dict[str, Any]] = [{"key": "home", "value": str(where), "from": _home_from(where, folder)}]
        found += [
            {"key": each.key, "value": each.value, "from": each.source} for each in settings.origins(where, os.environ)
        ]
        roster = held(where)
        addresses = list(roster.entries.gateway) if roster else []
        found.append(
            {"key": "link.addresses", "value": addresses, "from": str(where / ROSTER) if roster else "default"}
        )
        if not origin:
            found = [{"key": each["key"], "value": each["value"]} for each in found]
        printed(found, as_json, lambda: "\n".join("  ".join(_shown(part) for part in each.values()) for each in found))

    guarded(lang, as_json, work, peer=5)


def _home_from(where: Any, folder: Any) -> str:
    if str(where) == os.environ.get("HPFED_HOME"):
        return "HPFED_HOME"
    return "default" if where == home_of(folder, None) else "--home"


def _shown(part: Any) -> str:
    return ", ".join(part) if isinstance(part, list) else str(part) or "-"
