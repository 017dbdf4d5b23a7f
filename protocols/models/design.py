"""From terms to columns, and the round that standardises them.

`terms` is a small grammar with a parser of its own; nothing in it is evaluated as an expression:

    term   = factor [":" factor]
    factor = name | "city." name | ("log1p" | "log" | "sqrt" | "square") "(" name ")" | "bands(" name ", [" cuts "])"

A category or boolean becomes one indicator per code against its first code, `name[code]`. Every column has a public range: that of the
dictionary after its transform. Data choose no scale before the pooled sums of round 0 are known; from those, z = (x - mean) / sd.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, product
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from protocols.dictionary import MISSING, Column, Dictionary, Read, near
from protocols.errors import ConfigError
from protocols.models.fixedpoint import Reals
from protocols.yamltext import Record

Flags = npt.NDArray[np.bool_]
Numbers = tuple[float, ...]
How = Literal["plain", "city", "log1p", "log", "sqrt", "square", "bands"]
TRANSFORMS: Final = ("log1p", "log", "sqrt", "square")
LEAST: Final = {"log1p": -1.0, "log": 0.0, "sqrt": 0.0}  # the range must lie above (sqrt: not below) this
NUMERIC: Final = ("integer", "number", "money")
CODED: Final = ("category", "boolean")
NEVER: Final = 1e-14  # a variance of a column on [-1, 1] below this is that of a constant
_TOKEN: Final = re.compile(r"\s*(?:([a-z][a-z0-9_]*)|(-?[0-9]+(?:\.[0-9]+)?)|([.():,\[\]]))")


# --- the grammar


@dataclass(frozen=True)
class Factor:
    name: str
    how: How = "plain"
    cuts: tuple[str, ...] = ()

    @property
    def variable(self) -> str:
        """Its name in the dictionary of a study, where attributes of cities are `city.NAME`."""
        return f"city.{self.name}" if self.how == "city" else self.name

    def __str__(self) -> str:
        match self.how:
            case "plain":
                return self.name
            case "city":
                return f"city.{self.name}"
            case "bands":
                return f"bands({self.name}, [{', '.join(self.cuts)}])"
            case _:
                return f"{self.how}({self.name})"


@dataclass(frozen=True)
class Term:
    factors: tuple[Factor, ...]

    def __str__(self) -> str:
        return ":".join(str(factor) for factor in self.factors)


def parse(text: str) -> Term:
    """One term. Errors: `ConfigError MODEL_TERM` with the place in the text where it stops making sense."""
    words = _Words(text)
    factors = [_factor(words)]
    if words.next_is(":"):
        factors.append(_factor(words))
    words.end()
    return Term(tuple(factors))


class _Words:
    """The words of a term, read from the left; every refusal says at which character."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0

    def take(self, kind: Literal[1, 2, 3], only: str = "") -> str:
        found = _TOKEN.match(self.text, self.at)
        if found is None or found[kind] is None or (only and found[kind] != only):
            raise self.fault()
        self.at = found.end()
        return str(found[kind])

    def next_is(self, mark: str) -> bool:
        found = _TOKEN.match(self.text, self.at)
        if found is None or found[3] != mark:
            return False
        self.at = found.end()
        return True

    def end(self) -> None:
        if self.text[self.at :].strip():
            raise self.fault()

    def fault(self) -> ConfigError:
        return ConfigError("MODEL_TERM", term=self.text[:80], place=self.at + 1)


def _factor(words: _Words) -> Factor:
    word = words.take(1)
    if word == "city" and words.next_is("."):
        return Factor(words.take(1), "city")
    if not words.next_is("("):
        return Factor(word)
    if word == "bands":
        return _bands(words)
    for how in TRANSFORMS:
        if how == word:
            name = words.take(1)
            words.take(3, ")")
            return Factor(name, how)
    raise words.fault()


def _bands(words: _Words) -> Factor:
    name = words.take(1)
    words.take(3, ",")
    words.take(3, "[")
    cuts = [words.take(2)]
    while words.next_is(","):
        cuts.append(words.take(2))
    words.take(3, "]")
    words.take(3, ")")
    if any(float(low) >= float(high) for low, high in pairwise(cuts)):
        raise words.fault()
    return Factor(name, "bands", tuple(cuts))


# --- columns


@dataclass(frozen=True)
class Piece:
    """One column. low, high: its public range. other: the column of the code `other` of the same category, which takes in thin ones."""

    name: str
    low: float
    high: float
    indicator: bool
    other: str = ""

    @property
    def middle(self) -> float:
        return 0.0 if self.indicator else (self.low + self.high) / 2

    @property
    def half(self) -> float:
        return 1.0 if self.indicator else (self.high - self.low) / 2

    @property
    def range(self) -> str:
        return f"[{self.low:g}, {self.high:g}]"


def range_of(dictionary: Dictionary, name: str) -> tuple[float, float]:
    """The public range of a number, money in yuan; 0..1 of a boolean. Pre-condition: the variable is one of these."""
    entry = dictionary.derived.get(name) or dictionary.variables[name]
    low, high = getattr(entry, "range", (0, 1))
    return float(low), float(high)


def known(dictionary: Dictionary, name: str, types: Sequence[str], where: str) -> str:
    """The type of a variable that must be one of `types`. Errors: `ConfigError STUDY_VARIABLE, MODEL_TYPE`."""
    if name not in dictionary.known():
        raise ConfigError("STUDY_VARIABLE", name=name, near=near(name, dictionary.known()))
    kind = dictionary.type_of(name)
    if kind not in types:
        raise ConfigError("MODEL_TYPE", name=name, kind=kind, types=", ".join(types), where=where)
    return kind


def amounts(dictionary: Dictionary, name: str, given: Column) -> Reals:
    """A number, money in yuan, or 0/1 of a boolean as float64; anything where it is not known. Not to be written to."""
    values = given.values.astype(np.float64, copy=False)
    return values / 100 if dictionary.type_of(name) == "money" else values


@dataclass(frozen=True)
class Design:
    """The terms of a model as columns, the same for every party. `pieces` are without the constant.

    missing: `drop` leaves a holder out who lacks any term; `indicator` gives each variable a column `name[_missing]` and sets its own to 0.
    """

    dictionary: Dictionary
    terms: tuple[Term, ...]
    missing: Literal["drop", "indicator"] = "drop"

    @classmethod
    def of(
        cls, terms: Sequence[str], dictionary: Dictionary, missing: Literal["drop", "indicator"] = "drop"
    ) -> "Design":
        """Errors: `ConfigError` MODEL_TERM, STUDY_VARIABLE, MODEL_TYPE, MODEL_RANGE, STUDY_TWICE."""
        parsed = tuple(parse(text) for text in terms)
        written = [str(term) for term in parsed]
        for number, text in enumerate(written):
            if text in written[:number]:
                raise ConfigError("STUDY_TWICE", name=text)
        for factor in (factor for term in parsed for factor in term.factors):
            _check(factor, dictionary)
        return cls(dictionary, parsed, missing)

    @property
    def variables(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(factor.variable for term in self.terms for factor in term.factors))

    @cached_property
    def pieces(self) -> tuple[Piece, ...]:
        zero = self.missing == "indicator"
        found = [piece for term in self.terms for piece in self.of_term(term, zero)]
        if zero:
            found += [Piece(f"{name}[{MISSING}]", 0, 1, True) for name in self.variables]
        return tuple(found)

    @cached_property
    def families(self) -> tuple[tuple[int, ...], ...]:
        """The places of the pieces of each term; those that say who lacks a variable are each a family of their own."""
        zero, ends = self.missing == "indicator", [0]
        for term in self.terms:
            ends.append(ends[-1] + len(tuple(self.of_term(term, zero))))
        alone = [(at,) for at in range(ends[-1], len(self.pieces))]
        return (*(tuple(range(first, end)) for first, end in pairwise(ends)), *alone)

    @property
    def named(self) -> dict[str, tuple[str, ...]]:
        """The names of the columns of each term."""
        pairs = zip(self.terms, self.families, strict=False)
        return {str(term): tuple(self.pieces[place].name for place in family) for term, family in pairs}

    def of_term(self, term: Term, zero: bool = False) -> Iterator[Piece]:
        """`zero`: its columns are 0 where a value is missing."""
        for parts in product(*(self._of_factor(factor) for factor in term.factors)):
            indicator = all(part.indicator for part in parts)
            ends = (
                [low * high for low, high in product(*((part.low, part.high) for part in parts))] if parts[1:] else []
            )
            low, high = (min(ends), max(ends)) if ends else (parts[0].low, parts[0].high)
            if zero or any(part.indicator for part in parts):
                low, high = min(low, 0.0), max(high, 0.0)
            name = ":".join(part.name for part in parts)
            yield Piece(name, low, high, indicator, parts[0].other if len(parts) == 1 else "")

    def _of_factor(self, factor: Factor) -> tuple[Piece, ...]:
        codes = _codes(factor, self.dictionary)
        if codes:
            other = f"{factor}[other]" if "other" in codes[1:] else ""
            names = [f"{factor}[{code}]" for code in codes[1:]]
            return tuple(Piece(name, 0, 1, True, other if other != name else "") for name in names)
        low, high = range_of(self.dictionary, factor.variable)
        ends = [float(each) for each in _transformed(factor.how, np.array([low, high]))]
        if factor.how == "square":
            ends.append(0.0 if low <= 0 <= high else ends[0])
        return (Piece(str(factor), min(ends), max(ends), False),)

    def matrix(self, read: Read, rows: int) -> tuple[Reals, Flags]:
        """The columns of a batch, rows x pieces, and which rows know every term. Pure and row by row."""
        made = np.empty((rows, len(self.pieces)), order="F")  # each column in one piece of memory
        whole, at = np.ones(rows, bool), 0
        for term in self.terms:
            given = [read(factor.variable) for factor in term.factors]
            blocks = [self._values(factor, each) for factor, each in zip(term.factors, given, strict=True)]
            knows = given[0].known if len(given) == 1 else np.logical_and.reduce([each.known for each in given])
            every = bool(knows.all())
            for columns in product(*blocks):
                column = columns[0]
                for further in columns[1:]:
                    column = column * further
                made[:, at] = column if every else np.where(knows, column, 0.0)
                at += 1
            if not every:
                whole &= knows
        if self.missing == "indicator":
            for name in self.variables:
                made[:, at] = ~read(name).known
                at += 1
            whole[:] = True
        return made, whole

    def _values(self, factor: Factor, given: Column) -> Sequence[Reals]:
        """The columns of a factor."""
        codes = _codes(factor, self.dictionary)
        if not codes:
            values = amounts(self.dictionary, factor.variable, given)
            if not given.known.all():
                values = np.where(given.known, values, range_of(self.dictionary, factor.variable)[0])
            return (_transformed(factor.how, values),)
        if factor.how == "bands":
            edges = np.array([float(cut) for cut in factor.cuts])
            place = np.searchsorted(edges, amounts(self.dictionary, factor.variable, given), side="right")
        else:
            place = given.values.astype(np.int64)
        return [(place == code).astype(np.float64) for code in range(1, len(codes))]


def _check(factor: Factor, dictionary: Dictionary) -> None:
    plain = factor.how in ("plain", "city")
    known(dictionary, factor.variable, (*CODED, *NUMERIC) if plain else NUMERIC, str(factor))
    if factor.how in LEAST:
        low, high = range_of(dictionary, factor.variable)
        least = LEAST[factor.how]
        if low < least or (low == least and factor.how != "sqrt"):
            raise ConfigError("MODEL_RANGE", term=str(factor), low=f"{low:g}", high=f"{high:g}", least=f"{least:g}")


def _codes(factor: Factor, dictionary: Dictionary) -> tuple[str, ...]:
    """The codes of a factor, its reference first; none of a number. A band holds its lower end and not its upper one."""
    if factor.how == "bands":
        inner = [f"{low}-{high}" for low, high in pairwise(factor.cuts)]
        return (f"<{factor.cuts[0]}", *inner, f">={factor.cuts[-1]}")
    return dictionary.codes(factor.variable) if factor.how in ("plain", "city") else ()


def _transformed(how: How, values: Reals) -> Reals:
    match how:
        case "log1p":
            return np.log1p(values)
        case "log":
            return np.log(values)
        case "sqrt":
            return np.sqrt(values)
        case "square":
            return values * values
        case _:
            return values


# --- the standardising round


class Columns(Record):
    """What of the pieces is in the fit: each column is the sum of some pieces (thin codes join `other`), less its centre, by its scale."""

    groups: tuple[tuple[int, ...], ...] = ()
    centre: Numbers = ()
    scale: Numbers = ()

    def without(self, dropped: Sequence[int]) -> "Columns":
        """Counted without the constant."""
        kept = [number for number in range(len(self.groups)) if number not in dropped]
        return Columns(
            groups=tuple(self.groups[number] for number in kept),
            centre=tuple(self.centre[number] for number in kept),
            scale=tuple(self.scale[number] for number in kept),
        )

    def names(self, pieces: Sequence[Piece]) -> tuple[str, ...]:
        return tuple(pieces[group[0]].name for group in self.groups)

    def most(self, pieces: Sequence[Piece]) -> Numbers:
        """The largest |z| that public ranges allow, of each column."""
        return tuple(
            max(abs(pieces[group[0]].low - centre), abs(pieces[group[0]].high - centre)) / scale
            for group, centre, scale in zip(self.groups, self.centre, self.scale, strict=True)
        )

    def standardised(self, matrix: Reals) -> Reals:
        """rows x (1 + columns), the constant first."""
        out = np.empty((len(matrix), 1 + len(self.groups)), order="F")
        out[:, 0] = 1.0
        for number, group in enumerate(self.groups):
            column = matrix[:, group[0]] if len(group) == 1 else matrix[:, list(group)].sum(axis=1)
            np.subtract(column, self.centre[number], out=out[:, 1 + number])
            out[:, 1 + number] /= self.scale[number]
        return out

    def back(self) -> Reals:
        """T: coefficients of x from those of z, b = T b_z."""
        scale, centre = np.array(self.scale), np.array(self.centre)
        transform = np.diag(np.concatenate([[1.0], 1 / scale]))
        transform[0, 1:] = -centre / scale
        return transform


@dataclass(frozen=True)
class Moments:
    """Pooled sums of round 0 over the rows in the fit. x, square: of each piece on [-1, 1]; nonzero: rows; seen: cities. without: where a
    holder has several rows, holders with a row that is 0, and `nonzero` are holders too."""

    rows: int
    x: Reals
    square: Reals
    nonzero: Reals
    seen: Reals
    without: Reals | None = None

    def least(self, pieces: Sequence[int]) -> int:
        """How many have, or have not, one of these indicators."""
        there = float(self.nonzero[list(pieces)].sum())
        return int(min(there, self.rows - there if self.without is None else self.without[list(pieces)].min()))


def scaled(pieces: Sequence[Piece], matrix: Reals) -> Reals:
    """The pieces mapped to [-1, 1] by their public ranges; indicators stay 0 and 1."""
    middle = np.array([piece.middle for piece in pieces])
    half = np.array([piece.half for piece in pieces])
    return np.asarray((matrix - middle) / half, np.float64)


def standardise(
    pieces: Sequence[Piece], moments: Moments, rounding: float, least_rows: int, least_cities: int
) -> tuple[Columns, tuple[str, ...]]:
    """The columns of the fit and the names of those left out, because too few rows or cities have them.

    rounding: the most that a decoded sum of x or x^2 is off. Errors: `ConfigError MODEL_COLUMN_CONSTANT`.
    """
    names = [piece.name for piece in pieces]

    def thin(number: int) -> bool:
        few = moments.least([number]) < least_rows
        return pieces[number].indicator and bool(few or moments.seen[number] < least_cities)

    joining: dict[int, list[int]] = {number: [number] for number in range(len(pieces)) if not thin(number)}
    dropped = []
    for number in (number for number in range(len(pieces)) if thin(number)):
        other = pieces[number].other
        if other and names.index(other) in joining:
            joining[names.index(other)].append(number)
        else:
            dropped.append(names[number])
    centre, scale = [], []
    for number, group in joining.items():
        mean = float(moments.x[group].sum()) / moments.rows
        variance = float(moments.square[group].sum()) / moments.rows - mean * mean
        if variance <= max(NEVER, 4 * len(group) * rounding / moments.rows):
            raise ConfigError("MODEL_COLUMN_CONSTANT", name=names[number])
        centre.append(pieces[number].middle + pieces[number].half * mean)
        scale.append(pieces[number].half * variance**0.5)
    groups = tuple(tuple(group) for group in joining.values())
    return Columns(groups=groups, centre=tuple(centre), scale=tuple(scale)), tuple(dropped)


def smallest(pieces: Sequence[Piece], columns: Columns, moments: Moments) -> int | None:
    """Rows with, or without, the thinnest indicator in the fit; None where it has none."""
    return min((moments.least(group) for group in columns.groups if pieces[group[0]].indicator), default=None)


def dependent(information: Reals, size: Reals | None = None, tolerance: float = 1e-10) -> dict[int, tuple[int, ...]]:
    """Columns that are linear in earlier ones, each with those it depends on, by Cholesky of the matrix with unit diagonal.

    In the order of the terms, so that it is a later column that is found and can be left out. The pivot of a column is the share of it
    that the earlier ones do not explain. size: what the diagonal would be if nothing had been taken out of it before.
    """
    root = np.sqrt(np.diag(information) if size is None else size)
    unit = information / np.outer(root, root)
    kept: list[int] = []
    factor = np.zeros((0, 0))
    found: dict[int, tuple[int, ...]] = {}
    for number in range(len(unit)):
        row = np.linalg.solve(factor, unit[kept, number]) if kept else np.zeros(0)
        pivot = float(unit[number, number] - row @ row)
        if pivot < tolerance:
            weights = np.linalg.solve(factor.T, row)
            found[number] = tuple(at for at, weight in zip(kept, weights, strict=True) if abs(weight) > 1e-6)
            continue
        grown = np.zeros((len(kept) + 1, len(kept) + 1))
        grown[:-1, :-1], grown[-1, :-1], grown[-1, -1] = factor, row, pivot**0.5
        factor = grown
        kept.append(number)
    return found
