"""`hpfed-coordinator`: who takes part, studies, dictionaries, reports.

Everything that computes is imported inside the command that needs it.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coordinator.deployed.cli import identity_app, roster_app
from coordinator.deployed.cli import init as init_home
from coordinator.deployed.limits import limits
from coordinator.deployed.run import collect, study_results, study_run, study_watch
from coordinator.deployed.service import service_app
from coordinator.deployed.serving import certificate_app, start, status, stop
from coordinator.deployed.software import roster_software
from coordinator.shell import HERE, AsJson, Home, Lang, guarded, printed, spoken

if TYPE_CHECKING:
    from protocols.study import Study

app = typer.Typer(
    name="hpfed-coordinator",
    help="Studies, dictionaries, reports.\n\nExample:  hpfed-coordinator study check study.yaml",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
study_app = typer.Typer(help="Studies.", no_args_is_help=True)
dictionary_app = typer.Typer(help="Dictionaries.", no_args_is_help=True)
asker_app = typer.Typer(help="Those who ask.", no_args_is_help=True)
report_app = typer.Typer(help="Reports.", no_args_is_help=True)
model_app = typer.Typer(help="Models, once they are fitted.", no_args_is_help=True)
app.add_typer(study_app, name="study")
app.add_typer(dictionary_app, name="dictionary")
app.add_typer(asker_app, name="asker")
app.add_typer(report_app, name="report")
app.add_typer(model_app, name="model")
app.add_typer(roster_app, name="roster")
app.add_typer(identity_app, name="identity")
roster_app.command("software")(roster_software)
app.add_typer(service_app, name="service")
app.command("init")(init_home)
app.add_typer(certificate_app, name="certificate")
app.command("collect")(collect)
app.command("start")(start)
app.command("stop")(stop)
app.command("status")(status)
app.command("limits")(limits)
for name, command in (("run", study_run), ("watch", study_watch), ("results", study_results)):
    study_app.command(name)(command)


@study_app.command("check")
def study_check(
    file: Annotated[Path, typer.Argument(help="A study file.")], lang: Lang = None, as_json: AsJson = False
) -> None:
    """Read a study strictly; every fault at once, with file, line and key. Asks nobody, spends nothing.

    Example:  hpfed-coordinator study check study.yaml
    """

    def work() -> None:
        from coordinator import conversations, split
        from protocols import study

        found = split.stated(study.load(file))
        session = conversations.published(found)
        layout, own = found.workload.layout, found.workload.own
        levels = _levels(found)
        value = {
            "study": found.file.study,
            "digest": found.digest,
            "mode": found.file.privacy.mode,
            "questions": len(found.file.questions),
            "blocks": len(layout.blocks),
            "cells": layout.length,
            "own_blocks": len(own.blocks),
            "own_cells": own.length,
            "session": session,
            "runs": found.runs,
            "reads": list(found.reads()),
            "levels": levels,
        }
        parts = [(layout, "masked"), (own, "as its own numbers" + ("" if found.exact else ", noised"))]
        leaves = "; ".join(
            f"{each.length} cells in {len(each.blocks)} blocks leave each city, {how}"
            for each, how in parts
            if each.blocks
        )
        runs = f", in each of {found.runs} monthly runs to {found.last_as_of}" if found.runs > 1 else ""
        printed(
            value,
            as_json,
            lambda: (
                f"{found.file.study}: {value['questions']} questions{leaves and ', '}{leaves}{runs}\nreads {', '.join(found.reads())}\n"
                + "".join(f"{line}\n" for line in conversations.said(session, spoken(lang)))
                + "".join(f"{_level(each, lang)}\n" for each in levels)
                + found.digest
            ),
        )

    guarded(lang, as_json, work)


def _levels(study: "Study") -> list[dict[str, Any]]:
    """Levels of attributes that too few of the cities named in the study stand at."""
    from protocols.answerable import least_able

    file, least = study.file, least_able(study)
    known = file.cities.names or tuple({city: "" for each in (file.cities.attributes or {}).values() for city in each})
    return [
        {
            "question": question.id,
            "level": level,
            "cities": count,
            "least": least,
            "outcome": "refused" if study.exact else "withheld",
        }
        for question in file.questions
        if study.release_of(question) != "by_city"
        for level, count in study.split(question, known, least).thin
    ]


def _level(found: dict[str, Any], lang: str | None) -> str:
    """One of them in words."""
    zh, en = {
        "refused": ("各市将拒绝 (POLICY_CITIES)", "every city will refuse it (POLICY_CITIES)"),
        "withheld": ("不公布 (C)", "its rows are withheld (C)"),
    }[found["outcome"]]
    if lang == "zh":
        return "{question}：属于 {level} 的城市只有 {cities} 个，至少要 {least} 个：".format_map(found) + zh
    return "{question}: {cities} cities at {level}, where at least {least} are needed: ".format_map(found) + en


@study_app.command("new")
def study_new(
    out: Annotated[Path | None, typer.Argument(help="The file to write; it must not exist.")] = None,
    template: Annotated[
        str | None, typer.Option("--template", help="One of the shipped studies; without OUT the file is NAME.yaml.")
    ] = None,
    source: Annotated[
        Path | None, typer.Option("--from", help="A study file to begin with, in the place of a shipped one.")
    ] = None,
    lang: Lang = None,
    as_json: AsJson = False,
) -> None:
    """Copy a study with its comments, to be changed into your own; without arguments: what there is to copy.

    Example:  hpfed-coordinator study new mine.yaml --template flexible-employment-profile
    """

    def work() -> None:
        from coordinator import templates, templates_text
        from protocols.errors import ConfigError

        if out is None and template is None and source is None:
            found = templates.listed()
            value = [each.published() for each in found]
            printed(value, as_json, lambda: templates_text.listing(found, spoken(lang)))
            return
        if template is not None and source is not None:
            raise ConfigError("TEMPLATE_TWO")
        if source is not None:
            path = out or Path(source.name)
            written = templates.written(path, templates.copied(source, path))
        else:
            name = template or templates.USUAL
            given = templates.content(name)
            written = templates.written(out or Path(f"{name}{templates.ENDING}"), given)
        printed({"file": str(written)}, as_json, lambda: f"{written}; next: hpfed-coordinator study check {written}")

    guarded(lang, as_json, work)


@study_app.command("compare")
def study_compare(
    first: Annotated[Path, typer.Argument(metavar="OUT1", help="A folder with results.json and bundle/.")],
    second: Annotated[Path, typer.Argument(metavar="OUT2", help="Another, usually a later one.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="A new folder for changes.json and one table per question.")
    ] = None,
    lang: Lang = None,
    as_json: AsJson = False,
) -> None:
    """What changed from one result to another, row by row, with intervals. Both bundles are verified first; exit 5 names what fails.

    Example:  hpfed-coordinator study compare result-2025 result-2026 --out change
    """

    def work() -> None:
        from coordinator import change, change_text, output, verify

        if out is not None:
            change_text.vacant(out)
        for place in (first, second):
            steps = verify.verify(place, None, output.made)
            if not all(step.holds for step in steps):
                _unverified(place, [step for step in steps if not step.holds], lang, as_json)
        found = change.compared(change.side(first), change.side(second))
        value = change.published(found)
        if out is not None:
            files = change_text.write(out, found)
            typer.echo("\n".join(str(path) for path in files), err=True)
        printed(value, as_json, lambda: change_text.page(found, spoken(lang)))

    guarded(lang, as_json, work)


@study_app.command("sign")
def study_sign(
    file: Annotated[Path, typer.Argument(help="A study file.")],
    home: Home = HERE,
    exact: Annotated[
        bool, typer.Option("--exact", help="Sign the study in mode exact, as `run --exact` asks it.")
    ] = False,
    lang: Lang = None,
    as_json: AsJson = False,
) -> None:
    """Sign a study with the key of the asker that it names: cities answer no study that its asker has not signed.

    Example:  hpfed-coordinator study sign study.yaml
    """

    def work() -> None:
        from coordinator import askers, split
        from protocols import study

        found = split.stated(study.load(file, exact=exact))
        out = askers.signature_beside(file)
        out.write_bytes(askers.signature(home, found))
        value = {"file": str(out), "study": found.digest, "asker": found.file.asker}
        printed(value, as_json, lambda: f"{out}  {found.file.asker}  {found.digest}")

    guarded(lang, as_json, work)


@asker_app.command("new")
def asker_new(
    asker: Annotated[str, typer.Argument(metavar="ID", help="As studies name it: 3 to 64 of a-z, 0-9 and -.")],
    role: Annotated[str, typer.Option("--role", help="analyst or regulator.")] = "analyst",
    name: Annotated[str, typer.Option("--name", help="For people.")] = "",
    home: Home = HERE,
    lang: Lang = None,
    as_json: AsJson = False,
) -> None:
    """Make an asker's key, and the file that enrols it on the roster. The key stays here.

    Example:  hpfed-coordinator asker new fund-lab --name "Fund research lab"
    """

    def work() -> None:
        from coordinator import askers
        from protocols.entropy import operating_system
        from protocols.signed import key_id

        enrolment, file = askers.new(home, asker, role, name, operating_system)
        out = Path(f"{asker}.enrol.json")
        out.write_bytes(file)
        key = key_id(bytes.fromhex(enrolment.identity))
        value = {"asker": asker, "identity": enrolment.identity, "key": key, "file": str(out)}
        printed(value, as_json, lambda: f"{asker}  {key}  {out}")

    guarded(lang, as_json, work)


@asker_app.command("show")
def asker_show(
    file: Annotated[Path, typer.Argument(help="An asker's enrolment.")], lang: Lang = None, as_json: AsJson = False
) -> None:
    """Whom an enrolment names, and the fingerprint of its key, to read out by telephone.

    Example:  hpfed-coordinator asker show fund-lab.enrol.json
    """

    def work() -> None:
        from coordinator import askers
        from protocols.enrolment import fingerprint

        found = askers.enrolment(file.read_bytes())
        told = fingerprint(bytes.fromhex(found.identity))
        printed({"asker": found.id, "fingerprint": told}, as_json, lambda: f"{found.id}  {told}")

    guarded(lang, as_json, work, peer=5)


@study_app.command("plan")
def study_plan(
    file: Annotated[Path, typer.Argument(help="A study file.")],
    cities: Annotated[
        Path | None,
        typer.Option("--cities", help="A roster file, or the folder that holds the city folders; no row is read."),
    ] = None,
    width: Annotated[
        list[str] | None,
        typer.Option(
            "--width", help="ID=VALUE or ID.MEASURE=VALUE: the least epsilon for that half-width; may be repeated."
        ),
    ] = None,
    twin: Annotated[
        Path | None, typer.Option("--twin", help="Public stand-in cities, from which the sampling part is expected.")
    ] = None,
    lang: Lang = None,
    as_json: AsJson = False,
) -> None:
    """What a study would cost each city, and how sure its numbers would be. Asks nobody, spends nothing.

    Example:  hpfed-coordinator study plan study.yaml --cities cities --twin cities --width product.share=0.005
    """

    def work() -> None:
        from coordinator import beforehand, plan, plan_text, split
        from protocols import study

        asked = split.stated(study.load(file))
        wishes = [plan.wish(text, asked) for text in width or ()]
        folder = cities if cities is not None and not cities.is_file() else None
        try:
            known = beforehand.read(file, folder, twin, spoken(lang))
        except beforehand.ReaderFailed as failed:
            if as_json:
                typer.echo(failed.out.strip())
            typer.echo(failed.err.strip(), err=True)
            raise typer.Exit(failed.code) from None
        source, found = beforehand.chosen(asked, cities, known)
        many = beforehand.people(found, known)
        planned = plan.planned(asked, found, source, lambda names: beforehand.stand_ins(names, asked, known), many)
        value = plan.published(planned, wishes)
        printed(value, as_json, lambda: plan_text.table(value, spoken(lang)))

    guarded(lang, as_json, work)


@dictionary_app.command("check")
def dictionary_check(
    reference: Annotated[str, typer.Argument(help="A built-in name@version, or the path of a file.")],
    lang: Lang = None,
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
        printed(
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
    lang: Lang = None,
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
        printed(files, as_json, lambda: "\n".join(files))

    guarded(lang, as_json, work)


@model_app.command("accept")
def model_accept(
    model: Annotated[Path, typer.Argument(help="A model file, from OUT/models.")],
    votes: Annotated[list[Path], typer.Argument(help="Votes of cities, from hpfed-node validate.")],
    out: Annotated[Path, typer.Option("--out", help="Where the signed acceptance goes.")],
    home: Home = HERE,
    lang: Lang = None,
    as_json: AsJson = False,
) -> None:
    """Sign a model that more than half of the cities said yes to. Without a majority: exit 3. A vote that does not hold: exit 5.

    Example:  hpfed-coordinator model accept interruption.json votes/*.json --out accepted.json
    """

    def work() -> None:
        from coordinator import roster
        from coordinator.deployed.cli import now
        from protocols import vote
        from protocols.models import modelfile

        found, held = modelfile.read(model.read_bytes(), str(model)), roster.signed(home)
        said = [vote.read_vote(each.read_bytes(), held) for each in votes]
        done = vote.accepted(found, said, held, now())
        out.write_bytes(vote.sign_acceptance(done, roster.key_of(home / roster.IDENTITY)))
        yes = sum(word == "yes" for word in done.votes.values())
        zh, en = (
            f"{len(done.votes)} 座城市中 {yes} 座同意；已写入 {out}",
            f"{yes} of {len(done.votes)} cities said yes; written to {out}",
        )
        printed(done.model_dump(mode="json"), as_json, lambda: zh if spoken(lang) == "zh" else en)

    guarded(lang, as_json, work, peer=5)


@report_app.command("build")
def report_build(
    out: Annotated[Path, typer.Argument(help="A folder with results.json.")], lang: Lang = None, as_json: AsJson = False
) -> None:
    """Build tables, the workbook and both reports again, from results.json alone.

    Example:  hpfed-coordinator report build demo
    """

    def work() -> None:
        from coordinator import output
        from coordinator.results import Results

        results = Results.load(out)
        files = output.rebuild(out, results)
        printed(
            [str(path) for path in files],
            as_json,
            lambda: "\n".join(str(path) for path in files if path.suffix == ".html"),
        )

    guarded(lang, as_json, work)


@report_app.command("verify")
def report_verify(
    out: Annotated[Path, typer.Argument(help="A folder with results.json and bundle/.")],
    roster: Annotated[
        Path | None, typer.Option("--roster", help="A roster file from elsewhere, to pin identities.")
    ] = None,
    lang: Lang = None,
    as_json: AsJson = False,
) -> None:
    """Check a result offline, in twelve steps: signatures, files, approvals, attestations, numbers. Exit 5 names what fails.

    Example:  hpfed-coordinator report verify demo --roster roster.json
    """

    def work() -> None:
        from coordinator import output, verify
        from protocols import yamltext

        pinned = None if roster is None else yamltext.content(roster)
        steps = verify.verify(out, pinned, output.made)
        holds = all(step.holds for step in steps)
        partial = [step.number for step in steps if step.holds and not step.complete]
        value = {"holds": holds, "complete": holds and not partial, "steps": [_as_json(step) for step in steps]}
        printed(value, as_json, lambda: "\n".join(line for step in steps for line in _step_lines(step, spoken(lang))))
        verdict = "fails" if not holds else "partly" if partial else "holds"
        typer.echo(VERDICTS[verdict][spoken(lang)].format(steps=", ".join(map(str, partial))), err=True)
        if not holds:
            raise typer.Exit(5)

    guarded(lang, as_json, work)


VERDICTS: dict[str, dict[str, str]] = {
    "holds": {
        "zh": "核验通过。核验不了的：各市的记录是否属实，各市是否如约加噪",
        "en": "It holds. What nobody can check from here: that each city's rows are true, and that it drew its noise as it says",
    },
    "partly": {
        "zh": "所核验的都成立，但第 {steps} 步未能全部核验：该步下注明的内容仅凭协调方所述",
        "en": "What was checked holds, but not all was: what stands below step {steps} is the coordinator's word alone",
    },
    "fails": {"zh": "核验未通过：请勿采信这份结果", "en": "It does not hold: do not rely on this result"},
}
STEPS: dict[str, dict[str, str]] = {
    "layout": {"zh": "文件齐全，没有链接", "en": "the files are there, and plain files"},
    "roster": {"zh": "名册有根密钥签名", "en": "the roster is signed by its root"},
    "manifest": {"zh": "清单有协调方签名", "en": "the list of files is signed by the coordinator"},
    "files": {"zh": "每个文件与清单相符", "en": "every file is the listed one"},
    "results": {"zh": "results.json 格式规范", "en": "results.json is canonical and of a known contract"},
    "study": {
        "zh": "研究与词典即所问，有提问方签名",
        "en": "study and dictionary are those asked, signed by the asker",
    },
    "approvals": {"zh": "每个作答城市都批准了它", "en": "every answering city approved it"},
    "attestations": {
        "zh": "每个作答城市都证明了自己所发出的内容",
        "en": "every answering city attests what it released",
    },
    "cities": {"zh": "作答与缺席的城市无误", "en": "cities that answered and cities that are missing are right"},
    "numbers": {"zh": "数值属于这项研究", "en": "the numbers are those of this study"},
    "rebuilt": {
        "zh": "表格、工作簿与报告可由 results.json 重新生成",
        "en": "tables, workbook and reports follow from results.json",
    },
    "reports": {"zh": "报告写明同一摘要", "en": "the reports name the same digests"},
}
NOTES: dict[str, dict[str, str]] = {
    "beside": {"zh": "不属于结果、未核验：{names}", "en": "no part of the result, not checked: {names}"},
    "self_declared": {
        "zh": "身份系自行声明：请向联合体核对根密钥 {root}，或用 --roster 给出名册",
        "en": "identities are self-declared: compare the root key {root} with the consortium, or name a roster with --roster",
    },
    "recomputed": {
        "zh": "已由各市的掩码向量重新求和，并由此重算全部数值",
        "en": "the sum was computed again from the cities' masked vectors, and every number from that sum",
    },
    "estimates_recomputed": {
        "zh": "已由各市的掩码向量重新求和并核对各估计值；误差、区间与检验系另一版软件所算，未重算",
        "en": "the sum was computed again from the cities' masked vectors, and every estimate from it; "
        "errors, intervals and tests were computed by other software and not again",
    },
    "own_recomputed": {
        "zh": "已由各市签名的自行作答重算其分市数值",
        "en": "every number by city was computed again from what that city signed",
    },
    "sum_attested": {
        "zh": "{count} 座城市签名确认的是同一个合计",
        "en": "{count} cities signed the receipt of one and the same sum",
    },
    "own_unused": {
        "zh": "{cities} 证明已自行作答并计费，但协调方没有收到；结果不含其分市数值",
        "en": "{cities} attests an answer of its own, and was charged for it, that the coordinator did not get: it is not in the result",
    },
    "sum_exact": {
        "zh": "未重新求和：精确模式的求和记录留在协调方；只核对了各行是否属于这项研究",
        "en": "the sum was not computed again: in mode exact its record stays with the coordinator; "
        "only that the rows are those of the study was checked",
    },
    "session_not_given": {
        "zh": "多轮问题未重新推算：各轮合计的记录留在协调方；只核对了这些问题是否属于这项研究",
        "en": "questions of many rounds were not replayed: the record of their sums stays with the coordinator; "
        "only that they are those of the study was checked",
    },
    "sum_large": {
        "zh": "未重新求和：求和记录太大，留在协调方；只核对了各行是否属于这项研究",
        "en": "the sum was not computed again: its record is too large for the bundle; "
        "only that the rows are those of the study was checked",
    },
    "own_large": {
        "zh": "未核对各市自行作答的数值：数据太大，不在成果包内",
        "en": "the cities' own numbers were not checked: they are too large for the bundle",
    },
    "other_software": {
        "zh": "未核对：以下文件由另一版软件写成，须用那一版重新生成：{files}",
        "en": "not checked: other software wrote these files, and only that can make them again: {files}",
    },
    "not_rebuilt": {
        "zh": "未核对：没有生成它们的程序：{files}",
        "en": "not checked: there is nothing here that makes these files: {files}",
    },
    "unchecked": {
        "zh": "列入清单、但内容无从核验：{files}",
        "en": "on the signed list, with contents that nothing here can check: {files}",
    },
    "word": {
        "zh": "仅凭协调方所述：城市的显示名（{names}）、城市缺席的原因、运行时间 {at}、是否使用种子；"
        "study.yaml 与 dictionary.yaml 中的注释无人签名",
        "en": "the coordinator's word alone: the names that cities are shown under ({names}), why cities are missing, "
        "the time of the run {at}, whether it had a seed; nobody signs comments in study.yaml and dictionary.yaml",
    },
}


def _unverified(place: Path, steps: list[Any], lang: str | None, as_json: bool) -> None:
    """Say what does not hold, and leave with exit code 5."""
    value = {"holds": False, "result": str(place), "steps": [_as_json(step) for step in steps]}
    printed(value, as_json, lambda: "\n".join(line for step in steps for line in _step_lines(step, spoken(lang))))
    typer.echo(f"{place}: {VERDICTS['fails'][spoken(lang)]}", err=True)
    raise typer.Exit(5)


def _step_lines(step: Any, language: str) -> list[str]:
    from protocols.errors import escaped, said

    mark = "✓" if step.holds else "✗" if step.taken else "–"
    left_out = {"zh": "（未核验：前面的步骤未通过）", "en": " (not checked: an earlier step failed)"}[language]
    lines = [f"{mark} {step.number:>2} {STEPS[step.name][language]}{'' if step.taken else left_out}"]
    lines += ["     " + line for fault in step.faults for line in said(fault, language).splitlines()]
    return lines + ["     " + escaped(NOTES[note.key][language].format(**note.values)) for note in step.notes]


def _as_json(step: Any) -> dict[str, Any]:
    return {
        "step": step.number,
        "name": step.name,
        "holds": step.holds,
        "taken": step.taken,
        "faults": [
            {
                "code": fault.code,
                "file": fault.at.file if fault.at else "",
                "zh": fault.text("zh"),
                "en": fault.text("en"),
            }
            for fault in step.faults
        ],
        "notes": [
            {"note": note.key, **{each: NOTES[note.key][each].format(**note.values) for each in ("zh", "en")}}
            for note in step.notes
        ],
    }


def main() -> None:
    """The console script."""
    app()
