"""Sessions of many-round questions between real gates: crashes after every record, asks that do not follow, cities that will not."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from coordinator import conversations, rounds, sessions
from coordinator.log import Log
from node import fitting, snapshot
from protocols import messages
from protocols import session as protocol
from protocols.canonical import canonical
from protocols.errors import HpfedError, IncompleteError, Refusal, abort_number
from protocols.messages import Kind, matter_of
from protocols.models.session import Asks, Models, Progress, Round, Told, total_of
from protocols.plan import agree
from protocols.secagg import collector
from protocols.session import Session
from simulations import world
from tests import gates
from tests.gates import Rig

STUDY = gates.STUDY.replace("mode: dp, epsilon: 1.0", "mode: exact").split("questions:")[0] + (
    "questions:\n"
    "  - {id: ages, kind: glm, family: poisson, outcome: age, terms: [sex, product]}\n"
    "  - {id: groups, kind: glm, family: gaussian, outcome: age, terms: [sex], errors: {cluster: age}}\n"
)


@contextmanager
def rig_of(folder: Path, policy: str = "", without: str = "") -> Iterator[Rig]:
    """Three cities of 60 rows each. `policy`: of the first; `without`: a variable that it cannot map."""
    gates.write(folder, 60, STUDY)
    (folder / "east" / "policy.yaml").write_text(f"policy: 1\n{policy}", encoding="utf-8")
    if without:
        path = folder / "east" / "mapping.yaml"
        lines = [
            line for line in path.read_text(encoding="utf-8").splitlines() if not line.strip().startswith(f"{without}:")
        ]
        lines.append(f"  {without}: {{status: impossible, reason: {{zh: 无, en: none}}}}")
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    with gates.rig(folder) as rig:
        yield rig


def opened(rig: Rig, log: Log | None = None) -> tuple[Session, rounds.Answers, Any]:
    answers, agreement = rig.approved()
    return Session(agreement), answers, (lambda _about: log or Log())


class Killed(BaseException):
    """The process died."""


def test_a_coordinator_killed_after_every_record_comes_to_the_same_answers(tmp_path: Path) -> None:
    with rig_of(tmp_path / "whole") as rig:
        session, answers, logs = opened(rig)
        whole = sessions.fitted(rig.present.post, session, answers, {}, logs)
        assert all(each.fit["converged"] for each in whole.results.values())

    mortal = [True]

    def killed() -> None:
        if mortal[0]:
            raise Killed

    with rig_of(tmp_path / "killed") as rig:
        session, answers, _ = opened(rig)
        path, found, times = tmp_path / "log", None, 0
        first = Log(path, killed)
        with pytest.raises(Killed):
            sessions.fitted(rig.present.post, session, answers, {}, lambda _about: first)
        first.close()
        while found is None:
            times += 1
            log = Log(path, killed)
            assert log.opening is not None
            try:
                found = sessions.resumed(rig.present.post, rig.study, log, log.opening)
            except Killed:
                log.close()
        assert times > 9 * len(whole.heard)  # three replies and a step at least in each of three exchanges
        assert found.results == whole.results
        assert [each.told for each in found.heard] == [each.told for each in whole.heard]
        assert log.opening is not None
        assert sessions.rounds_of(rig.present.post, rig.study, log, log.opening) == found.heard
        mortal[0] = False
        found.conversation.receipts()
        found.conversation.leave()
        assert not any(each.talks for each in rig.gates.values())
        with pytest.raises(HpfedError) as again:  # what is answered is not computed again
            sessions.fitted(rig.present.post, session, answers, {}, lambda _about: Log())
        assert "already_answered" in again.value.text("en")
        log.close()


def test_after_a_crash_a_fit_goes_on_from_all_sessions_that_it_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three rounds a session; a city is lost in the second one, and the coordinator begins again from its two logs."""
    monkeypatch.setattr(protocol, "MOST_ROUNDS", 3)
    with rig_of(tmp_path / "cities") as rig:
        session, answers, _ = opened(rig)
        post, link, logs = rig.present.post, rig.present.link, list[Log]()

        def log(_about: bytes) -> Log:
            logs.append(Log(tmp_path / f"log{len(logs)}"))
            link.drops = (world.drop("west@confirm:1"),) if len(logs) == 2 else ()
            return logs[-1]

        with pytest.raises(IncompleteError):
            sessions.fitted(post, session, answers, {}, log)
        link.drops, link.lost = (), set()
        used, lost = logs
        assert used.opening is not None
        assert lost.opening is not None
        whole = sessions.resumed(post, rig.study, used, used.opening)
        assert (len(whole.heard), whole.progress.over) == (3, False)
        before = sessions.rounds_of(post, rig.study, lost, lost.opening, whole.heard)
        assert len(before) == 4
        found = sessions.fitted(post, session, answers, {}, log, before)
        assert found.progress.over
        assert len(found.earlier) == (len(found.heard) - 4 - 1) // 3
        assert all(each.fit["converged"] for each in found.results.values())
        for each in logs:
            each.close()


def test_a_session_takes_the_exchanges_rounds_and_cells_that_its_plan_foretold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    send, sent = rounds.Post.send, []

    def counted(post: rounds.Post, kind: Kind, *others: Any) -> Any:
        sent.append(kind)
        return send(post, kind, *others)

    with rig_of(tmp_path / "cities") as rig:
        session, answers, logs = opened(rig)
        monkeypatch.setattr(rounds.Post, "send", counted)
        found = sessions.fitted(rig.present.post, session, answers, {}, logs)
        foretold = conversations.published(rig.study)
    assert foretold is not None
    assert len(sent) == conversations.FIRST + conversations.LATER * (len(found.heard) - 1) < foretold["exchanges"]
    assert (foretold["rounds"], foretold["sessions"], foretold["exchanges"]) == (27, 1, 5 + 3 * 26)
    numbers = {
        each["id"]: {layout["purpose"]: layout["numbers"] for layout in each["layouts"]}
        for each in foretold["questions"]
    }
    for each in found.heard:
        least = sum(numbers[name][ask["purpose"]] for name, ask in each.told.asks.items())
        assert least <= len(total_of(each.told)) <= min(2 * (least + len(numbers)), foretold["cells"])


def aimed(session: Session, talk: rounds.Conversation, **changed: Any) -> messages.Ask:
    """The second round, with the asks that follow from the first, but for some fields of the Ask or of one ask's numbers."""
    state = talk.state
    assert isinstance(state, collector.Summed)
    told = Told.of(session.models.begin().asks, state.total)
    at = session.models.again([told])
    asks = dict(at.asks)
    if "away" in changed:
        point = (asks["ages"].point[0], -changed.pop("away"))
        asks["ages"] = asks["ages"].model_copy(update={"point": point})
    if "point" in changed:
        times = changed.pop("point")
        point = tuple(times * each for each in asks["ages"].point)
        asks["ages"] = asks["ages"].model_copy(update={"point": point})
    question = session.question(replace(at, asks=asks), [told])
    ask = messages.Ask(state.turn.ask.ctx, 1, question.length, question.layout, question.question)
    return replace(ask, **changed)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"point": 3.0}, "MODEL_NOT_REPLAYABLE"),
        ({"question": canonical({"questions": ["ages"]})}, "MODEL_ASK_FOREIGN"),
        ({"layout": bytes(32)}, "SECAGG_FOREIGN_QUESTION"),
        ({"length": 3}, "SECAGG_FOREIGN_QUESTION"),
    ],
)
def test_an_ask_that_does_not_follow_reads_no_row(tmp_path: Path, changed: dict[str, Any], code: str) -> None:
    with rig_of(tmp_path / "cities") as rig:
        session, answers, _ = opened(rig)
        made = session.plan(conversation=b"c" * 16, roster=rig.present.post.roster, expires=rig.now + 3600, cannot={})
        at = session.models.begin()
        talk = rounds.Conversation.begin(rig.present.post, made, session.question(at, ()), {}, answers=answers)
        talk.play()
        content = rig.sealed(aimed(session, talk, **changed), matter_of(made, 1))
        reply = rig.gate.answer(content, rig.now)
        assert reply is not None
        assert messages.peek(reply).kind is Kind.ABORT
        assert messages.Abort.decode(messages.body_of(reply)).code == abort_number(code)
        (held,) = rig.gate.ledger.view(rig.now).reservations
        assert list(held.rounds) == [0]


def refused(tmp_path: Path, policy: str) -> HpfedError:
    """Why a session over these cities came to nothing."""
    with rig_of(tmp_path / "cities", policy) as rig:
        try:
            session, answers, logs = opened(rig)
            sessions.fitted(rig.present.post, session, answers, {}, logs)
        except HpfedError as no:
            return no
    raise AssertionError(policy)


@pytest.mark.parametrize(
    ("policy", "code"),
    [
        ("models: {open_transcript: false}\n", "MODEL_TRANSCRIPT"),
        ("limits: {most_rounds: 5}\n", "MODEL_ROUNDS"),
        ("limits: {most_cells: 20}\n", "POLICY_CELLS"),
        ("variables: {deny_together: [[age, sex]]}\n", "POLICY_VARIABLE"),
        ("exact: {min_column: 100}\n", "disclosure"),  # found in the first sums
        ("exact: {min_pooled: 181}\n", "disclosure"),
        ("exact: {min_cell: 46}\n", "disclosure"),  # 45 holders of each sex have each product
    ],
)
def test_a_city_that_will_not_ends_an_exact_session_with_its_reason(tmp_path: Path, policy: str, code: str) -> None:
    no = refused(tmp_path, f"kinds: {{exact: all}}\n{policy}")
    assert isinstance(no, Refusal)
    assert code in no.text("en")


@pytest.mark.parametrize(("aside", "answered"), [(20.0, False), (0.5, True)])
def test_an_ask_that_leaves_few_rows_with_weight_is_refused_without_a_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, aside: float, answered: bool
) -> None:
    """Four rows of each city are below 24. No sum leads to such an ask here, so that this city takes every ask for one that follows."""

    def following(models: Models, asked: Round) -> tuple[Progress, Asks]:
        return models.again(asked.before), models.parsed(asked.asks)

    monkeypatch.setattr(Models, "replayed", following)
    fit = '{id: ages, kind: glm, family: poisson, outcome: visits, terms: ["bands(age, [24])"]}'
    gates.write(tmp_path / "cities", 60, STUDY.split("questions:")[0] + f"questions:\n  - {fit}\n")
    with (tmp_path / "cities" / "dictionary.yaml").open("a", encoding="utf-8") as more:
        more.write("  visits: {type: integer, range: [0, 100]}\n")
    for city in gates.CITIES:
        with (tmp_path / "cities" / city / "mapping.yaml").open("a", encoding="utf-8") as more:
            more.write("  visits: {from: main.age}\n")
    with gates.rig(tmp_path / "cities") as rig:
        session, answers, _ = opened(rig)
        made = session.plan(conversation=b"c" * 16, roster=rig.present.post.roster, expires=rig.now + 3600, cannot={})
        first = session.question(session.models.begin(), ())
        talk = rounds.Conversation.begin(rig.present.post, made, first, {}, answers=answers)
        talk.play()
        reply = rig.gate.answer(rig.sealed(aimed(session, talk, away=aside), matter_of(made, 1)), rig.now)
        assert reply is not None
        assert (messages.peek(reply).kind is Kind.MASKED) == answered
        if not answered:
            no = messages.Abort.decode(messages.body_of(reply))
            assert no.code == abort_number("MODEL_WEIGHTS_CONCENTRATED")
            (held,) = rig.gate.ledger.view(rig.now).reservations
            assert not held.rounds[1].sent


def test_a_city_that_cannot_map_a_term_adds_nothing(tmp_path: Path) -> None:
    with rig_of(tmp_path / "cities", without="product") as rig:
        answers = rounds.offer(rig.present.post, rig.study, rig.present.signed, rig.present.ids)
        session = Session(agree(rig.study, tuple(answers.approvals), rig.present.post.roster))
        found = snapshot.open_for(rig.gate.station.home, rig.study.file.as_of)
        read = fitting.Rows(found.batches, found.rows, 16, "east", rig.gate.station.cannot, 0)
        turn = fitting.Turn(session, session.models.begin().asks)
        sums = fitting.measured(turn, read)
        assert not any(each.any() for each in sums["ages"].values.values())
        assert sums["groups"].values["rows"][0] == 60  # in four batches, none of which parts an age
        assert len(fitting.encoded(turn, read)) == session.models.length(turn.asks)


def test_a_city_lost_in_a_round_ends_an_exact_session(tmp_path: Path) -> None:
    with rig_of(tmp_path / "cities") as rig:
        session, answers, logs = opened(rig)
        rig.present.link.drops = (world.drop("west@confirm:2"),)
        with pytest.raises(IncompleteError) as lost:
            sessions.fitted(rig.present.post, session, answers, {}, logs)
        assert lost.value.code == "SECAGG_ROUND_LOST"
        assert not any(each.talks for name, each in rig.gates.items() if name != "west")
