"""`hpfed-node`: what a city does with its own folder and its own books.

Every command works on the city folder in which it is run (or `--folder`), and on the home beside it: `--home`, else HPFED_HOME, else
`.hpfed` in that folder. Everything that computes is imported inside the command that needs it.
"""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from node.deployed.checks import config_app, doctor, software
from node.deployed.cli import identity_app, roster_app
from node.deployed.cli import init as init_home
from node.deployed.host import start, status, stop
from node.deployed.run import answer
from node.deployed.service import service_app
from node.shell import HERE, AsJson, Folder, Home, Lang, guarded, home_of, printed, spoken

app = typer.Typer(
    name="hpfed-node",
    help="A city's own side: its files, its policy, its books.\n\nExample:  cd demo/cities/chongqing && hpfed-node map check",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
map_app = typer.Typer(help="Local columns and codes to the dictionary.", no_args_is_help=True)
policy_app = typer.Typer(help="What this city answers.", no_args_is_help=True)
officer_app = typer.Typer(help="Who in this city may say yes to a study.", no_args_is_help=True)
audit_app = typer.Typer(help="What the gate did.", no_args_is_help=True)
app.add_typer(map_app, name="map")
app.add_typer(policy_app, name="policy")
app.add_typer(officer_app, name="officer")
app.add_typer(audit_app, name="audit")
app.add_typer(roster_app, name="roster")
app.add_typer(identity_app, name="identity")
app.add_typer(service_app, name="service")
app.command("init")(init_home)
app.add_typer(config_app, name="config")
app.command("start")(start)
app.command("status")(status)
app.command("stop")(stop)
app.command("doctor")(doctor)
app.command("software")(software)
app.command("answer")(answer)

KeyFile = Annotated[Path, typer.Option("--key", help="Your own key, a file.", envvar="HPFED_OFFICER_KEY")]
StudyId = Annotated[str, typer.Argument(help="The first digits of an id, or the name of the study.")]


def _books(folder: Path, home: Path | None) -> Path:
    """The home in which a city's books stand. Errors: `ConfigError LEDGER_NONE` where none was begun."""
    from node import ledger
    from protocols.errors import ConfigError, Place

    where = home_of(folder, home)
    if not (where / ledger.FILE).exists() and not (where / ledger.AUDIT).exists():
        raise ConfigError("LEDGER_NONE", Place(str(where)))
    return where


def _now() -> int:
    import time

    return int(time.time())  # noqa: TID251 a command-line shell reads the clock


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
        printed(
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

        done = ingesting.ingest(folder, home_of(folder, home), operating_system)
        for doubt in done.doubts:
            typer.echo(doubt.text("zh" if spoken(lang) == "zh" else "en"), err=True)
        value = {
            "rows": done.rows,
            "unchanged": done.unchanged,
            "snapshot": done.content,
            "doubts": [doubt.text("en") for doubt in done.doubts],
        }
        printed(
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
        printed(found, as_json, lambda: "\n".join("  ".join(str(part) for part in each.values()) for each in found))

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
        printed({"values": len(values)}, as_json, lambda: f"policy.yaml is sound: {len(values)} values in force")

    guarded(lang, as_json, work)


def _policy(folder: Path) -> Any:
    from node import city, policy

    here = city.load(folder)
    return policy.origin(folder, loose=here.synthetic or here.open_data)


@policy_app.command("sign")
def policy_sign(
    key: KeyFile, folder: Folder = HERE, home: Home = None, lang: Lang = None, as_json: AsJson = False
) -> None:
    """Sign, as an officer, for caps that policy.yaml raises: with two signatures they hold from the next start of the node.

    Example:  hpfed-node policy sign --key /media/li/li.key
    """

    def work() -> None:
        from node import city, policy

        here = city.load(folder)
        found = policy.load(folder, loose=here.synthetic or here.open_data)
        desk = _desk(folder, home)
        now, days = _now(), found.file.expiry.approval_days
        officer = desk.sign_caps(found.digest, _key(key), now)
        signers = list(desk.raisers(found.digest, days, now))
        value = {"policy": found.digest, "officer": officer, "signed": signers}
        zh = f"{officer} 已为 {found.digest[7:19]} 的上限签字；已有 {len(signers)} 人，须 2 人"
        en = f"{officer} signed for the caps of {found.digest[7:19]}; {len(signers)} of 2 officers"
        printed(value, as_json, lambda: zh if spoken(lang) == "zh" else en)

    guarded(lang, as_json, work)


@officer_app.command("new")
def officer_new(
    name: Annotated[str, typer.Argument(help="A post rather than a person: it leaves with approvals.")],
    key: KeyFile,
    folder: Folder = HERE,
    home: Home = None,
    lang: Lang = None,
    as_json: AsJson = False,
) -> None:
    """Enrol an officer under a key of its own; the key is made if the file is not there yet. Keep it off this machine.

    Example:  hpfed-node officer new "risk office" --key /media/li/li.key
    """

    def work() -> None:
        from node import city
        from node.desk import Desk
        from node.identity import identity, key_file
        from protocols.entropy import operating_system
        from protocols.signed import key_id, public_of

        where = home_of(folder, home)
        own = identity(where, operating_system)
        mine = _key(key) if key.exists() else key_file(key, operating_system)
        Desk(where, city.load(folder).city, public_of(own)).enrol(name, mine, own, _now())
        value = {"officer": name, "key": key_id(public_of(mine)), "file": str(key)}
        printed(value, as_json, lambda: f"{name}  {value['key']}  {key}")

    guarded(lang, as_json, work)


@officer_app.command("list")
def officer_list(folder: Folder = HERE, home: Home = None, lang: Lang = None, as_json: AsJson = False) -> None:
    """Officers that are enrolled, and the names of their keys.

    Example:  hpfed-node officer list
    """

    def work() -> None:
        from protocols.signed import key_id

        found = [{"officer": name, "key": key_id(key)} for name, key in _desk(folder, home).officers().items()]
        printed(found, as_json, lambda: "\n".join(f"{each['officer']:<32}{each['key']}" for each in found))

    guarded(lang, as_json, work)


@officer_app.command("remove")
def officer_remove(
    name: Annotated[str, typer.Argument(help="As it was enrolled.")],
    folder: Folder = HERE,
    home: Home = None,
    lang: Lang = None,
    as_json: AsJson = False,
) -> None:
    """From now on what this officer signed counts as none. Approvals that are in the ledger stay.

    Example:  hpfed-node officer remove "risk office"
    """

    def work() -> None:
        _desk(folder, home).remove(name)
        printed({"officer": name}, as_json, lambda: name)

    guarded(lang, as_json, work)


@app.command()
def requests(
    folder: Folder = HERE,
    home: Home = None,
    everything: Annotated[bool, typer.Option("--all", help="Also those that are decided.")] = False,
    lang: Lang = None,
    as_json: AsJson = False,
) -> None:
    """Studies that wait for an officer; with --all also what was approved or refused, and why.

    Example:  hpfed-node requests --all
    """

    def work() -> None:
        from node import audit, ledger
        from node.audit import Event

        language, where, kept = spoken(lang), home_of(folder, home), _desk(folder, home).requests()
        later: dict[str, tuple[str, ...]] = {}
        if everything and (where / ledger.AUDIT).is_file():
            refused = (each for each in audit.lines(where / ledger.AUDIT) if each.event is Event.REFUSED and each.study)
            later = {each.study: each.codes for each in refused if each.of == "open"}
        found = []
        for name, each in kept.items():
            if not (everything or (each.state == "pending" and each.until > _now())):
                continue
            file = each.asked().file
            found.append(
                {
                    "id": name.removeprefix("sha256:")[:12],
                    "digest": name,
                    "state": each.state,
                    "study": file.study,
                    "revision": file.revision,
                    "title": file.title.model_dump(),
                    "asker": each.asker,
                    "mode": file.privacy.mode,
                    "epsilon": file.privacy.epsilon if file.privacy.mode == "dp" else None,
                    "runs": each.asked().runs,
                    "since": each.since,
                    "codes": list(each.codes or later.get(name, ())),
                }
            )
        printed(found, as_json, lambda: "\n".join(_request_lines(found, language)))

    guarded(lang, as_json, work)


def _request_lines(found: list[dict[str, Any]], language: str) -> list[str]:
    from node.sheet import shown, stamp

    words = {
        "zh": {"pending": "待审批", "approved": "已批准", "refused": "已拒绝"},
        "en": {"pending": "waiting", "approved": "approved", "refused": "refused"},
    }[language]
    if not found:
        return [{"zh": "没有待审批的研究", "en": "no study waits for an officer"}[language]]
    return [
        f"{each['id']}  {words[each['state']]}  {shown(each['title'][language] or each['study'], 60)}  {each['asker']}  "
        + (f"epsilon {each['epsilon']}" if each["epsilon"] else each["mode"])
        + f"  {stamp(each['since'])}"
        + (f"  {', '.join(each['codes'])}" if each["codes"] else "")
        for each in found
    ]


@app.command()
def preview(
    study: StudyId,
    folder: Folder = HERE,
    home: Home = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write the approval sheet, an HTML page for A4, to this new file.")
    ] = None,
    lang: Lang = None,
    as_json: AsJson = False,
) -> None:
    """One study in plain words: what is asked, what would leave, what it costs, what decides. Reads no rows.

    Example:  hpfed-node preview 7f3a --out sheet.html
    """

    def work() -> None:
        from node import sheet
        from protocols.errors import ConfigError, Place

        now, language = _now(), spoken(lang)
        found = _sheet(folder, home, study, now)
        if out is not None:
            if out.exists():
                raise ConfigError("FILE_EXISTS", Place(str(out)))
            out.write_text(sheet.page(found, now), encoding="utf-8")
            printed({"file": str(out)}, as_json, lambda: str(out))
        else:
            printed(sheet.value(found, now), as_json, lambda: "\n".join(sheet.lines(found, language, now)))

    guarded(lang, as_json, work)


@app.command()
def approve(
    study: StudyId, key: KeyFile, folder: Folder = HERE, home: Home = None, lang: Lang = None, as_json: AsJson = False
) -> None:
    """Say yes to a study, as an officer, with your own key. It counts when the coordinator offers the study again.

    Example:  hpfed-node approve 7f3a --key /media/li/li.key
    """
    guarded(lang, as_json, lambda: _say("approve", study, key, folder, home, lang, as_json, ""))


@app.command()
def decline(
    study: StudyId,
    key: KeyFile,
    reason: Annotated[str, typer.Option("--reason", help="For your own city; it is never sent.")],
    folder: Folder = HERE,
    home: Home = None,
    lang: Lang = None,
    as_json: AsJson = False,
) -> None:
    """Say no to a study, also after a yes: until something has left, it takes the yes back.

    Example:  hpfed-node decline 7f3a --key /media/li/li.key --reason "cohort too narrow"
    """
    guarded(lang, as_json, lambda: _say("decline", study, key, folder, home, lang, as_json, reason))


def _say(
    answer: Any, study: str, key: Path, folder: Path, home: Path | None, lang: str | None, as_json: bool, reason: str
) -> None:
    from node import sheet

    now, language = _now(), spoken(lang)
    before = _sheet(folder, home, study, now)
    no = before.decision.refusal()
    if answer == "approve" and no is not None:
        raise no
    officer = _desk(folder, home).say(before.digest, answer, _key(key), now, reason)
    found = _sheet(folder, home, before.digest, now)
    value = {"study": before.digest, "officer": officer, "answer": answer, "state": sheet.standing(found, "en", now)}
    printed(value, as_json, lambda: f"{found.id}  {officer}  {sheet.standing(found, language, now)}")


@app.command()
def budget(folder: Folder = HERE, home: Home = None, lang: Lang = None, as_json: AsJson = False) -> None:
    """Room under each cap, and when it will be used up at the pace of the last 12 months.

    Example:  hpfed-node budget --folder demo/cities/chongqing
    """

    def work() -> None:
        from node import city, ledger, outlook, policy
        from node.entries import raised_caps

        now, here = _now(), city.load(folder)
        view = ledger.look(_books(folder, home) / ledger.FILE, now=now)
        waiting = raised_caps(view.caps, policy.load(folder, loose=here.synthetic or here.open_data))
        rooms = [outlook.value(room, view.reservations, room.scope in waiting, now) for room in view.rooms]
        printed(rooms, as_json, lambda: "\n".join(outlook.lines(rooms, spoken(lang))))

    guarded(lang, as_json, work)


@app.command()
def releases(folder: Folder = HERE, home: Home = None, lang: Lang = None, as_json: AsJson = False) -> None:
    """What left this city: conversation, study, state, digest of the bytes sent.

    Example:  hpfed-node releases --folder demo/cities/chongqing
    """

    def work() -> None:
        from node import ledger
        from node.sheet import released, stamp

        view = ledger.look(_books(folder, home) / ledger.FILE, now=_now())
        found = [released(held, view) for held in view.reservations]
        lines = (
            f"{r['conversation'][:12]}  {r['study'][7:19]}  {stamp(r['at'])}  {r['asker']}  {r['state']}  "
            + " ".join(each["bytes_sha256"][7:19] for each in r["sent"])
            for r in found
        )
        printed(found, as_json, lambda: "\n".join(line.rstrip() for line in lines))

    guarded(lang, as_json, work)


@app.command()
def outbox(
    study: Annotated[str, typer.Argument(help="The first digits of a study's id or of a conversation.")],
    folder: Folder = HERE,
    home: Home = None,
    lang: Lang = None,
    as_json: AsJson = False,
) -> None:
    """What left this city for one study: every table, its noise, the digest of the bytes, and what it cost.

    Example:  hpfed-node outbox 7f3a
    """

    def work() -> None:
        from node import ledger
        from node.sheet import released, released_lines
        from protocols.errors import Refusal

        view = ledger.look(_books(folder, home) / ledger.FILE, now=_now())
        wanted = study.removeprefix("sha256:")
        named = [each for each, kept in _desk(folder, home).requests().items() if kept.asked().file.study == study]
        held = [
            each
            for each in view.reservations
            if each.claim.study in named
            or (wanted and wanted == each.claim.study.removeprefix("sha256:")[: len(wanted)])
            or (wanted and each.claim.conversation.startswith(wanted))
        ]
        if not held:
            raise Refusal("OUTBOX_EMPTY", name=study)
        found = [released(each, view) for each in held]
        printed(found, as_json, lambda: "\n".join(released_lines(found, spoken(lang))))

    guarded(lang, as_json, work)


def _desk(folder: Path, home: Path | None) -> Any:
    from node import city
    from node.desk import Desk
    from node.identity import public

    where = home_of(folder, home)
    return Desk(where, city.load(folder).city, public(where))


def _key(file: Path) -> Any:
    """Errors: `ConfigError OFFICER_KEY`."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from protocols.errors import ConfigError, Place

    content = file.read_bytes()
    if len(content) != 32:
        raise ConfigError("OFFICER_KEY", Place(str(file)))
    return Ed25519PrivateKey.from_private_bytes(content)


def _sheet(folder: Path, home: Path | None, wanted: str, now: int) -> Any:
    """Errors: `ConfigError REQUEST_UNKNOWN` where not exactly one study goes by that name."""
    from node import city, ledger, mapping, policy, sheet
    from node.held import ROSTER
    from protocols import yamltext
    from protocols.errors import ConfigError
    from protocols.roster import self_declared

    where, here, desk = home_of(folder, home), city.load(folder), _desk(folder, home)
    kept, loose, means = desk.requests(), here.synthetic or here.open_data, mapping.load(folder)
    wanted = wanted.removeprefix("sha256:")
    named = [
        name
        for name, each in kept.items()
        if wanted and (name.removeprefix("sha256:").startswith(wanted) or each.asked().file.study == wanted)
    ]
    if len(named) != 1:
        raise ConfigError("REQUEST_UNKNOWN", name=wanted)
    day = kept[named[0]].asked().file.as_of
    return sheet.sheet(
        city=here,
        digest=named[0],
        request=kept[named[0]],
        facts=city.said(city.told(here, means.meant, day)),
        policy=policy.load(folder, loose=loose),
        origins=policy.origin(folder, loose=loose),
        view=ledger.look(where / ledger.FILE, now=now),
        roster=self_declared(yamltext.content(where / ROSTER)),
        cannot=means.cannot,
        unused=means.unused,
        opinions=desk.opinions(named[0]),
        now=now,
    )


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
        printed(
            value,
            as_json,
            lambda: f"sound: {chain.head.seq} audit lines, {head.seq} ledger entries, head {head.hash.hex()[:16]}",
        )

    guarded(lang, as_json, work)


@audit_app.command("evidence")
def audit_evidence(folder: Folder = HERE, home: Home = None, lang: Lang = None, as_json: AsJson = False) -> None:
    """Messages over which this city left a conversation: when, which rule, and the file in which the message is kept as it came.

    Example:  hpfed-node audit evidence --folder demo/cities/chongqing
    """

    def work() -> None:
        from node import audit, evidence, ledger
        from node.sheet import stamp

        where, gone = _books(folder, home), {"zh": "已让出空间", "en": "has made room for newer ones"}[spoken(lang)]
        none = {"zh": "没有", "en": "none"}[spoken(lang)]
        found: list[dict[str, Any]] = [
            {
                "at": line.at,
                "message": line.of,
                "codes": list(line.codes),
                "study": line.study,
                "conversation": line.conversation,
                "digest": line.digest,
                "file": str(evidence.find(where, line.digest) or ""),
            }
            for line in audit.lines(where / ledger.AUDIT)
            if line.event is audit.Event.REFUSED and line.digest
        ]
        lines = (
            f"{stamp(each['at'])}  {each['message']}  {', '.join(each['codes'])}  "
            f"{each['conversation'][:12]}  {each['file'] or gone}"
            for each in found
        )
        printed(found, as_json, lambda: "\n".join(lines) or none)

    guarded(lang, as_json, work)


@audit_app.command("restore")
def audit_restore(
    key: Annotated[Path | None, typer.Option("--key", help="Sign for it, as an officer, with your own key.")] = None,
    folder: Folder = HERE,
    home: Home = None,
    lang: Lang = None,
    as_json: AsJson = False,
) -> None:
    """Let an older copy of the ledger go on, where the newest is gone for good. Two officers sign; what the copy lacks counts as spent.

    Without --key it only says what is missing. With the second signature it is done.

    Example:  hpfed-node audit restore --key /media/li/li.key
    """

    def work() -> None:
        from node import city, ledger, mapping, policy, restore
        from protocols.entropy import operating_system

        here, desk, where = city.load(folder), _desk(folder, home), _books(folder, home)
        rules = policy.load(folder, loose=here.synthetic or here.open_data)
        gap, now, days = restore.gap(where), _now(), rules.file.expiry.approval_days
        if key is not None:
            desk.sign_restore(gap.digest, _key(key), now)
        signers = desk.restorers(gap.digest, days, now)
        done = key is not None and len(signers) >= 2
        if done:
            with ledger.Ledger.open(
                where / ledger.FILE,
                policy=rules,
                city=here.city,
                city_key=desk.key,
                now=now,
                entropy=operating_system,
                dictionary=mapping.load(folder).meant.digest,
                officers=desk.raisers(rules.digest, days, now),
                restored=gap.restored(signers, now),
            ):
                pass
        value = {
            "first": gap.first,
            "last": gap.last,
            "reservations": len(gap.reservations),
            "known": gap.known,
            "signed": list(signers),
            "restored": done,
        }
        printed(value, as_json, lambda: _restore_text(value, spoken(lang)))

    guarded(lang, as_json, work)


@app.command()
def score(
    model: Annotated[Path, typer.Argument(help="A model file, from OUT/models.")],
    out: Annotated[Path, typer.Option("--out", help="Where the scores go: CSV, or Parquet if it ends in .parquet.")],
    folder: Folder = HERE,
    home: Home = None,
    lang: Lang = None,
    as_json: AsJson = False,
) -> None:
    """Score this city's own rows by a model. Rows and scores stay on this machine.

    Example:  hpfed-node score interruption.json --out scores.csv
    """

    def work() -> None:
        from dataclasses import asdict
        from datetime import UTC, datetime

        from node import scores
        from protocols.models import modelfile

        language: Literal["zh", "en"] = "zh" if spoken(lang) == "zh" else "en"
        today = datetime.fromtimestamp(_now(), UTC).date()
        found = modelfile.load(model.read_bytes(), str(model), today)
        done = scores.score(found, folder, home_of(folder, home), out, language)
        value = {"model": found.id, "digest": found.digest, "out": str(out), **asdict(done)}
        zh = f"{done.rows:,} 行，其中 {done.without:,} 行缺值而无评分；已写入 {out}"
        en = f"{done.rows:,} rows, of which {done.without:,} lack a value and have no score; written to {out}"
        printed(value, as_json, lambda: zh if language == "zh" else en)

    guarded(lang, as_json, work)


@app.command()
def recalibrate(
    model: Annotated[Path, typer.Argument(help="A model file, from OUT/models.")],
    out: Annotated[Path, typer.Option("--out", help="Where the new version goes.")],
    method: Annotated[
        Literal["intercept", "slope"], typer.Option("--method", help="What changes: the constant, or its slope too.")
    ] = "intercept",
    folder: Folder = HERE,
    home: Home = None,
    lang: Lang = None,
    as_json: AsJson = False,
) -> None:
    """Put a model's probabilities right for this city, by its own rows. The ranking stays, and so does the new version: here.

    Example:  hpfed-node recalibrate interruption.json --out interruption.local.json
    """

    def work() -> None:
        from node import recalibrate as local
        from protocols.models import modelfile

        found = modelfile.read(model.read_bytes(), str(model))
        done = local.recalibrate(found, folder, home_of(folder, home), out, method)
        figures = {"rows": done.rows, "constant": done.constant, "slope": done.slope}
        ratios = {"before": done.before, "after": done.after}
        new = {"model": found.id, "version": done.made.version, "digest": done.made.digest, "parent": found.digest}
        zh = f"{done.rows:,} 行；实际/预测由 {done.before:.3f} 变为 {done.after:.3f}；第 {done.made.version} 版已写入 {out}"
        en = (
            f"{done.rows:,} rows; observed/expected was {done.before:.3f} and is {done.after:.3f}; "
            f"version {done.made.version} written to {out}"
        )
        printed({**new, "out": str(out), **figures, **ratios}, as_json, lambda: zh if spoken(lang) == "zh" else en)

    guarded(lang, as_json, work)


@app.command()
def validate(
    model: Annotated[Path, typer.Argument(help="A model file, from OUT/models.")],
    out: Annotated[Path, typer.Option("--out", help="Where the signed vote goes: no figure of this city is in it.")],
    against: Annotated[Path | None, typer.Option("--against", help="The model file in use.")] = None,
    folder: Folder = HERE,
    home: Home = None,
    lang: Lang = None,
    as_json: AsJson = False,
) -> None:
    """Look at a model on this city's own rows, and sign a yes or a no to it. The figures stay here.

    Example:  hpfed-node validate interruption.json --against last-year.json --out vote.json
    """

    def work() -> None:
        from dataclasses import asdict
        from datetime import UTC, datetime

        from node import identity, monitor, validate
        from protocols.errors import ConfigError, Place
        from protocols.models import modelfile
        from protocols.vote import sign_vote

        at, where = _now(), home_of(folder, home)
        today = datetime.fromtimestamp(at, UTC).date()
        if not identity.public(where):
            raise ConfigError("KEY_NONE", Place(str(where)))
        found = modelfile.load(model.read_bytes(), str(model), today)
        other = None if against is None else modelfile.read(against.read_bytes(), str(against))
        done = validate.validate(found, other, folder, where, at)
        monitor.private(out, sign_vote(done.vote, _key(where / identity.KEY)))
        figures = {"model": asdict(done.model), "against": None if done.against is None else asdict(done.against)}
        value = {"vote": done.vote.vote, "digest": found.digest, "out": str(out), "figures": figures}
        words = {"yes": ("同意", "yes"), "no": ("不同意", "no"), "cannot_tell": ("无法判断", "cannot tell")}
        zh, en = words[done.vote.vote]
        printed(value, as_json, lambda: f"{zh}；已写入 {out}" if spoken(lang) == "zh" else f"{en}; written to {out}")

    guarded(lang, as_json, work)


@app.command()
def monitor(
    model: Annotated[Path, typer.Argument(help="A model file, from OUT/models.")],
    since: Annotated[str, typer.Option("--since", help="The first month, YYYY-MM: what later ones are held against.")],
    out: Annotated[Path | None, typer.Option("--out", help="Where the figures go too, as JSON.")] = None,
    folder: Folder = HERE,
    home: Home = None,
    lang: Lang = None,
    as_json: AsJson = False,
) -> None:
    """Whether a model still fits this city, month by month: a light, shifts, missing values, observed over expected. All of it stays here.

    Example:  hpfed-node monitor interruption.json --since 2026-01 --out drift.json
    """

    def work() -> None:
        from datetime import UTC, datetime

        from node import monitor as drifting
        from protocols.errors import ConfigError, json_text
        from protocols.models import modelfile

        language: Literal["zh", "en"] = "zh" if spoken(lang) == "zh" else "en"
        if re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", since) is None:
            raise ConfigError("MODEL_SINCE", since=since)
        today = datetime.fromtimestamp(_now(), UTC).date()
        found = modelfile.load(model.read_bytes(), str(model), today)
        watched = drifting.watch(found, folder, home_of(folder, home), since)
        value = watched.as_json(found)
        if out is not None:
            drifting.private(out, json_text(value, indent=2).encode())
        printed(value, as_json, lambda: "\n".join(drifting.lines(watched, language)))

    guarded(lang, as_json, work)


def _restore_text(value: dict[str, Any], language: str) -> str:
    n = 0 if language == "zh" else 1
    missing = (
        f"账本缺第 {value['first']} 至 {value['last']} 条",
        f"entries {value['first']} to {value['last']} are missing",
    )[n]
    held = (
        f"其中有 {value['reservations']} 笔预留，恢复后按全部已花计；未完成的预留同样计为已花",
        f"of them {value['reservations']} reservations, which will count as spent in full; so will what is held and not finished",
    )[n]
    all_ = ("缺了什么无从得知：恢复后各项上限按用完计", "what they held is not known: every cap will count as used up")[
        n
    ]
    signed = (f"已有 {len(value['signed'])} 人签字，须 2 人", f"{len(value['signed'])} of 2 officers signed")[n]
    done = ("已恢复", "restored")[n]
    return "\n".join([missing, held if value["known"] else all_, done if value["restored"] else signed])


def main() -> None:
    """The console script."""
    app()


if __name__ == "__main__":
    main()
