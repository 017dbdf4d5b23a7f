"""How a study asks for a model: the keys of a many-round question, and what it is planned from.

A many-round kind is one file and one line of the register (`__init__.py`). It encodes and decides in its planned model (`interface.py`);
its question says which keys a study may write, what is wrong with them, and which variables are read.
"""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

from protocols.dictionary import Dictionary
from protocols.errors import ConfigError, HpfedError
from protocols.models.interface import Ask, Draw, Model, Result
from protocols.statistics.estimates import Estimates
from protocols.statistics.layout import Blocks, Domain
from protocols.statistics.question import Fault, Question, Release
from protocols.statistics.rows import Answer
from protocols.yamltext import Record


@dataclass(frozen=True)
class Setting:
    """What a study and its cities give a many-round question, the same for every party.

    cities: of the plan; most_rows: of one of them; study: the digest that asks repeat. variances: mode dp, of the noise in one cell of the
    sum of all cities, by draw. labels: names of the cities, where they are known.
    """

    domain: Domain
    cities: int
    most_rows: int
    study: str
    confidence: float
    variances: Mapping[str, float] = field(default_factory=dict)
    labels: tuple[str, ...] = ()

    @property
    def dictionary(self) -> Dictionary:
        return self.domain.dictionary


def supposed(domain: Domain) -> Setting:
    """What a question is planned for while nobody knows its cities. Rounds, and the most cells of one, do not depend on it."""
    return Setting(domain, 6, 1 << 20, "", 0.95)


class ManyRounds(Question):
    """The keys that all many-round kinds share are those of every question. None of its sums is in the one round of the others."""

    ASK: ClassVar[type[Ask]] = Ask  # what its model asks with
    STATE: ClassVar[type[Record]]  # its model's state
    MODES: ClassVar[tuple[Literal["dp", "exact"], ...]] = ("exact",)

    @abstractmethod
    def planned(self, setting: Setting) -> Model[Any, Any]:
        """Its model. Errors: `ConfigError` MODEL_…, for names, ranges and keys that do not go together."""

    def releases(self, domain: Domain) -> tuple[Release, ...]:  # noqa: ARG002 most are of all cities together
        """How its answer may be released."""
        return ("pooled",)

    def unsaid(self, domain: Domain) -> tuple[str, ...]:  # noqa: ARG002 most kinds answer all that they take
        """Keys that a study may write and that its mode leaves unanswered, as the study says them."""
        return ()

    def draws(self, domain: Domain) -> tuple[Draw, ...]:  # noqa: ARG002 most kinds have no mode dp
        """Mode dp: all that its rounds release. Depends on study and dictionary alone."""
        return ()

    def asks_of(self, model: Any) -> type[Ask]:  # noqa: ARG002 one that asks otherwise in mode dp looks at it
        """What its model asks with."""
        return self.ASK

    def shortened(self, domain: Domain) -> Mapping[str, str]:  # noqa: ARG002 most kinds name variables as the dictionary does
        """Names that it says in short, and what they are in full."""
        return {}

    def discloses(self) -> tuple[str, ...]:
        """Keys of a policy's `models` without which no city answers: what its sums say beyond those of most."""
        return ()

    def example_asks(self, model: Any) -> Sequence[Ask]:  # noqa: ARG002 the first is what most show
        """One ask of each purpose, of its EXAMPLE: their layouts are shown on the page of what leaves a city."""
        return ()

    def start(self, model: Model[Any, Any], given: Mapping[str, Result]) -> Record:  # noqa: ARG002 most kinds stand alone
        """The first state, once every many-round question that it is about (`named`) is over; `given`: what those answered. Errors:
        `ConfigError`, with which the question ends."""
        found: Record = model.start()
        return found

    def faults(self, dictionary: Dictionary) -> Iterator[Fault]:
        """All that is wrong with it: what planning says, each at its key."""
        try:
            self.planned(supposed(Domain(dictionary, exact=True)))
        except ConfigError as fault:
            for each in fault.every():
                yield Fault(self.key_of(each), each.code, each.values)

    def key_of(self, fault: HpfedError) -> str:  # noqa: ARG002 a kind with several keys says which
        """The key that a fault of planning stands at."""
        return "kind"

    def faults_beside(self, domain: Domain, release: Release) -> Iterator[Fault]:
        """Modes and releases that the kind does not have."""
        if ("exact" if domain.exact else "dp") not in self.MODES:
            yield Fault("kind", "MODEL_DP_NOT_OFFERED", {"kind": self.kind})
        if (self.release or release) not in self.releases(domain):
            noised = not domain.exact and self.releases(replace(domain, exact=True)) != self.releases(domain)
            yield Fault(
                "release", "MODEL_RELEASE", {"kind": f"{self.kind} (privacy.mode: dp)" if noised else self.kind}
            )

    def blocks(self, domain: Domain) -> Blocks:  # noqa: ARG002 it has none
        return {}

    def finalize(self, sums: Estimates, domain: Domain) -> Answer:  # noqa: ARG002 its answer is the result of its model
        return Answer(())
