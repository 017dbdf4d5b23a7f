"""`hpfed-coordinator study run`, `watch`, `results` and `collect`: a study over links, or over cities that are reached by files."""

from collections.abc import Sequence
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
    out: Annotated[Path | None, typer.Option("--out", help="Where to write the result.")] = None,
    place: Annotated[
        Path | None,
        typer.Option("--files", help="The folder of an exchange by files: out/CITY to carry there, in/ back."),
    ] = None,
    by_files: Annotated[
        list[str] | None,
        typer.Option(
            "--by-files", help="With --files: this city alone is reached so, all others over links; may be repeated."
        ),
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Over links: do not wait for the result.")] = False,
    wait: Annotated[
        str, typer.Option("--wait", help="Over links: how long cities may take to approve, as 30s, 90m, 12h or 14d.")
    ] = "14d",
    accept_noisy: Annotated[
        bool, typer.Option("--accept-noisy", help="Go on although most rows will be noise.")
    ] = False,
    exact: Annotated[bool, typer.Option("--exact", help="Secure sums without noise; cities may decline.")] = False,
    number: Annotated[int, typer.Option("--run", min=0, help="Of a study with `repeat`, the run, from 0.")] = 0,
    without: Without = None,
    home: Home = HERE,
    lang: Lang = None,
    as_json: AsJson = False,
) -> None:
    """Ask a study of the cities of the roster: over links where `start` runs, else over files. One that was answered is written again.

    Over files run it again, or `collect`, when files have come back.

    Example:  hpfed-coordinator study run study.yaml --out result
    """

    def work() -> None:
        from coordinator import output
        from coordinator.store import store
        from protocols.errors import ConfigError

        study = _study(file, exact, number)
        if number >= study.runs:
            raise ConfigError("RUN_UNKNOWN", run=number, last=study.runs - 1)
        if out is None and not (detach and (place is None or by_files)):
            raise typer.BadParameter("a folder for the result is needed", param_hint="--out")
        if by_files and place is None:
            raise typer.BadParameter("the folder of the exchange is needed", param_hint="--files")
        if out is not None:
            output.usable(out)
        if place is not None and not by_files and out is not None:
            _by_hand(file, study, place, out, exact, frozenset(without or ()), home, lang, as_json)
        elif store(study, home).answered:
            _stored(study, home, out, lang, as_json)
        else:
            _over_links(
                file, study, out, detach, wait, accept_noisy, exact, place, by_files, without, home, lang, as_json
            )

    guarded(lang, as_json, work)


def _by_hand(
    file: Path,
    study: "Study",
    place: Path,
    out: Path,
    exact: bool,
    without: frozenset[str],
    home: Path,
    lang: str | None,
    as_json: bool,
) -> None:
    from coordinator import byhand
    from coordinator.store import store
    from protocols.entropy import operating_system

    task = byhand.Task(file.resolve(), study.digest, study.run, exact, place.resolve(), out.resolve())
    with byhand.alone(home):
        if store(study, home).answered and not any(each[1].study == study.digest for each in byhand.open_tasks(home)):
            _again(study, home, out, lang, as_json)
            return
        folder = byhand.begin(home, study, task, now(), operating_system)
        values = [_forward(home, study, task, folder, without)]
    _say(values, task.place, lang, as_json)


def _stored(study: "Study", home: Path, out: Path | None, lang: str | None, as_json: bool) -> None:
    """The answer of before."""
    from coordinator.store import missing, store

    if out is None:
        from coordinator.deployed.links import left_running

        left_running(study.file.study, lang, as_json)
        return
    _again(study, home, out, lang, as_json)
    if missing(store(study, home).results()):
        raise typer.Exit(4)


def _over_links(
    file: Path,
    study: "Study",
    out: Path | None,
    detach: bool,
    wait: str,
    accept_noisy: bool,
    exact: bool,
    place: Path | None,
    by_files: list[str] | None,
    without: list[str] | None,
    home: Path,
    lang: str | None,
    as_json: bool,
) -> None:
    from coordinator import asked
    from coordinator.askers import signed_beside
    from coordinator.deployed import links

    task = asked.Task(
        named=study.file.study,
        study=study.digest,
        run=study.run,
        exact=exact,
        asked=now(),
        wait_s=links.seconds(wait),
        place="" if place is None else str(place.resolve()),
        hand=tuple(by_files or ()),
    )
    run = links.listed(home, study, signed_beside(file), task, accept_noisy=accept_noisy)
    run.give_up(without or ())
    if detach or out is None:
        links.left_running(task.named, lang, as_json)
        return
    try:
        ended = links.waited(run, home, spoken(lang), lambda line: typer.echo(f"{task.named}  {line}", err=True))
    except KeyboardInterrupt:
        links.left_running(task.named, lang, as_json)
        raise typer.Exit(130) from None
    if "error" in ended:
        links.stopped(ended, spoken(lang), as_json)
    _again(study, home, out, lang, as_json, run.events)
    if ended["missing"]:
        raise typer.Exit(4)


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
        _say([*values, *_of_engine(home, place)], place, lang, as_json)

    guarded(lang, as_json, work)


def _of_engine(home: Path, place: Path) -> list[dict[str, Any]]:
    """Studies that an engine asks over this folder too: it takes in files by itself."""
    from coordinator import asked

    found = [each for each in asked.found(home) if each.task.hand and Path(each.task.place) == place.resolve()]
    return [
        {
            "study": each.task.named,
            "digest": each.task.study,
            "run": each.task.run - 1,
            "out": "",
            "missing": [],
            "step": (state := each.state)["step"],
            "awaited": sorted(state["cities"]),
        }
        for each in found
    ]


def study_watch(home: Home = HERE, lang: Lang = None, as_json: AsJson = False) -> None:
    """Studies that are not over, and the cities that are awaited. Takes in nothing.

    Example:  hpfed-coordinator study watch
    """

    def work() -> None:
        from coordinator import asked, byhand
        from coordinator.deployed.links import state_line

        found: list[dict[str, Any]] = [
            {"study": task.file.name, "digest": task.study, "run": task.run - 1, **byhand.awaited(folder)}
            for folder, task in byhand.open_tasks(home)
        ]
        none = {"zh": "没有进行中的研究", "en": "no study is open"}[spoken(lang)]
        lines = [f"{each['study']}  {each['kind']}  {', '.join(each['cities'])}" for each in found]
        for run in asked.found(home):
            state, task_ = run.state, run.task
            about = {"study": task_.named, "digest": task_.study, "run": task_.run - 1}
            found.append({**about, "kind": state["step"], "cities": sorted(state["cities"]), "since": state["since"]})
            lines.append(f"{task_.named}  {state_line(state, spoken(lang))}")
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


def _again(
    study: "Study", home: Path, out: Path, lang: str | None, as_json: bool, events: Sequence[dict[str, Any]] = ()
) -> None:
    """Write the answer that is kept. `events`: how it came about, where that is told."""
    from coordinator import stored

    stored.again(study, home, out, now(), events)
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
