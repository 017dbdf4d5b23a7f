"""What an attack came to."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from protocols.entropy import Entropy
from simulations.attacks.parties import World

UNITS: Final[dict[str, dict[str, str]]] = {
    "cells": {"zh": "格被读出", "en": "cells read"},
    "plans": {"zh": "份方案得到密钥", "en": "plans got a key"},
    "sets": {"zh": "次两份名单同时打开", "en": "times both lists opened"},
    "messages": {"zh": "条报文生效", "en": "messages had an effect"},
    "sums": {"zh": "个假结果未被发现", "en": "false sums believed"},
    "forgeries": {"zh": "处伪造未被发现", "en": "forgeries believed"},
    "p": {"zh": "（均匀性 p 值）", "en": "(p of uniformity)"},
    "off": {"zh": "比特（偏离线性复杂度一半）", "en": "bits off half the linear complexity"},
    "mu": {"zh": "倍承诺的 μ", "en": "of the promised mu"},
    "variance": {"zh": "倍承诺方差", "en": "of the promised variance"},
    "wrong": {"zh": "轮出错或找错人", "en": "rounds wrong, or the wrong city named"},
    "ended": {"zh": "场会话未得结果", "en": "conversations without a sum"},
    "bytes": {"zh": "MiB 内存", "en": "MiB taken"},
    "holders": {"zh": "名缴存人被读出", "en": "holders told of"},
    "guesses": {"zh": "（猜中率超出上限的部分）", "en": "of guesses above the bound"},
    "rebuilt": {"zh": "（还原者占比，超出最佳猜测的部分）", "en": "of all rebuilt, above the best guess"},
    "known": {"zh": "个隐去的格被算出", "en": "withheld cells computed"},
    "liars": {"zh": "处造假未被查出", "en": "lies an inspector missed"},
}


@dataclass(frozen=True)
class Outcome:
    """One measure and its limit. `sense`: whether it must be at most or at least that. `codes`: with which words parties refused."""

    measured: float
    limit: float
    unit: str
    sense: Literal["≤", "≥"] = "≤"
    codes: frozenset[str] = frozenset()

    @property
    def held(self) -> bool:
        """Whether the attack failed."""
        return self.measured <= self.limit if self.sense == "≤" else self.measured >= self.limit

    def expected(self, lang: str) -> str:
        """The limit in words."""
        return f"{self.sense} {self.limit:g} {UNITS[self.unit][lang]}"

    def observed(self, lang: str) -> str:
        """The measure in words, with the refusals behind it."""
        said = f" ({', '.join(sorted(self.codes))})" if self.codes else ""
        return f"{self.measured:.3g} {UNITS[self.unit][lang]}{said}"


class Attack(Protocol):
    """What every module of this folder that is an attack says."""

    THREAT: str  # its number in docs/threat-model.md
    WHAT: dict[str, str]  # in a line, zh and en
    HOLDS: dict[str, str]  # what the adversary has
    WEAKENED: tuple[Callable[[World], World], ...]  # each takes one guard out

    def run(self, world: World, entropy: Entropy) -> Outcome:
        """The attack itself."""


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """Several runs of one attack as one: the worst measure, every refusal. Pre-condition: at least one; one unit, one limit, one sense."""
    found = list(outcomes)
    choose = max if found[0].sense == "≤" else min
    first = found[0]
    codes = frozenset[str]().union(*(each.codes for each in found))
    return Outcome(choose(each.measured for each in found), first.limit, first.unit, first.sense, codes)
