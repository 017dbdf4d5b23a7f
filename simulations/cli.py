"""`hpfed-simulate`: a whole federation in one process, on synthetic cities or on folders of one's own.

Kept light: everything that computes is imported inside the command that needs it, so that `--help` answers at once.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

app = typer.Typer(
    name="hpfed-simulate",
    help="A whole federation in one process: six synthetic cities, or city folders of your own.\n\n"
    "Example:  hpfed-simulate demo --out demo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

Lang = Annotated[
    Literal["zh", "en"] | None, typer.Option("--lang", help="Language of messages: zh or en.", envvar="HPFED_LANG")
]
AsJson = Annotated[bool, typer.Option("--json", help="Data on stdout as JSON; progress on stderr.")]
Engine = Annotated[
    Literal["inprocess", "flower"],
    typer.Option("--engine", help="inprocess, or flower: a process for every city's gate and link, TLS on loopback."),
]
Seed = Annotated[
    int | None, typer.Option("--seed", min=0, help="A reproducible world. It protects nobody who knows the seed.")
]

WORDS: dict[str, dict[str, str]] = {
    "cities": {"zh": "生成六个虚构城市", "en": "six synthetic cities"},
    "read": {"zh": "读取文件", "en": "reading files"},
    "forecast": {"zh": "预估精度", "en": "expected widths"},
    "ingest": {"zh": "数据入库", "en": "ingest"},
    "approve": {"zh": "各市审批", "en": "approvals"},
    "plan": {"zh": "制定方案", "en": "plan"},
    "count": {"zh": "分市作答", "en": "answers by city"},
    "sum": {"zh": "加噪、掩码、求和", "en": "noise, masks, sum"},
    "session": {"zh": "多轮会话", "en": "session"},
    "attest": {"zh": "各市证明", "en": "attestations"},
    "release": {"zh": "估计与区间", "en": "estimates and intervals"},
    "receipts": {"zh": "回执", "en": "receipts"},
    "report": {"zh": "报告", "en": "reports"},
    "total": {"zh": "合计", "en": "in all"},
    "written": {"zh": "已写入：", "en": "written:"},
    "missing": {
        "zh": "缺席：{city}（{reason} {detail}）；结果仍然有效",
        "en": "missing: {city} ({reason} {detail}); the result is valid",
    },
    "stored": {
        "zh": "这项研究已经答复过：以下是当时的答复，不再消耗预算",
        "en": "this study was answered before: here is that answer, at no further cost",
    },
    "core": {
        "zh": "人口与年报数字均为虚构；研究中请写 dictionary: hpf-core@1、as_of: {as_of}",
        "en": "invented holders and figures; in your study write dictionary: hpf-core@1 and as_of: {as_of}",
    },
    "independent": {
        "zh": "各变量独立抽取，变量之间没有关系；研究文件中请写 as_of: {as_of}",
        "en": "independent draws: no variable is related to another; in your study write as_of: {as_of}",
    },
    "respondents": {
        "zh": "虚构受访者，按公布的斜率生成（见 truth/truth.json）；研究文件中请写 as_of: {as_of}",
        "en": "invented respondents with planted slopes (truth/truth.json); in your study write as_of: {as_of}",
    },
    "unattested": {
        "zh": "{city} 尚未证明自己所发出的内容（{reason}）；待其在线后再次运行同一研究即可补齐",
        "en": "{city} has not attested what it released ({reason}); run the same study again when it can be reached",
    },
    "check": {"zh": "核验：", "en": "to check it:"},
    "unsealed": {
        "zh": "这份答复存于结果包出现之前，没有可核验的签名",
        "en": "this answer was stored before there were bundles: it comes without signatures to verify",
    },
    "next": {"zh": "下一步：", "en": "next:"},
    "prepared": {
        "zh": "{cities} 座城市已就绪；在装有 hpfed[simulation] 的代码目录下运行：",
        "en": "{cities} cities are ready; run this where the code is, with hpfed[simulation] installed:",
    },
    "run": {"zh": "第 {number} 期，共 {of} 期（{as_of}）", "en": "run {number} of {of} ({as_of})"},
    "later": {
        "zh": "尚未到期：{as_of}（--run {number}）；{count} 座城市还没有这一日期的快照：{cities}",
        "en": "not yet: {as_of} (--run {number}); {count} cities have no snapshot of that date: {cities}",
    },
}


def language(chosen: str | None) -> str:
    """What was chosen, else the language of the terminal."""
    if chosen:
        return chosen
    return "zh" if os.environ.get("LC_ALL", os.environ.get("LANG", "")).startswith("zh") else "en"


def say(key: str, lang: str, **values: object) -> str:
    return WORDS[key][lang].format(**values)


def told(line: str) -> None:
    """Progress goes to stderr, so that stdout is data alone."""
    from protocols.errors import lines

    typer.echo(lines(line), err=True)


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
        told(said(fault, lang))
        raise typer.Exit(fault.exit_code) from None


def carrier(engine: str) -> Any:
    """What carries to gates in processes of their own; None for one process. Errors: `ConfigError FLOWER_MISSING`."""
    if engine == "inprocess":
        return None
    from simulations import federation

    federation.flower()
    return federation.links


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", help="Where to write; a demo of an earlier time is replaced.")] = Path(
        "demo"
    ),
    seed: Seed = None,
    engine: Engine = "inprocess",
    lang: Lang = None,
    as_json: AsJson = False,
) -> None:
    """Six synthetic cities, the flagship study, a report in Chinese and English.

    Example:  hpfed-simulate demo --out demo --seed 7
    """
    spoken = language(lang)

    def work() -> None:
        import time

        from simulations import demonstration

        began = time.perf_counter()
        outcome, files = demonstration.make(out, seed, told, links=carrier(engine))
        _finish(outcome, files, spoken, as_json, time.perf_counter() - began)
        told(f"{say('next', spoken)} hpfed-simulate run {out}/study.yaml --cities {out}/cities --out my-result")

    guarded(spoken, as_json, work)


@app.command()
def cities(
    out: Annotated[Path, typer.Argument(help="An empty or new folder.")],
    city: Annotated[list[str] | None, typer.Option("--city", help="Only these; may be repeated.")] = None,
    rows: Annotated[int | None, typer.Option("--rows", help="Accounts per city, 500 to 20,000,000.")] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Same seed, same bytes.")] = 20220531,
    heterogeneity: Annotated[
        float | None, typer.Option("--heterogeneity", help="0: all like the first; 1, the default: as described.")
    ] = None,
    broken: Annotated[
        str, typer.Option("--broken", help="One thing wrong in one city's files: gzip, encoding, column, shifted, …")
    ] = "",
    events: Annotated[
        bool, typer.Option("--events", help="Every account month by month as well: paid in, taken out, state.")
    ] = False,
    core: Annotated[
        bool, typer.Option("--core", help="The six as annual reports count them (hpf-core@1), with facts of their own.")
    ] = False,
    dictionary: Annotated[
        str | None,
        typer.Option(
            "--dictionary", help="Independent draws from the domains of any dictionary: a name@version, or a file."
        ),
    ] = None,
    respondents: Annotated[
        bool,
        typer.Option("--respondents", help="Respondents of platform-workers-survey@1, with the slopes of its report."),
    ] = False,
    lang: Lang = None,
    as_json: AsJson = False,
) -> None:
    """Write synthetic cities as real city folders: the six of the demo, or of a dictionary of your own.

    Example:  hpfed-simulate cities cities --city chongqing --rows 5000
    Example:  hpfed-simulate cities centres --core --rows 5000
    Example:  hpfed-simulate cities rehearsal --dictionary mine.yaml
    """
    spoken = language(lang)

    def work() -> None:
        from protocols.errors import ConfigError, json_text
        from simulations import cities as made

        if respondents:
            beside = {
                "--core": core,
                "--dictionary": dictionary is not None,
                "--heterogeneity": heterogeneity is not None,
                "--broken": bool(broken),
                "--events": events,
            }
            for option in (name for name, there in beside.items() if there):
                raise ConfigError("SIMULATE_OPTION", option=option, beside="--respondents")
            as_of = made.write_respondents(out, tuple(city or ()), rows, seed)
            told(f"{say('written', spoken)} {out}\n{say('respondents', spoken, as_of=as_of)}")
            if as_json:
                value = {"out": str(out), "as_of": str(as_of), "synthetic": True, "draws": "planted slopes"}
                typer.echo(json_text(value))
            return
        if core:
            beside = {
                "--dictionary": dictionary is not None,
                "--heterogeneity": heterogeneity is not None,
                "--broken": bool(broken),
                "--events": events,
            }
            for option in (name for name, there in beside.items() if there):
                raise ConfigError("SIMULATE_OPTION_CORE", option=option)
            as_of = made.write_core(out, city or made.ALL, rows, seed)
            told(f"{say('written', spoken)} {out}\n{say('core', spoken, as_of=as_of)}")
            if as_json:
                typer.echo(json_text({"out": str(out), "as_of": str(as_of), "synthetic": True, "figures": "invented"}))
            return
        if dictionary is None:
            spread = 1.0 if heterogeneity is None else heterogeneity
            made.write(out, city or made.ALL, rows, seed, spread, broken, events)
            told(f"{say('written', spoken)} {out}")
            if as_json:
                typer.echo(json_text({"out": str(out), "synthetic": True}))
            return
        if heterogeneity is not None or broken or events:
            option = "--broken" if broken else "--events" if events else "--heterogeneity"
            raise ConfigError("SIMULATE_OPTION", option=option, beside="--dictionary")
        chosen = tuple(city or made.ANY)
        as_of = made.write_independent(out, dictionary, chosen, made.ANY_ROWS if rows is None else rows, seed)
        told(f"{say('written', spoken)} {out}\n{say('independent', spoken, as_of=as_of)}")
        if as_json:
            value = {"out": str(out), "as_of": str(as_of), "synthetic": True, "draws": "independent"}
            typer.echo(json_text(value))

    guarded(spoken, as_json, work)


@app.command()
def facts(lang: Lang = None, as_json: AsJson = False) -> None:
    """Published figures behind the synthetic cities, where they contradict each other, and the reading taken.

    Example:  hpfed-simulate facts --json
    """
    spoken = language(lang)

    def work() -> None:
        from protocols.errors import json_text
        from simulations.cities.facts import facts_file, facts_text

        typer.echo(json_text(facts_file(), indent=1) if as_json else facts_text())

    guarded(spoken, as_json, work)


@app.command()
def bench(
    names: Annotated[list[str] | None, typer.Argument(help="Which; all if none is named.")] = None,
    lang: Lang = None,
    as_json: AsJson = False,
) -> None:
    """Benchmarks beside their peers, measured in one run; prints ratios, writes bench/results.json.

    Example:  hpfed-simulate bench sampler
    """

    def work() -> None:
        import json
        from dataclasses import asdict

        from simulations import bench as benches

        found = benches.run(names or [], Path("bench"), told)
        if as_json:
            typer.echo(json.dumps([asdict(line) for line in found], indent=1))

    guarded(language(lang), as_json, work)


@app.command("stand-ins")
def stand_ins(
    study: Annotated[Path, typer.Argument(help="A study file.")],
    folder: Annotated[
        Path | None, typer.Option("--cities", help="City folders that would be asked; no row is read.")
    ] = None,
    twin: Annotated[
        Path | None, typer.Option("--twin", help="Synthetic or open cities that stand in for them.")
    ] = None,
    lang: Lang = None,
) -> None:
    """What cities would say to a study, and the sums of public stand-ins, as one line of JSON: what `study plan` reads.

    Example:  hpfed-simulate stand-ins study.yaml --cities cities --twin cities
    """

    def work() -> None:
        import time

        from coordinator import split
        from coordinator.beforehand import Beforehand
        from protocols import study as studies
        from simulations import standins

        asked = split.stated(studies.load(study))
        known = standins.known(asked, folder, int(time.time())) if folder else ()  # noqa: TID251 a shell
        found = Beforehand(cities=known, twin=standins.twin(asked, twin) if twin else ())
        sys.stdout.write(found.model_dump_json() + "\n")

    guarded(language(lang), True, work)


@app.command()
def attack(
    names: Annotated[list[str] | None, typer.Argument(help="Which; all if none is named.")] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Same seed, same outcome.")] = 1,
    against_weak: Annotated[
        bool, typer.Option("--against-weak", help="Show what each attack does where its one guard is taken out.")
    ] = False,
    lang: Lang = None,
    as_json: AsJson = False,
) -> None:
    """Attacks on the product, each beside its control: the same code where one guard is missing. Exit 0 only if every attack is
    repelled and every control is broken.

    Example:  hpfed-simulate attack secagg-two-faces curious-city
    """
    spoken = language(lang)

    def work() -> None:
        from simulations import attacks

        show = told if as_json else typer.echo
        found: list[attacks.Tried] = []
        for one in attacks.run(names or [], seed):
            if not found:
                show(attacks.heading(spoken))
            show(attacks.line(one, spoken, weak=against_weak))
            found.append(one)
        if not names:
            show(attacks.later(spoken))
        if as_json:
            typer.echo(attacks.as_json(found, spoken))
        if not all(one.good for one in found):
            raise typer.Exit(1)

    guarded(spoken, as_json, work)


@app.command()
def run(
    study: Annotated[Path, typer.Argument(help="A study file.")],
    folder: Annotated[Path, typer.Option("--cities", help="The folder that holds the city folders.")],
    out: Annotated[Path, typer.Option("--out", help="Where to write the result.")],
    exact: Annotated[bool, typer.Option("--exact", help="Secure sums without noise; cities may decline.")] = False,
    accept_noisy: Annotated[
        bool, typer.Option("--accept-noisy", help="Go on although most rows will be noise.")
    ] = False,
    engine: Engine = "inprocess",
    seed: Seed = None,
    drop: Annotated[list[str] | None, typer.Option("--drop", help="CITY@STEP: lose a city; may be repeated.")] = None,
    number: Annotated[
        int | None,
        typer.Option(
            "--run", min=0, help="Of a study with `repeat`, this run alone, from 0; also if cities lack its snapshot."
        ),
    ] = None,
    by_hand: Annotated[
        bool, typer.Option("--by-hand", help="No simulated officers: studies wait for `hpfed-node approve`.")
    ] = False,
    lang: Lang = None,
    as_json: AsJson = False,
) -> None:
    """Ask a study of city folders: ingest, approve, sum under masks, release.

    A study with `repeat` is asked for every run whose snapshots are there, each into a folder of its date. When the next month's files are
    there, run it again: what is answered already is given again.

    Example:  hpfed-simulate run study.yaml --cities cities --out result --drop chengdu@masked
    """
    spoken = language(lang)

    def work() -> None:
        from coordinator import askers, output, split
        from protocols import study as studies
        from protocols.errors import ConfigError
        from simulations import world

        if by_hand and seed is not None:
            raise ConfigError("SIMULATE_BY_HAND")
        asked = split.stated(studies.load(study, exact=exact))
        drops = [world.drop(text) for text in drop or ()]
        output.usable(out, [folder])
        homes = None if seed is None else world.fresh_homes(out)
        if number is not None and number >= asked.runs:
            raise ConfigError("RUN_UNKNOWN", run=number, last=asked.runs - 1)
        beside = askers.signature_beside(study)
        signed = beside.read_bytes() if beside.is_file() else None

        links = carrier(engine)

        def made(one: Any, place: Path) -> int:
            return _asked(one, folder, place, homes, seed, drops, by_hand, signed, accept_noisy, links, spoken, as_json)

        if asked.file.repeat is None:
            code = made(asked, out)
        else:
            code = max(
                made(one, out / one.file.as_of.isoformat()) for one in _due(asked, folder, homes, seed, number, spoken)
            )
        if code:
            raise typer.Exit(code)

    guarded(spoken, as_json, work)


@app.command()
def prepare(
    study: Annotated[Path, typer.Argument(help="A study file.")],
    folder: Annotated[Path, typer.Option("--cities", help="The folder that holds the city folders.")],
    out: Annotated[Path, typer.Option("--out", help="Where homes, keys and roster go; a short path.")],
    seed: Seed = None,
    lang: Lang = None,
    as_json: AsJson = False,
) -> None:
    """Make what Flower's simulation engine needs to ask a study (`flwr run`), and say how to run it. What was there is made anew.

    Example:  hpfed-simulate prepare study.yaml --cities cities --out ready
    """
    spoken = language(lang)

    def work() -> None:
        from coordinator import split
        from protocols import study as studies
        from protocols.errors import json_text
        from simulations.prepared import prepare as made

        found = made(split.stated(studies.load(study)), folder, out, seed=seed, progress=told)
        around = {"HPFED_HOME": str(found.home), "HPFED_SIMULATION_HOMES": str(found.homes)}
        config = f'study="{study.absolute()}" out="{(out / "result").absolute()}"'
        command = f"flwr run . --federation-config \"num-supernodes={found.cities}\" --run-config '{config}' --stream"
        if as_json:
            typer.echo(json_text({"cities": found.cities, "environment": around, "command": command}))
            return
        told(say("prepared", spoken, cities=found.cities))
        typer.echo(" ".join([*(f"{name}={value}" for name, value in around.items()), command]))

    guarded(spoken, as_json, work)


def _due(study: Any, folder: Path, homes: Path | None, seed: int | None, number: int | None, spoken: str) -> list[Any]:
    """The runs of a repeat to be asked, or given again: one that was named; else all that can be, and the first where none can."""
    from simulations import world

    if number is not None:
        return [study.at(number + 1)]
    runs = world.due(study, folder, homes, seed=seed)
    least = max(study.file.cities.least, 3)
    for each in runs:
        if not each.ready(least):
            named = {"as_of": each.as_of, "number": each.run - 1, "count": len(each.waiting)}
            told(say("later", spoken, cities=", ".join(each.waiting), **named))
    return [study.at(each.run) for each in runs if each.ready(least)] or [study]


def _asked(
    study: Any,
    folder: Path,
    out: Path,
    homes: Path | None,
    seed: int | None,
    drops: list[Any],
    by_hand: bool,
    signed: bytes | None,
    accept_noisy: bool,
    links: Any,
    spoken: str,
    as_json: bool,
) -> int:
    """One study, or one run of it, into a folder of its own. Returns the exit code."""
    import time
    from dataclasses import replace

    from coordinator import output
    from simulations import standins, world

    began = time.perf_counter()
    if study.runs > 1:
        told(say("run", spoken, number=study.run, of=study.runs, as_of=study.file.as_of))
    outcome = world.run(
        study,
        folder,
        homes,
        seed=seed,
        drops=drops,
        by_hand=by_hand,
        signed=signed,
        progress=told,
        links=links,
        **({} if accept_noisy else {"before_asking": standins.refuse_noise}),
    )
    since = time.perf_counter()
    files = output.write(out, outcome.results, outcome.events, outcome.sealer, stored=outcome.stored)
    outcome = replace(outcome, seconds={**outcome.seconds, "report": time.perf_counter() - since})
    _finish(outcome, files, spoken, as_json, time.perf_counter() - began)
    return world.exit_code(outcome)


def _finish(outcome: Any, files: tuple[Path, ...], spoken: str, as_json: bool, total: float) -> None:
    if as_json:
        sys.stdout.write(outcome.results.decode() + "\n")
    for stage, seconds in outcome.seconds.items():
        told(f"  {seconds:6.2f} s  {say(stage, spoken)}")
    told(f"  {total:6.2f} s  {say('total', spoken)}")
    if outcome.stored:
        told(say("stored", spoken))
    for each in outcome.missing:
        told(say("missing", spoken, city=each.city, reason=each.reason, detail=each.detail).replace(" )", ")"))
    for each in outcome.sealer.unsealed.unattested if outcome.sealer else ():
        told(say("unattested", spoken, city=each.city, reason=each.reason))
    beside = [path for path in files if path.parent == files[0].parent]
    told(f"{say('written', spoken)} {', '.join(str(path) for path in beside)}")
    told(
        f"{say('check', spoken)} hpfed-coordinator report verify {files[0].parent}"
        if outcome.sealer
        else say("unsealed", spoken)
    )


def main() -> None:
    """The console script. Threads for small matrices would cost many times what they save: numpy, imported later, reads this."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    app()
