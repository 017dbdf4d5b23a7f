"""`hpfed-coordinator study run`, `watch`, `results` and `collect`: a study over cities that are reached by files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coordinator.deployed.cli import now
from coordinator.shell import HERE, AsJson, Home, Lang, guarded, printed, spoken

if TYPE_CHECKING:
    from coordinator.byhand import Task
    from protocols.study import Study

Without = Annotated[
    list[str] | None, typer.Option("--without", help="Wait for this city no longer; may be repeated. It is missing.")
]


def study_run(
    file: Annotated[Path, typer.Argument(help="A study file, signed by its asker (study sign).")],
    place: Annotated[
        Path, typer.Option("--files", help="The folder of the exchange: out/CITY to carry there, in/ back.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Where to write the result.")],
    exact: Annotated[bool, typer.Option("--exact", help="Secure sums without noise; cities may decline.")] = False,
    number: Annotated[int, typer.Option("--run", min=0, help="Of a study with `repeat`, the run, from 0.")] = 0,
    without: Without = None,
    home: Home = HERE,
    lang: Lang = None,
    as_json: AsJson = False,
) -> None:
    """Ask a study of the cities of the roster, over files. Run it again, or `collect`, when files have come back.

    Example:  hpfed-coordinator study run study.yaml --files exchange --out result
    """

    def work() -> None:
        from coordinator import byhand, output
        from coordinator.store import store
        from protocols.entropy import operating_system
        from protocols.errors import ConfigError

        study = _study(file, exact, number)
        if number >= study.runs:
            raise ConfigError("RUN_UNKNOWN", run=number, last=study.runs - 1)
        output.usable(out)
        kept = store(study, home)
        task = byhand.Task(file.resolve(), study.digest, number + 1, exact, place.resolve(), out.resolve())
        with byhand.alone(home):
            if kept.answered and not any(each[1].study == study.digest for each in byhand.open_tasks(home)):
                _again(study, home, out, lang, as_json)
                return
            folder = byhand.begin(home, study, task, now(), operating_system)
            values = [_forward(home, study, task, folder, frozenset(without or ()))]
        _say(values, task.place, lang, as_json)

    guarded(lang, as_json, work)


def collect(
    place: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of the exchange.")],
    without: Without = None,
    home: Home = HERE,
    lang: Lang = None,
    as_json: AsJson = False,
) -> None:
    """Take in every file of DIR/in, go on with all open studies, write what is due to DIR/out/CITY, and say who is awaited.

    Example:  hpfed-coordinator collect exchange
    """

    def work() -> None:
        from coordinator import byhand
        from protocols.errors import HpfedError, said

        values, fault = [], None
        with byhand.alone(home):
            for folder, task in byhand.open_tasks(home):
                if task.place != place.resolve():
                    continue
                try:
                    study = _study(task.file, task.exact, task.run - 1, task.study)
                    values.append(_forward(home, study, task, folder, frozenset(without or ())))
                except HpfedError as stopped:  # one study that comes to nothing stops no other
                    typer.echo(said(stopped, spoken(lang)), err=True)
                    fault = fault or stopped
        if fault is not None:
            raise typer.Exit(fault.exit_code)
        _say(values, place, lang, as_json)

    guarded(lang, as_json, work)


def study_watch(home: Home = HERE, lang: Lang = None, as_json: AsJson = False) -> None:
    """Studies that are not over, and the cities that are awaited. Takes in nothing.

    Example:  hpfed-coordinator study watch
    """

    def work() -> None:
        from coordinator import byhand

        found = [
            {"study": task.file.name, "digest": task.study, "run": task.run - 1, **byhand.awaited(folder)}
            for folder, task in byhand.open_tasks(home)
        ]
        none = {"zh": "没有进行中的研究", "en": "no study is open"}[spoken(lang)]
        lines = [f"{each['study']}  {each['kind']}  {', '.join(each['cities'])}" for each in found]
        printed(found, as_json, lambda: "\n".join(lines) or none)

    guarded(lang, as_json, work)


def study_results(
    file: Annotated[Path, typer.Argument(help="A study file.")],
    out: Annotated[Path, typer.Option("--out", help="Where to write the result.")],
    exact: Annotated[bool, typer.Option("--exact", help="The study in mode exact.")] = False,
    number: Annotated[int, typer.Option("--run", min=0, help="Of a study with `repeat`, the run, from 0.")] = 0,
    home: Home = HERE,
    lang: Lang = None,
    as_json: AsJson = False,
) -> None:
    """Write the answer of a study that was asked before. Asks nobody.

    Example:  hpfed-coordinator study results study.yaml --out again
    """
    guarded(lang, as_json, lambda: _again(_study(file, exact, number), home, out, lang, as_json))


def _study(file: Path, exact: bool, number: int, digest: str = "") -> "Study":
    from coordinator import split
    from protocols import study
    from protocols.errors import ConfigError, Place

    found = split.stated(study.load(file, exact=exact))
    if digest not in ("", found.digest):
        raise ConfigError("STUDY_CHANGED", Place(str(file)))
    return found.at(number + 1) if found.runs > 1 else found


def _forward(home: Path, study: "Study", task: "Task", folder: Path, without: frozenset[str]) -> dict[str, Any]:
    """One pass; what it came to, as data."""
    from coordinator import byhand, output
    from coordinator.link_files import Waiting

    came = byhand.forward(home, study, task, folder, now(), without)
    answer = came.so_far if isinstance(came, Waiting) else came
    if answer is not None:
        output.write(task.out, answer.results, answer.events, answer.sealer)
    value = {
        "study": study.file.study,
        "digest": study.digest,
        "run": study.run - 1,
        "out": str(task.out) if answer is not None else "",
        "missing": [each.city for each in answer.missing] if answer is not None else [],
        "step": came.kind if isinstance(came, Waiting) else "",
        "awaited": list(came.cities) if isinstance(came, Waiting) else [],
    }
    if not isinstance(came, Waiting):
        byhand.over(folder)
    return value


def _again(study: "Study", home: Path, out: Path, lang: str | None, as_json: bool) -> None:
    from coordinator import bundle, output, roster
    from coordinator import store as stores
    from protocols.errors import ConfigError, Place

    kept = stores.store(study, home)
    if not kept.answered:
        raise ConfigError("STUDY_UNANSWERED", Place(study.file.study))
    unsealed, key = kept.unsealed(), roster.key_of(home / roster.IDENTITY)
    sealer = None if unsealed is None else bundle.Sealer(unsealed, key, now())
    output.write(out, kept.results(), (), sealer, stored=True)
    printed(
        {"study": study.file.study, "out": str(out)},
        as_json,
        lambda: f"{study.file.study}  {'结果' if spoken(lang) == 'zh' else 'result'}  {out}",
    )


def _say(values: list[dict[str, Any]], place: Path, lang: str | None, as_json: bool) -> None:
    from coordinator.link_files import others
    from protocols.files import ENDING

    zh = spoken(lang) == "zh"
    strange = others(place / "in")
    lines = []
    for each in values:
        if each["out"]:
            lines.append(f"{each['study']}  {'结果' if zh else 'result'}  {each['out']}")
        if each["awaited"]:
            word = "等待" if zh else "waits for"
            lines.append(f"{each['study']}  {each['step']}  {word} {', '.join(each['awaited'])}")
    if not values:
        lines.append("没有进行中的研究" if zh else "no study is open")
    if strange:
        told = f"不是 {ENDING} 文件，未动：" if zh else f"no {ENDING} file, left alone: "
        typer.echo(told + ", ".join(strange), err=True)
    printed({"studies": values, "left_alone": strange}, as_json, lambda: "\n".join(lines))
    if any(each["missing"] and not each["awaited"] for each in values):
        raise typer.Exit(4)
