"""From local text to value and status: every rule of a mapping as SQL, made of quoted identifiers and bound values only.

A column passes through layers, each a projection over the one before, so that nothing is computed twice:

| layer | holds |
|---|---|
| raw | text as the source gave it, of all tables, joined |
| c | trimmed, Unicode NFC, line ends as LF; NULL if nothing is left |
| t | the variable's text: NULL where it is one of the null texts |
| n | numbers: ASCII digits, no separators, no suffix; g: what a suffix multiplies by |
| q, d | exact: whole stored units where that is plain to see (int64), else in decimal with 12 places |
| p | the value that was read: index, number, fen, days; NULL if no rule reads the text; r: 1 if it was rounded |
| v, s | what is stored: value, and status with marks |

A number has at most 15 digits before the point and 20 after it; decimals beyond the twelfth only decide which way a half goes. A date has
a year of four digits from 1000 on. Casts never fail: what does not match a whole pattern first is never cast.
"""

# ruff: noqa: S608 statements are made of quoted identifiers, names made here and bound values only (threat-model.md T46)

from collections.abc import Mapping as Lookup
from dataclasses import dataclass
from datetime import date
from typing import Final

from node.connectors import Bound, Kind
from node.connectors.files import BLANKS
from node.mapping import (
    DATED,
    HIGH,
    LOW,
    MAGNITUDE,
    OTHER,
    At,
    RowAll,
    RowAny,
    RowLeaf,
    RowNot,
    Rule,
    split_name,
)

# marks above the three bits of the status; they are counted, and not stored
UNPARSED, ROUNDED, FAIL, LOST, CUT = 8, 16, 32, 64, 128
STATUS: Final = 7

BLANK: Final = "[" + "".join(f"\\x{{{ord(mark):X}}}" for mark in BLANKS) + "]+"
CLEAN: Final = r"[!-~\x{4E00}-\x{9FFF}]([ -~\x{4E00}-\x{9FFF}]*[!-~\x{4E00}-\x{9FFF}])?"
SIGN: Final = "[+-]?"
PLAIN: Final = SIGN + r"([0-9]{1,15}(\.[0-9]{0,20})?|\.[0-9]{1,20})"
FLOAT: Final = SIGN + r"([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?"
THOUSANDS: Final = SIGN + r"[0-9]{1,3}(,[0-9]{3})+(\.[0-9]*)?"
LONG: Final = r"^([^.]*\.[0-9]{11})[0-9]*[1-9][0-9]*$"  # a digit other than 0 beyond the eleventh decimal
FARTHEST: Final = 92 * 10**17  # beyond every range that int64 holds
LOST_DIGITS: Final = r"[+-]?[0-9](\.[0-9]+)?[eE]\+?[0-9]{1,3}"  # what a spreadsheet leaves of a long number
CELL_ERRORS: Final = (
    *("#NULL!", "#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!", "#N/A", "#GETTING_DATA"),
    *("#SPILL!", "#CALC!", "#FIELD!", "#BLOCKED!", "#UNKNOWN!", "#CONNECT!", "#BUSY!"),
)  # what a cell of a spreadsheet holds where its formula failed
FULL: Final = "０１２３４５６７８９．，－＋"
ASCII: Final = "0123456789.,-+"
YEAR: Final = "([1-9][0-9]{3})"
CLOCK: Final = r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]+)?)?(Z|[+-][0-9]{2}(:?[0-9]{2})?)?"
# pattern of the whole text, and how its groups become an ISO date
DATES: Final[Lookup[str, tuple[str, str]]] = {
    "yyyymmdd": (f"{YEAR}([0-9]{{2}})([0-9]{{2}})", r"\1-\2-\3"),
    "yyyy-mm-dd": (f"{YEAR}-([0-9]{{2}})-([0-9]{{2}})", r"\1-\2-\3"),
    "yyyy/m/d": (f"{YEAR}/([0-9]{{1,2}})/([0-9]{{1,2}})", r"\1-\2-\3"),
    "yyyy年m月d日": (f"{YEAR}年([0-9]{{1,2}})月([0-9]{{1,2}})日", r"\1-\2-\3"),
    "yyyymm": (f"{YEAR}([0-9]{{2}})", r"\1-\2-01"),
    "yyyy-mm": (f"{YEAR}-([0-9]{{2}})", r"\1-\2-01"),
    "yyyy": (YEAR, r"\1-01-01"),
    "iso_datetime": (f"{YEAR}-([0-9]{{2}})-([0-9]{{2}})[T ]{CLOCK}", r"\1-\2-\3"),
}
SERIALS: Final = {"excel_serial": "1899-12-30", "excel_serial_1904": "1904-01-01"}
EPOCH: Final = "DATE '1970-01-01'"
PHYSICAL: Final = {
    "category": "SMALLINT",
    "set": "UBIGINT",
    "boolean": "TINYINT",
    "integer": "BIGINT",
    "money": "BIGINT",
    "number": "DOUBLE",
    "date": "INTEGER",
}


@dataclass(frozen=True)
class Column:
    """A local column, the name of its cleaned text in the statement, and how its source stores it."""

    at: At
    name: str
    kind: Kind


def clean(name: str, bound: Bound) -> str:
    """Layer c. Nearly every text is plain already: ASCII and Chinese characters, which have one form, with no blank at an end."""
    text = f"nfc_normalize(regexp_replace({name}, {bound.bind(f'^{BLANK}|{BLANK}$')}, '', 'g'))"
    lines = f"replace(replace({text}, chr(13) || chr(10), chr(10)), chr(13), chr(10))"
    return f"CASE WHEN regexp_full_match({name}, {bound.bind(CLEAN)}) THEN {name} ELSE nullif({lines}, '') END"


def unless_null(text: str, null_texts: tuple[str, ...], bound: Bound) -> str:
    """Layer t."""
    words = [word for word in null_texts if word]
    return f"CASE WHEN {text} IN {bound.bind(words)} THEN NULL ELSE {text} END" if words else text


def numeric(rule: Rule) -> bool:
    return rule.make in ("snapshot_year_minus", "positive") or (
        rule.make == "value" and rule.kind in ("integer", "number", "money")
    )


def dated(rule: Rule) -> bool:
    return rule.make in DATED or (rule.make == "value" and rule.kind == "date")


class Layers:
    """The layers of one statement: what each adds, by name. A later layer sees all that is below it."""

    def __init__(self) -> None:
        self.added: list[list[str]] = [[] for _ in range(6)]

    def add(self, layer: int, expression: str, name: str) -> str:
        self.added[layer].append(f"{expression} AS {name}")
        return name

    def over(self, relation: str, selected: str = "") -> str:
        """The statement over a relation that holds layer raw. `selected`: a condition on layer t."""
        for depth, layer in enumerate(self.added[:-1]):
            relation = f"(SELECT *{''.join(f', {item}' for item in layer)} FROM {relation})"
            if depth == 1 and selected:
                relation = f"(SELECT * FROM {relation} WHERE {selected})"
        return f"SELECT {', '.join(self.added[-1])} FROM {relation}"


def cast(rule: Rule, number: int, column: Column, snapshot: date, layers: Layers, bound: Bound) -> None:
    """Adds all layers of one variable, from its column's cleaned text on. `number`: its place among the rules."""
    text = layers.add(1, unless_null(column.name, rule.null_texts, bound), f"t{number}")
    rounded = "0"
    if rule.make == "present":
        read = layers.add(4, f"CAST({text} IS NOT NULL AS TINYINT)", f"p{number}")
        layers.add(5, read, quoted_value(rule))
        layers.add(5, "CAST(0 AS UTINYINT)", quoted_status(rule))
        return
    if rule.kind == "set":
        _set(rule, number, text, column.kind, layers, bound)
        return
    if numeric(rule):
        read, rounded = _number(rule, number, text, column.kind, snapshot, layers, bound)
    elif dated(rule):
        read = _date(rule, number, text, column.kind, snapshot, layers, bound)
    else:
        keys, values = bound.bind([key for key, _ in rule.codes]), bound.bind([value for _, value in rule.codes])
        read = layers.add(4, f"map_extract_value(map({keys}, {values}), {text})", f"p{number}")
    _stored(rule, text, read, rounded, column.kind, layers, bound)


def quoted_value(rule: Rule) -> str:
    return f'"{rule.variable}"'


def quoted_status(rule: Rule) -> str:
    return f'"{rule.variable}__s"'


def _number(
    rule: Rule, number: int, text: str, kind: Kind, snapshot: date, layers: Layers, bound: Bound
) -> tuple[str, str]:
    digits = layers.add(2, _digits(rule, text, bound), f"n{number}")
    magnitude = _magnitude(rule, text, bound)
    if magnitude != "1":
        magnitude = layers.add(2, magnitude, f"g{number}")
    if rule.kind == "number":
        return _real(rule, number, digits, magnitude, kind, layers, bound), "0"
    # exact decimal: the fast way for digits that surely give whole units, the long one for all others
    places = {1_000_000: 6, 100: 2}.get(rule.factor, 0)
    fast = bound.bind(SIGN + r"[0-9]{1,11}" + (rf"(\.[0-9]{{1,{places}}})?" if places else ""))
    plainly = f"regexp_full_match({digits}, {fast})" + ("" if magnitude == "1" else f" AND {magnitude} = 1")
    width = 11 + places if 11 + 2 * places <= 18 else 38  # the product must not overflow while it is scaled
    quick = f"CAST(CAST({digits} AS DECIMAL({width}, {places})) * {rule.factor} AS BIGINT)"
    exact = f"CAST(regexp_replace({digits}, {bound.bind(LONG)}, {bound.bind(chr(92) + '11')}) AS DECIMAL(38, 12))"
    scale = f"CAST({magnitude} * {rule.factor} AS DECIMAL(11, 0))"
    q = layers.add(3, f"CASE WHEN {plainly} THEN {quick} END", f"q{number}")
    fits = f"regexp_full_match({digits}, {bound.bind(PLAIN)})"
    d = layers.add(3, f"CASE WHEN {plainly} THEN NULL WHEN {fits} THEN {exact} * {scale} END", f"d{number}")
    if rule.make == "positive":
        sign = f"CASE WHEN {d} IS NULL THEN {q} ELSE sign({d}) END"
        return layers.add(4, f"CAST({sign} > 0 AS TINYINT)", f"p{number}"), "0"
    whole = f"CAST(least(greatest(round_even({d}, 0), -{FARTHEST}), {FARTHEST}) AS BIGINT)"
    if rule.make == "snapshot_year_minus" or (rule.kind == "integer" and rule.factor == 1):
        value = f"CASE WHEN {d} IS NULL THEN {q} WHEN {d} = round_even({d}, 0) THEN {whole} END"
        if rule.make == "snapshot_year_minus":
            value = f"{snapshot.year} - ({value})"
        return layers.add(4, value, f"p{number}"), "0"
    rounded = layers.add(
        4, f"CASE WHEN {d} IS NULL THEN 0 ELSE CAST({d} <> round_even({d}, 0) AS TINYINT) END", f"r{number}"
    )
    return layers.add(4, f"CASE WHEN {d} IS NULL THEN {q} ELSE {whole} END", f"p{number}"), rounded


def _digits(rule: Rule, text: str, bound: Bound) -> str:
    """Layer n: the spellings that the rule allows, made plain. Anything else stays as it is, and matches no pattern later."""
    plain = bound.bind(PLAIN)
    spelt = text
    if rule.form.fullwidth:
        wide = bound.bind(f"[{FULL}]")
        spelt = (
            f"CASE WHEN regexp_matches({spelt}, {wide}) THEN translate({spelt}, {bound.bind(FULL)}, {bound.bind(ASCII)}) "
            f"ELSE {spelt} END"
        )
    if rule.form.suffixes:
        ending = "|".join(_literal(suffix) for suffix in sorted(rule.form.suffixes, key=len, reverse=True))
        spelt = f"regexp_replace({spelt}, {bound.bind(f'{BLANK[:-1]}*({ending})$')}, '')"
    if rule.form.thousands:
        split = bound.bind(THOUSANDS)
        spelt = f"CASE WHEN regexp_full_match({spelt}, {split}) THEN replace({spelt}, ',', '') ELSE {spelt} END"
    return f"CASE WHEN {text} IS NULL OR regexp_full_match({text}, {plain}) THEN {text} ELSE {spelt} END"


def _literal(text: str) -> str:
    """A text as a pattern that matches it and nothing else."""
    return "".join(f"\\x{{{ord(mark):X}}}" for mark in text)


def _magnitude(rule: Rule, text: str, bound: Bound) -> str:
    large = [suffix for suffix in rule.form.suffixes if suffix in MAGNITUDE]
    if not large:
        return "1"
    cases = " ".join(f"WHEN ends_with({text}, {bound.bind(suffix)}) THEN {MAGNITUDE[suffix]}" for suffix in large)
    return f"CASE {cases} ELSE 1 END"


def _real(rule: Rule, number: int, digits: str, magnitude: str, kind: Kind, layers: Layers, bound: Bound) -> str:
    """Float64 nearest to the decimal number. A power of ten goes into the text, so that it is rounded once."""
    pattern = bound.bind(FLOAT if kind == "float" else PLAIN)
    value = f"TRY_CAST({digits} AS DOUBLE)"
    if kind == "float":
        value = f"{value} / 1e{-rule.shift}" if rule.shift < 0 else f"{value} * 1e{rule.shift}"
    elif rule.shift:
        value = f"TRY_CAST({digits} || {bound.bind(f'e{rule.shift}')} AS DOUBLE)"
    if magnitude != "1":
        value = f"{value} * {magnitude}"
    matched = f"CASE WHEN regexp_full_match({digits}, {pattern}) THEN {value} + 0.0 END"  # + 0.0: no minus zero
    return layers.add(4, matched, f"p{number}")


def _date(rule: Rule, number: int, text: str, kind: Kind, snapshot: date, layers: Layers, bound: Bound) -> str:
    wide, full, ascii_ = bound.bind("[０-９]"), bound.bind(FULL), bound.bind(ASCII)
    digits = layers.add(
        2,
        f"CASE WHEN regexp_matches({text}, {wide}) THEN translate({text}, {full}, {ascii_}) ELSE {text} END",
        f"n{number}",
    )
    cases = " ".join(parsed(parser, digits, bound) for parser in parsers(rule.parse, kind))
    day = layers.add(3, f"CASE {cases} END", f"d{number}")
    match rule.make:
        case "year_of":
            value = f"year({day})"
        case "months_to_snapshot":
            value = f"{snapshot.year * 12 + snapshot.month} - (year({day}) * 12 + month({day}))"
        case _:
            value = f"{day} - {EPOCH}"
    return layers.add(4, value, f"p{number}")


def parsers(declared: tuple[str, ...], kind: Kind) -> tuple[str, ...]:
    """The declared parsers; of a column that is a date or a time in its file, and for which none is declared, the one that fits."""
    typed: Lookup[Kind, tuple[str, ...]] = {"date": ("yyyy-mm-dd",), "time": ("iso_datetime",)}
    return declared or typed.get(kind, ())


def parsed(parser: str, digits: str, bound: Bound) -> str:
    """One branch of a CASE: whole text under one parser to a date, NULL if there is no such day."""
    if parser in SERIALS:
        return (
            f"WHEN regexp_full_match({digits}, '[0-9]{{5}}') THEN DATE '{SERIALS[parser]}' + CAST({digits} AS INTEGER)"
        )
    pattern, iso = DATES[parser]
    whole = bound.bind(pattern)
    return (
        f"WHEN regexp_full_match({digits}, {whole}) "
        f"THEN TRY_CAST(regexp_replace({digits}, {whole}, {bound.bind(iso)}) AS DATE)"
    )


def _stored(rule: Rule, text: str, read: str, rounded: str, kind: Kind, layers: Layers, bound: Bound) -> None:
    """Layer v, s: null rule, `other`, clip; and the marks."""
    absent = rule.null_status
    if rule.kind in ("category", "boolean") and rule.make == "value":
        lost = f"regexp_full_match({text}, {bound.bind(LOST_DIGITS)})"
        instead = 0 if rule.other is None else rule.other
        mark = OTHER | (FAIL if rule.other is None else 0)
        none = f"{text} IS NULL"
        wrong = ""
        if kind == "cells":  # an error value is no code, not even an unknown one
            error = f"{text} IN {bound.bind(list(CELL_ERRORS))} AND {read} IS NULL"
            none = f"{none} OR ({error})"
            wrong = f"WHEN {error} THEN {absent | UNPARSED | (FAIL if rule.unparsed_fails else 0)} "
        value = f"CASE WHEN {none} THEN {rule.null_value} ELSE coalesce({read}, {instead}) END"
        status = (
            f"CASE WHEN {text} IS NULL THEN {absent} WHEN {read} IS NOT NULL THEN 0 {wrong}"
            f"WHEN {lost} THEN {OTHER | LOST} ELSE {mark} END"
        )
    else:
        unread = absent | UNPARSED | (FAIL if rule.unparsed_fails else 0)
        kept, clipped = read, ""
        if rule.kind != "boolean":
            low, high = (bound.bind(end) for end in (rule.low, rule.high))
            kept = f"least(greatest({read}, {low}), {high})"
            clipped = f"WHEN {read} < {low} THEN {LOW} WHEN {read} > {high} THEN {HIGH} "
        value = f"CASE WHEN {read} IS NULL THEN {rule.null_value} ELSE {kept} END"
        status = f"CASE WHEN {text} IS NULL THEN {absent} WHEN {read} IS NULL THEN {unread} {clipped}ELSE 0 END"
        if rounded != "0":
            status = f"({status}) | ({rounded} * {ROUNDED})"
    layers.add(5, f"CAST({value} AS {PHYSICAL[rule.kind]})", quoted_value(rule))
    layers.add(5, f"CAST({status} AS UTINYINT)", quoted_status(rule))


def _set(rule: Rule, number: int, text: str, kind: Kind, layers: Layers, bound: Bound) -> None:
    """A multi-response text: pieces between the mapping's mark, each a code, as a bit mask. The first `most` codes are kept.

    A piece that no code lists is the mapping's `other`, or stops the ingest. Empty pieces say nothing.
    """
    mark = bound.bind(f"{BLANK[:-1]}*{_literal(rule.split)}{BLANK[:-1]}*")
    pieces = layers.add(2, f"string_split_regex({text}, {mark})", f"n{number}")
    listed = bound.bind([*(local for local, _ in rule.codes), ""])
    strange = layers.add(3, f"NOT list_has_all({listed}, {pieces})", f"q{number}")
    bits = []
    for code in sorted({code for _, code in rule.codes} | ({rule.other} if rule.other is not None else set())):
        locals_ = bound.bind([local for local, at in rule.codes if at == code])
        named = f"list_has_any({pieces}, {locals_})" + (f" OR {strange}" if code == rule.other else "")
        bits.append(f"CASE WHEN {named} THEN CAST({1 << code} AS UBIGINT) END")
    every = layers.add(4, f"list_sort(list_distinct([{', '.join(bits)}]))", f"p{number}")
    kept = f"coalesce(list_sum({every}[1:{rule.most}]), 0)"
    none, absent = f"{text} IS NULL", rule.null_status
    wrong = ""
    if kind == "cells":
        error = f"{text} IN {bound.bind(list(CELL_ERRORS))}"
        none = f"{none} OR ({error})"
        wrong = f"WHEN {error} THEN {absent | UNPARSED | (FAIL if rule.unparsed_fails else 0)} "
    unknown = OTHER | (FAIL if rule.other is None else 0)
    status = (
        f"CASE WHEN {text} IS NULL THEN {absent} {wrong}WHEN {strange} THEN {unknown} ELSE 0 END "
        f"| CASE WHEN NOT ({none}) AND len({every}) > {rule.most} THEN {CUT} ELSE 0 END"
    )
    value = f"CASE WHEN {none} THEN CAST({rule.null_value} AS HUGEINT) ELSE {kept} END"
    layers.add(5, f"CAST({value} AS {PHYSICAL[rule.kind]})", quoted_value(rule))
    layers.add(5, f"CAST({status} AS UTINYINT)", quoted_status(rule))


def selected(condition: "RowLeaf | RowAll | RowAny | RowNot", texts: Lookup[At, str], bound: Bound) -> str:
    """A row filter as SQL over cleaned texts, in which null texts are NULL: three-valued as the filter language is."""
    match condition:
        case RowLeaf(missing=bool(wanted)):
            return f"({texts[split_name(condition.column)]} IS {'' if wanted else 'NOT '}NULL)"
        case RowLeaf():
            words = condition.in_ if condition.in_ is not None else (condition.is_ or "",)
            return f"({texts[split_name(condition.column)]} IN {bound.bind(list(words))})"
        case RowAll(all=parts):
            return "(" + " AND ".join(selected(part, texts, bound) for part in parts) + ")"
        case RowAny(any=parts):
            return "(" + " OR ".join(selected(part, texts, bound) for part in parts) + ")"
        case RowNot(not_=part):
            return f"(NOT {selected(part, texts, bound)})"
