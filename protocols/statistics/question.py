"""What every kind of question has in common: its keys in a study file, and the rows of its answer.

A kind is one file and one line of the register. It declares `blocks` and says in `finalize` what the finished sums mean; it never
touches a row of a city.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field

from protocols.dictionary import Dictionary, near
from protocols.errors import ConfigError, Place, Unfit
from protocols.filters import Filter, decimal, leaves
from protocols.statistics.estimates import Estimates
from protocols.statistics.example import Example
from protocols.statistics.layout import NUMERIC, Blocks, Domain, plain
from protocols.statistics.rates import Rates
from protocols.statistics.rows import Answer
from protocols.statistics.suppression import Withheld, uncovered
from protocols.yamltext import Flag, Record

MOST_AXES = 4  # more cannot be read by people, and few cells would hold anybody
Release = Literal["pooled", "by_city", "both"]
Weight = Annotated[Decimal, BeforeValidator(lambda value: _weight(str(value)))]
Names = Annotated[tuple[str, ...], BeforeValidator(lambda value: (value,) if isinstance(value, str) else _tuple(value))]


def _value(given: Any) -> Decimal:
    """A number as it was written, in its one spelling: 180 and 180.0 are the same study."""
    return Decimal(f"{decimal(str(given)).normalize():f}")


Value = Annotated[Decimal, BeforeValidator(_value)]
Values = Annotated[
    tuple[Value, ...], BeforeValidator(lambda value: _tuple([value] if isinstance(value, str) else value))
]
Pair = Annotated[tuple[Value, Value], BeforeValidator(lambda value: _tuple(value))]


def _weight(text: str) -> Decimal:
    """One spelling of a number, so that 2 and 2.0 are the same study."""
    value = decimal(text)
    if not 0 < value <= 1000 or value != round(value, 6):
        raise Unfit(
            f"{text[:40]!r} 不是权重：应大于 0、不超过 1000、至多六位小数",
            f"{text[:40]!r} is not a weight: above 0, at most 1000, six decimals at most",
        )
    return Decimal(f"{value.normalize():f}")


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


@dataclass(frozen=True)
class Fault:
    """One thing wrong with a question: the key it stands at, and the error's code and values."""

    key: str
    code: str
    values: Mapping[str, object]

    def at(self, place: Place) -> ConfigError:
        return ConfigError(self.code, place, (), **dict(self.values))


class Question(Record, ABC):
    """The keys that all kinds share.

    `sampling`: are the holders a draw from a wider population, so that intervals cover the draw? Left out, counts are of the register
    as it is, and shares and indices of a wider population. `cohort`: whom of the study's cohort it is about.
    """

    EXAMPLE: ClassVar[Example]

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
    kind: str
    release: Release | None = None
    weight: Weight = Decimal(1)
    sampling: Flag | None = None
    cohort: Filter | None = None

    @classmethod
    def example(cls) -> Self:
        """The question of the kind's EXAMPLE, over `example_dictionary()`."""
        return cls.model_validate(cls.EXAMPLE.question)

    def chosen_by(self) -> tuple[str, ...]:
        """Names that its own cohort is decided by, given or derived."""
        return () if self.cohort is None else tuple(dict.fromkeys(leaf.variable for leaf in leaves(self.cohort)))

    @abstractmethod
    def variables(self) -> tuple[str, ...]:
        """Names that the question reads, given or derived."""

    @abstractmethod
    def faults(self, dictionary: Dictionary) -> Iterator[Fault]:
        """All that is wrong with it, given the dictionary."""

    def without_figures(self, cities: Sequence[str]) -> tuple[str, ...]:  # noqa: ARG002 most kinds need none
        """Of a study's cities, those of which the question needs a figure that it does not state."""
        return ()

    def facts(self) -> tuple[str, ...]:
        """Names of the figures of centres that it asks for."""
        return ()

    @abstractmethod
    def blocks(self, domain: Domain) -> Blocks:
        """The sums it needs, by a name of its own. Pre-condition: no faults."""

    @abstractmethod
    def finalize(self, sums: Estimates, domain: Domain) -> Answer:
        """What the sums say, with intervals and marks. Runs at the coordinator."""

    def withhold(self, answer: Answer, withheld: Withheld, blocks: Blocks) -> Answer:
        """An exact answer without what would give a small cell away: rows follow from cells of the table of holders. Nothing of a question
        without one, which no city that withholds cells answers."""
        return withheld.covered(answer, blocks["holders"].axes) if "holders" in blocks else uncovered(answer)

    # --- beside others

    TOGETHER: ClassVar[bool] = False  # what it says of one city depends on the sums of the others, and on those of all

    def named(self) -> tuple[str, ...]:
        """Ids of the questions of the study that it is about."""
        return ()

    def faults_beside(self, domain: Domain, release: Release) -> Iterator[Fault]:  # noqa: ARG002 most kinds stand alone
        """All that is wrong with it beside the other questions. `release`: of those that say nothing else. Pre-condition: no faults."""
        yield from ()

    def reads(self, domain: Domain) -> tuple[str, ...]:  # noqa: ARG002 the same
        """Names that it reads, those of the questions that it is about included."""
        return self.variables()

    def compared(self) -> Self | None:
        """The question as cities are held against each other on it; None if it gives no rates."""
        return None

    def rates(self, sums: Estimates, domain: Domain) -> Rates:  # noqa: ARG002 most kinds have none
        """The rates in its tables, group by group. Pre-condition: it gives some."""
        raise TypeError(self.kind)

    def answers(
        self,
        sums: Mapping[str, Estimates],
        given: Collection[str],  # noqa: ARG002 most kinds look at one scope at a time
        domain: Domain,
    ) -> dict[str, Answer]:
        """The answer of each scope: all cities together, and cities, in the order of the roster. `given`: scopes whose sums are known; of
        others only the shape is."""
        return {scope: self.finalize(each, replace(domain, cities=each.cities)) for scope, each in sums.items()}


def amount_fault(key: str, name: str, dictionary: Dictionary, beside: tuple[str, ...]) -> Iterator[Fault]:
    """Faults of the name of a number that is summed or cut into bins. `beside`: further types that the kind can answer."""
    if name not in dictionary.known():
        yield _unknown(key, name, dictionary)
    elif (kind := dictionary.type_of(name)) not in (*NUMERIC, *beside):
        yield Fault(key, "STUDY_NOT_AN_AMOUNT", {"name": name, "type": kind})


def _unknown(key: str, name: str, dictionary: Dictionary) -> Fault:
    """A name that neither the holders of the dictionary nor, for `city.NAME`, the study have."""
    known = dictionary.known()
    if name.startswith("city."):
        return Fault(
            key, "STUDY_ATTRIBUTE", {"name": name, "near": near(name, [each for each in known if "." in each])}
        )
    if dictionary.event_of(name) is not None:
        return Fault(key, "STUDY_OF_EVENTS", {"name": name})
    return Fault(key, "STUDY_VARIABLE", {"name": name, "near": near(name, known)})


def bounds_fault(key: str, name: str, bounds: Sequence[Decimal], domain: Domain) -> Iterator[Fault]:
    """Bounds of an amount must rise, lie inside its public range, and be whole steps. Pre-condition: it is one."""
    per, (low, high) = domain.per(name), domain.range(name)
    steps = [bound * per for bound in bounds]
    rising = all(first < second for first, second in pairwise(steps))
    if not rising or any(step != int(step) or not low <= step <= high for step in steps):
        shown = ", ".join(f"{bound:f}" for bound in bounds[:12]) + (", …" if len(bounds) > 12 else "")
        yield Fault(
            key, "STUDY_BOUNDS", {"name": name, "bounds": shown, "least": plain(low, per), "most": plain(high, per)}
        )


def clip_faults(clip: Mapping[str, Sequence[Decimal]], of: Sequence[str], dictionary: Dictionary) -> Iterator[Fault]:
    """Faults of bounds for some of several variables. Pre-condition: each of these is an amount or a boolean."""
    for name, bounds in clip.items():
        if name not in of or dictionary.type_of(name) == "boolean":
            yield Fault("clip", "STUDY_CLIP", {"name": name})
        else:
            yield from bounds_fault("clip", name, bounds, Domain(dictionary))


def axis_faults(
    key: str, names: tuple[str, ...], dictionary: Dictionary, beside: tuple[str, ...] = (), *, sets: bool = False
) -> Iterator[Fault]:
    """Faults of the names that a question splits by: unknown, not an axis, twice, too many. `beside`: names that other keys gave; `sets`:
    whether one of them may be a multi-response variable."""
    several = [name for name in names if name in dictionary.known() and dictionary.type_of(name) == "set"]
    if len(beside) + len(names) > MOST_AXES:
        yield Fault(key, "STUDY_AXES", {"count": len(beside) + len(names), "limit": MOST_AXES})
    for number, name in enumerate(names):
        if name in beside + names[:number]:
            yield Fault(key, "STUDY_TWICE", {"name": name})
        elif name not in dictionary.known():
            yield _unknown(key, name, dictionary)
        elif (kind := dictionary.type_of(name)) == "set":
            if not sets or name != several[0]:
                yield Fault(key, "STUDY_SET", {"name": name})
        elif kind not in ("category", "boolean"):
            yield Fault(key, "STUDY_NOT_AN_AXIS", {"name": name, "type": kind})


def event_fault(key: str, name: str, dictionary: Dictionary, types: tuple[str, ...]) -> Iterator[Fault]:
    """Faults of a name of events: no table and no variable of one, or of another type. A table, whose rows are counted, is `events`."""
    if dictionary.event_of(name) is None or dictionary.type_of(dictionary.event_name(name)) not in types:
        kind = dictionary.type_of(name) if dictionary.named(name) else "unknown"
        close = [each for each in dictionary.event_names() if each.endswith(f".{name}")]
        hint = close[0] if close else near(name, dictionary.event_names())
        yield Fault(key, "STUDY_EVENTS", {"name": name, "type": kind, "near": hint if hint != name else ""})
