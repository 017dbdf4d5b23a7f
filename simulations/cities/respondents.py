"""Invented respondents of `platform-workers-survey@1`, whose relations are known: the slopes of a published report, planted again.

    answers, each by itself ──▶ flexible (Table 4) ──▶ constrained: of the flexible by Table 6, of the others one chance

The report prints marginal shares and two logits; its constants do not give its own shares back, so that they are solved anew, and slopes
alone are planted. Marginal shares that the report does not print are choices. A slope that a fit of these rows finds is a planted one.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import date
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Final

import numpy as np

from protocols import dictionary as dictionaries
from protocols.dictionary import Boolean, Integer
from simulations.cities import text
from simulations.cities.facts import facts_file
from simulations.cities.solve import Reals, Wholes, root
from simulations.cities.streams import Streams, keys
from simulations.cities.text import Cell

DICTIONARY: Final = "platform-workers-survey@1"
PARTIES: Final = ("platform-a", "platform-b", "platform-c")
ROWS: Final = 1_543  # of each of three: the 4,629 respondents of the report
AS_OF: Final = date(2025, 12, 31)
REFERENCE: Final = 50_000  # rows on which the constants are solved
UNANSWERED: Final = 0.02  # of questions about money
DELICATE: Final = ("income_code", "spending_code", "debt_code")
KEY: Final = "编号"
LABELS: Final = {"数据来源": "合成数据", "生成方式": "按公布的斜率生成 planted slopes"}
FILE: Final = "data/{party}_synthetic_respondents.csv"
YES: Final = "是"
NO: Final = "否"

# Shares of each answer, from its first code on: those printed of flexible and of stable employment, weighted by their numbers, where the
# report prints them; the rest is a choice.
SHARES: Final[Mapping[str, tuple[float, ...]]] = {
    "region": (0.22, 0.33, 0.27, 0.18),
    "male": (0.46, 0.54),
    "age_code": (0.06, 0.58, 0.25, 0.08, 0.03),
    "education_code": (0.16, 0.30, 0.27, 0.24, 0.03),
    "social_insurance": (0.15, 0.85),
    "insurance_code": (0.13, 0.16, 0.22, 0.28, 0.21),
    "career_plan": (0.10, 0.90),
    "income_code": (0.115, 0.28, 0.315, 0.17, 0.12),
    "spending_code": (0.20, 0.35, 0.27, 0.12, 0.06),
    "debt_code": (0.424, 0.256, 0.18, 0.09, 0.05),
    "saving_code": (0.03, 0.126, 0.24, 0.604),
    "wealth": (0.187, 0.813),
    "hours_code": (0.22, 0.40, 0.23, 0.15),
    "stability_code": (0.18, 0.36, 0.317, 0.143),
}
# The word of the report for each term, and ours.
TERMS: Final = {
    "region": "region",
    "age": "age_code",
    "male": "male",
    "edu": "education_code",
    "social_ins": "social_insurance",
    "insurance": "insurance_code",
    "career_plan": "career_plan",
    "income": "income_code",
    "spending": "spending_code",
    "debt": "debt_code",
    "saving": "saving_code",
    "wealth_mgmt": "wealth",
    "hours": "hours_code",
    "stability": "stability_code",
}
CITY: Final = """# Invented respondents. 合成数据：不对应任何真实个人
city: {party}
name: {{zh: "{party}（合成）", en: "{party} (synthetic)"}}
code: "000000"
synthetic: true
"""
MAPPING: Final = """# Invented respondents, drawn with the slopes of a published report. 合成数据：不对应任何真实个人
mapping: 1
city: {party}
dictionary: {dictionary}
snapshot: {as_of}
scope: {{sub_centres: none, note: "合成数据 synthetic"}}
sources:
  answers: {{kind: csv, files: "{file}", encoding: utf-8-sig}}
tables:
  respondent: {{source: answers, key: {key}, main: true, duplicates: fail}}
variables:
"""


def slopes(table: str) -> dict[str, float]:
    """The printed slopes of a table, by our names. C3 of seed-facts.yaml: the sign of Table 6's 理财 is that of its estimate."""
    rows: list[dict[str, Any]] = facts_file()["cafi"][table]["rows"]
    return {TERMS[row["term"]]: row["estimate"] for row in rows if row["term"] in TERMS}


@cache
def planted() -> dict[str, dict[str, float]]:
    """What holds of the population: slopes, and the constants at which its shares are the printed ones."""
    cafi = facts_file()["cafi"]
    survey, constrained = cafi["survey"], cafi["marginals"]["credit_constrained"]
    given = _answers(Streams(0, "reference"), REFERENCE)
    found = dict[str, dict[str, float]]()
    share = survey["flexible"] / survey["n"]
    everyone = np.ones(REFERENCE)
    found["flexible"] = _with_constant(slopes("table4_flexible_logit"), given, share, everyone)
    flexible = _chance(found["flexible"], given)
    found["constrained"] = _with_constant(slopes("table6_constrained_logit"), given, constrained[0], flexible)
    return {**found, "constrained_of_the_others": {"share": constrained[1]}}


def _with_constant(beta: Mapping[str, float], given: Mapping[str, Any], rate: float, among: Reals) -> dict[str, float]:
    """The slopes, and the constant at which the weighted mean of the chances is `rate`."""

    def off(constant: float) -> float:
        return float(among @ (_chance({**beta, "intercept": constant}, given) - rate))

    return {"intercept": root(off, -30, 30), **beta}


def _chance(beta: Mapping[str, float], given: Mapping[str, Any]) -> Reals:
    at = sum(
        (slope * given[name] for name, slope in beta.items() if name != "intercept"), np.asarray(beta["intercept"])
    )
    return np.asarray(1 / (1 + np.exp(-at)))


def _answers(streams: Streams, rows: int) -> dict[str, Wholes]:
    """Codes of every answer but the two outcomes; each by itself."""
    meant, found = dictionaries.load(DICTIONARY), dict[str, Wholes]()
    for name, shares in SHARES.items():
        variable = meant.variables[name]
        first = variable.range[0] if isinstance(variable, Integer) else 0
        found[name] = first + np.searchsorted(np.cumsum(shares)[:-1], streams(name).random(rows), side="right")
    return found


def drawn(truth: Mapping[str, Mapping[str, float]], streams: Streams, rows: int) -> dict[str, Wholes]:
    """Clean codes of all variables. `truth`: as `planted` gives it."""
    found = _answers(streams, rows)
    flexible = streams("flexible").random(rows) < _chance(truth["flexible"], found)
    others = truth["constrained_of_the_others"]["share"]
    chance = np.where(flexible, _chance(truth["constrained"], found), others)
    constrained = streams("constrained").random(rows) < chance
    return {**found, "flexible": flexible.astype(np.int64), "constrained": constrained.astype(np.int64)}


def build(folder: Path, parties: Sequence[str], rows: int, seed: int) -> None:
    """Write everything into an empty folder; what was planted beside it, in `truth/`."""
    truth = planted()
    for party in parties:
        (folder / party / "data").mkdir(parents=True)
        streams = Streams(seed, party)
        content = _table(drawn(truth, streams, rows), streams, rows)
        (folder / party / FILE.format(party=party)).write_bytes(content)
        (folder / party / "city.yaml").write_text(CITY.format(party=party), encoding="utf-8")
        (folder / party / "mapping.yaml").write_text(_mapping(party), encoding="utf-8")
        (folder / party / "policy.yaml").write_bytes(_shipped("policy.yaml"))
    (folder / "truth").mkdir()
    said = {"seed": seed, "rows": rows, "parties": list(parties), "planted": truth}
    (folder / "truth" / "truth.json").write_text(
        json.dumps(said, ensure_ascii=False, indent=1) + "\n", encoding="utf-8"
    )
    (folder / "askers.yaml").write_bytes(_shipped("askers.yaml"))


def _table(codes: Mapping[str, Wholes], streams: Streams, rows: int) -> bytes:
    meant = dictionaries.load(DICTIONARY)
    columns: dict[str, Cell] = {KEY: text.whole(keys(streams, 0, rows))}
    for name, variable in meant.variables.items():
        local = (
            text.listed(codes[name], (NO, YES), "utf-8") if isinstance(variable, Boolean) else text.whole(codes[name])
        )
        silent = streams(f"no answer to {name}").random(rows) < UNANSWERED
        columns[variable.label.zh] = text.unless(silent, b"", local) if name in DELICATE else local
    labels: dict[str, Cell] = {name: [label.encode()] for name, label in LABELS.items()}
    return text.written({**columns, **labels}, rows, "utf-8-sig", b",", b"\r\n")


def _mapping(party: str) -> str:
    lines = []
    for name, variable in dictionaries.load(DICTIONARY).variables.items():
        codes = f', codes: {{"{YES}": true, "{NO}": false}}' if isinstance(variable, Boolean) else ""
        lines.append(f'  {name}: {{from: "respondent.{variable.label.zh}"{codes}}}\n')
    head = MAPPING.format(party=party, dictionary=DICTIONARY, as_of=AS_OF, file=FILE.format(party=party), key=KEY)
    return head + "".join(lines)


def _shipped(name: str) -> bytes:
    return resources.files("simulations.cities").joinpath(name).read_bytes()
