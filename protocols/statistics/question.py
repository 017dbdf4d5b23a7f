"""What every kind of question has in common: its keys in a study file, and the rows of its answer.

A kind is one file and one line of the register. It declares `blocks` and says in `finalize` what the finished sums mean; it never
touches a row of a city.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from protocols.dictionary import Dictionary, near
from protocols.errors import ConfigError, Place
from protocols.filters import decimal
from protocols.statistics.layout import Blocks, Domain
from protocols.yamltext import Flag, Record

if TYPE_CHECKING:
    from protocols.statistics.estimates import Estimates

MOST_AXES = 4  # more cannot be read by people, and few cells would hold anybody
Release = Literal["pooled", "by_city", "both"]
Weight = Annotated[
    Decimal, BeforeValidator(lambda value: decimal(value) if isinstance(value, str) else value), Field(gt=0, le=1000)
]
Names = Annotated[tuple[str, ...], BeforeValidator(lambda value: (value,) if isinstance(value, str) else _tuple(value))]


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


@dataclass(frozen=True)
class Row:
    """One released number with all that is said about it (contract, section 6). `keys`: axis name to code, in the question's order."""

    measure: str
    keys: Mapping[str, str] = field(default_factory=dict)
    estimate: float | int | None = None
    display: float | int | None = None
    base: float | int | None = None
    se_noise: float | None = None
    se_sampling: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    p_value: float | None = None
    q_value: float | None = None
    preference: str | None = None
    contrast: bool = False
    obs_status: str = ""
    conf_status: str = ""


@dataclass(frozen=True)
class Test:
    """A statement about a whole table: chi_square, cramers_v. `values` in the order they are printed."""

    __test__: ClassVar[bool] = False  # the word of statistics, not of pytest

    name: str
    values: Mapping[str, float | int | str | None]


@dataclass(frozen=True)
class Answer:
    rows: tuple[Row, ...]
    tests: tuple[Test, ...] = ()


class Question(Record):
    """The keys that all kinds share."""

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
    kind: str
    release: Release | None = None
    weight: Weight = Decimal(1)
    sampling: Flag | None = None

    def variables(self) -> tuple[str, ...]:
        """Names that the question reads, given or derived."""
        raise NotImplementedError

    def faults(self, dictionary: Dictionary) -> Iterator[Fault]:
        """All that is wrong with it, given the dictionary."""
        raise NotImplementedError

    def blocks(self, domain: Domain) -> Blocks:
        """The sums it needs, by a name of its own. Pre-condition: no faults."""
        raise NotImplementedError

    def finalize(self, sums: "Estimates", domain: Domain) -> Answer:
        """What the sums say, with intervals and marks. Runs at the coordinator."""
        raise NotImplementedError


def axis_faults(key: str, names: tuple[str, ...], dictionary: Dictionary) -> Iterator[Fault]:
    """Faults of the names that a question splits by: unknown, not an axis, twice, too many, none."""
    if not names:
        yield Fault(key, "STUDY_EMPTY", {})
    if len(names) > MOST_AXES:
        yield Fault(key, "STUDY_AXES", {"count": len(names), "limit": MOST_AXES})
    for name in dict.fromkeys(names):
        if name not in dictionary.known():
            yield Fault(key, "STUDY_VARIABLE", {"name": name, "near": near(name, dictionary.known())})
            continue
        kind = dictionary.type_of(name)
        if kind == "set":
            yield Fault(key, "NOT_YET", {"thing": f"{name}, a multi-response variable,"})
        elif kind not in ("category", "boolean"):
            yield Fault(key, "STUDY_NOT_AN_AXIS", {"name": name, "type": kind})
        if names.count(name) > 1:
            yield Fault(key, "STUDY_TWICE", {"name": name})
