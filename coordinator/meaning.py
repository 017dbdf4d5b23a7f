"""What a variable of a dictionary says of a holder, in words: its label, how it is made, and the codes that it comes out as.

A model predicts one variable. Who signs for the model must know which state of an account is meant by it, and after how many months.
"""

from collections.abc import Sequence

from protocols.dictionary import Bands, Dictionary, OfEvents, Rules, YearsBefore
from protocols.errors import Language
from protocols.filters import leaves

MOST_CODES = 12  # of a longer list the first are named

RULES: dict[str, tuple[str, str]] = {
    "gap": (
        "截至数据日期的最近 {months} 个月没有{of}记录",
        "no row of {of} in the last {months} months up to the date of the data",
    ),
    "streak": (
        "最近 {months} 个月内、截至数据日期连续有{of}记录的月数",
        "months in a row with {of} up to the date of the data, within {months} months",
    ),
    "count": ("最近 {months} 个月内{of}的记录数", "rows of {of} in the last {months} months"),
    "sum": ("最近 {months} 个月内{of}的合计", "sum of {of} in the last {months} months"),
    "latest": ("最近 {months} 个月内{of}的最后一个值", "the last value of {of} within {months} months"),
    "first": ("最近 {months} 个月内{of}的第一个值", "the first value of {of} within {months} months"),
}


def meaning(dictionary: Dictionary, name: str) -> dict[str, str]:
    """Both languages; never empty."""
    return {"zh": _said(dictionary, name, "zh"), "en": _said(dictionary, name, "en")}


def of_event(dictionary: Dictionary, name: str, codes: Sequence[str] = ("true",)) -> dict[str, str]:
    """Of `table.variable`, the first month of a holder in which it has one of these codes; a boolean, in which it is true."""
    table, _, variable = name.partition(".")
    entry = dictionary.events[table]
    languages: tuple[Language, ...] = ("zh", "en")
    words = {}
    for language in languages:
        label = entry.label.text(language, table) + " · " + entry.variables[variable].label.text(language, variable)
        said = " / ".join(dictionary.code_label(name, code, language) for code in codes)
        words[language] = label if tuple(codes) == ("true",) else f"{label} = {said}"
    return {
        "zh": f"持有人的记录中首个“{words['zh']}”（{name}）成立的月份",
        "en": f"the first month of a holder in which {words['en']} ({name}) holds",
    }


def _said(dictionary: Dictionary, name: str, language: Language) -> str:
    entry = dictionary.derived.get(name)
    label = dictionary.label_of(name, language) or name
    named = label if label == name else f"{label} ({name})" if language == "en" else f"{label}（{name}）"
    made = "" if entry is None else _made(dictionary, entry, language)
    codes = _codes(dictionary, name, language)
    return (": " if language == "en" else "：").join(filter(None, (named, _joined(language, made, codes))))


def _joined(language: Language, *parts: str) -> str:
    return ("; " if language == "en" else "；").join(filter(None, parts))


def _made(dictionary: Dictionary, entry: YearsBefore | Bands | Rules | OfEvents, language: Language) -> str:
    def labelled(name: str) -> str:
        return dictionary.label_of(name, language) or name

    match entry:
        case OfEvents():
            table = dictionary.events[entry.of_events]
            of = table.label.text(language, entry.of_events)
            if entry.variable is not None:
                label = table.variables[entry.variable].label.text(language, entry.variable)
                of = f"{of} · {label}"
            months = entry.months or table.most_rows_per_holder
            return RULES[entry.rule][language == "en"].format(of=of, months=months)
        case YearsBefore():
            of = labelled(entry.as_of_year_minus)
            return f"year of the date less {of}" if language == "en" else f"数据日期的年份减去{of}"
        case Bands():
            bands = ", ".join(f"{code} {low}–{high}" for code, (low, high) in entry.bands.items())
            return (
                f"bands of {labelled(entry.of)}: {bands}"
                if language == "en"
                else f"{labelled(entry.of)}的分档：{bands}"
            )
        case Rules():
            names = dict.fromkeys(leaf.variable for each in entry.rules for leaf in leaves(each.when))
            of = ", ".join(map(labelled, names))
            return f"by rules on {of}" if language == "en" else f"按规则由{of}得出"


def _codes(dictionary: Dictionary, name: str, language: Language) -> str:
    """The codes of a category, with their labels."""
    if dictionary.type_of(name) != "category":
        return ""
    codes = dictionary.codes(name)
    said = [f"{code} = {dictionary.code_label(name, code, language) or code}" for code in codes[:MOST_CODES]]
    listed = ", ".join([*said, "…"] if len(codes) > MOST_CODES else said)
    return f"codes {listed}" if language == "en" else f"代码 {listed}"
