"""What the commands of `hpfed-coordinator` have in common: options, languages, how an error leaves.

Everything that computes is imported inside the command that needs it.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

Home = Annotated[
    Path, typer.Option("--home", help="Where this party keeps its keys.", envvar="HPFED_HOME", show_default="./.hpfed")
]
HERE = Path(".hpfed")
Lang = Annotated[
    Literal["zh", "en"] | None, typer.Option("--lang", help="Language of messages: zh or en.", envvar="HPFED_LANG")
]
AsJson = Annotated[bool, typer.Option("--json", help="Data on stdout as JSON; messages on stderr.")]


def spoken(chosen: str | None) -> str:
    """What was chosen, else the language of the terminal."""
    if chosen:
        return chosen
    return "zh" if os.environ.get("LC_ALL", os.environ.get("LANG", "")).startswith("zh") else "en"


def guarded(lang: str | None, as_json: bool, work: Callable[[], Any], peer: int = 1) -> None:
    """Run a command. An error of the product is said in full and leaves with its exit code; anything else is a bug and stays visible.

    `peer`: the exit code where a file of another party does not hold.
    """
    from protocols.errors import ConfigError, HpfedError, PeerError, Place, said

    try:
        try:
            work()
        except OSError as refused:
            place, problem = Place(str(refused.filename or "-")), refused.strerror or "-"
            raise ConfigError("FILE_SYSTEM", place, problem=problem) from None
    except HpfedError as fault:
        if as_json:
            typer.echo(said(fault, "json"))
        typer.echo(said(fault, spoken(lang)), err=True)
        raise typer.Exit(peer if isinstance(fault, PeerError) else fault.exit_code) from None


def printed(value: Any, as_json: bool, line: Callable[[], str]) -> None:
    from protocols.errors import json_text, lines

    typer.echo(json_text(value, indent=2) if as_json else lines(line()))
