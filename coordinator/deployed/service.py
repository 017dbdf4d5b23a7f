"""`hpfed-coordinator service print`: a coordinator's processes for a service manager."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from coordinator.shell import HERE, AsJson, Home, Lang, guarded, printed

service_app = typer.Typer(help="Units for a service manager.", no_args_is_help=True)


@service_app.command("print")
def service_print(
    how: Annotated[Literal["systemd", "compose"], typer.Option("--format", help="systemd or compose.")] = "systemd",
    out: Annotated[Path | None, typer.Option("--out", help="A folder for the files; else they are printed.")] = None,
    programs: Annotated[
        Path | None, typer.Option("--programs", help="Where hpfed-coordinator is; else beside Python.")
    ] = None,
    home: Home = HERE,
    lang: Lang = None,
    as_json: AsJson = False,
) -> None:
    """Units of SuperLink, gateway and engine, with this home filled in. Starts nothing and changes nothing.

    Example:  hpfed-coordinator service print --out /etc/systemd/system
    """

    def work() -> None:
        import sys

        from coordinator.home import config
        from coordinator.service import services
        from protocols.services import rendered, written

        beside = programs or Path(sys.executable).parent
        files = rendered(
            "hpfed-coordinator", services(home.resolve(), beside.absolute(), config(home).gateway.port), how
        )
        value = written(files, out)
        printed(value, as_json, lambda: "\n".join(value) if out else "\n".join(files.values()).rstrip("\n"))

    guarded(lang, as_json, work)
