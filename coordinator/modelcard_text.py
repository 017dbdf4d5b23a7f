"""A model card as a page for people, in Chinese or English. A pure function of the card."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from coordinator.modelcard import Metric, ModelCard, Named, Term
from coordinator.report.numbers import delta, significant, span
from protocols.errors import Language

LABELS: Final[dict[str, tuple[str, str]]] = {
    "heading": ("模型卡片", "Model card"),
    "purpose": ("用途", "Purpose"),
    "study": ("研究", "Study"),
    "asker": ("提问方", "Asker"),
    "kind": ("模型", "Model"),
    "outcome": ("预测对象", "Outcome"),
    "window": ("时间范围", "Window"),
    "cohort": ("人群", "Cohort"),
    "cities": ("城市", "Cities"),
    "rows": ("行数", "Rows"),
    "data": ("数据", "Data"),
    "valid": ("有效期", "Valid"),
    "version": ("版本", "Version"),
    "file": ("文件", "File"),
    "digest": ("摘要", "Digest"),
    "mode": ("隐私模式", "Privacy"),
    "rounds": ("轮数", "Rounds"),
    "certificate": ("数值证书", "Numerical certificate"),
    "reads": ("读取的变量", "Reads"),
    "fairness": ("仅供公平性检验", "Fairness only"),
    "terms": ("系数", "Coefficients"),
    "metrics": ("检验指标", "How good it is"),
    "doubts": ("保留意见", "What is held against it"),
    "uses": ("如何使用", "How to use it"),
    "limits": ("求和所不能防范的", "What sums cannot defend against"),
    "signatures": ("签署", "To sign"),
    "term": ("项", "term"),
    "estimate": ("估计", "estimate"),
    "error": ("标准误", "standard error"),
    "bound": ("误差界", "bound"),
    "measure": ("指标", "measure"),
    "group": ("分组", "group"),
    "interval": ("区间", "interval"),
    "question": ("问题", "question"),
    "withheld": ("未给出（{letters}）", "not given ({letters})"),
    "until": ("{first} 至 {last}", "{first} to {last}"),
    "digits": ("定点小数 f = {digits} 位", "fixed point f = {digits} binary digits"),
    "at_most": ("系数误差不超过 {bound}", "coefficients within {bound}"),
    "se_at_most": ("标准误的相对误差不超过 {bound}", "standard errors within {bound} of themselves"),
    "spent": ("epsilon {epsilon}，delta {delta}", "epsilon {epsilon}, delta {delta}"),
    "exact": ("精确", "exact"),
    "dp": ("差分隐私", "differential privacy"),
    "date": ("日期", "date"),
}  # fmt: skip
MARKDOWN: Final = re.compile(r"([\\`*_\[\]<>|#])")
EVERYBODY: Final = "–"
SMALL: Final = 1e-6


def label(key: str, language: Language, **values: object) -> str:
    return LABELS[key][language == "en"].format(**values)


def facts(card: ModelCard, language: Language) -> tuple[tuple[str, str], ...]:
    """What is said in one line each: its head, and the text."""

    def listed(names: Sequence[Named] | None, words: str) -> str:
        found = (", " if language == "en" else "、").join(_named(each, language) for each in names or ())
        return f"{found} ({words})" if found and language == "en" else f"{found}（{words}）" if found else words

    kind = f"{card.kind} {card.id}"
    joined = "; " if language == "en" else "；"
    privacy = [label(card.mode, language)]
    if card.budget is not None:
        privacy.append(
            label("spent", language, epsilon=significant(card.budget.epsilon), delta=delta(card.budget.delta))
        )
    certificate = [
        *([label("digits", language, digits=card.certificate.digits)] if card.certificate.digits else []),
        *([label("at_most", language, bound=delta(card.certificate.bound))] if card.certificate.bound else []),
        *([label("se_at_most", language, bound=delta(card.certificate.se_bound))] if card.certificate.se_bound else []),
        card.certificate.words.text(language),
    ]
    pairs = {
        "purpose": card.purpose.text(language),
        "study": f"{card.title.text(language)} ({card.study}, {card.study_digest})",
        "asker": card.asker,
        "kind": kind,
        "outcome": card.means.text(language),
        "window": card.window.text(language),
        "cohort": card.cohort.text(language),
        "cities": (", " if language == "en" else "、").join(each.words.text(language) for each in card.cities),
        "rows": card.rows.text(language),
        "data": card.data.text(language),
        "valid": label("until", language, first=card.as_of, last=card.expires),
        "version": joined.join((str(card.version), card.parent.text(language))),
        "file": card.file,
        "digest": card.digest,
        "mode": joined.join((*privacy, card.budget_words.text(language))),
        "rounds": str(card.rounds),
        "certificate": joined.join(certificate),
        "reads": listed(card.reads, card.reads_words.text(language)),
        "fairness": listed(card.fairness, card.fairness_words.text(language)),
    }
    return tuple((label(key, language), text) for key, text in pairs.items())


def page(card: ModelCard, language: Language) -> str:
    """Markdown."""
    return "\n".join(_lines(card, language)) + "\n"


def _lines(card: ModelCard, language: Language) -> Iterator[str]:
    yield f"# {label('heading', language)}: {_plain(card.title.text(language))}"
    yield ""
    yield from (f"- **{head}**: {_plain(text)}" for head, text in facts(card, language))
    yield from _section("terms", card.terms_words.text(language), language)
    if card.terms is not None:
        heads = ("term", "estimate", "error", "bound")
        yield from _table(heads, (_term(each, language) for each in card.terms), language)
    yield from _section("metrics", card.metrics_words.text(language), language)
    if card.metrics is not None:
        columns = ("measure", "group", "estimate", "interval", "bound", "question")
        yield from _table(columns, (_metric(each, language) for each in card.metrics), language)
    for key, sentences in (("doubts", card.doubts), ("uses", card.uses), ("limits", card.limits)):
        yield from _section(key, "", language)
        yield from (f"- {_plain(each.text(language))}" for each in sentences)
    yield from _section("signatures", "", language)
    day = label("date", language)
    yield from (f"- {_plain(each.role.text(language))}: {each.line}  {day}: {each.line}" for each in card.signatures)


def _section(key: str, text: str, language: Language) -> Iterator[str]:
    yield from ("", f"## {label(key, language)}", "")
    if text:
        yield from (_plain(text), "")


def _table(heads: Sequence[str], rows: Iterator[tuple[str, ...]], language: Language) -> Iterator[str]:
    yield "| " + " | ".join(label(each, language) for each in heads) + " |"
    yield "|" + "---|" * len(heads)
    yield from ("| " + " | ".join(map(_plain, row)) + " |" for row in rows)


def _term(of: Term, language: Language) -> tuple[str, ...]:
    bound = EVERYBODY if of.error_bound is None else delta(of.error_bound)
    error = EVERYBODY if of.std_error is None else significant(of.std_error, 4)
    return (of.words.text(language), significant(of.estimate, 4), error, bound)


def _metric(of: Metric, language: Language) -> tuple[str, ...]:
    group = EVERYBODY if of.group_words is None else of.group_words.text(language)
    value = label("withheld", language, letters=of.withheld) if of.estimate is None else _number(of.estimate)
    interval = EVERYBODY if of.interval is None else span(*map(_number, of.interval))
    bound = EVERYBODY if of.bound is None else _number(of.bound)
    return (of.words.text(language), group, value, interval, bound, of.question)


def _number(value: float) -> str:
    """Four digits; what is no more than rounding as a power of ten."""
    return significant(value, 4) if value == 0 or abs(value) >= SMALL else f"{value:.1e}"


def _named(of: Named, language: Language) -> str:
    words = of.words.text(language)
    return words if words == of.name else f"{words} {of.name}"


def _plain(text: str) -> str:
    """Text from a study is text: no mark of it is one of the page."""
    return MARKDOWN.sub(r"\\\1", text)
