"""`hpfed-coordinator`: studies, dictionaries and reports, so far. Starting and watching a federation comes with deployment.

Everything that computes is imported inside the command that needs it.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(
    name="hpfed-coordinator",
    help="Studies, dictionaries, reports.\n\nExample:  hpfed-coordinator study check study.yaml",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
study_app = typer.Typer(help="Studies.", no_args_is_help=True)
dictionary_app = typer.Typer(help="Dictionaries.", no_args_is_help=True)
report_app = typer.Typer(help="Reports.", no_args_is_help=True)
app.add_typer(study_app, name="study")
app.add_typer(dictionary_app, name="dictionary")
app.add_typer(report_app, name="report")

Lang = Annotated[str, typer.Option("--lang", help="Language of messages: zh or en.", envvar="HPFED_LANG")]
AsJson = Annotated[bool, typer.Option("--json", help="Data on stdout as JSON; messages on stderr.")]


def spoken(chosen: str) -> str:
    """zh or en; anything else is the language of the terminal."""
    if chosen in ("zh", "en"):
        return chosen
    return "zh" if os.environ.get("LC_ALL", os.environ.get("LANG", "")).startswith("zh") else "en"


def guarded(lang: str, as_json: bool, work: Callable[[], Any]) -> None:
    """Run a command. An error of the product is said in full and leaves with its exit code; anything else is a bug and stays visible."""
    from protocols.errors import ConfigError, HpfedError, Place, said

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
        raise typer.Exit(fault.exit_code) from None


def _print(value: Any, as_json: bool, line: Callable[[], str]) -> None:
    if as_json:
        import json

        typer.echo(json.dumps(value, ensure_ascii=False, indent=2, default=str))
    else:
        typer.echo(line())


@study_app.command("check")
def study_check(
    file: Annotated[Path, typer.Argument(help="A study file.")], lang: Lang = "", as_json: AsJson = False
) -> None:
    """Read a study strictly; every fault at once, with file, line and key. Asks nobody, spends nothing.

    Example:  hpfed-coordinator study check study.yaml
    """

    def work() -> None:
        from protocols import study

        found = study.load(file)
        layout = found.workload.layout
        value = {
            "study": found.file.study,
            "digest": found.digest,
            "mode": found.file.privacy.mode,
            "questions": len(found.file.questions),
            "blocks": len(layout.blocks),
            "cells": layout.length,
            "reads": list(found.reads()),
        }
        _print(
            value,
            as_json,
            lambda: (
                f"{found.file.study}: {value['questions']} questions, {value['cells']} cells in {value['blocks']} blocks leave each city, "
                f"masked\nreads {', '.join(found.reads())}\n{found.digest}"
            ),
        )

    guarded(lang, as_json, work)


@study_app.command("new")
def study_new(
    out: Annotated[Path, typer.Argument(help="The file to write; it must not exist.")],
    template: Annotated[
        str, typer.Option("--template", help="One of the shipped studies.")
    ] = "flexible-employment-profile",
    lang: Lang = "",
    as_json: AsJson = False,
) -> None:
    """Copy a shipped study, to be changed into your own.

    Example:  hpfed-coordinator study new mine.yaml --template flexible-employment-profile
    """

    def work() -> None:
        from importlib import resources

        from protocols.dictionary import near
        from protocols.errors import ConfigError, Place

        shipped = {each.name.removesuffix(".yaml"): each for each in resources.files("coordinator.studies").iterdir()}
        known = sorted(name for name, each in shipped.items() if each.name.endswith(".yaml"))
        if template not in known:
            raise ConfigError("TEMPLATE_UNKNOWN", name=template, known=", ".join(known), near=near(template, known))
        if out.exists():
            raise ConfigError("FILE_EXISTS", Place(str(out)))
        out.write_bytes(shipped[template].read_bytes())
        _print({"file": str(out)}, as_json, lambda: f"{out}; next: hpfed-coordinator study check {out}")

    guarded(lang, as_json, work)


@dictionary_app.command("check")
def dictionary_check(
    reference: Annotated[str, typer.Argument(help="A built-in name@version, or the path of a file.")],
    lang: Lang = "",
    as_json: AsJson = False,
) -> None:
    """Read a dictionary strictly; every fault at once, with file, line and key.

    Example:  hpfed-coordinator dictionary check hpf-flexible-employment@1
    """

    def work() -> None:
        from protocols import dictionary

        found = dictionary.load(reference)
        value = {
            "dictionary": found.name,
            "unit": found.unit,
            "digest": found.digest,
            "variables": {name: found.type_of(name) for name in found.known()},
        }
        _print(
            value,
            as_json,
            lambda: f"{found.name}: {len(found.variables)} variables, {len(found.derived)} derived\n{found.digest}",
        )

    guarded(lang, as_json, work)


@dictionary_app.command("codebook")
def dictionary_codebook(
    reference: Annotated[str, typer.Argument(help="A built-in name@version, or the path of a file.")],
    formats: Annotated[str, typer.Option("--format", help="xlsx, html, or both, split by a comma.")] = "xlsx,html",
    out: Annotated[Path, typer.Option("--out", help="The folder to write to; no file there is replaced.")] = Path(),
    lang: Lang = "",
    as_json: AsJson = False,
) -> None:
    """Write a dictionary as a sheet that a department can fill in: its own column for each variable, its own code for each code.

    Example:  hpfed-coordinator dictionary codebook hpf-flexible-employment@1 --format xlsx,html --out codebook
    """

    def work() -> None:
        from coordinator import codebook
        from protocols import dictionary

        chosen = [each.strip() for each in formats.split(",")]
        files = [str(path) for path in codebook.write(out, dictionary.load(reference), chosen)]
        _print(files, as_json, lambda: "\n".join(files))

    guarded(lang, as_json, work)


@report_app.command("build")
def report_build(
    out: Annotated[Path, typer.Argument(help="A folder with results.json.")], lang: Lang = "", as_json: AsJson = False
) -> None:
    """Build tables, the workbook and both reports again, from results.json alone.

    Example:  hpfed-coordinator report build demo
    """

    def work() -> None:
        from coordinator import output
        from coordinator.results import Results

        results = Results.load(out)
        files = output.rebuild(out, results)
        _print(
            [str(path) for path in files],
            as_json,
            lambda: "\n".join(str(path) for path in files if path.suffix == ".html"),
        )

    guarded(lang, as_json, work)


def main() -> None:
    """The console script."""
    app()
