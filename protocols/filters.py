"""The one filter language: cohorts of a study, rules of a dictionary, rows of a mapping.

    {variable: age, at_least: 45}      {all: [...]}      {any: [...]}      {not: {...}}

Three-valued (Kleene): a leaf on a missing value is unknown, `missing: true` never is. Operands stay the text that was written; the
dictionary types them when the filter is bound to it. No expression string is ever evaluated.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from protocols.errors import Unfit
from protocols.yamltext import Flag, Record

Bools: TypeAlias = npt.NDArray[np.bool_]
OPERATORS: Final = ("is", "in", "at_least", "above", "at_most", "below", "between", "missing")


@dataclass(frozen=True)
class Truth:
    """A filter's answer for each row. `true` is only ever set where `known` is."""

    true: Bools
    known: Bools


def _word(value: Any) -> Any:
    """JSON's own true, false and numbers are taken for the text a file would hold."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


def _words(value: Any) -> Any:
    return tuple(_word(item) for item in value) if isinstance(value, list) else value


Word = Annotated[str, BeforeValidator(_word)]
Words = Annotated[tuple[Word, ...], BeforeValidator(_words)]


class Leaf(Record):
    """One comparison of one variable with a constant. Exactly one operator is given."""

    variable: str
    is_: Word | None = Field(None, alias="is")
    in_: Words | None = Field(None, alias="in", min_length=1)
    at_least: Word | None = None
    above: Word | None = None
    at_most: Word | None = None
    below: Word | None = None
    between: Annotated[tuple[Word, Word], BeforeValidator(_words)] | None = None
    missing: Flag | None = None

    @model_validator(mode="after")
    def _one_operator(self) -> "Leaf":
        if len(self.given()) != 1:
            raise Unfit(
                f"比较恰好需要以下之一：{', '.join(OPERATORS)}",
                f"a comparison needs exactly one of: {', '.join(OPERATORS)}",
            )
        return self

    def given(self) -> list[str]:
        """Names of the operators present."""
        return [name for name in OPERATORS if getattr(self, f"{name}_" if name in ("is", "in") else name) is not None]

    def operator(self) -> str:
        return self.given()[0]


class All(Record):
    all: tuple["Filter", ...] = Field(min_length=1)


class Any_(Record):  # noqa: N801 named after the word in the file
    any: tuple["Filter", ...] = Field(min_length=1)


class Not(Record):
    not_: "Filter" = Field(alias="not")


def _shape(value: Any) -> str:
    """Which of the four forms: by the key of a file, or by the name of the field of a value made already. No key looks like `<all>`."""
    keys = value if isinstance(value, dict) else {name.rstrip("_") for name in getattr(type(value), "model_fields", ())}
    return next((f"<{name}>" for name in ("all", "any", "not") if name in keys), "<leaf>")


Filter: TypeAlias = Annotated[
    Annotated[Leaf, Tag("<leaf>")]
    | Annotated[All, Tag("<all>")]
    | Annotated[Any_, Tag("<any>")]
    | Annotated[Not, Tag("<not>")],
    Discriminator(_shape),
]

Compare = Callable[[Leaf], Truth]


def evaluate(condition: "Leaf | All | Any_ | Not", compare: Compare) -> Truth:
    """Kleene logic over the leaves. `compare` answers one leaf for all rows of a table."""
    match condition:
        case Leaf():
            return compare(condition)
        case All(all=parts):
            answers = [evaluate(part, compare) for part in parts]
            true = np.logical_and.reduce([each.true for each in answers])
            some_false = np.logical_or.reduce([each.known & ~each.true for each in answers])
            return Truth(true, true | some_false)
        case Any_(any=parts):
            answers = [evaluate(part, compare) for part in parts]
            true = np.logical_or.reduce([each.true for each in answers])
            all_known = np.logical_and.reduce([each.known for each in answers])
            return Truth(true, true | all_known)
        case Not(not_=part):
            answer = evaluate(part, compare)
            return Truth(answer.known & ~answer.true, answer.known)


def leaves(condition: "Leaf | All | Any_ | Not") -> Iterator[Leaf]:
    """Every comparison in a filter, left to right."""
    match condition:
        case Leaf():
            yield condition
        case All(all=parts) | Any_(any=parts):
            for part in parts:
                yield from leaves(part)
        case Not(not_=part):
            yield from leaves(part)


def spelled(condition: "Leaf | All | Any_ | Not") -> str:
    """A filter on one line, the same text for the same filter."""
    match condition:
        case Leaf():
            operator = condition.operator()
            given = getattr(condition, f"{operator}_" if operator in ("is", "in") else operator)
            operand = (
                ", ".join(given) if isinstance(given, tuple) else str(given).lower() if operator == "missing" else given
            )
            return f"{condition.variable} {operator} {operand}"
        case All(all=parts) | Any_(any=parts):
            word = " and " if isinstance(condition, All) else " or "
            return word.join(spelled(part) if isinstance(part, Leaf) else f"({spelled(part)})" for part in parts)
        case Not(not_=part):
            return f"not ({spelled(part)})"


Reader = Callable[[str], Any]
NUMBER: Final = re.compile(
    r"[+-]?([0-9]{1,16}(\.[0-9]{0,12})?|\.[0-9]{1,12})([eE][+-]?[0-9]{1,3})?"
)  # 28 digits: Decimal is exact
DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
MOST_NUMBER: Final = Decimal(10**15)
LEAST_EXPONENT: Final = -40


def integer(word: str) -> int:
    value = decimal(word)
    if value != value.to_integral_value():
        raise Unfit("不是整数", "not a whole number")
    return int(value)


def fen(word: str) -> int:
    """Yuan, exact in decimal, to whole fen. Errors: `ValueError` for more than two decimals."""
    scaled = decimal(word) * 100
    if scaled != scaled.to_integral_value():
        raise Unfit("元的小数超过两位", "more than two decimals of 元")
    return int(scaled)


def decimal(word: str) -> Decimal:
    """The number that was written, exactly. What int64 in fen could not hold, or no float could tell from 0, is a `ValueError`."""
    if not NUMBER.fullmatch(word):
        raise Unfit("不是数字", "not a number")
    value = Decimal(word)
    if abs(value) > MOST_NUMBER or (value and value.adjusted() < LEAST_EXPONENT):
        raise Unfit(
            f"超出 ±{MOST_NUMBER:.0e}，或小于 1e{LEAST_EXPONENT}",
            f"beyond ±{MOST_NUMBER:.0e}, or below 1e{LEAST_EXPONENT}",
        )
    return value


def days(word: str) -> int:
    """ISO date, as 2022-05-31, to days since 1970-01-01."""
    if not DATE.fullmatch(word):
        raise Unfit("不是 2022-05-31 这样的日期", "not a date like 2022-05-31")
    return date.fromisoformat(word).toordinal() - date(1970, 1, 1).toordinal()


def flag(word: str) -> int:
    if word not in ("true", "false"):
        raise Unfit("既不是 true 也不是 false", "neither true nor false")
    return int(word == "true")


def compare_values(leaf: Leaf, values: npt.NDArray[Any], known: Bools, read: Reader) -> Truth:
    """One comparison on a column of numbers (codes by their index). `read` types the operand; a bad one is a `ValueError`."""
    match leaf.operator():
        case "missing":
            wanted = ~known if leaf.missing else known
            return Truth(wanted, np.ones_like(known))
        case "is":
            met = values == read(leaf.is_ or "")
        case "in":
            met = np.isin(values, [read(word) for word in leaf.in_ or ()])
        case "between":
            low, high = leaf.between or ("", "")
            if read(low) > read(high):
                raise Unfit("下限大于上限", "the lower end is above the upper one")
            met = (values >= read(low)) & (values <= read(high))
        case operator:
            bound = read(getattr(leaf, operator))
            met = ORDER[operator](values, bound)
    return Truth(met & known, known)


ORDER: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "at_least": np.greater_equal,
    "above": np.greater,
    "at_most": np.less_equal,
    "below": np.less,
}
Ordered: TypeAlias = Literal["at_least", "above", "at_most", "below", "between"]
