"""`hpfed-node`: what a city does with its own folder and its own books.

Every command works on the city folder in which it is run (or `--folder`), and on the home beside it: `--home`, else HPFED_HOME, else
`.hpfed` in that folder. Everything that computes is imported inside the command that needs it.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

app = typer.Typer(
    name="hpfed-node",
    help="A city's own side: its files, its policy, its books.\n\nExample:  cd demo/cities/chongqing && hpfed-node map check",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
map_app = typer.Typer(help="Local columns and codes to the dictionary.", no_args_is_help=True)
policy_app = typer.Typer(help="What this city answers.", no_args_is_help=True)
audit_app = typer.Typer(help="What the gate did.", no_args_is_help=True)
app.add_typer(map_app, name="map")
app.add_typer(policy_app, name="policy")
app.add_typer(audit_app, name="audit")

Folder = Annotated[Path, typer.Option("--folder", help="The city folder.")]
Home = Annotated[Path | None, typer.Option("--home", help="Where the node keeps its state.", envvar="HPFED_HOME")]
Lang = Annotated[
    Literal["zh", "en"] | None, typer.Option("--lang", help="Language of messages: zh or en.", envvar="HPFED_LANG")
]
AsJson = Annotated[bool, typer.Option("--json", help="Data on stdout as JSON; messages on stderr.")]
HERE = Path()


def spoken(chosen: str | None) -> str:
    """What was chosen, else the language of the terminal."""
    if chosen:
        return chosen
    return "zh" if os.environ.get("LC_ALL", os.environ.get("LANG", "")).startswith("zh") else "en"


def guarded(lang: str | None, as_json: bool, work: Callable[[], Any]) -> None:
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


def _home(folder: Path, home: Path | None) -> Path:
    return home or folder / ".hpfed"


def _books(folder: Path, home: Path | None) -> Path:
    """The home in which a city's books stand. Errors: `ConfigError LEDGER_NONE` where none was begun."""
    from node import ledger
    from protocols.errors import ConfigError, Place

    where = _home(folder, home)
    if not (where / ledger.FILE).exists() and not (where / ledger.AUDIT).exists():
        raise ConfigError("LEDGER_NONE", Place(str(where)))
    return where


def _now() -> int:
    import time

    return int(time.time())  # noqa: TID251 a command-line shell reads the clock


def _print(value: Any, as_json: bool, line: Callable[[], str]) -> None:
    if as_json:
        import json

        typer.echo(json.dumps(value, ensure_ascii=False, indent=2, default=str))
    else:
        typer.echo(line())


@map_app.command("check")
def map_check(folder: Folder = HERE, lang: Lang = None, as_json: AsJson = False) -> None:
    """Mapping against dictionary and headers; every fault at once. Reads no rows.

    Example:  hpfed-node map check --folder demo/cities/chengdu
    """

    def work() -> None:
        from node import mapping
        from protocols.errors import joined

        fault = joined(mapping.check(folder))
        if fault:
            raise fault
        means = mapping.load(folder)
        looks = mapping.warnings(means)
        for look in looks:
            typer.echo(look.text("zh" if spoken(lang) == "zh" else "en"), err=True)
        value = {
            "city": means.city.city,
            "dictionary": means.meant.name,
            "snapshot": means.snapshot,
            "cannot": list(means.cannot),
            "warnings": [look.text("en") for look in looks],
        }
        _print(
            value,
            as_json,
            lambda: (
                f"{means.city.city}: {means.meant.name}, {means.snapshot}; cannot map: {', '.join(means.cannot) or '-'}"
            ),
        )

    guarded(lang, as_json, work)


@app.command()
def ingest(folder: Folder = HERE, home: Home = None, lang: Lang = None, as_json: AsJson = False) -> None:
    """Read this city's files into a harmonised snapshot. All or nothing.

    Example:  hpfed-node ingest --folder demo/cities/suzhou
    """

    def work() -> None:
        from node import ingest as ingesting
        from protocols.entropy import operating_system

        done = ingesting.ingest(folder, _home(folder, home), operating_system)
        for doubt in done.doubts:
            typer.echo(doubt.text("zh" if spoken(lang) == "zh" else "en"), err=True)
        value = {
            "rows": done.rows,
            "unchanged": done.unchanged,
            "snapshot": done.content,
            "doubts": [doubt.text("en") for doubt in done.doubts],
        }
        _print(
            value,
            as_json,
            lambda: f"{done.rows:,} rows{', unchanged' if done.unchanged else ''}; snapshot {done.content[:12]}",
        )

    guarded(lang, as_json, work)


@policy_app.command("show")
def policy_show(
    folder: Folder = HERE,
    origin: Annotated[bool, typer.Option("--origin", help="Say where each value comes from.")] = False,
    lang: Lang = None,
    as_json: AsJson = False,
) -> None:
    """Every value in force: this city's own, or the shipped one.

    Example:  hpfed-node policy show --origin
    """

    def work() -> None:
        values = _policy(folder)
        found = [
            {"key": v.key, "value": v.value} | ({"from": f"{v.at.file}:{v.at.line}"} if origin else {}) for v in values
        ]
        _print(found, as_json, lambda: "\n".join("  ".join(str(part) for part in each.values()) for each in found))

    guarded(lang, as_json, work)


@policy_app.command("check")
def policy_check(folder: Folder = HERE, lang: Lang = None, as_json: AsJson = False) -> None:
    """Read policy.yaml strictly; every fault at once.

    Example:  hpfed-node policy check
    """

    def work() -> None:
        from node import city, mapping, policy
        from protocols.errors import joined

        here = city.load(folder)
        found = policy.load(folder, loose=here.synthetic or here.open_data)
        fault = joined(policy.unknown_variables(folder, found, mapping.load(folder).meant))
        if fault:
            raise fault
        values = _policy(folder)
        _print({"values": len(values)}, as_json, lambda: f"policy.yaml is sound: {len(values)} values in force")

    guarded(lang, as_json, work)


def _policy(folder: Path) -> Any:
    from node import city, policy

    here = city.load(folder)
    return policy.origin(folder, loose=here.synthetic or here.open_data)


@app.command()
def budget(folder: Folder = HERE, home: Home = None, lang: Lang = None, as_json: AsJson = False) -> None:
    """Room under each cap.

    Example:  hpfed-node budget --folder demo/cities/chongqing
    """

    def work() -> None:
        from node import ledger

        view = ledger.look(_books(folder, home) / ledger.FILE, now=_now())
        rooms = [
            {
                "scope": room.scope,
                "asker": room.asker,
                "epsilon": str(room.cap.epsilon),
                "delta": str(room.cap.delta),
                "used": round(1 - room.left / room.cap.room, 4),
                "renews": room.renews,
            }
            for room in view.rooms
        ]
        lines = (
            f"{r['scope']:<16}{r['asker'] or '-':<16}epsilon {r['epsilon']:<6} used {r['used']:.1%}"
            + (f"  renews {r['renews']}" if r["renews"] else "")
            for r in rooms
        )
        _print(rooms, as_json, lambda: "\n".join(lines))

    guarded(lang, as_json, work)


@app.command()
def releases(folder: Folder = HERE, home: Home = None, lang: Lang = None, as_json: AsJson = False) -> None:
    """What left this city: conversation, study, state, digest of the bytes sent.

    Example:  hpfed-node releases --folder demo/cities/chongqing
    """

    def work() -> None:
        from node import ledger

        view = ledger.look(_books(folder, home) / ledger.FILE, now=_now())
        found = [
            {
                "conversation": held.claim.conversation,
                "study": held.claim.study,
                "asker": held.claim.asker,
                "state": held.state,
                "sent": [turn.spent.reply for turn in held.rounds.values() if turn.spent and turn.sent],
            }
            for held in view.reservations
        ]
        lines = (
            f"{r['conversation'][:12]}  {r['study'][7:19]}  {r['asker']}  {r['state']}  {' '.join(s[7:19] for s in r['sent'])}"
            for r in found
        )
        _print(found, as_json, lambda: "\n".join(lines))

    guarded(lang, as_json, work)


@audit_app.command("verify")
def audit_verify(folder: Folder = HERE, home: Home = None, lang: Lang = None, as_json: AsJson = False) -> None:
    """Check audit file and ledger from the first entry to the last; exit 5 names the first bad one.

    Example:  hpfed-node audit verify --folder demo/cities/chongqing
    """

    def work() -> None:
        from node import audit, ledger
        from protocols.errors import Refusal, said

        where = _books(folder, home)
        try:
            chain = audit.verify(where / ledger.AUDIT)
            head = ledger.verify(where / ledger.FILE, chain.ledger)
        except Refusal as fault:
            typer.echo(said(fault, spoken(lang)), err=True)
            raise typer.Exit(5) from None
        value = {"audit": chain.head.seq, "ledger": head.seq, "head": head.hash.hex()}
        _print(
            value,
            as_json,
            lambda: f"sound: {chain.head.seq} audit lines, {head.seq} ledger entries, head {head.hash.hex()[:16]}",
        )

    guarded(lang, as_json, work)


def main() -> None:
    """The console script."""
    app()
