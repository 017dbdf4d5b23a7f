"""Kleene's three-valued logic, one row at a time: True, False, or None for unknown. The tables are those of Kleene (1952), section 64."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from protocols.filters import All, Any_, Leaf, Not

Row = Mapping[str, Any]  # None where a value is missing
Truth = bool | None

AND: Mapping[tuple[Truth, Truth], Truth] = {
    (True, True): True,
    (True, False): False,
    (True, None): None,
    (False, True): False,
    (False, False): False,
    (False, None): False,
    (None, True): None,
    (None, False): False,
    (None, None): None,
}
NOT: Mapping[Truth, Truth] = {True: False, False: True, None: None}


def truth(condition: Leaf | All | Any_ | Not, row: Row) -> Truth:
    """A filter on one row of plain values: text codes, `Decimal` numbers, dates, truths."""
    match condition:
        case All(all=parts):
            answer: Truth = True
            for part in parts:
                answer = AND[answer, truth(part, row)]
            return answer
        case Any_(any=parts):  # De Morgan
            answer = True
            for part in parts:
                answer = AND[answer, NOT[truth(part, row)]]
            return NOT[answer]
        case Not(not_=part):
            return NOT[truth(part, row)]
        case Leaf():
            return compared(condition, row[condition.variable])


def compared(leaf: Leaf, value: Any) -> Truth:
    """One comparison. `value` says by its type how the operand is to be read."""
    if leaf.missing is not None:
        return (value is None) == leaf.missing
    if value is None:
        return None
    if leaf.is_ is not None:
        return bool(value == typed(leaf.is_, value))
    if leaf.in_ is not None:
        return any(value == typed(word, value) for word in leaf.in_)
    if leaf.between is not None:
        return bool(typed(leaf.between[0], value) <= value <= typed(leaf.between[1], value))
    if leaf.at_least is not None:
        return bool(value >= typed(leaf.at_least, value))
    if leaf.above is not None:
        return bool(value > typed(leaf.above, value))
    if leaf.at_most is not None:
        return bool(value <= typed(leaf.at_most, value))
    return bool(value < typed(leaf.below or "", value))


def typed(word: str, like: Any) -> Any:
    match like:
        case bool():
            return word == "true"
        case Decimal():
            return Decimal(word)
        case date():
            return date.fromisoformat(word)
        case _:
            return word
