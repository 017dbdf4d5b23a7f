"""The list of shipped studies for people, in Chinese or English."""

from collections.abc import Sequence
from typing import Final

from coordinator.templates import Template

WORDS: Final[dict[str, dict[str, str]]] = {
    "asks": {
        "zh": "{asks} 个问题 · 词典 {dictionary} · 提问方 {asker} · {privacy}",
        "en": "{asks} questions · dictionary {dictionary} · asker {asker} · {privacy}",
    },
    "dp": {"zh": "epsilon {epsilon}", "en": "epsilon {epsilon}"},
    "exact": {"zh": "精确模式", "en": "mode exact"},
    "next": {
        "zh": "下一步：hpfed-coordinator study new 文件.yaml --template 名称",
        "en": "next: hpfed-coordinator study new FILE.yaml --template NAME",
    },
}


def listing(found: Sequence[Template], language: str) -> str:
    """Name, title, what it answers, and what it takes."""
    lines: list[str] = []
    for each in found:
        privacy = WORDS[each.mode][language].format(epsilon=each.epsilon)
        asks = WORDS["asks"][language]
        lines += [
            f"{each.name}  {each.title[language]}",
            f"    {each.purpose[language]}",
            f"    {asks.format(asks=each.asks, dictionary=each.dictionary, asker=each.asker, privacy=privacy)}",
        ]
    return "\n".join([*lines, WORDS["next"][language]])
