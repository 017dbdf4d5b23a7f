"""Words of the report: the strings file, labels of variables, codes and cities, a cohort in words.

Every text of the page comes from `strings/strings.yaml` (both languages, the same placeholders) or from the results. What comes from
the results is data: it is escaped where it is put in, and bidi and control characters were replaced before (`scrubbed`).
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Any, Final

from markupsafe import Markup, escape

from coordinator.results import TERM, Content, Question, Results
from protocols.errors import Language
from protocols.facts import FACT
from protocols.filters import All, Any_, Leaf, Not
from protocols.yamltext import read

LANGUAGES: Final[tuple[Language, ...]] = ("zh", "en")
LONGEST_LABEL: Final = 120  # of a label or a name on the page; the files hold all of it
LONGEST_TEXT: Final = 1200  # of a title or a purpose
HIDDEN: Final = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
BIN: Final = re.compile(r"\[(?P<low>-?[0-9.]+), (?P<high>-?[0-9.]+)(?P<end>[)\]])")
WHOLE: Final = ("month", "year")  # units of which a bin is of whole numbers
BARE: Final = frozenset(
    ("true", "false", "yes", "no", "known", "unknown", "other")
)  # codes that mean nothing without their variable
KINDS: Final = (
    "count",
    "frequency",
    "crosstab",
    "tgi",
    "mean",
    "histogram",
    "ratio",
    "moments",
    "association",
    "quantiles",
    "survival",
    "top",
    "series",
    "transitions",
    "vintage",
    "compare",
    "kmeans",
    "glm",
    "scorecard",
    "gbdt",
    "evaluate",
    "cox",
    "hazard",
    "ordinal",
    "multinomial",
)  # with texts of their own; any other is shown as a plain list
INTERCEPT: Final = "intercept"
COLUMN: Final = re.compile(
    r"(?:(?P<how>log1p|log|sqrt|square)\()?(?P<name>(?:city\.)?[a-z][a-z0-9_]*)\)?(?:\[(?P<code>[^\]]+)\])?"
)
OF_VARIABLES: Final = ("a", "b", "feature")  # keys whose codes are names of variables
UNITS: Final = frozenset(("account_holder", "employer", "loan", "household", "respondent"))


@cache
def strings() -> Mapping[str, Mapping[str, str]]:
    """The strings file: key, language, text. Errors: `ValueError` if a key lacks a language or has a third."""
    file = resources.files("coordinator.report") / "strings" / "strings.yaml"
    tree: Any = read(file.read_bytes(), "strings.yaml").tree
    for key, texts in tree.items():
        if set(texts) != {"zh", "en"}:
            raise ValueError(f"strings.yaml: {key} needs one text in zh and one in en")
    return dict(tree)


def scrub(text: str) -> tuple[str, int]:
    """The text with every control, format and direction character replaced by U+FFFD, and how many there were."""
    if text.isprintable():
        return text, 0
    shown = "".join("\ufffd" if unicodedata.category(mark) in HIDDEN else mark for mark in text)
    return shown, sum(a != b for a, b in zip(text, shown, strict=True))


def scrubbed(results: Results) -> tuple[Results, int]:
    """The same results with every text of theirs scrubbed, and the number of characters replaced. The digest stays the file's."""
    found = 0

    def clean(value: Any) -> Any:
        nonlocal found
        match value:
            case str():
                text, replaced = scrub(value)
                found += replaced
                return text
            case list():
                return [clean(item) for item in value]
            case dict():
                return {scrub(key)[0]: clean(item) for key, item in value.items()}
        return value

    tree = clean(results.tree)
    return (replace(Results.of(tree), digest=results.digest), found) if found else (results, 0)


def shorter(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


@dataclass(frozen=True)
class Wording:
    """One language over one results file."""

    language: Language
    content: Content

    def say(self, key: str, /, **values: object) -> Markup:
        """A text of the strings file. Values are escaped unless they are markup of our own. Errors: `KeyError` for an unknown key."""
        return Markup(escape(strings()[key][self.language])).format(**values)  # noqa: S704 the strings file is ours, and escaped

    def unit(self) -> Markup:
        """What one row of a city's table is: holders, employers, …"""
        unit = self.content.privacy.unit
        return self.say(f"unit_{unit if unit in UNITS else 'other'}")

    def everybody(self, question: Question) -> Markup:
        """What a number without a group is of."""
        return self.say("all_centres") if question.of_centres else self.say("all_holders", unit=self.unit())

    def title(self) -> str:
        study = self.content.study
        return shorter(study.title.text(self.language, study.id), LONGEST_TEXT)

    def purpose(self) -> str:
        return shorter(self.content.study.purpose.text(self.language), LONGEST_TEXT)

    def asker(self) -> str:
        asker = self.content.study.asker
        return shorter(asker.name or asker.id, LONGEST_LABEL)

    def fact(self, name: str) -> str:
        """The label of a figure that centres state about themselves."""
        words = self.content.words.facts.get(name)
        return shorter(words.text(self.language, name) if words else name, LONGEST_LABEL)

    def variable(self, name: str) -> str:
        if name.startswith(FACT):
            return self.fact(name.removeprefix(FACT))
        words = self.content.words.variables.get(name)
        if words is None and f"key_{name}" in strings():
            return str(self.say(f"key_{name}").unescape())
        return shorter(words.text(self.language, name) if words else name, LONGEST_LABEL)

    def in_unit(self, text: object, variable: str) -> Markup:
        """A head, and the unit of a variable, or fact, if it has one, with whether it is a flow or a balance: Mean (CNY)."""
        of, words_ = variable.removeprefix(FACT), self.content.words
        words = words_.facts.get(of) if variable.startswith(FACT) else words_.variables.get(variable)
        if words is None or not words.unit:
            return escape(text)
        key = f"unit_of_{words.unit}"
        unit: object = self.say(key) if key in strings() else words.unit
        if words.timing in ("flow", "balance"):
            unit = self.say("unit_timed", unit=unit, timing=self.say(f"timing_{words.timing}"))
        return self.say("in_unit", text=text, unit=unit)

    def code(self, variable: str, code: str) -> str:
        """The label of a code, short enough for the page."""
        return shorter(self.label(variable, code), LONGEST_LABEL)

    def label(self, variable: str, code: str) -> str:
        """The label of a code: that of the results, else a word for `_missing`, true and false, else the code."""
        if code in ("_missing", "_outside", "_special"):
            return str(self.say(f"code{code}"))
        words = self.content.words.variables.get(variable)
        if words is None and variable == TERM:
            return self.term(code)
        if words is None and variable in OF_VARIABLES:
            return self.variable(code)
        label = words.codes.get(code) if words else None
        if (label is None or not label.text(self.language)) and code in ("true", "false", "known"):
            return str(self.say(f"code_{code}"))
        return label.text(self.language, code) if label else self._bin(words.unit if words else "", code)

    def term(self, name: str) -> str:
        """A column of a regression: `sex[female]` as 性别 = 女, `a:b` as a product."""
        if name == INTERCEPT:
            return str(self.say("term_intercept").unescape())
        return " × ".join(map(self._factor, name.split(":")))

    def _factor(self, part: str) -> str:
        found = COLUMN.fullmatch(part)
        if found is None:
            return part
        label = self.variable(found["name"])
        label = f"{found['how']}({label})" if found["how"] else label
        return f"{label} = {self.code(found['name'], found['code'])}" if found["code"] else label

    def _bin(self, unit: str, code: str) -> str:
        """A bin in words: 4 to 5 months, 180 to under 500 yuan, 8 or more. Any other code as it is."""
        edges = BIN.fullmatch(code)
        if edges is None:
            return code
        low, high, closed = edges["low"], edges["high"], edges["end"] == "]"
        if closed:
            return str(self.say("bin_last", low=low))
        whole = unit in WHOLE and low.isdecimal() and high.isdecimal()
        return str(self.say("bin_whole", low=low, high=int(high) - 1) if whole else self.say("bin", low=low, high=high))

    def named(self, variable: str, code: str) -> str:
        """A code as it can stand in a sentence: with its variable where it means nothing alone."""
        label = self.code(variable, code)
        if code not in BARE:
            return label
        return str(self.say("code_named", variable=self.variable(variable), code=label).unescape())

    def city(self, name: str) -> str:
        label = self.content.cities.names.get(name)
        return shorter(label.text(self.language, name) if label else name, LONGEST_LABEL)

    def levels(self, attribute: str) -> Markup:
        """The levels of an attribute of cities, each with its cities."""
        at: dict[str, list[str]] = {}
        for city, level in self.content.cities.attributes[attribute].items():
            at.setdefault(level, []).append(city)
        name = f"city.{attribute}"
        return self.say("semicolon").join(
            self.say("level_cities", level=self.code(name, level), cities=self.cities(at[level]))
            for level in sorted(at)
        )

    def listed(self, items: Iterable[object]) -> Markup:
        return self.say("comma").join(escape(item) for item in items)

    def cities(self, names: Iterable[str]) -> Markup:
        return self.listed(self.city(name) for name in names)

    def lacking(self, city: str) -> Markup:
        """The variables that a city cannot map."""
        names = self.content.cities.cannot.get(city, ())
        return self.listed(self.variable(name) for name in names if not name.startswith(FACT))

    def unstated(self, city: str) -> Markup:
        """The facts that a city does not state of this day."""
        names = self.content.cities.cannot.get(city, ())
        return self.listed(self.variable(name) for name in names if name.startswith(FACT))

    def unused(self, variable: str) -> Markup:
        """The codes of a variable that no local text of some city becomes, each with these cities; empty where there are none."""
        cities = self.content.cities
        named = {city: cities.unused.get(city, {}).get(variable, ()) for city in cities.answered}
        codes = dict.fromkeys(code for listed in named.values() for code in listed)
        lacking = {code: [city for city, listed in named.items() if code in listed] for code in codes}
        return self.say("semicolon").join(
            self.say(
                "unused_code",
                code=self.code(variable, code),
                cities=self.say("unused_everywhere") if len(without) == len(named) else self.cities(without),
            )
            for code, without in lacking.items()
        )

    def percent(self) -> str:
        return f"{self.content.study.confidence * 100:g}"

    def measure(self, measure: str) -> Markup:
        """The head of a column of one measure."""
        key = f"measure_{measure}"
        return self.say(key, unit=self.unit()) if key in strings() else escape(measure)

    def mark(self, letter: str) -> Markup:
        return self.say(f"mark_{letter}")

    def cohort(self) -> Markup:
        """The filter of the study in words."""
        filter_ = self.content.study.cohort
        return self.say("cohort_all", unit=self.unit()) if filter_ is None else self.words_of(filter_)

    def words_of(self, filter_: Leaf | All | Any_ | Not) -> Markup:
        return self._words(filter_, outer=True)

    def _words(self, part: Leaf | All | Any_ | Not, outer: bool = False) -> Markup:
        match part:
            case Leaf():
                return self._compared(part)
            case Not(not_=inner):
                return self.say("cohort_not", part=self._words(inner, outer=True))
            case All(all=parts) | Any_(any=parts):
                word = "cohort_and" if isinstance(part, All) else "cohort_or"
                joined = self.say(word).join(self._words(each) for each in parts)
                return joined if outer or len(parts) == 1 else self.say("cohort_group", part=joined)

    def _compared(self, leaf: Leaf) -> Markup:
        name, operator = self.variable(leaf.variable), leaf.operator()
        match operator:
            case "missing":
                return self.say("cohort_missing" if leaf.missing else "cohort_known", variable=name)
            case "in":
                codes = self.listed(self.code(leaf.variable, word) for word in leaf.in_ or ())
                return self.say("cohort_in", variable=name, value=codes)
            case "between":
                low, high = leaf.between or ("", "")
                return self.say("cohort_between", variable=name, low=low, high=high)
            case "is":
                return self.say("cohort_is", variable=name, value=self.code(leaf.variable, leaf.is_ or ""))
        return self.say(f"cohort_{operator}", variable=name, value=getattr(leaf, operator))
