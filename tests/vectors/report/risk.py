"""An invented run of risk models in mode exact, with every shape that a page about them must be able to show: a regression, a scorecard
with a bin that is withheld and characteristics that are not in it, boosted trees, evaluations by group and by city, one of them of two
models, Cox, ordinal and multinomial regressions, and a card that did not come out.

All numbers are made up here. Counts of the card and its shares go together, as do Gini and AUC, and what is said of all with what is said
of classes and bands; nothing else is more than plausible. Cities are such that three of six are off in level and none in order.
"""

from math import log
from typing import Any

from tests.vectors.report.make import Z, number, row, whole

CITIES = ("chongqing", "chengdu", "guangzhou", "shenzhen", "suzhou", "changzhou")
OUTCOME = "withdrew_24m"
N = 24_000
EVENTS = 2_400
BINS: dict[str, list[tuple[str, int | None, int | None, int]]] = {  # events, others, points of each bin
    "product": [("lump_sum", 150, 6_450, 236), ("monthly", 750, 6_650, 202), ("free", 1_500, 8_500, 188), ("_missing", None, None, 199)],
    "age": [("<30", 900, 5_100, 188), ("30-45", 1_000, 9_000, 200), (">=45", 450, 7_350, 214), ("_missing", 50, 150, 170)],
    "marital": [("divorced, unmarried", 1_600, 11_400, 195), ("married", 800, 10_200, 206), ("_missing", None, None, 199)],
}  # fmt: skip
OFF = {"chongqing": 1.34, "chengdu": 1.02, "guangzhou": 0.97, "shenzhen": 0.71, "suzhou": 1.05, "changzhou": 1.41}
DRIFT = {"chongqing": 0.143, "chengdu": 0.012, "guangzhou": 0.004, "shenzhen": 0.31, "suzhou": 0.09, "changzhou": 0.106}
BANDS = ((4_000, 0.021, 0.023), (6_000, 0.06, 0.0615), (8_000, 0.11, 0.0975), (6_000, 0.1705, 0.1885))
HAZARDS = {"2022-02": 0.0214, "2022-03": 0.0262, "2022-04": 0.0187}
CURVE = ((1.0, 0.0, 0.0), (0.3, 0.05, 0.19), (0.2, 0.18, 0.46), (0.12, 0.42, 0.74), (0.06, 0.7, 0.91), (0.0, 1.0, 1.0))
DIGEST = "sha256:" + "5e" * 32


def coefficient(term: str, estimate: float, error: float, noise: float = 0.0) -> dict[str, Any]:
    return {
        "term": term,
        "estimate": number(estimate),
        "std_error": number(error),
        "se_noise": number(noise),
        "se_sampling": number((error**2 - noise**2) ** 0.5),
        "z": number(estimate / error),
        "p_value": 0.0004 if abs(estimate / error) > Z else 0.412,
        "ci_low": number(estimate - Z * error),
        "ci_high": number(estimate + Z * error),
        "error_bound": 3.5e-12,
    }


def fit(**further: Any) -> dict[str, Any]:
    return {
        "converged": True,
        "rounds": 8,
        "n": N,
        "left_out": 0,
        "cause": "",
        "named": [],
        "obs_status": "",
        **further,
    }


def question(kind: str, asked: dict[str, Any], **parts: Any) -> dict[str, Any]:
    empty: dict[str, Any] = {"keys": [], "rows": [], "tests": [], "coefficients": [], "fit": fit()}
    return {"kind": kind, "release": "pooled", "cities": list(CITIES), "asked": asked, **empty, **parts}


def model(name: str, reads: list[str]) -> dict[str, Any]:
    return {
        "file": f"models/{name}.json",
        "digest": DIGEST,
        "version": 1,
        "as_of": "2022-05-31",
        "expires": "2023-05-31",
        "outcome": OUTCOME,
        "means": {"zh": "近24个月有提取", "en": "Withdrew in 24 months"},
        "reads": reads,
        "rows": N,
    }


def regression() -> dict[str, Any]:
    terms = [
        coefficient("intercept", -2.9, 0.21),
        coefficient("age", -0.0123, 0.0031),
        coefficient("sex[female]", 0.061, 0.052),
        coefficient("product[monthly]", 0.83, 0.09),
        coefficient("product[free]", 1.42, 0.085),
    ]
    further = {"deviance": 14_211.5, "null_deviance": 15_604.2, "aic": 14_221.5, "coefficient_error_bound": 4.1e-11}
    return question(
        "glm",
        {"family": "binomial", "outcome": OUTCOME, "terms": ["age", "sex", "product"]},
        coefficients=terms,
        fit=fit(**further, left_out=130),
        model=model("stops", ["age", "sex", "product"]),
    )


def card() -> dict[str, Any]:
    rows = [row("iv", {"feature": name}, estimate=value) for name, value in values().items()]
    rows += [
        row("iv", {"feature": "education"}, estimate=0.0081),
        row("iv", {"feature": "sex"}, estimate=None) | {"obs_status": "z"},
    ]
    for name, weight in (("product", -0.93), ("age", -1.04), ("marital", -0.71)):
        numbers = {
            "se_sampling": 0.08,
            "se_noise": 0.0,
            "ci_low": weight - 0.16,
            "ci_high": weight + 0.16,
            "p_value": 0.0001,
        }
        rows.append(row("weight", {"feature": name}, estimate=weight, **numbers))
    for name, bins in BINS.items():
        for label, events, others, points in bins:
            keys = {"feature": name, "bin": label}
            held = {} if events is not None else {"conf_status": "C"}
            rows += [row("events", keys, estimate=events) | held, row("nonevents", keys, estimate=others) | held]
            rows += [row("woe", keys, estimate=woe(events, others)), row("points", keys, estimate=points)]
    scale = {"base": 600, "odds": 50, "pdo": 20}
    further = {"poor": {"education": "value", "sex": "bins"}, "wrong_sign": [], "coefficient_error_bound": 1.3e-11}
    return question(
        "scorecard",
        {"outcome": OUTCOME, "features": [*BINS, "education", "sex"], "points": scale, "drop_wrong_sign": False},
        keys=["feature", "bin"],
        rows=rows,
        fit=fit(**further),
        model=model("card", list(BINS)),
    )


def woe(events: int | None, others: int | None) -> float:
    return 0.0 if events is None or others is None else log(others / (N - EVENTS)) - log(events / EVENTS)


def values() -> dict[str, float]:
    """The information value of every characteristic in the card."""
    return {
        name: sum((o / (N - EVENTS) - e / EVENTS) * woe(e, o) for _, e, o, _ in bins if e is not None and o is not None)
        for name, bins in BINS.items()
    }


def judged(auc: float, **parts: Any) -> list[dict[str, Any]]:
    """What ranks and what calibrates, of all."""
    keys: dict[str, str] = parts.get("keys", {})
    ahead = parts.get("ahead", "")
    observed, expected = EVENTS / N, sum(n * p for n, p, _ in BANDS) / N

    def made(measure: str, estimate: float, **columns: Any) -> dict[str, Any]:
        return row(f"{ahead}{measure}", keys, estimate=estimate, base=float(N), se_noise=0.0, **columns)

    return [
        made("auc", auc, se_sampling=0.0061, ci_low=auc - 0.012, ci_high=auc + 0.012),
        row(f"{ahead}auc_bound", keys, estimate=0.0071),
        made("gini", 2 * auc - 1, se_sampling=0.0122, ci_low=2 * auc - 1.024, ci_high=2 * auc - 0.976),
        row(f"{ahead}gini_bound", keys, estimate=0.0142),
        made("ks", 0.32),
        row(f"{ahead}ks_bound", keys, estimate=0.019),
        made("brier", 0.0846),
        made("observed", observed, ci_low=0.0963, ci_high=0.1039),
        made("expected", expected),
        made("observed_expected", observed / expected, ci_low=0.0963 / expected, ci_high=0.1039 / expected),
        made("calibration_in_the_large", observed - expected),
        row(f"{ahead}hosmer_lemeshow", keys, estimate=21.4, base=2.0, p_value=0.000023),
    ]


def of_city(city: str) -> list[dict[str, Any]]:
    """What a city told of itself, to a thousandth; the last told nothing."""
    level = OFF[city]
    rows = [
        row("auc", {}, estimate=0.701, ci_low=0.672, ci_high=0.73),
        row("ks", {}, estimate=0.311),
        row("observed", {}, estimate=round(0.1 * level, 3), ci_low=round(0.1 * level - 0.008, 3), ci_high=round(0.1 * level + 0.008, 3)),
        row("expected", {}, estimate=0.1),
        row("observed_expected", {}, estimate=level, ci_low=round(level - 0.08, 3), ci_high=round(level + 0.08, 3)),
        row("psi", {}, estimate=DRIFT[city], base=0.04 if city == "changzhou" else 0.003),
    ]  # fmt: skip
    return [{**each, "scope": city} for each in rows]


def groups() -> list[dict[str, Any]]:
    """By sex: two with numbers, one too small, and who would be approved."""
    rows: list[dict[str, Any]] = []
    for code, size, rate in (("male", 12_600, 0.104), ("female", 11_300, 0.095), ("unknown", 100, None)):
        keys = {"sex": code}
        numbers = {"auc": 0.7, "ks": 0.31, "brier": 0.085, "observed": rate, "expected": rate and rate + 0.004}
        numbers |= {"approved": 0.612, "true_positive_rate": 0.55, "false_positive_rate": 0.33}
        for name, value in numbers.items():
            if rate is None:
                rows.append(row(f"group_{name}", keys, estimate=None) | {"conf_status": "C"})
                continue
            width = 0.02 if name not in ("ks", "brier", "expected") else None
            ends = {} if width is None or value is None else {"ci_low": value - width, "ci_high": value + width}
            rows.append(row(f"group_{name}", keys, estimate=value, base=float(size), **ends))
        if code == "female":
            rows.append(
                row("group_approved_difference", keys, estimate=0.031, base=float(size), ci_low=0.011, ci_high=0.051)
            )
    return rows


def evaluations() -> dict[str, dict[str, Any]]:
    curve, bands = [list(each) for each in CURVE], [list(each) for each in BANDS]
    further = {"in_sample": True, "curve": curve, "bands": bands}
    tests = [{"name": "hosmer_lemeshow", "statistic": 21.4, "df": 2, "p_value": 0.000023}]
    first = [*judged(0.706), *groups(), *(each for city in CITIES for each in of_city(city))]
    silent = [
        {**each, "estimate": None, "ci_low": None, "ci_high": None, "conf_status": "C"} for each in of_city("guangzhou")
    ]
    first = [*(each for each in first if each["scope"] != "guangzhou"), *silent]
    beside = [each for each in judged(0.694, ahead="against_") if "hosmer" not in each["measure"]]
    apart = row("auc_difference", {}, estimate=0.008, se_sampling=0.0021, ci_low=0.0039, ci_high=0.0121, p_value=0.0001)
    drift = [
        row("psi", {}, estimate=0.081, base=0.004),
        row("csi", {"feature": "product"}, estimate=0.02, base=0.011),
        row("csi", {"feature": "age"}, estimate=0.28, base=0.002) | {"obs_status": "u"},
    ]
    return {
        "stops_good": question(
            "evaluate", {"model": "stops", "by": ["sex"], "cut": 0.12, "slope": False},
            keys=["sex"], rows=first, tests=tests, release="both", fit=fit(**further),
        ),
        "trees_good": question(
            "evaluate", {"model": "trees", "by": [], "against": "card"}, rows=[*judged(0.702), *beside, apart], fit=fit(**further),
        ),
        "card_later": question(
            "evaluate", {"model": "card", "by": []}, keys=["feature"], rows=[*judged(0.688), *drift],
            fit=fit(**{**further, "in_sample": False}),
        ),
    }  # fmt: skip


def others() -> dict[str, dict[str, Any]]:
    gains = {"product": 387.8, "age": 40.2, "marital": 97.9, "education": 0.0}
    trees = question(
        "gbdt", {"outcome": OUTCOME, "features": list(gains)},
        keys=["feature"], rows=[row("gain", {"feature": name}, estimate=gain) for name, gain in gains.items()], fit=fit(trees=30),
        model=model("trees", list(gains)),
    )  # fmt: skip
    cox = question(
        "cox", {"event": OUTCOME, "duration": "months", "terms": ["age", "product"]},
        coefficients=[coefficient("age", -0.004, 0.004), coefficient("product[monthly]", 1.29, 0.12)], fit=fit(events=EVENTS),
    )  # fmt: skip
    levels = question(
        "ordinal", {"outcome": "education", "terms": ["age"]},
        coefficients=[coefficient("postgraduate|bachelor", -1.65, 0.04), coefficient("age", 0.031, 0.002)],
    )  # fmt: skip
    choices = question(
        "multinomial", {"outcome": "product", "terms": ["age", "sex"]},
        coefficients=[
            coefficient(f"product[{of}]:{term}", value, 0.03)
            for of, shift in (("monthly", 0.0), ("free", 0.1))
            for term, value in (("intercept", 1.1), ("age", -0.03 + shift), ("sex[female]", 0.2 + shift))
        ],
    )  # fmt: skip
    why = {"zh": "没有一个特征可用。", "en": "no feature is left."}
    nothing = question(
        "scorecard", {"outcome": OUTCOME, "features": ["sex"]},
        fit={**fit(why=why), "converged": False, "cause": "MODEL_NO_FEATURE", "obs_status": "x"},
    )  # fmt: skip
    monthly = [
        row(
            "hazard",
            {"month": month},
            estimate=value,
            se_sampling=0.002,
            se_noise=0.0,
            ci_low=value - 0.004,
            ci_high=value + 0.004,
        )
        for month, value in HAZARDS.items()
    ]
    thin = row("hazard", {"month": "2022-05"}, estimate=None) | {"obs_status": "x"}
    leaving = question(
        "hazard", {"event": OUTCOME, "terms": ["sex"], "baseline": "month", "link": "cloglog"},
        coefficients=[
            coefficient("intercept", -4.1, 0.09), coefficient("month[2022-03]", 0.2, 0.1), coefficient("sex[female]", -0.31, 0.06),
        ],
        keys=["month"], rows=[*monthly, thin], fit={**fit(events=1_310, holders=11_400), "n": 61_000},
    )  # fmt: skip
    return {"trees": trees, "leaving": leaving, "times": cox, "levels": levels, "choices": choices, "nothing": nothing}


def risk() -> dict[str, Any]:
    """The content of a results file."""
    tree = whole(exact=True)
    made = others()
    questions = {
        "accounts": tree["questions"]["accounts"],
        "stops": regression(),
        "card": card(),
        "trees": made["trees"],
    }
    questions |= {**evaluations(), **{name: each for name, each in made.items() if name != "trees"}}
    for place, each in enumerate(questions.values()):
        each["number"] = place
    tree["questions"] = questions
    tree["cities"] |= {"cannot": {}, "unused": {}}
    tree["study"] |= {
        "id": "withdrawal-risk",
        "title": {"zh": "提取风险的联合模型", "en": "A joint model of withdrawal"},
    }
    words = tree["words"]["variables"]
    words["age"] = {"zh": "年龄", "en": "Age", "unit": "year", "codes": {}}
    return tree


def noisy() -> dict[str, Any]:
    """The same regression and card with noise."""
    tree = risk()
    questions = {name: tree["questions"][name] for name in ("stops", "card")}
    stops, counted = questions["stops"], questions["card"]
    stops["coefficients"] = [
        coefficient(each["term"], each["estimate"], each["std_error"], each["std_error"] * 0.6)
        for each in stops["coefficients"]
    ]
    stops["fit"] = fit(widened=1.25, noise_ratio=0.75, left_out=0, clipped=0.0, hidden_directions=0)
    counted["fit"] = fit(
        widened=1.1, left_out=0, clipped=0.0, hidden_directions=0, poor={}, wrong_sign=[], count_noise=8.3
    )
    for each in counted["rows"]:
        if each["measure"] in ("events", "nonevents") and each["estimate"] is not None:
            each |= {"se_noise": 8.3, "ci_low": each["estimate"] - 23, "ci_high": each["estimate"] + 23}
        if each["measure"] == "woe":
            each |= {"se_noise": 0.05}
    dp = whole(exact=False)
    tree["privacy"], tree["questions"] = {**dp["privacy"], "spent": []}, questions
    return tree
