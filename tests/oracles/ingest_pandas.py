"""Ingest a second time, cell by cell in pandas and Python's own decimals. Shares no code with `node`; reads no mapping file."""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import pandas as pd

GIVEN, FILLED, MISSING, DROPPED, OTHER, LOW, HIGH = range(7)
BLANK = "".join(chr(code) for code in range(0x10000) if chr(code).isspace() and not 0x1C <= code <= 0x1F)
BLANK += "\u200b\u200c\u200d\u2060\ufeff"  # of no width
Cell = tuple[Any, int]
FORMATS = {
    "yyyymmdd": r"([1-9]\d{3})(\d\d)(\d\d)",
    "yyyy-mm-dd": r"([1-9]\d{3})-(\d\d)-(\d\d)",
    "yyyy/m/d": r"([1-9]\d{3})/(\d\d?)/(\d\d?)",
    "yyyy年m月d日": r"([1-9]\d{3})年(\d\d?)月(\d\d?)日",
    "yyyymm": r"([1-9]\d{3})(\d\d)()",
    "yyyy": r"([1-9]\d{3})()()",
}


@dataclass(frozen=True)
class Rule:
    """What the mapping of the test says of one variable, in stored units: bounds, codes by index, fen."""

    column: str
    kind: str
    low: int | float = 0
    high: int | float = 0
    unit: int = 1
    make: str = ""
    parse: tuple[str, ...] = ()
    codes: dict[str, int] = field(default_factory=dict)
    other: int = 0
    null: Cell = (None, MISSING)
    suffix: str = ""
    nulls: tuple[str, ...] = ("NULL", "\\N", "-", "/")


def number(text: str, suffix: str) -> Decimal | None:
    plain = unicodedata.normalize("NFKC", text) if re.search("[０-９．，－＋]", text) else text
    plain = plain.removesuffix(suffix).rstrip(BLANK) if suffix else plain
    if re.fullmatch(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?", plain, re.ASCII):
        plain = plain.replace(",", "")
    fits = re.fullmatch(r"[+-]?(\d{1,15}(\.\d{0,20})?|\.\d{1,20})", plain, re.ASCII)
    return Decimal(plain) if fits else None


def day(text: str, parse: tuple[str, ...]) -> date | None:
    plain = "".join(unicodedata.normalize("NFKC", mark) if mark in "０１２３４５６７８９" else mark for mark in text)
    for name in parse:
        if name == "excel_serial":
            if re.fullmatch(r"\d{5}", plain, re.ASCII):
                return date(1899, 12, 30) + timedelta(int(plain))
        elif found := re.fullmatch(FORMATS[name], plain, re.ASCII):
            year, month, in_month = (int(part or 1) for part in found.groups())
            try:
                return date(year, month, in_month)
            except ValueError:
                return None
    return None


def value(text: str, rule: Rule, as_of: date) -> Any:
    """The value that a text stands for, before it is clipped; None if no rule reads it."""
    if rule.parse:
        found = day(text, rule.parse)
        years = {
            "year_of": lambda at: at.year,
            "months": lambda at: (as_of.year - at.year) * 12 + as_of.month - at.month,
        }
        make: Callable[[date], int] = years.get(rule.make, lambda at: (at - date(1970, 1, 1)).days)
        return None if found is None else make(found)
    read = number(text, rule.suffix)
    if read is None or rule.kind == "number":
        return None if read is None else float(read) + 0.0
    units = read * rule.unit
    if rule.kind == "integer" and units != units.to_integral_value():
        return None
    whole = int(units.to_integral_value(ROUND_HALF_EVEN))
    return as_of.year - whole if rule.make == "age" else whole


def cell(raw: Any, rule: Rule, as_of: date) -> Cell:
    text = "" if raw is None or raw is pd.NA or raw != raw else unicodedata.normalize("NFC", raw.strip(BLANK))
    if not text or text in rule.nulls:
        return rule.null
    if rule.codes:
        return (rule.codes[text], GIVEN) if text in rule.codes else (rule.other, OTHER)
    read = value(text, rule, as_of)
    if read is None:
        return rule.null
    return (rule.low, LOW) if read < rule.low else (rule.high, HIGH) if read > rule.high else (read, GIVEN)


def snapshot(
    main: pd.DataFrame, side: pd.DataFrame, key: str, newest: str, rules: dict[str, Rule], as_of: date
) -> pd.DataFrame:
    """Cells by canonical key: the newest row of each key, joined with its row of the side table if there is one."""
    same = {
        text: unicodedata.normalize("NFKC", text).strip(BLANK).upper() for table in (main, side) for text in table[key]
    }
    tables = [table.assign(_key=table[key].map(same)) for table in (main, side)]
    latest = tables[0].sort_values(newest, kind="stable").groupby("_key", as_index=False).tail(1)
    joined = latest.merge(tables[1].drop(columns=[key]), on="_key", how="left").set_index("_key")
    return pd.DataFrame(
        {name: joined[rule.column].map(lambda raw, rule=rule: cell(raw, rule, as_of)) for name, rule in rules.items()}
    )
