"""Sessions between real gates: a study whose questions are asked one after the other, each in a round of its own."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import pytest

from coordinator import rounds
from coordinator.log import Log
from node import gate
from protocols import plan, study
from protocols.canonical import canonical, digest_bytes
from protocols.plan import Agreement, Sum
from protocols.roster import Roster
from protocols.secagg.collector import Question
from protocols.study import Study
from simulations import world
from tests import gates
from tests.gates import Rig

FIVE: Final = ("east", "north", "south", "west", "zenith")  # ids 1 to 5; c = d = 1: four must come
STUDY: Final = gates.STUDY.replace("dropouts: 0", "dropouts: 1")
POLICY: Final = "policy: 1\nkinds: {exact: all}\nexact: {min_cell: 1, min_cohort: 5, min_pooled: 1}\n"


@dataclass(frozen=True)
class OneByOne(Agreement):
    """The study's blocks, one a round."""

    extra: int = 0

    @property
    def spare(self) -> int:
        return self.extra

    @cached_property
    def sums(self) -> tuple[Sum, ...]:
        return tuple(Sum(canonical({"block": at}), (at,)) for at in range(len(self.layout.blocks)))


def one_by_one(agreement: Agreement, spare: int) -> OneByOne:
    held = (agreement.study, agreement.cities, agreement.most_rows, agreement.limits)
    return OneByOne(*held, agreement.layout, agreement.v20, extra=spare)


@contextmanager
def session_rig(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, exact: bool = False, spare: int = 0, homes: Path | None = None
) -> Iterator[Rig]:
    """Five cities whose gates take the study for a session."""
    if not folder.exists():
        gates.write(folder, 12, STUDY, FIVE)
        for city in FIVE:
            (folder / city / "policy.yaml").write_text(POLICY, encoding="utf-8")

    def agreed(asked: Study, cities: Sequence[int], roster: Roster) -> Agreement:
        return one_by_one(plan.agree(asked, cities, roster), spare)

    monkeypatch.setattr(gate, "agree", agreed)
    asked = study.load(folder / "study.yaml")
    with gates.rig(folder, study=asked.in_exact_mode() if exact else asked, homes=homes) as rig:
        yield rig


def asked_in(
    rig: Rig, spare: int = 0, log: Log | None = None
) -> tuple[rounds.Conversation, tuple[Question, ...], OneByOne]:
    """A session that is open, and what it asks."""
    answers, agreement = rig.approved()
    session = one_by_one(agreement, spare)
    questions = tuple(question(session, each) for each in session.sums)
    made = session.plan(
        conversation=b"c" * 16,
        roster=rig.present.post.roster,
        expires=rig.now + 3600,
        cannot=dict.fromkeys(session.cities, ()),
    )
    talk = rounds.Conversation.begin(rig.present.post, made, questions[0], {}, answers=answers, log=log)
    return talk, questions, session


def question(session: Agreement, asked: Sum) -> Question:
    layout = session.part(asked)
    return Question(layout.length, digest_bytes(layout.digest), asked.question)


def lose(rig: Rig, *drops: str) -> None:
    rig.present.link.drops = tuple(map(world.drop, drops))
