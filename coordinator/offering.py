"""An offer that waits: for cities that are away, and for officers.

Every city is offered the study when it is first seen, again whenever it comes back, and, while its officers have it, after a wait that
grows. A yes or a no is final. The offer ends when every city has said one, when too few of them still could, when somebody gives up the
rest, or at `until`; who has said nothing then is missing.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from coordinator import rounds
from coordinator.release import Missing
from protocols.approval import Approval
from protocols.errors import Refusal
from protocols.study import Study

LOOK_S: Final = 0.5
AGAIN_S: Final = (2.0, 60.0)  # between two offers that wait for an officer: from, to
GROWS: Final = 1.5
PENDING: Final = "declined:PENDING"
ABSENT: Final = "unreachable"


@dataclass(frozen=True)
class Around:
    """What an offer that waits looks at. `present`: cities whose link was heard; `without`: those that are given up.

    `bring`: gives cities the newest roster, under which they are asked. `told`: is told why each city is waited for. `wait`: sleeps.
    """

    present: Callable[[], Collection[str]]
    without: Callable[[], Collection[str]]
    bring: Callable[[Sequence[int]], None]
    told: Callable[[Mapping[str, str]], None]
    wait: Callable[[float], None]


@dataclass
class _Said:
    approvals: dict[int, Approval] = field(default_factory=dict)
    files: dict[int, bytes] = field(default_factory=dict)
    missing: dict[int, Missing] = field(default_factory=dict)  # the last word of each city that has not said yes
    refusals: dict[str, Refusal] = field(default_factory=dict)

    def take(self, post: rounds.Post, asked: Sequence[int], answers: rounds.Answers) -> set[int]:
        """Put down what came; who has said yes or no."""
        ids = {post.roster.name(city): city for city in asked}
        self.approvals |= answers.approvals
        self.files |= answers.files
        self.missing |= {ids[each.city]: each for each in answers.missing}
        self.refusals |= {str(each.values["city"]): each for each in answers.refusals}
        no = {ids[each.city] for each in answers.missing if each.reason.startswith("declined:")}
        pending = {ids[each.city] for each in answers.missing if each.reason == PENDING}
        return set(answers.approvals) | no - pending

    def answers(self) -> rounds.Answers:
        missing = {city: each for city, each in self.missing.items() if city not in self.approvals}
        names = {each.city for each in missing.values()}
        refusals = tuple(each for name, each in sorted(self.refusals.items()) if name in names)
        return rounds.Answers(self.approvals, self.files, tuple(missing[city] for city in sorted(missing)), refusals)


def offered(
    post: rounds.Post, study: Study, signed: bytes, cities: Sequence[int], around: Around, until: int, beside: int = 0
) -> rounds.Answers:
    """As `rounds.offer`, and waits. `until`: Unix s. `beside`: cities that are asked elsewhere. Errors: as of `rounds.offer`."""
    said, left, seen = _Said(), set(cities), frozenset[str]()
    again_s, due = AGAIN_S[0], 0.0
    while True:
        here, given_up = frozenset(around.present()), around.without()
        left = {city for city in left if post.roster.name(city) not in given_up and post.roster.active(city)}
        for city in set(cities) - set(said.missing):
            said.missing[city] = Missing(post.roster.name(city), "no_advert", ABSENT)
        asked = [
            city for city in sorted(left) if (name := post.roster.name(city)) in here and (due <= 0 or name not in seen)
        ]
        if asked:
            around.bring(asked)
            left -= said.take(post, asked, rounds.offer(post, study, signed, asked))
        if due <= 0 and asked:
            again_s, due = min(AGAIN_S[1], again_s * GROWS), again_s
        seen = here
        around.told({post.roster.name(city): _why(said.missing[city], here) for city in sorted(left)})
        if not left or _hopeless(said, study, left, beside) or post.clock() >= until:
            return said.answers()
        around.wait(LOOK_S)
        due -= LOOK_S


def _why(last: Missing, here: Collection[str]) -> str:
    if last.city not in here:
        return ABSENT
    return "pending" if last.reason == PENDING else last.detail or last.reason


def _hopeless(said: _Said, study: Study, left: Collection[int], beside: int) -> bool:
    """Whether what was said already leaves too few, whatever the others say."""
    no = any(city not in left and each.reason.startswith("declined:") for city, each in said.missing.items())
    possible = len(said.approvals) + len(left) + beside
    return (study.exact and no) or possible < max(study.file.cities.least, 3)


def possible(answers: rounds.Answers, study: Study, beside: int) -> bool:
    """Whether a sum can still come of it, if all that are asked elsewhere say yes."""
    enough = len(answers.approvals) + beside >= max(study.file.cities.least, 3)
    return enough and not (study.exact and answers.missing)


def together(one: rounds.Answers, other: rounds.Answers) -> rounds.Answers:
    """What cities said that were asked apart."""
    return rounds.Answers(
        {**one.approvals, **other.approvals},
        {**one.files, **other.files},
        (*one.missing, *other.missing),
        (*one.refusals, *other.refusals),
    )
