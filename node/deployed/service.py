"""`hpfed-node service print`: this city's processes for a service manager."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from node.shell import HERE, AsJson, Folder, Home, Lang, guarded, home_of, printed

service_app = typer.Typer(help="Units for a service manager.", no_args_is_help=True)


@service_app.command("print")
def service_print(
    how: Annotated[Literal["systemd", "compose"], typer.Option("--format", help="systemd or compose.")] = "systemd",
    out: Annotated[Path | None, typer.Option("--out", help="A folder for the files; else they are printed.")] = None,
    gateway: Annotated[
        list[str] | None,
        typer.Option("--allow-gateway", help="An IP address of the gateway that the link may reach; may be repeated."),
    ] = None,
    database: Annotated[
        list[str] | None,
        typer.Option("--allow-database", help="An IP address that ingest may read a database from; may be repeated."),
    ] = None,
    programs: Annotated[
        Path | None, typer.Option("--programs", help="Where hpfed-node is; else beside Python.")
    ] = None,
    folder: Folder = HERE,
    home: Home = None,
    lang: Lang = None,
    as_json: AsJson = False,
) -> None:
    """Units of gate, link and ingest, with this home filled in. Starts nothing and changes nothing.

    Example:  hpfed-node service print --allow-gateway 203.0.113.7 --out /etc/systemd/system
    """

    def work() -> None:
        import sys

        from node.service import services
        from protocols.services import rendered, written

        here = folder.resolve()
        beside = programs or Path(sys.executable).parent
        found = services(here, home_of(folder, home).resolve(), beside.absolute(), gateway or (), database or ())
        files = rendered("hpfed-node", found, how)
        value = written(files, out)
        printed(value, as_json, lambda: "\n".join(value) if out else "\n".join(files.values()).rstrip("\n"))

    guarded(lang, as_json, work)
