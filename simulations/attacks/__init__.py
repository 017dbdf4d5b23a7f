"""The attack suite: each attack of the register once against the product, and once with one guard taken out.

An attack is one module of this folder and one line of `REGISTER`: its number, what the adversary holds, `run(world, entropy)`, and
`WEAKENED`, which puts a double in the place of one guard. It is repelled if it stays within its limit; its control is broken if the very
same code gets past that limit where the guard is missing. Only both together say something.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from protocols.entropy import seeded
from protocols.errors import ConfigError
from simulations.attacks import (
    audit_epsilon,
    bundle_forgery,
    curious_city,
    difference_cities,
    difference_cohorts,
    difference_rewording,
    difference_snapshots,
    dishonest_plan,
    dominance,
    exact_chosen_step,
    exact_rare_indicator,
    exact_risk_set,
    exact_small_leaf,
    few_cities,
    flower_two_faces,
    garbage_city,
    inflate_input,
    membership,
    no_noise_city,
    reconstruct_table,
    secagg_bad_share,
    secagg_key_swap,
    secagg_late_upload,
    secagg_low_threshold,
    secagg_replay,
    secagg_retry,
    secagg_reused_round,
    secagg_seed_search,
    secagg_split_survivors,
    secagg_two_faces,
    secagg_two_questions,
    secagg_wrong_sum,
    slow_city,
    small_cell,
    unsigned_noise,
)
from simulations.attacks.outcome import Attack, Outcome, worst
from simulations.attacks.parties import World
from simulations.bench import flower

REGISTER: Final[dict[str, Attack]] = {
    "secagg-two-faces": secagg_two_faces,
    "secagg-split-survivors": secagg_split_survivors,
    "secagg-key-swap": secagg_key_swap,
    "secagg-replay": secagg_replay,
    "secagg-low-threshold": secagg_low_threshold,
    "secagg-late-upload": secagg_late_upload,
    "secagg-reused-round": secagg_reused_round,
    "secagg-two-questions": secagg_two_questions,
    "secagg-seed-search": secagg_seed_search,
    "secagg-bad-share": secagg_bad_share,
    "secagg-wrong-sum": secagg_wrong_sum,
    "secagg-retry": secagg_retry,
    "dishonest-plan": dishonest_plan,
    "difference-cities": difference_cities,
    "few-cities": few_cities,
    "difference-cohorts": difference_cohorts,
    "difference-rewording": difference_rewording,
    "difference-snapshots": difference_snapshots,
    "exact-rare-indicator": exact_rare_indicator,
    "exact-chosen-step": exact_chosen_step,
    "exact-risk-set": exact_risk_set,
    "exact-small-leaf": exact_small_leaf,
    "membership": membership,
    "reconstruct-table": reconstruct_table,
    "small-cell": small_cell,
    "dominance": dominance,
    "bundle-forgery": bundle_forgery,
    "inflate-input": inflate_input,
    "no-noise-city": no_noise_city,
    "curious-city": curious_city,
    "slow-city": slow_city,
    "garbage-city": garbage_city,
    "unsigned-noise": unsigned_noise,
    "audit-epsilon": audit_epsilon,
}
LATER: Final = {  # attacks of the suite that are not played here yet; those marked + have a test of their own already
    "average-repeats": "T16+",
    "average-rewording": "T17+",
    "subtract-tables": "T60+",
    "mask-vector": "T28",
    "extreme-quantile": "T61+",
    "shipped-code": "T30",
    "budget-rollback": "T32+",
    "approval-swap": "T35+",
    "asker-rename": "T65+",
}
BESIDE: Final = {
    "secagg-two-faces": flower_two_faces.run
}  # one more control where the extra `flower` is installed: its own SecAgg+
DETECTABLE: Final = {"zh": "未阻止，可查出", "en": "not prevented, detectable"}
HEADS: Final = {
    "zh": ("攻击", "威胁编号", "内容", "上限", "测得", "是否守住", "对照", "秒"),
    "en": ("attack", "threat", "what", "expected", "observed", "repelled", "control", "seconds"),
}
YES: Final = {"zh": ("守住", "失守"), "en": ("yes", "NO")}
BROKEN: Final = {"zh": ("已攻破", "未攻破"), "en": ("broken", "NOT BROKEN")}
WIDEST: Final = 48  # characters of `observed` in the table; --json has all


@dataclass(frozen=True)
class Tried:
    """One line of the table. `controls`: what the attack did in each weakened world."""

    name: str
    attack: Attack
    outcome: Outcome
    controls: tuple[Outcome, ...]
    seconds: float

    @property
    def prevented(self) -> bool:
        """False for the one attack that nothing can prevent, only detect."""
        return getattr(self.attack, "PREVENTED", True)

    @property
    def broken(self) -> bool:
        """Whether every control was broken, so that the attack is one."""
        return not any(each.held for each in self.controls)

    @property
    def good(self) -> bool:
        return self.outcome.held and self.broken


def attack(name: str) -> Attack:
    """The module of an attack. Errors: `ConfigError ATTACK_UNKNOWN`, with the list."""
    if name not in REGISTER:
        raise ConfigError("ATTACK_UNKNOWN", name=name, known=", ".join(REGISTER), later=", ".join(LATER))
    return REGISTER[name]


def tried(name: str, seed: int, clock: Callable[[], float] = time.perf_counter) -> Tried:
    """Play one attack against the product and against each weakened world. The same seed gives the same outcome."""
    found, began = attack(name), clock()
    outcome = found.run(World(), seeded("attack", name, seed))
    controls = tuple(
        found.run(weaken(World()), seeded("control", name, seed, at)) for at, weaken in enumerate(found.WEAKENED)
    )
    if name in BESIDE and flower.available():
        controls = (*controls, BESIDE[name](seeded("beside", name, seed)))
    return Tried(name, found, outcome, controls, clock() - began)


def run(names: Sequence[str], seed: int) -> Iterator[Tried]:
    """The attacks named, all if none is, one after the other. Errors: `ConfigError ATTACK_UNKNOWN` before the first is played."""
    for name in names:
        attack(name)
    for name in names or REGISTER:
        yield tried(name, seed)


def heading(lang: str) -> str:
    """The first two lines of the table."""
    return _line(HEADS[lang])


def line(one: Tried, lang: str, *, weak: bool = False) -> str:
    """One line. `weak`: what the attack did where its guard is missing, in the place of what it did to the product."""
    shown = worst(one.controls) if weak else one.outcome
    observed = shown.observed(lang)
    observed = observed if len(observed) <= WIDEST else observed[: WIDEST - 2] + " …"
    repelled = YES[lang][not shown.held]
    if not one.prevented and shown.held:
        repelled = DETECTABLE[lang]
    cells = (one.name, one.attack.THREAT, one.attack.WHAT[lang], shown.expected(lang), observed, repelled)
    return _line((*cells, BROKEN[lang][not one.broken], f"{one.seconds:.1f}"))


WIDTHS: Final = (23, 9, 52, 38, WIDEST + 1, 26, 11, 8)


def _line(cells: Iterable[str]) -> str:
    padded = [
        cell + " " * max(width - sum(2 if ord(each) > 0x2E80 else 1 for each in cell), 1)
        for cell, width in zip(cells, WIDTHS, strict=True)
    ]
    return "".join(padded).rstrip()


def records(found: Iterable[Tried], lang: str) -> list[dict[str, Any]]:
    """What `--json` prints. `repelled` is true, false, or for an attack that can only be detected those words."""
    return [
        {
            "name": one.name,
            "threat": one.attack.THREAT,
            "what": one.attack.WHAT[lang],
            "adversary": one.attack.HOLDS[lang],
            "expected": one.outcome.expected(lang),
            "observed": one.outcome.observed(lang),
            "repelled": one.outcome.held if one.prevented else one.outcome.held and DETECTABLE[lang],
            "control": "broken" if one.broken else "not broken",
            "weakened": [each.observed(lang) for each in one.controls],
            "seconds": round(one.seconds, 3),
        }
        for one in found
    ]


def later(lang: str) -> str:
    """The attacks of the suite that belong to a later release, in a line."""
    said = {
        "zh": "以下攻击属于以后的版本（+ 已有自己的测试）：",
        "en": "of a later release (+ has a test of its own already): ",
    }
    return said[lang] + ", ".join(f"{number} {name}" for name, number in LATER.items())


def as_json(found: Sequence[Tried], lang: str) -> str:
    return json.dumps(records(found, lang), ensure_ascii=False, indent=1)
