"""Writes `results.json` (mode dp) and `exact.json` beside itself: two invented runs that a report must be able to show.

All numbers are made up here, from a table of expected holders that resembles the published product by generation; their intervals are
plausible, not proven. What matters is that every shape of the contract occurs: marks u, x, z and C, a missing city, a city that
cannot map a variable, a `_missing` row, contrasts, tests, a number below zero. Also writes the structure of the pages made from the
first, `structure.<language>.json`: look at the page before you accept another one. Run with `python -m tests.vectors.report.make`.
"""

import json
from math import exp, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from coordinator.report import html
from coordinator.report.wording import LANGUAGES
from coordinator.results import Results
from protocols.canonical import canonical
from protocols.dictionary import load
from tests.unit.pages import structure

HERE = Path(__file__).parent
SD = 22.8  # of the noise in a cell of these tables
Z = 1.96
MISSING = "_missing"
DICTIONARY = load("hpf-flexible-employment@1", HERE)
AXES: dict[str, list[str]] = {
    "product": ["lump_sum", "monthly", "free"],
    "generation": ["00s", "90s", "80s", "70s", "60s", "other"],
    "sex": ["male", "female", "unknown"],
    "marital": ["unmarried", "married", "divorced", "widowed", "unknown"],
    "education": ["postgraduate", "bachelor", "college", "vocational", "high_school", "junior_or_less", "unknown"],
    "withdrew_24m": ["false", "true"],
    "channel": ["alipay", "wechat", "bank", "website", "counter", "other", "unknown"],
    "residence": ["local", "other_city", "unknown", MISSING],
}
NAMES = {
    "chongqing": ("重庆", "Chongqing"),
    "chengdu": ("成都", "Chengdu"),
    "guangzhou": ("广州", "Guangzhou"),
    "shenzhen": ("深圳", "Shenzhen"),
    "suzhou": ("苏州", "Suzhou"),
    "changzhou": ("常州", "Changzhou"),
}
Table = npt.NDArray[np.float64]


def expected(total: float) -> Table:
    """Holders at each position of all axes."""
    joint = np.array(
        [[731, 2816, 2166, 1538, 313, 9], [987, 3742, 2414, 919, 129, 11], [1041, 3666, 2693, 2286, 1165, 14]]
    )
    shares: list[Any] = [
        [[0.52, 0.475, 0.005], [0.50, 0.495, 0.005], [0.56, 0.435, 0.005]],  # sex by product
        [0.540, 0.398, 0.052, 0.0015, 0.0085],
        [
            [0.012, 0.170, 0.258, 0.12, 0.18, 0.19, 0.07],
            [0.016, 0.210, 0.274, 0.11, 0.16, 0.16, 0.07],
            [0.006, 0.110, 0.214, 0.13, 0.21, 0.26, 0.07],
        ],
        [[0.9874, 0.0126], [0.9891, 0.0109], [0.8853, 0.1147]],  # withdrew by product
        [0.465, 0.372, 0.104, 0.040, 0.003, 0.012, 0.004],
        [0.700, 0.220, 0.031, 0.049],
    ]
    table = joint / joint.sum() * total
    for share in shares:
        part = np.asarray(share)
        by_product = part if part.ndim == 2 else np.tile(part, (3, 1))
        table = np.einsum("p...,pk->p...k", table, by_product)
    shift = np.zeros((3, 5))  # married women, and fewer holders than noise among the widowed of unknown sex
    shift[0] = [0.018, -0.012, -0.004, 0.0002, -0.0022]
    shift[1] = -shift[0]
    shift[2, 3], shift[2, 1] = -0.0000392, 0.0000392
    face = table.sum(axis=(0, 1, 4, 5, 6, 7))
    shifted: Table = table * (1 + (shift * total / face)[None, None, :, :, None, None, None, None])
    return shifted


def margin(table: Table, *names: str) -> Table:
    order = list(AXES)
    kept = table.sum(axis=tuple(n for n, name in enumerate(order) if name not in names))
    have = [name for name in order if name in names]
    moved: Table = np.transpose(kept, [have.index(name) for name in names])
    return moved


def number(value: float) -> float:
    return float(f"{value:.12g}")


def row(measure: str, keys: dict[str, str], **columns: Any) -> dict[str, Any]:
    rounded = {key: number(value) if isinstance(value, float) else value for key, value in columns.items()}
    return {"scope": "pooled", "measure": measure, **keys, "obs_status": "", "conf_status": "", **rounded}


class Run:
    """One invented run: the table behind it, and how much noise its cells have."""

    def __init__(self, total: float, exact: bool) -> None:
        self.exact, self.sd = exact, 0.0 if exact else SD
        self.table = np.round(expected(total)) if exact else expected(total)

    def count(self, value: float, keys: dict[str, str], held: bool = False) -> dict[str, Any]:
        value = round(value, 6)
        if held:
            return row(
                "count",
                keys,
                estimate=None,
                display=None,
                conf_status="C",
                ci_low=None,
                ci_high=None,
                se_noise=None,
                se_sampling=None,
            )
        u = not self.exact and value < max(5 * self.sd, 10)
        low, high = value - Z * self.sd, value + Z * self.sd
        return row(
            "count",
            keys,
            estimate=value,
            display=max(value, 0.0),
            se_noise=self.sd,
            se_sampling=0.0,
            ci_low=max(low, 0.0),
            ci_high=max(high, 0.0),
            obs_status="u" if u else "",
        )

    def share(self, measure: str, a: float, base: float, keys: dict[str, str], held: bool = False) -> dict[str, Any]:
        if MISSING in keys.values():
            return row(measure, keys, base=base, estimate=None, display=None, obs_status="z", ci_low=None, ci_high=None)
        if held:
            return row(
                measure, keys, base=base, estimate=None, display=None, conf_status="C", ci_low=None, ci_high=None
            )
        if base < 3 * self.sd or base <= 0:
            return row(measure, keys, base=base, estimate=None, display=None, obs_status="x", ci_low=None, ci_high=None)
        p = a / base
        noise, sampling = self.sd * sqrt(1 + p * p) / base, sqrt(max(p * (1 - p), 0) / base)
        sd = sqrt(noise**2 + sampling**2)
        centre, spread = (p + 2 / base) / (1 + 4 / base), Z * sqrt(sd**2 + 1 / base**2)
        low, high = min(max(centre - spread, 0.0), max(p, 0)), max(min(centre + spread, 1.0), p)
        u = (high - low) / 2 > max(0.30 * abs(p), 0.05) or (not self.exact and a < 5 * self.sd)
        return row(
            measure,
            keys,
            base=base,
            estimate=p,
            display=min(max(p, 0.0), 1.0),
            se_noise=noise,
            se_sampling=sampling,
            ci_low=low,
            ci_high=high,
            obs_status="u" if u else "",
        )

    def question(
        self, kind: str, keys: list[str], asked: dict[str, Any], rows: list[Any], tests: Any = ()
    ) -> dict[str, Any]:
        return {
            "kind": kind,
            "release": "pooled",
            "cities": [],
            "keys": keys,
            "asked": asked,
            "rows": rows,
            **({"tests": list(tests)} if tests else {}),
        }

    def holders(self) -> dict[str, Any]:
        return self.question("count", [], {}, [self.count(float(self.table.sum()), {})])

    def frequency(self, of: str, held: tuple[str, ...] = ()) -> dict[str, Any]:
        counts = dict(zip(AXES[of], margin(self.table, of), strict=True))
        counts.setdefault(MISSING, 0.0 if self.exact else 3.4)
        base = sum(value for code, value in counts.items() if code != MISSING)
        rows = [self.count(value, {of: code}, code in held) for code, value in counts.items()]
        rows += [self.share("share", value, base, {of: code}, code in held) for code, value in counts.items()]
        return self.question("frequency", [of], {"of": of}, rows)

    def frequency_by(self, of: str, by: str) -> dict[str, Any]:
        """By a variable of two codes, with the contrasts of the two."""
        counts = margin(self.table, of, by)
        rows, contrasts, groups = [], [], AXES[by]
        for i, code in enumerate(AXES[of]):
            shares = []
            for j, group in enumerate(groups):
                keys = {of: code, by: group}
                rows.append(self.count(float(counts[i, j]), keys))
                shares.append(self.share("share", float(counts[i, j]), float(counts[:, j].sum()), keys))
                rows.append(shares[-1])
            d = shares[1]["estimate"] - shares[0]["estimate"]
            sd = sqrt(sum(each["se_noise"] ** 2 + each["se_sampling"] ** 2 for each in shares))
            p = max(1e-12, 2 * exp(-((d / sd) ** 2) / 2))
            contrasts.append(
                row(
                    "share", {of: code, by: groups[1]}, contrast=True, estimate=d, display=d, se_noise=sd / 2,
                    se_sampling=sd / 2, ci_low=d - Z * sd, ci_high=d + Z * sd, p_value=min(p, 1.0), q_value=min(p * 1.5, 1.0),
                )
            )  # fmt: skip
        return self.question("frequency", [of, by], {"of": of, "by": [by]}, rows + contrasts)

    def crosstab(self, *by: str, held: tuple[tuple[str, ...], ...] = ()) -> dict[str, Any]:
        counts = margin(self.table, *by)
        shape = [range(len(AXES[name])) for name in by]
        rows: list[Any] = []
        total = float(counts.sum())
        for place in np.ndindex(*counts.shape):
            codes = tuple(AXES[name][n] for name, n in zip(by, place, strict=True))
            keys, value, hide = dict(zip(by, codes, strict=True)), float(counts[place]), codes in held
            rows.append(self.count(value, keys, hide))
            if len(by) == 2:
                rows.append(self.share("row_share", value, float(counts[place[0]].sum()), keys, hide))
                rows.append(self.share("column_share", value, float(counts[:, place[1]].sum()), keys, hide))
            rows.append(self.share("share", value, total, keys, hide))
        if len(by) == 2:  # holders without a value of the one or the other
            for i in shape[0]:
                rows += self._unknown({by[0]: AXES[by[0]][i], by[1]: MISSING}, -2.7 if i else 4.1)
            for j in shape[1]:
                rows += self._unknown({by[0]: MISSING, by[1]: AXES[by[1]][j]}, 1.9)
            rows += self._unknown({by[0]: MISSING, by[1]: MISSING}, -0.8)
        return self.question("crosstab", list(by), {"by": list(by)}, rows, self._tests(counts) if len(by) == 2 else ())

    def _unknown(self, keys: dict[str, str], value: float) -> list[Any]:
        if self.exact:
            value = 0.0
        shares = [self.share(name, 0.0, 1.0, keys) for name in ("row_share", "column_share", "share")]
        return [self.count(value, keys), *shares]

    def _tests(self, counts: Table) -> list[dict[str, Any]]:
        n = counts.sum()
        e = np.outer(counts.sum(1), counts.sum(0)) / n
        statistic = float(((counts - e) ** 2 / np.maximum(e, 1)).sum())
        df = (counts.shape[0] - 1) * (counts.shape[1] - 1)
        v = sqrt(statistic / n / (min(counts.shape) - 1))
        p = 1e-12 if statistic > 60 else 0.001
        return [
            {"name": "chi_square", "statistic": number(statistic), "df": df, "p_value": p},
            {
                "name": "cramers_v",
                "estimate": number(v),
                "ci_low": number(max(v - 0.0058, 0)),
                "ci_high": number(v + 0.0061),
            },
        ]

    def tgi(self, target: str, by: str, held: tuple[tuple[str, str], ...] = ()) -> dict[str, Any]:
        counts = margin(self.table, target, by)
        n, rows = float(counts.sum()), []
        for i, code in enumerate(AXES[target]):
            for j, group in enumerate(AXES[by]):
                a, b, whole = float(counts[i, j]), float(counts[:, j].sum()), float(counts[i].sum())
                keys = {target: code, by: group}
                if (code, group) in held:
                    rows.append(
                        row(
                            "index",
                            keys,
                            base=whole,
                            estimate=None,
                            display=None,
                            conf_status="C",
                            ci_low=None,
                            ci_high=None,
                            preference=None,
                        )
                    )
                    continue
                if a < 2 * self.sd or a <= 0:
                    rows.append(
                        row(
                            "index",
                            keys,
                            base=whole,
                            estimate=None,
                            display=None,
                            obs_status="x",
                            ci_low=None,
                            ci_high=None,
                            preference=None,
                        )
                    )
                    continue
                value = 100 * (a / whole) / (b / n)
                noise, sampling = self.sd * sqrt(1 / a**2 + 1 / b**2), sqrt(max(1 / a - 1 / whole - 1 / b + 1 / n, 0))
                sd = sqrt(noise**2 + sampling**2)
                low, high = value * exp(-Z * sd), value * exp(Z * sd)
                u = high > 2 * low or a < 5 * self.sd
                z = abs(value / 100 - 1) / sd
                p = min(1.0, max(1e-12, 2 * exp(-z * z / 2)))
                side = "none" if low <= 100 <= high or p * 1.3 > 0.05 else "over" if value > 100 else "under"
                rows.append(
                    row(
                        "index", keys, base=whole, estimate=value, display=value, se_noise=value * noise, se_sampling=value * sampling,
                        ci_low=low, ci_high=high, p_value=p, q_value=min(1.0, p * 1.3), preference=side, obs_status="u" if u else "",
                    )
                )  # fmt: skip
        rows += [
            row(
                "index",
                {target: code, by: MISSING},
                base=0.0,
                estimate=None,
                display=None,
                obs_status="z",
                preference=None,
                ci_low=None,
                ci_high=None,
            )
            for code in AXES[target]
        ]
        rows += [self.count(0.0 if self.exact else 2.6, {target: code, by: MISSING}) for code in AXES[target]]
        return self.question("tgi", [target, by], {"target": target, "by": by}, rows)


def words(names: set[str]) -> dict[str, Any]:
    found = {}
    for name in sorted(names):
        codes = {
            code: {lang: DICTIONARY.code_label(name, code, lang) for lang in ("zh", "en")}
            for code in DICTIONARY.codes(name)
        }
        found[name] = {"zh": DICTIONARY.label_of(name, "zh"), "en": DICTIONARY.label_of(name, "en"), "codes": codes}
    return {"variables": found}


def whole(exact: bool) -> dict[str, Any]:
    """The content of a results file."""
    answered = [city for city in NAMES if exact or city != "suzhou"]
    run = Run(111_606 if exact else 102_606, exact)
    questions = {
        "accounts": run.holders(),
        "product": run.frequency("product"),
        "tgi_generation": run.tgi("product", "generation", held=(("lump_sum", "other"),)),
        "generation": run.frequency("generation"),
        "tgi_education": run.tgi("product", "education"),
        "channel": run.frequency("channel", held=("counter",)),
        "product_withdrew": run.frequency_by("product", "withdrew_24m"),
        "sex_marital": run.crosstab("sex", "marital", held=(("unknown", "divorced"),)),
        "product_education": run.crosstab("product", "education"),
        "three": run.crosstab("sex", "withdrew_24m", "product"),
        "residence": run.frequency("residence"),
    }  # fmt: skip
    for number_, (name, question) in enumerate(questions.items()):
        question["number"] = number_
        question["cities"] = [city for city in answered if not (name == "residence" and city == "changzhou")]
    cells = 431
    privacy: dict[str, Any] = {
        "mode": "exact" if exact else "dp",
        "unit": "account_holder",
        "tolerate": {"dropouts": 0 if exact else 1, "colluders": 1},
        "threshold": 6 if exact else 5,
        "left_each_city": {"form": "masked_sum", "cells": cells, "bytes": cells * 4, "ring": 32},
        "seeded": True,
        "synthetic": True,
    }
    if not exact:
        blocks = [
            ("1 by (product, generation)", 28, 1), ("1 by (product, education)", 32, 1), ("1 by (channel)", 8, 1),
            ("1 by (product, withdrew_24m)", 12, 1), ("1 by (sex, marital)", 24, 1), ("1 by (sex, withdrew_24m, product)", 48, 1),
            ("1 by (residence)", 4, 1),
        ]  # fmt: skip
        privacy |= {
            "epsilon": 1.0, "delta": 1e-6, "mechanism": "skellam", "accounting": "rdp", "honest_share": 4,
            "spent": [{"city": city, "epsilon": 0.999999} for city in answered],
            "person_in_two_cities": {"epsilon": 2.13},
            "blocks": [
                {"block": name, "cells": size, "share": number(1 / len(blocks)), "l1": 1, "l2sq": 1,
                 "variance": 518.85, "node_variance": 129.7125,
                 "shift": 0}
                for name, size, _ in blocks
            ],
        }  # fmt: skip
    return {
        "contract": 1,
        "study": {
            "id": "flexible-employment-profile",
            "digest": "sha256:" + ("9c1185a5c5e9fc54612808977ee8f548b2258d31" + "7f3a" * 6),
            "revision": 1,
            "title": {"zh": "灵活就业人员缴存画像", "en": "Profile of flexible-employment contributors"},
            "purpose": {
                "zh": "了解各市灵活就业缴存人的构成、产品偏好与提取情况，为产品设计和政策比较提供依据。",
                "en": "Learn who the flexible-employment contributors are, which product they prefer and who withdraws, across cities.",
            },
            "dictionary": {"name": "hpf-flexible-employment@1", "digest": DICTIONARY.digest,
                           "label": {"zh": "灵活就业缴存人", "en": "Flexible-employment contributors"}},
            "asker": {"id": "fund-lab", "role": "analyst", "name": "公积金联合研究室"},
            "cohort": {"variable": "account_type", "is": "flexible"},
            "window": {"from": "2021-08", "to": "2022-05"},
            "release": "pooled",
            "confidence": 0.95,
        },
        "run": {"at": "2026-11-20T08:00:00Z", "software": "hpfed 0.1.0", "as_of": "2022-05-31", "number": 0, "of": 1},
        "cities": {
            "answered": answered,
            "missing": [] if exact else [{"city": "suzhou", "reason": "no_masked", "detail": "unreachable"}],
            "snapshots": dict.fromkeys(answered, "2022-05-31"),
            "cannot": {"changzhou": ["residence"]},
            "unused": {"chengdu": {"education": ["vocational"]}},
            "names": {city: {"zh": zh, "en": en} for city, (zh, en) in NAMES.items()},
        },
        "privacy": privacy,
        "questions": questions,
        "words": words({*AXES, "account_type"}),
    }  # fmt: skip


def both() -> dict[str, bytes]:
    """File name to content."""
    return {"results.json": canonical(whole(exact=False)), "exact.json": canonical(whole(exact=True))}


if __name__ == "__main__":
    for name, content in both().items():
        (HERE / name).write_bytes(content)
    results = Results.parse(both()["results.json"])
    for language in LANGUAGES:
        golden = json.dumps(structure(html.render(results, language)), ensure_ascii=False, indent=1)
        (HERE / f"structure.{language}.json").write_text(golden + "\n", encoding="utf-8")
