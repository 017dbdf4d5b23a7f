"""Invented holders and figures of annual reports, as city folders under `hpf-core@1`: what regulators' studies are asked of.

    figures of a centre ──▶ its `facts`                         (invented: `core-facts.yaml`)
              └── times rows / holders ──▶ sums over its sample of holders, to the fen

Each city has `core_synthetic.parquet`, a row per holder, and `core_loans_synthetic.parquet`, a row per loan. Sums over holders, times the
sampling factor, are the facts; who holds how much of them is drawn. No relation is claimed but those that the steps below say.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from protocols import dictionary as dictionaries
from protocols import yamltext
from simulations.cities.dialects import LABEL, SYNTHETIC
from simulations.cities.parquet import Typed, connection, write_parquet
from simulations.cities.solve import Reals, Wholes, apportion
from simulations.cities.streams import Booleans, Streams, choose, keys
from simulations.cities.terms import NOT_GIVEN, Column

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

DICTIONARY: Final = "hpf-core@1"
ROWS: Final = 50_000
HUNDRED_MILLION: Final = 10**10  # fen in 亿元
SNAPSHOT: Final = date(2025, 12, 31)
YEAR: Final = SNAPSHOT.year * 12  # the number of its January
PAYERS: Final = 0.88  # of the holders, in the year; as are the shares below, a choice
NEW: Final = 0.08
OVERDUE: Final = 0.0008
LOAN_YUAN: Final = 430_000  # of a usual loan
LEFT: Final = 0.72  # of it that is usually still owed
HIGH_INCOME: Final = 3  # times the average wage of the city's holders
UNITS: Final = {
    "government": 0.16,
    "state_owned": 0.17,
    "collective": 0.01,
    "foreign": 0.13,
    "private": 0.5,
    "non_profit": 0.03,
}
REASONS: Final = {  # of who draws: how often, and how much beside others
    "purchase": (0.10, 3.0),
    "build_repair": (0.004, 1.5),
    "retire": (0.07, 4.0),
    "disabled_left_work": (0.01, 1.5),
    "moved_abroad": (0.012, 1.2),
    "repay_loan": (0.52, 1.2),
    "rent_over_ratio": (0.25, 0.7),
    "death": (0.004, 2.5),
    "serious_illness": (0.01, 1.2),
    "other": (0.02, 1.0),
}
HOUSING: Final = ("purchase", "build_repair", "repay_loan", "rent_over_ratio")
DRAWING: Final = 0.38  # of the holders, in the year
AREAS: Final = {"to_90": 0.36, "to_144": 0.57, "over_144": 0.07}
ORDERS: Final = {"first": 0.83, "second": 0.17}
TOGETHER: Final = {"single": 0.46, "dual": 0.53, "more": 0.01}


@dataclass(frozen=True)
class Centre:
    """A city of `core-facts.yaml`. `facts`: in fen. `flexible`, `other_units`: of the holders. `summed`: facts that it does not publish."""

    city: str
    entry: Mapping[str, Any]

    @property
    def holders(self) -> int:
        return int(self.entry["holders"])

    @property
    def facts(self) -> dict[str, int]:
        return {name: int(Decimal(value) * HUNDRED_MILLION) for name, value in self.entry["facts"].items()}

    @property
    def summed(self) -> tuple[str, ...]:
        return tuple(self.entry.get("summed", ()))

    def share(self, name: str, rows: int) -> int:
        """A fact's part of a sample of so many holders, in fen."""
        return self.facts[name] * rows // self.holders


@lru_cache
def centres() -> Mapping[str, Centre]:
    tree: Any = yamltext.read(_shipped("core-facts.yaml"), "core-facts.yaml").tree
    return {city: Centre(city, entry) for city, entry in tree["cities"].items()}


def build(folder: Path, spill: Path, cities: Sequence[str], rows: int, seed: int) -> None:
    """Write everything into an empty folder."""
    truth = {}
    with connection(spill) as database:
        for city in cities:
            truth[city] = write_city(folder / city, centres()[city], rows, seed, database)
    (folder / "askers.yaml").write_bytes(_shipped("askers.yaml"))
    (folder / "truth").mkdir()
    said = {"kind": "invented", "seed": seed, "dictionary": DICTIONARY, "cities": truth}
    (folder / "truth" / "core.json").write_text(json.dumps(said, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def write_city(folder: Path, centre: Centre, rows: int, seed: int, database: "DuckDBPyConnection") -> dict[str, Any]:
    """One city folder; what was planted in it: the sampling factor, and sums of the sample in fen."""
    (folder / "data").mkdir(parents=True)
    (folder / "city.yaml").write_text(_city(centre), encoding="utf-8")
    (folder / "policy.yaml").write_bytes(_shipped("policy.yaml"))
    (folder / "mapping.yaml").write_text(
        _shipped("core.mapping.yaml").decode().format(city=centre.city), encoding="utf-8"
    )
    people, loans = holders(centre, rows, Streams(seed, centre.city))
    write_parquet(database, _local(people), folder / "data" / "core_synthetic.parquet")
    loans["account"] = people["account"][loans["row"]]
    write_parquet(database, _local_loans(loans), folder / "data" / "core_loans_synthetic.parquet")
    sums = {name: int(people[name].sum()) for name in MONEY}
    new = loans["month"] >= YEAR
    return {
        "rows": rows,
        "holders": centre.holders,
        "sums_fen": {**sums, "loan_issued_year": int(loans["amount"][new].sum())},
        "overdue_holders": int((people["overdue_balance"] > 0).sum()),
    }


Table = dict[str, Column]
MONEY: Final = (
    "deposited_year", "withdrawn_year", "withdrawn_housing_year", "deposit_balance", "loan_balance", "overdue_balance",
    "housing_support_year",
)  # fmt: skip


def holders(centre: Centre, rows: int, streams: Streams) -> tuple[Table, Table]:
    """Holders, then their loans (`row`: of whom). Categories are positions in `CODES`, money is fen."""
    people = _people(centre, rows, streams)
    wage = _wages(people, streams)
    high = wage > HIGH_INCOME * wage.mean()
    people["income_band"] = high.astype(np.int64)
    paying = people["is_payer"].astype(np.float64)
    dues = np.where(people["account_type"] == _at("account_type", "flexible"), 0.35, 1.0)
    people["deposited_year"] = shared(
        wage * dues * paying, centre.share("deposited_year", rows), _most("deposited_year")
    )
    saved = wage * (2026 - people["birth_year"] - 18.0).clip(1) * _around(streams("balance"), rows, 0.5)
    people["deposit_balance"] = shared(saved, centre.share("deposit_balance", rows), _most("deposit_balance"))
    loans = _loans(centre, rows, streams)
    owes = np.bincount(loans["row"], minlength=rows) > 0
    people["loan_balance"] = np.bincount(loans["row"], loans["left"], rows).astype(np.int64)
    _overdue(people, centre, streams)
    _drawn(people, centre, owes, streams)
    lent = np.where(loans["month"] >= YEAR, loans["amount"], 0)
    people["housing_support_year"] = people["withdrawn_housing_year"] + np.bincount(loans["row"], lent, rows).astype(
        np.int64
    )
    return people, loans


def _people(centre: Centre, rows: int, streams: Streams) -> Table:
    other, flexible = float(centre.entry["other_units"]), float(centre.entry["flexible"])
    shares = {name: share * (1 - other - flexible) for name, share in UNITS.items()} | {
        "flexible": flexible,
        "other": other,
    }
    unit = _dealt("unit_type", shares, rows, streams("unit"))
    is_flexible = unit == _at("unit_type", "flexible")
    age = np.clip(np.rint(streams("age").normal(38, 10, rows)), 18, 65).astype(np.int64)
    return {
        "account": keys(streams, 0, rows),
        "sex": _dealt("sex", {"male": 0.54, "female": 0.455, "unknown": 0.005}, rows, streams("sex")),
        "birth_year": SNAPSHOT.year - age,
        "account_type": np.where(is_flexible, _at("account_type", "flexible"), _at("account_type", "employed")),
        "unit_type": unit,
        "is_payer": _chosen(PAYERS, rows, streams("payer")).astype(np.int64),
        "is_new": _chosen(NEW, rows, streams("new")).astype(np.int64),
    }


def _wages(people: Table, streams: Streams) -> Reals:
    """By the year: log-normal, lower for the young and the flexible."""
    rows = len(people["account"])
    young = np.where(SNAPSHOT.year - people["birth_year"] < 30, 0.8, 1.0)
    flexible = np.where(people["account_type"] == _at("account_type", "flexible"), 0.6, 1.0)
    return np.asarray(_around(streams("wage"), rows, 0.55) * young * flexible)


def _loans(centre: Centre, rows: int, streams: Streams) -> Table:
    """A loan of every borrower, a second one of a few. What is lent in the year, and what is left of all, are the facts' parts."""
    issued, left = centre.share("loan_issued_year", rows), centre.share("loan_balance", rows)
    new = max(2, round(issued / 100 / LOAN_YUAN))
    old = max(2, round((left / 100 - new * LOAN_YUAN) / (LOAN_YUAN * LEFT)))
    borrowers = streams("borrowers").permutation(rows)
    row = np.concatenate([borrowers[:new], borrowers[new : new + old]])
    again = borrowers[: new // 20]  # who has an earlier loan as well, paid back
    row = np.concatenate([row, again])
    number, is_new = len(row), np.arange(len(row)) < new
    past = streams("month").integers(YEAR - 12 * 14, YEAR, number)
    month = np.where(is_new, YEAR + streams("month of the year").integers(0, 12, number), past)
    weight = np.clip(_around(streams("loan"), number, 0.35), 0.3, 2.2)
    amount = np.rint(weight * LOAN_YUAN * 100).astype(np.int64)
    amount[is_new] = shared(weight[is_new], issued, _most("amount"))
    paid = (YEAR + 12 - month) / (12 * 40) * streams("paid").uniform(0.5, 1.2, number)
    owed = amount * np.clip(1 - paid, 0.2, 1.0)
    owed[number - len(again) :] = 0
    owed[: new + old] = _within(owed[: new + old], left, amount[: new + old])
    return {
        "row": row,
        "month": month,
        "amount": amount,
        "left": owed.astype(np.int64),
        "area_band": _dealt("area_band", AREAS, number, streams("area")),
        "home_order": _dealt("home_order", ORDERS, number, streams("order")),
        "payers_per_loan": _dealt("payers_per_loan", TOGETHER, number, streams("payers")),
    }


def _overdue(people: Table, centre: Centre, streams: Streams) -> None:
    rows, owed = len(people["account"]), people["loan_balance"]
    stream, late = streams("overdue"), np.zeros(rows, dtype=np.int64)
    able = np.argsort(-owed * stream.uniform(0.5, 1.0, rows), kind="stable")[: max(3, round(OVERDUE * rows))]
    late[able] = 1
    weights = late * _around(streams("how much"), rows, 0.4)
    people["overdue_balance"] = _within(
        weights, centre.share("overdue_balance", rows), np.minimum(owed, _most("overdue_balance"))
    )
    people["overdue_months"] = late * np.minimum(1 + streams("how long").geometric(0.35, rows), 24)


def _drawn(people: Table, centre: Centre, owes: Booleans, streams: Streams) -> None:
    """Who owes draws to repay more often than others."""
    rows, names = len(people["account"]), list(REASONS)
    drawing = _chosen(DRAWING, rows, streams("drawing")) | (owes & _chosen(0.5, rows, streams("repaying")))
    shares = {name: often for name, (often, _) in REASONS.items()}
    reason = np.array([_at("withdrawal_reason", name) for name in names])[_picked(shares, rows, streams("reason"))]
    reason = np.where(owes, _at("withdrawal_reason", "repay_loan"), reason)
    size = np.zeros(len(_codes("withdrawal_reason")))
    for name, (_, much) in REASONS.items():
        size[_at("withdrawal_reason", name)] = much
    weights = drawing * size[reason] * _around(streams("drawn"), rows, 0.6)
    people["withdrawn_year"] = shared(weights, centre.share("withdrawn_year", rows), _most("withdrawn_year"))
    housing = np.isin(reason, [_at("withdrawal_reason", name) for name in HOUSING])
    people["withdrawn_housing_year"] = np.where(housing, people["withdrawn_year"], 0)
    people["withdrawal_reason"] = np.where(people["withdrawn_year"] > 0, reason, NOT_GIVEN)


# --- amounts


def shared(weights: Reals, total: int, most: int) -> Wholes:
    """Whole fen in proportion to `weights`, none above `most`, that add up to `total`."""
    return _within(weights, total, np.full(len(weights), most, dtype=np.int64))


def _within(weights: Reals | Wholes, total: int, most: Wholes) -> Wholes:
    """The same with a `most` of each: what is cut off goes to the others. A total that does not fit is a bug of the figures."""
    found, full = np.zeros(len(weights), dtype=np.int64), np.asarray(weights <= 0)
    while True:
        rest = total - int(found[full].sum())
        found[~full] = apportion(np.asarray(weights)[~full], rest)
        over = ~full & (found > most)
        if not over.any():
            return found
        found[over] = most[over]
        full |= over
        if full.all():
            raise ValueError("more than all of these may hold")


def _around(stream: Any, rows: int, sd: float) -> Reals:
    """Log-normal of mean 1."""
    return np.asarray(np.exp(stream.normal(-(sd**2) / 2, sd, rows)))


def _chosen(share: float, rows: int, stream: Any) -> Booleans:
    return choose(np.full(rows, share), stream)


def _picked(shares: Mapping[str, float], rows: int, stream: Any) -> Column:
    """Positions in `shares`, in their proportions as near as whole numbers allow."""
    dealt = np.repeat(np.arange(len(shares)), apportion(list(shares.values()), rows))
    return np.asarray(stream.permutation(dealt))


def _dealt(variable: str, shares: Mapping[str, float], rows: int, stream: Any) -> Column:
    return np.array([_at(variable, name) for name in shares])[_picked(shares, rows, stream)]


# --- the dictionary


@lru_cache
def _codes(variable: str) -> tuple[str, ...]:
    meant = dictionaries.load(DICTIONARY)
    return meant.codes(variable if variable in meant.variables else f"loans.{variable}")


def _at(variable: str, code: str) -> int:
    return _codes(variable).index(code)


def _most(variable: str) -> int:
    """The top of a public range, in fen."""
    meant = dictionaries.load(DICTIONARY)
    entry = meant.variables.get(variable) or meant.events["loans"].variables[variable]
    return int(entry.range[1] * 100)  # type: ignore[union-attr, operator] # a variable of type money


# --- files


def _labels(variable: str) -> tuple[str, ...]:
    """What the city writes: the Chinese words of the dictionary."""
    meant = dictionaries.load(DICTIONARY)
    name = variable if variable in meant.variables else f"loans.{variable}"
    return tuple(meant.code_label(name, code, "zh") for code in _codes(variable))


COLUMNS: Final = {
    "性别": "sex", "出生年": "birth_year", "账户性质": "account_type", "单位性质": "unit_type", "收入水平": "income_band",
    "本年是否实缴": "is_payer", "本年是否新开户": "is_new", "本年缴存额": "deposited_year", "本年提取额": "withdrawn_year",
    "住房消费类提取额": "withdrawn_housing_year", "本年主要提取原因": "withdrawal_reason", "缴存余额": "deposit_balance",
    "个贷余额": "loan_balance", "逾期额": "overdue_balance", "逾期月数": "overdue_months", "住房支持额": "housing_support_year",
}  # fmt: skip
LOAN_COLUMNS: Final = {
    "发放额": "amount",
    "购房面积": "area_band",
    "购房套次": "home_order",
    "缴存职工数": "payers_per_loan",
}
CODED: Final = (
    "sex",
    "account_type",
    "unit_type",
    "income_band",
    "withdrawal_reason",
    "area_band",
    "home_order",
    "payers_per_loan",
)


def _typed(variable: str, column: Column) -> Typed:
    if variable in ("is_payer", "is_new"):
        return Typed(column, "text", ("否", "是"))
    return Typed(column, "text", _labels(variable)) if variable in CODED else Typed(column)


def _local(people: Table) -> dict[str, Typed]:
    label = Typed(np.zeros(len(people["account"]), dtype=np.int8), "text", (SYNTHETIC,))
    columns = {name: _typed(variable, people[variable]) for name, variable in COLUMNS.items()}
    return {"个人账号": Typed(people["account"], "text"), LABEL: label, **columns}


def _local_loans(loans: Table) -> dict[str, Typed]:
    label = Typed(np.zeros(len(loans["row"]), dtype=np.int8), "text", (SYNTHETIC,))
    month = loans["month"] // 12 * 100 + loans["month"] % 12 + 1
    columns = {name: _typed(variable, loans[variable]) for name, variable in LOAN_COLUMNS.items()}
    return {"个人账号": Typed(loans["account"], "text"), LABEL: label, "发放年月": Typed(month, "text"), **columns}


def _city(centre: Centre) -> str:
    """`city.yaml` with its facts."""
    entry = centre.entry
    scope = ", ".join(f"{name}: {held}" for name, held in entry["scope"].items())
    lines = [
        f"  {name}: {{value: {value}, unit: 亿元, as_of: {SNAPSHOT}, "
        f"visible: {'summed' if name in centre.summed else 'public'}, source: 虚构 invented}}\n"
        for name, value in entry["facts"].items()
    ]
    return (
        "# An invented population and invented figures. 合成数据：人口与年报数字均为虚构，不对应任何真实个人或中心\n"
        f"city: {centre.city}\nname: {{zh: {entry['name']['zh']}, en: {entry['name']['en']}}}\n"
        f'code: "{entry["code"]}" # GB/T 2260\nscope: {{{scope}}}\nsynthetic: true\nfacts:\n{"".join(lines)}'
    )


def _shipped(name: str) -> bytes:
    return resources.files("simulations.cities").joinpath(name).read_bytes()
