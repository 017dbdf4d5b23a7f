"""Derived variables, one row at a time and in plain Python, from the text of the contract."""

from datetime import date
from decimal import Decimal
from typing import Any

from protocols.dictionary import Bands, Dictionary, Rules, YearsBefore
from tests.oracles.filters_slow import Row, truth


def derived(dictionary: Dictionary, name: str, row: Row, as_of: date) -> Any:
    """The value of any variable of one holder: text code, `Decimal`, date, truth; `None` where it is missing."""
    if name in dictionary.variables:
        return row[name]
    entry = dictionary.derived[name]
    match entry:
        case YearsBefore():
            year = derived(dictionary, entry.as_of_year_minus, row, as_of)
            if year is None:
                return None
            return Decimal(min(max(as_of.year - int(year), entry.range[0]), entry.range[1]))
        case Bands():
            value = derived(dictionary, entry.of, row, as_of)
            if value is None:
                return None
            return next((code for code, (low, high) in entry.bands.items() if low <= value <= high), entry.else_)
        case Rules():
            for rule in entry.rules:
                needed = {leaf: derived(dictionary, leaf, row, as_of) for leaf in _named(rule.when)}
                answer = truth(rule.when, needed)
                if answer is None:
                    return None
                if answer:
                    return rule.code
            return entry.else_
    raise TypeError(entry)


def _named(condition: Any) -> set[str]:
    if hasattr(condition, "variable"):
        return {condition.variable}
    parts = getattr(condition, "all", None) or getattr(condition, "any", None) or (condition.not_,)
    return set().union(*(_named(part) for part in parts))
