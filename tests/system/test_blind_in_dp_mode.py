"""R3, R4: in mode dp nothing that a city decides, sends or writes down depends on its rows, whatever the kind of question.

Two worlds whose cities differ in every row, in their number, in who is missing and in whether the cohort holds anybody at all: the same
answers, the same lengths, the same audit lines but for clock, salts and digests.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from coordinator import rounds, sessions
from coordinator.exchange import Exchange, Failure
from node import ledger
from node.audit import lines
from protocols import messages
from protocols import study as studies
from protocols.errors import HpfedError
from protocols.models import REGISTER as MANY_ROUNDS
from protocols.session import Session
from protocols.statistics import REGISTER
from protocols.statistics.example import DICTIONARY
from protocols.statistics.question import Question
from protocols.study import Study
from simulations import world
from tests import gates

MAPPING: Final = """mapping: 1
city: {city}
dictionary: ../dictionary.yaml
snapshot: 2022-05-31
sources:
  rows: {{kind: csv, files: data/rows.csv, encoding: utf-8}}
  months: {{kind: csv, files: data/months.csv, encoding: utf-8}}
tables: {{main: {{source: rows, key: id, main: true, duplicates: fail}}}}
events:
  contributions:
    source: months
    key: id
    month: {{column: month, parse: [yyyymm]}}
    variables: {{amount: {{column: amount, unit: 元}}, state: {{column: state}}, active: {{column: active}}}}
variables:
  sex: {{from: main.sex, codes: {{m: male, f: female, u: unknown}}}}
  birth_year: {{from: main.born, null: drop}}
  product: {{from: main.product, codes: {{l: lump_sum, m: monthly, f: free}}, null: drop}}
  owner: {{from: main.owner, codes: {{"1": true, "0": false}}, null: drop}}
  income: {{from: main.income, unit: 元, null: drop}}
  opened: {{from: main.opened, parse: [yyyy-mm-dd], null: drop}}
  months_paying: {{from: main.paying, null: drop}}
  worries: {{status: impossible, reason: {{zh: 没有, en: not asked}}}}
"""
STUDY: Final = """study: blind
title: {zh: 盲, en: Blind}
purpose: {zh: 测试, en: a test}
asker: analyst
dictionary: dictionary.yaml
as_of: 2022-05-31
cohort: {variable: sex, is: male}
release: both
privacy: {mode: dp, epsilon: 1.0, tolerate: {dropouts: 0, colluders: 1}}
questions:
"""
EVERYONE: Final = [
    f"m,{1980 + i},m,1,{3000 + i},2021-12-0{1 + i % 9},{i}" for i in range(12)
]  # all in the cohort, all values known
NOBODY: Final = [f"{'fu'[i % 2]},{1930 + i if i % 3 else ''},{'lf'[i % 2]},{'' if i % 4 else 0},,," for i in range(40)]
NOBODYS: Final = "nobody,202205,1,normal,true"  # an event row of no holder
POLICIES: Final = {
    "refuses kinds": "policy: 1\nkinds: {dp: [count]}\n",
    "refuses cells": "policy: 1\nlimits: {most_cells: 3}\n",
    "has no room": "policy: 1\ndp: {caps: {per_asker_year: {epsilon: 0.5, delta: 1.0e-6}}}\n",
}
LOOSE: Final = (
    "policy: 1\nkinds: {exact: all}\nexact: {min_cohort: 5, min_cohort_by_city: 5, min_pooled: 1, min_cell: 1}\n"
)
UNEQUAL: Final = {"at", "digest", "ledger_head", "conversation"}  # clock and digests; salts stand beside the body


@dataclass
class Recorded:
    """An exchange, and what was seen on it: kinds, lengths, codes of refusals."""

    link: Exchange
    seen: list[tuple[Any, ...]] = field(default_factory=list)

    def each(self, kind: str, requests: Mapping[str, bytes], timeout_s: float) -> Iterator[tuple[str, bytes | Failure]]:
        for city, reply in self.link.each(kind, requests, timeout_s):
            self.seen.append((kind, city, len(requests[city]), *_looks(reply)))
            yield city, reply

    def close(self) -> None:
        self.link.close()


def _looks(reply: bytes | Failure) -> tuple[Any, ...]:
    if isinstance(reply, Failure):
        return (reply.reason,)
    kind = messages.peek(reply).kind
    return kind.value, len(reply)


def asked(folder: Path, questions: Sequence[type[Question]]) -> Study:
    """The examples of kinds, and those that they compare cities by or evaluate, as a study over the small dictionary."""
    named = {name for kind in questions for name in kind.example().named()}
    chosen = [kind for kind in REGISTER if kind in questions or kind.EXAMPLE.question["id"] in named]
    entries = [json.dumps(kind.EXAMPLE.question) for kind in chosen]
    models = {kind.EXAMPLE.question.get("model") for kind in questions}
    many = [kind for kind in MANY_ROUNDS if kind in questions or kind.EXAMPLE.question["id"] in models]
    entries += [json.dumps({**kind.EXAMPLE.question, "release": "pooled"}) for kind in many]
    folder.mkdir(exist_ok=True)
    (folder / "dictionary.yaml").write_text(DICTIONARY, encoding="utf-8")
    (folder / "study.yaml").write_text(STUDY + "".join(f"  - {each}\n" for each in entries), encoding="utf-8")
    return studies.load(folder / "study.yaml")


def trace(folder: Path, study: Study, rows: Sequence[str], policy: str, times: int) -> list[tuple[Any, ...]]:
    """Everything that can be seen of three cities with these rows when the study is asked so many times."""
    gates.write(folder, 0)
    for city in gates.CITIES:
        (folder / city / "mapping.yaml").write_text(MAPPING.format(city=city), encoding="utf-8")
        table = [
            "id,sex,born,product,owner,income,opened,paying",
            *(f"{city}{at},{row}" for at, row in enumerate(rows)),
        ]
        (folder / city / "data" / "rows.csv").write_text("\n".join(table) + "\n", encoding="utf-8")
        months = [
            f"{city}{at},20220{month},{100 + at},normal,true"
            for at, row in enumerate(rows)
            for month in range(1, 6)
            if row.startswith("m")
        ]
        events = "\n".join(["id,month,amount,state,active", *months, NOBODYS]) + "\n"
        (folder / city / "data" / "months.csv").write_text(events, encoding="utf-8")
        if policy:
            (folder / city / "policy.yaml").write_text(policy, encoding="utf-8")
    (folder / "dictionary.yaml").write_text(DICTIONARY, encoding="utf-8")
    with gates.rig(folder, study=study) as rig:
        link = Recorded(rig.present.post.link)
        rig.present.post.link = link
        for _ in range(times):
            link.seen.append(("ended", _run(rig.present, study)))
        for name, gate in rig.gates.items():
            written = lines(gate.station.home / ledger.AUDIT)
            link.seen += [(name, line.model_dump_json(exclude=UNEQUAL)) for line in written]
        return link.seen


def _run(present: world.Everyone, study: Study) -> str:
    """One run from the offer to the attestations; how it ended."""
    post = present.post
    try:
        answers = rounds.offer(post, study, present.signed, present.ids)
        agreement = rounds.agreed(post, study, answers)
        done = rounds.summed(post, agreement, answers, {}) if study.summed else None
        fitted = sessions.fitted(post, Session(agreement), answers, {}) if study.many else None
        given = rounds.counted(post, agreement, agreement.cities) if study.counted else None
        for each in (done, fitted):
            if each is not None:
                each.conversation.receipts()
        if given is not None and done is None:
            rounds.all_counted(agreement, answers, given)
        rounds.attested(post, study, agreement.cities)
    except HpfedError as no:
        return no.code
    return "answered"


Pair = Callable[..., tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]]


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    def both(kinds: Sequence[type[Question]], policy: str = "", *, exact: bool = False, times: int = 1) -> Any:
        study = asked(tmp_path / "study", kinds)
        study = study.in_exact_mode() if exact else study
        worlds = enumerate((EVERYONE, NOBODY))
        return tuple(trace(tmp_path / str(at), study, rows, policy, times) for at, rows in worlds)

    return both


@pytest.mark.parametrize("kind", REGISTER, ids=lambda kind: str(kind.model_fields["kind"].default))
def test_cities_that_differ_in_every_row_cannot_be_told_apart(kind: type[Question], pair: Pair) -> None:
    one, other = pair([kind])
    assert one == other
    assert ("ended", "answered") in one
    assert {each[0] for each in one} >= {"offer", "open", "deliver", "count", "receipt", "attest", *gates.CITIES}


@pytest.mark.parametrize("kind", [kind for kind in MANY_ROUNDS if "dp" in kind.MODES], ids=lambda kind: kind.__name__)
def test_nor_can_they_in_any_round_of_a_session(kind: type[Question], pair: Pair) -> None:
    """What is asked follows from earlier sums, whose noise differs, so that the lengths of requests are left out."""
    one, other = ([(*each[:2], *each[3:]) if len(each) > 3 else each for each in world] for world in pair([kind]))
    assert one == other
    assert ("ended", "answered") in one
    assert {each[0] for each in one} >= {"offer", "open", "deliver", "ask", "receipt", "attest", *gates.CITIES}


def test_what_was_answered_is_declined_the_same_way_when_it_is_asked_again(pair: Pair) -> None:
    one, other = pair([REGISTER[0]], times=2)
    assert one == other
    assert [end for ended, end, *_ in one if ended == "ended"] == ["answered", "CITY_DECLINED"]


@pytest.mark.parametrize("policy", POLICIES)
def test_a_no_is_the_same_no_whatever_the_rows(policy: str, pair: Pair) -> None:
    one, other = pair(REGISTER, POLICIES[policy])
    assert one == other
    assert ("ended", "answered") not in one


def test_the_trace_shows_it_where_a_decision_does_look_at_rows(pair: Pair) -> None:
    """Mode exact refuses a cohort of nobody: the two worlds are told apart at once."""
    one, other = pair([REGISTER[0]], LOOSE, exact=True)
    assert ("ended", "answered") in one
    assert ("ended", "answered") not in other
