"""The invented cities: Q city meets every published figure, the folders keep their labels and their truth."""

import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import python_calamine

from node import ingest, mapping, policy
from node.city import load as load_city
from protocols import yamltext
from protocols.dictionary import load
from protocols.entropy import seeded
from protocols.errors import ConfigError
from simulations.cities import ALL, write
from simulations.cities.broken import KINDS
from simulations.cities.facts import PROFILES, facts_file

AS_OF = 2022
HIGH = ("postgraduate", "bachelor", "college")
LOW = ("vocational", "high_school", "junior_or_less")
MANUAL = ("driver_courier", "service", "production", "farming")

Reals = npt.NDArray[np.float64]


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("cities") / "world"
    write(out)
    return out


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("cities") / "small"
    write(out, rows=2000)
    return out


def table(path: Path, query: str = "select * from read_parquet($1) order by city, account") -> pd.DataFrame:
    with duckdb.connect() as database:
        return database.execute(query, [str(path)]).df()


def rows_of(world: Path) -> pd.DataFrame:
    """The clean rows, with what the published figures are about."""
    rows = table(world / "truth" / "clean.parquet")
    rows["age"] = AS_OF - rows["birth_year"]
    rows["high"], rows["low"] = rows["education"].isin(HIGH), rows["education"].isin(LOW)
    rows["unmarried"], rows["male"] = rows["marital"] == "unmarried", rows["sex"] == "male"
    rows["free"], rows["owner"] = rows["product"] == "free", rows["homes"].fillna(0) >= 1
    rows["abnormal"] = (rows["account_status"] == "sealed") | (rows["paid_total"] == 0)
    low_income = rows["household_income"].fillna(0) < 600_000  # null counts as 0, as in the source (Q12)
    rows["segment"] = np.where(rows["age"] >= 45, "middle", np.where(low_income, "young low", "young high"))
    return rows


@pytest.fixture(scope="session")
def clean(world: Path) -> pd.DataFrame:
    return rows_of(world)


@pytest.fixture(scope="session")
def q(clean: pd.DataFrame) -> pd.DataFrame:
    return clean[clean["city"] == "chongqing"]


def peaks(ages: "pd.Series[int]", width: float) -> list[int]:
    """Local maxima of a kernel density over ages 16..62, the highest first; `width`: standard deviation of the kernel in years."""
    grid = np.arange(16, 63)
    density = np.exp(-(((grid[:, None] - ages.to_numpy()[None, :]) / width) ** 2) / 2).sum(axis=1)
    inner = (density[1:-1] > density[:-2]) & (density[1:-1] >= density[2:])
    found = grid[1:-1][inner]
    return [int(age) for age in found[np.argsort(-density[1:-1][inner])]]


# --- acceptance of Q city, row by row


def test_p1_accounts_normal_and_ever_contributed(q: pd.DataFrame) -> None:
    assert (len(q), (q["account_status"] == "normal").sum(), (q["paid_total"] > 0).sum()) == (26606, 26430, 26020)


def test_p2_total_contributed_is_exact_to_the_fen(q: pd.DataFrame) -> None:
    assert q["paid_total"].sum() == 21_400_000_000


def test_p3_product_users(q: pd.DataFrame) -> None:
    users = q["product"].value_counts()
    assert (users["lump_sum"], users["monthly"], users["free"]) == (7564, 8191, 10851)
    assert abs(users["lump_sum"] / len(q) - 0.283) <= 0.003


@pytest.mark.parametrize("product", ["lump_sum", "monthly", "free"])
@pytest.mark.parametrize("position", range(5))
def test_p4_preference_index_of_every_generation(q: pd.DataFrame, product: str, position: int) -> None:
    printed = facts_file()["q_city"]["table1_tgi"]["rows"][product][position]
    low, high = [(2000, 2009), (1990, 1999), (1980, 1989), (1970, 1979), (1960, 1969)][position]
    generation = q["birth_year"].between(low, high)
    index = 100 * generation[q["product"] == product].mean() / generation.mean()
    assert abs(index - printed) <= 0.1  # the specification allows 0.5 and says that 0.065 can be reached


def test_p5_born_in_the_eighties_and_nineties(q: pd.DataFrame) -> None:
    assert q["birth_year"].between(1980, 1999).mean() > 0.60


def test_p6_under_35(q: pd.DataFrame) -> None:
    assert (q["age"] < 35).mean() > 0.50


def test_p7_the_highly_educated_are_young(q: pd.DataFrame) -> None:
    high = q[q["high"]]
    assert abs(len(high) / len(q) - 0.40) <= 0.003
    assert abs(high["age"].mean() - 30) <= 0.5
    assert (high["age"] < 35).mean() > 0.75


def test_p8_the_less_educated_are_older(q: pd.DataFrame) -> None:
    low = q[q["low"]]
    assert len(low) / len(q) > 0.50
    assert abs(low["age"].mean() - 37) <= 0.5


def test_p9_the_less_educated_over_35_and_over_47(q: pd.DataFrame) -> None:
    ages = q[q["low"]]["age"]
    assert (ages > 35).mean() > 0.50
    assert (ages > 47).mean() > 0.25


def test_p10_education_not_known(q: pd.DataFrame) -> None:
    assert abs((q["education"] == "unknown").mean() - 0.07) <= 0.005


def test_p11_manual_work_of_the_less_educated(q: pd.DataFrame) -> None:
    assert abs(q[q["low"]]["occupation"].isin(MANUAL).mean() - 0.70) <= 0.01


def test_p12_segment_from_45_on(q: pd.DataFrame) -> None:
    middle = q[q["segment"] == "middle"]
    assert abs(middle["low"].mean() - 0.90) <= 0.02
    assert abs((middle["occupation"] == "self_employed").mean() - 0.50) <= 0.05
    assert abs(middle["free"].mean() - 0.57) <= 0.01


def test_p13_segment_young_with_low_income(q: pd.DataFrame) -> None:
    segment = q[q["segment"] == "young low"]
    shares = segment["product"].value_counts(normalize=True)
    assert abs(segment["high"].mean() - 0.50) <= 0.05
    assert abs((segment["occupation"] == "unclassified").mean() - 0.30) <= 0.05
    assert shares.idxmax() == "free"
    assert shares.max() - shares.min() < 0.10


def test_p14_segment_young_with_high_income(q: pd.DataFrame) -> None:
    segment = q[q["segment"] == "young high"]
    assert abs(segment["high"].mean() - 0.40) <= 0.05
    assert abs((segment["occupation"] == "unclassified").mean() - 0.30) <= 0.05
    assert segment["product"].value_counts().idxmax() == "monthly"


def test_p15_sex_and_marital_status(q: pd.DataFrame) -> None:
    young = q["age"] < 28
    assert 0.50 <= q["male"].mean() <= 0.56
    assert 0.50 <= q["unmarried"].mean() <= 0.55
    assert q[young]["unmarried"].mean() > 0.70
    assert 0.45 <= q[~young]["unmarried"].mean() <= 0.50


def base_of(q: pd.DataFrame, product: str) -> "pd.Series[float]":
    return q[q["product"] == product]["contribution_base"].dropna() / 100


@pytest.mark.parametrize(
    ("product", "count", "mean", "deviation", "least", "most"),
    [("monthly", 8165, 956.22, 1031.59, 180, 3500), ("free", 10814, 319.54, 1954.40, 0, 76200)],
    ids=["p16 monthly", "p18 free"],
)
def test_p16_p18_contribution_base(
    q: pd.DataFrame, product: str, count: int, mean: float, deviation: float, least: int, most: int
) -> None:
    base = base_of(q, product)
    assert (len(base), base.min(), base.max()) == (count, least, most)
    assert base.mean() == pytest.approx(mean, rel=0.005)
    assert base.std() == pytest.approx(deviation, rel=0.01)


@pytest.mark.parametrize("reading", ["linear", "higher", "inverted_cdf"])
@pytest.mark.parametrize(
    ("product", "printed"),
    [("monthly", [180, 200, 500, 1199, 3500]), ("free", [0, 0, 180, 200, 1000])],
    ids=["p17 monthly", "p19 free"],
)
def test_p17_p19_quantiles_of_the_base(q: pd.DataFrame, product: str, printed: list[int], reading: str) -> None:
    found = np.quantile(base_of(q, product), [0.05, 0.25, 0.5, 0.75, 0.95], method=reading)  # type: ignore[call-overload]  # numpy's stubs want a literal
    assert np.abs(found - printed).max() <= 1


def test_p20_base_of_lump_sums(q: pd.DataFrame) -> None:
    base = base_of(q, "lump_sum")
    assert (base == 180).sum() >= 0.25 * len(base) + 1
    assert (base < 1000).mean() > 0.50
    assert abs((base == base.max()).mean() - 0.25) <= 0.003


def test_p21_lump_sums_in_the_amount(q: pd.DataFrame) -> None:
    share = q[q["product"] == "lump_sum"]["paid_total"].sum() / q["paid_total"].sum()
    assert abs(share - 0.736) <= 0.001


def test_p22_withdrawals(q: pd.DataFrame) -> None:
    assert (q["withdrew_24m"].sum(), q["withdrawn_24m"].sum()) == (1423, 693_638_200)
    assert abs(q["withdrawn_24m"].sum() / q["paid_total"].sum() - 0.032) <= 0.001


def test_p23_who_withdrew(q: pd.DataFrame) -> None:
    drew = q[q["withdrew_24m"]]
    products = drew["product"].value_counts(normalize=True)
    assert drew["free"].sum() == 1244
    assert abs(products["free"] - 0.874) <= 0.001
    assert products.drop("free").max() < 0.08
    assert abs(drew["male"].mean() - 0.64) <= 0.01
    assert abs(drew["unmarried"].mean() - 0.62) <= 0.01


@pytest.mark.parametrize("width", [2.5, 3.5, 5.0])
def test_p24_ages_of_withdrawal(q: pd.DataFrame, width: float) -> None:
    drew = q[q["withdrew_24m"]]
    men, women = peaks(drew[drew["male"]]["age"], width), peaks(drew[~drew["male"]]["age"], width)
    assert abs(men[0] - 30) <= 3
    young, old = sorted(women[:2])
    assert abs(young - 30) <= 3
    assert abs(old - 50) <= 3


def test_p25_abnormal_accounts(q: pd.DataFrame) -> None:
    never, sealed = q["paid_total"] == 0, q["account_status"] == "sealed"
    assert (q["abnormal"].sum(), never.sum(), sealed.sum(), (never & sealed).sum()) == (729, 586, 143, 0)
    assert (q["interrupted"] == q["abnormal"]).all()


@pytest.mark.parametrize("width", [2.5, 3.5, 5.0])
def test_p26_whose_accounts_are_abnormal(q: pd.DataFrame, width: float) -> None:
    abnormal = q[q["abnormal"]]
    assert abnormal["unmarried"].mean() > 0.65
    assert (~abnormal["owner"]).mean() > 0.96
    highest = peaks(abnormal[abnormal["male"]]["age"], width)
    assert abs(highest[0] - 27) <= 3


def test_p27_owners(q: pd.DataFrame) -> None:
    owners = q[q["owner"]]
    assert len(owners) == 759
    assert (owners["marital"] == "married").mean() > 0.86
    assert owners["free"].mean() > 0.50
    assert 27 <= owners["abnormal"].sum() <= 29


def test_p28_channels_and_banks(q: pd.DataFrame) -> None:
    assert abs((q["channel"] == "counter").mean() - 0.003) <= 0.001
    assert q["bank"].value_counts().idxmax() == "local"
    ages = q.groupby("channel")["age"].mean()
    assert ages["wechat"] > ages["alipay"]
    assert set(q["channel"].value_counts().index[:2]) == {"alipay", "wechat"}


def test_p29_merchants_bank_among_the_highly_educated(q: pd.DataFrame) -> None:
    assert abs((q[q["high"]]["bank"] == "cmb").mean() - 0.24) <= 0.01


def test_p30_windows_nest_in_every_row(clean: pd.DataFrame) -> None:
    for prefix in ("paid", "withdrawn", "withdrawals"):
        assert (clean[f"{prefix}_6m"] <= clean[f"{prefix}_12m"]).all()
        assert (clean[f"{prefix}_12m"] == clean[f"{prefix}_24m"]).all()
    assert (clean["paid_24m"] == clean["paid_total"]).all()


def test_every_row_of_the_acceptance_table_has_a_test_of_its_own(request: pytest.FixtureRequest) -> None:
    """P1 to P30, by the name of a test or of one of its cases."""
    named = {
        int(number)
        for name, function in vars(request.module).items()
        if name.startswith("test_p")
        for number in re.findall(r"\bp(\d+)", " ".join([name.replace("_", " "), *cases(function)]))
    }
    assert named == set(range(1, 31))


def cases(function: Any) -> list[str]:
    return [name for mark in getattr(function, "pytestmark", []) for name in mark.kwargs.get("ids") or []]


@pytest.mark.slow  # 20 worlds of Q city: the figures do not hang on the default seed
@pytest.mark.parametrize("seed", range(1, 21))
def test_the_published_figures_hold_for_other_seeds(tmp_path: Path, seed: int) -> None:
    write(tmp_path / "q", cities=("chongqing",), seed=seed)
    q = rows_of(tmp_path / "q")
    for check in (
        *(test_p1_accounts_normal_and_ever_contributed, test_p2_total_contributed_is_exact_to_the_fen),
        *(test_p3_product_users, test_p5_born_in_the_eighties_and_nineties, test_p6_under_35),
        *(test_p7_the_highly_educated_are_young, test_p8_the_less_educated_are_older),
        *(test_p9_the_less_educated_over_35_and_over_47, test_p10_education_not_known),
        *(test_p11_manual_work_of_the_less_educated, test_p12_segment_from_45_on),
        *(test_p13_segment_young_with_low_income, test_p14_segment_young_with_high_income),
        *(test_p15_sex_and_marital_status, test_p20_base_of_lump_sums, test_p21_lump_sums_in_the_amount),
        *(test_p22_withdrawals, test_p23_who_withdrew, test_p25_abnormal_accounts, test_p27_owners),
        *(test_p28_channels_and_banks, test_p29_merchants_bank_among_the_highly_educated),
        test_p30_windows_nest_in_every_row,
    ):
        check(q)
    for product in ("lump_sum", "monthly", "free"):
        for position in range(5):
            test_p4_preference_index_of_every_generation(q, product, position)
    test_p16_p18_contribution_base(q, "monthly", 8165, 956.22, 1031.59, 180, 3500)
    test_p16_p18_contribution_base(q, "free", 10814, 319.54, 1954.40, 0, 76200)
    test_p17_p19_quantiles_of_the_base(q, "monthly", [180, 200, 500, 1199, 3500], "linear")
    test_p17_p19_quantiles_of_the_base(q, "free", [0, 0, 180, 200, 1000], "linear")
    test_p24_ages_of_withdrawal(q, 5.0)
    test_p26_whose_accounts_are_abnormal(q, 5.0)


# --- every row is possible


def test_nobody_withdraws_more_than_was_paid_or_before_paying(clean: pd.DataFrame) -> None:
    assert (clean["withdrawn_24m"] <= clean["paid_total"]).all()
    assert ((clean["withdrawn_24m"] > 0) == clean["withdrew_24m"]).all()
    assert (clean[clean["withdrew_24m"]]["months_to_first_withdrawal"] >= 1).all()


def test_payments_and_states_agree(clean: pd.DataFrame) -> None:
    assert ((clean["paid_total"] > 0) == (clean["months_paying"] > 0)).all()
    assert (clean["consecutive_periods"] <= clean["months_paying"]).all()
    assert (clean[clean["closed"]]["withdrawn_24m"] == clean[clean["closed"]]["paid_total"]).all()
    assert (clean["months_paying"] <= 10 - clean["opened_month"]).all()
    sealed = clean[clean["account_status"] == "sealed"]
    assert (sealed["event_at"] >= 1).all()
    assert (sealed["consecutive_periods"] == 0).all()


def test_values_lie_in_the_public_domain(clean: pd.DataFrame) -> None:
    for name, variable in load("hpf-flexible-employment@1").variables.items():
        if name == "worries":
            continue
        values = clean[name].dropna()
        if variable.type == "category":
            assert set(values) <= set(variable.codes), name
        elif variable.type in ("money", "integer"):
            low, high = (int(bound * (100 if variable.type == "money" else 1)) for bound in variable.range)
            assert values.between(low, high).all(), name
        elif variable.type == "date":
            assert values.dt.date.between(*variable.range).all()


def test_two_of_the_unused_fields_are_constant(q: pd.DataFrame) -> None:
    unused = ["residence", "subsidy", "backpaid_6m", "backpaid_12m", "backpaid_24m", "months_to_first_withdrawal"]
    assert [name for name in [*unused, "closed", "closing_amount"] if q[name].nunique() == 1] == [
        "subsidy",
        "backpaid_6m",
    ]


# --- siblings


@pytest.mark.parametrize("city", ALL)
def test_a_city_has_its_size_products_age_and_rate(clean: pd.DataFrame, city: str) -> None:
    profile, rows = PROFILES[city], clean[clean["city"] == city]
    assert len(rows) == profile.rows
    assert rows["free"].mean() == pytest.approx(10851 / 26606 + profile.free, abs=1e-4)
    assert (rows["product"] == "monthly").mean() == pytest.approx(8191 / 26606 + profile.monthly, abs=1e-4)
    assert rows["age"].mean() == pytest.approx(34.5 + profile.age, abs=0.1)
    assert (rows["education"] == "unknown").mean() == pytest.approx(profile.unknown_education, abs=0.002)
    spread = np.sqrt(profile.interrupted / profile.rows)
    assert abs(rows["interrupted"].mean() - profile.interrupted) <= 4 * spread
    assert rows["opened_month"].min() == profile.lag


def test_siblings_differ_as_stated(clean: pd.DataFrame) -> None:
    by_city = clean.groupby("city")
    incomes = by_city["personal_income"].mean()
    assert incomes["guangzhou"] / incomes["chongqing"] == pytest.approx(1.35, abs=0.05)
    assert incomes["shenzhen"] / incomes["chongqing"] == pytest.approx(1.5, abs=0.07)
    assert by_city["birth_year"].agg(lambda years: (years < 1970).mean())["shenzhen"] == pytest.approx(0.03, abs=0.001)
    assert by_city["residence"].agg(lambda places: (places == "other_city").mean())["guangzhou"] == pytest.approx(
        0.45, abs=0.001
    )
    assert by_city["channel"].agg(lambda channels: (channels == "counter").sum())["changzhou"] == 0
    assert 1 - by_city["male"].mean()["changzhou"] == pytest.approx(0.55, abs=0.01)


def test_the_free_share_is_heterogeneous_between_cities(clean: pd.DataFrame) -> None:
    """I^2 = 1 - (k - 1) / Q above 0.9 (Higgins and Thompson 2002), as section 5 demands."""
    shares = clean.groupby("city")["free"].agg(["mean", "size"])
    weight = shares["size"] / (shares["mean"] * (1 - shares["mean"]))
    pooled = (weight * shares["mean"]).sum() / weight.sum()
    cochran = (weight * (shares["mean"] - pooled) ** 2).sum()
    assert 1 - (len(shares) - 1) / cochran > 0.9


def test_pooling_hides_little_of_the_odds_of_the_free_type(clean: pd.DataFrame) -> None:
    """Odds ratio of an interruption, free against other: pooled and directly standardised over cities differ by less than 10 %."""

    def odds_ratio(free: float, other: float) -> float:
        return (free / (1 - free)) / (other / (1 - other))

    pooled = odds_ratio(*(clean[clean["free"] == free]["interrupted"].mean() for free in (True, False)))
    rates = clean.groupby(["city", "free"])["interrupted"].mean().unstack()
    weights = clean["city"].value_counts(normalize=True)
    standardised = odds_ratio((rates[True] * weights).sum(), (rates[False] * weights).sum())
    assert abs(pooled / standardised - 1) < 0.10


# --- the planted hazard


def test_a_pooled_fit_finds_the_planted_slopes(world: Path, clean: pd.DataFrame) -> None:
    """Person-months of all cities, month and city constants: all nine |z| < 3.5 (section 3)."""
    truth = json.loads((world / "truth" / "truth.json").read_text(encoding="utf-8"))["hazard"]
    columns = {
        "free": clean["free"],
        "lump_sum": clean["product"] == "lump_sum",
        "male": clean["male"],
        "male_24_30": clean["male"] & clean["age"].between(24, 30),
        "female_47_53": (clean["sex"] == "female") & clean["age"].between(47, 53),
        "owner": clean["owner"],
        "unmarried": clean["unmarried"],
        "low_education": clean["low"],
        "log_income": np.log1p(clean["personal_income"] / 100) - np.log1p(4000),
    }
    assert columns.keys() == truth["slopes"].keys()
    cities = pd.get_dummies(clean["city"]).drop(columns="chongqing")
    design = np.column_stack([*columns.values(), cities]).astype(np.float64)
    event = clean["event_at"].fillna(-1).to_numpy().astype(int)
    last = np.where(event >= 0, event, 9 - clean["opened_month"].to_numpy())
    offset, terms = np.zeros(10), np.zeros(design.shape[1])
    for _ in range(12):  # Newton, month by month; an account stands in months 0 .. last
        score, information = np.zeros(10 + len(terms)), np.zeros((10 + len(terms), 10 + len(terms)))
        eta = design @ terms
        for month in range(10):
            there = last >= month
            x = design[there]
            p = 1 / (1 + np.exp(-(offset[month] + eta[there])))
            miss, weight = (event[there] == month) - p, p * (1 - p)
            score[month], information[month, month] = miss.sum(), weight.sum()
            score[10:] += x.T @ miss
            information[month, 10:] = information[10:, month] = x.T @ weight
            information[10:, 10:] += (x * weight[:, None]).T @ x
        step = np.linalg.solve(information, score)
        offset, terms = offset + step[:10], terms + step[10:]
    assert np.abs(step).max() < 1e-8
    errors = np.sqrt(np.diag(np.linalg.inv(information)))[10:19]
    z = (terms[:9] - np.array([truth["slopes"][name] for name in columns])) / errors
    assert np.abs(z).max() < 3.5


def test_the_truth_states_what_was_expected(world: Path) -> None:
    truth = json.loads((world / "truth" / "truth.json").read_text(encoding="utf-8"))
    cities = {city["city"]: city for city in truth["cities"]}
    assert list(cities) == list(ALL)
    assert cities["chongqing"]["constant"] == 0
    assert cities["chongqing"]["expected_never_paid"] == pytest.approx(586, abs=1e-5)
    assert cities["chongqing"]["expected_sealed"] == pytest.approx(143, abs=1e-5)
    for city in ALL[1:]:
        total = cities[city]["expected_never_paid"] + cities[city]["expected_sealed"]
        assert total == pytest.approx(PROFILES[city].interrupted * PROFILES[city].rows, abs=2e-5)
    steps = np.diff(truth["hazard"]["baseline"][1:])
    assert np.exp(steps) == pytest.approx([1.2 / 1.4, 1.1 / 1.2, 1 / 1.1, 1, 0.95, 0.9 / 0.95, 1, 1], rel=1e-8)


# --- labels and folders


def files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


@cache
def sheets(path: Path) -> dict[str, list[list[Any]]]:
    """Every sheet of a workbook."""
    with python_calamine.load_workbook(path) as workbook:
        return {name: list(workbook.get_sheet_by_name(name).iter_rows()) for name in workbook.sheet_names}


def test_every_data_file_and_every_table_says_that_it_is_synthetic(world: Path) -> None:
    encodings = {"chongqing": "gb18030", "suzhou": "gb18030"}
    for city in ALL:
        data = list(files(world / city / "data"))
        assert data
        for path in data:
            assert "synthetic" in path.name
            if path.suffix == ".csv":
                lines = path.read_bytes().decode(encodings.get(city, "utf-8-sig")).replace("\r\n", "\n").split("\n")
                assert "数据来源" in lines[0]
                records = [line for line in lines[1:] if "99" in line[:3]]
                assert records
                assert all("合成数据" in line for line in records)
            elif path.suffix == ".xlsx":
                for rows in sheets(path).values():
                    assert any("数据来源" in row for row in rows[:2])
                    assert all("合成数据" in row for row in rows[2:] if any(cell != "" for cell in row))
            else:
                assert table(path, 'select distinct "数据来源" as label from read_parquet($1)')["label"].tolist() == [
                    "合成数据"
                ]
        assert yamltext.read((world / city / "city.yaml").read_bytes(), "city.yaml").tree["synthetic"] == "true"  # type: ignore[index,call-overload]  # a tree of text
    for name in ("clean", "as_mapped"):
        assert set(table(world / "truth" / f"{name}.parquet")["数据来源"]) == {"合成数据"}
    assert json.loads((world / "truth" / "truth.json").read_text(encoding="utf-8"))["synthetic"] is True


PERSONAL = ("姓名", "证件", "身份证", "手机", "电话", "住址", "地址", "路", "街", "巷", "弄", "号楼", "单元")


def test_no_file_holds_anything_like_a_name_certificate_phone_or_address(small: Path) -> None:
    """Certificates have 18 places and mobile phones 11: the only long runs of digits are account keys, which begin with 99."""
    for path in files(small):
        if path.suffix == ".parquet":
            text = table(path, "select * from read_parquet($1)").to_csv(index=False)
        elif path.suffix == ".xlsx":
            text = "\n".join(
                ",".join(str(int(cell) if isinstance(cell, float) else cell) for cell in row)
                for rows in sheets(path).values()
                for row in rows
            )
        else:
            content = path.read_bytes()
            gb18030 = path.suffix == ".csv" and path.parts[-3] in ("chongqing", "suzhou")
            text = content.decode("gb18030" if gb18030 else "utf-8-sig")
        assert [word for word in PERSONAL if word in text] == [], path.name
        if path.suffix != ".json":  # the binary fractions of the truth's parameters are long, and are no rows
            long = re.findall(r"[0-9０-９]{11,}[Xx]?", text)
            assert [run for run in long if not re.fullmatch(r"99\d{10}", run)] == [], path.name
        assert re.search(r"0\d{2,3}-\d{7,8}|\w@\w+\.\w", text) is None, path.name


def test_account_keys_are_twelve_digits_from_99_and_unique_in_a_city(clean: pd.DataFrame) -> None:
    assert clean["account"].str.fullmatch(r"99\d{10}").all()
    assert not clean.duplicated(["city", "account"]).any()
    digits = clean["account"].str[2:].astype(float) / 10**10
    assert abs(digits.mean() - 0.5) < 0.01
    assert abs(np.corrcoef(digits, clean["age"])[0, 1]) < 0.02


def test_the_truth_is_in_no_city_folder(world: Path) -> None:
    assert {path.name for path in world.iterdir()} == {*ALL, "askers.yaml", "truth"}
    for city in ALL:
        assert {path.name for path in (world / city).iterdir()} == {"city.yaml", "mapping.yaml", "policy.yaml", "data"}


def test_every_city_allows_exact_answers_of_every_kind(world: Path) -> None:
    for name in ALL:
        assert load_city(world / name).synthetic
        allowed = policy.load(world / name, loose=True).file
        exact = allowed.exact
        least = (exact.min_cell, exact.min_cohort, exact.min_cohort_by_city, exact.min_pooled, exact.min_column)
        assert (*least, exact.min_unmapped) == (1,) * 6
        assert (allowed.kinds.exact, allowed.kinds.dp) == (("all",), ("all",))
        assert set(allowed.modes) == {"dp", "exact"}


def test_one_asker_of_each_role_is_named(world: Path) -> None:
    askers = yamltext.read((world / "askers.yaml").read_bytes(), "askers.yaml").tree
    assert [(asker["id"], asker["role"]) for asker in askers] == [("analyst", "analyst"), ("regulator", "regulator")]  # type: ignore[index,call-overload]  # a tree of text


def test_dialects_are_as_stated(world: Path) -> None:
    chongqing = (world / "chongqing/data/个人账户_synthetic.csv").read_bytes()
    assert chongqing.count(b"\r\n") == chongqing.count(b"\n") == 26607
    assert b",\\N," in chongqing
    assert b",," in chongqing
    chengdu = sheets(world / "chengdu/data/个人账户_synthetic.xlsx")
    assert list(chengdu) == ["账户信息", "人员信息"]
    assert [(rows[0][0] != "", rows[0][1], rows[1][0], len(rows)) for rows in chengdu.values()] == [
        (True, "", "个人账号", 31_002)
    ] * 2
    assert all(isinstance(cell, str) for rows in chengdu.values() for cell in rows[7])
    persons = "|".join(str(cell) for row in chengdu["人员信息"] for cell in row)
    assert re.search(r"\|1990/\d{1,2}/\d{1,2}\|", persons)
    assert re.search(r"\|\d{1,3},\d{3}\.\d\d\|", persons)
    assert {"-", "空", "高中/中专"} <= set(persons.split("|"))
    assert sum(row.count("D7") for row in chengdu["账户信息"]) == 3
    types = table(world / "guangzhou/data/accounts_synthetic.parquet", "describe select * from read_parquet($1)")
    kinds = dict(zip(types["column_name"], types["column_type"], strict=True))
    assert (kinds["CSNY"], kinds["LJJCE"], kinds["JCCP"], kinds["SFDJ"]) == ("DATE", "BIGINT", "VARCHAR", "BOOLEAN")
    shenzhen = sorted((world / "shenzhen/data").iterdir())
    assert len(shenzhen) == 3
    assert all(path.read_bytes().startswith(b"\xef\xbb\xbfaccount_no\t") for path in shenzhen)
    assert re.search(r"\t\d{1,3},\d{3}\.\d\d元\t", shenzhen[0].read_text("utf-8-sig"))
    suzhou = (world / "suzhou/data/accounts_synthetic.csv").read_bytes()
    assert "𬭎".encode("gb18030") in suzhou
    assert len("𬭎".encode("gb18030")) == 4
    assert '"不便\n分类"' in suzhou.decode("gb18030")
    (rows,) = sheets(world / "changzhou/data/灵活就业账户_synthetic.xlsx").values()
    names = dict(zip((below or above for above, below in zip(*rows[:2], strict=True)), range(99), strict=False))
    assert rows[0][names["性别"]] == "个人信息"
    assert "常住地" not in names
    assert rows[-1][names["个人账号"]] == "合计"
    records = [row for row in rows[2:-1] if row[0] != ""]
    assert len(rows) - 3 - len(records) == 11  # blank rows, one after each office but the last
    assert sum(row[names["办理机构"]] != "" for row in records) == 12
    assert all(isinstance(row[names["出生日期"]], float) for row in records)
    amounts = [row[names["累计缴存额"]] for row in records]
    assert all(isinstance(amount, str) for amount in amounts)
    assert any(re.fullmatch(r"[０-９]+", str(amount)) for amount in amounts)
    assert "一次性趸交型" in {row[names["产品名称"]] for row in records}


# --- through the node's own mapping and ingest


@pytest.fixture(scope="session")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("homes")


WRONG: Final[dict[str, tuple[str, ...]]] = {
    "gzip": ("个人账户_synthetic.csv:",),
    "encoding": ("accounts_01_lump_sum_synthetic.csv:1:", "utf-8-sig"),
    "column": ("mapping.yaml:", "variables.birth_year", "'年龄'"),
    "shifted": ("个人账户_synthetic.csv:302:", "record 301 "),
    "fen": ("variables.paid_total", "LJJCE", "accounts_synthetic.parquet [300]"),
    "header": ("variables.account_status", "账户状态", "个人账户_synthetic.csv [301] 汉{4}"),
    "empty": ("个人账户_synthetic.csv:",),
    "columns": ("个人账户_synthetic.csv:1:", "2000"),
    "macro": ("个人账户_synthetic.xlsx:", "macros"),
    "html": ("灵活就业账户_synthetic.xlsx:", "web page"),
}


@pytest.mark.parametrize("kind", [kind for kind in KINDS if KINDS[kind].code])
def test_what_is_wrong_in_a_file_is_named_with_its_place(tmp_path: Path, kind: str) -> None:
    city = KINDS[kind].city
    write(tmp_path / "world", cities=(city,), rows=600, broken=kind)
    with pytest.raises(ConfigError) as fault:
        ingest.ingest(tmp_path / "world" / city, tmp_path / "home", seeded("broken"))
    assert fault.value.code == KINDS[kind].code
    said = "\n".join(each.text("en") for each in fault.value.every())
    assert [place for place in WRONG[kind] if place not in said] == []
    assert not any((tmp_path / "home").rglob("*.parquet"))


def test_a_date_far_in_the_future_is_clipped_and_counted(tmp_path: Path) -> None:
    write(tmp_path / "world", cities=("guangzhou",), rows=600, broken="date")
    made = ingest.ingest(tmp_path / "world/guangzhou", tmp_path / "home", seeded("broken"))
    assert (KINDS["date"].code, made.counters["opened"].clipped_high) == ("", 1)


@cache
def ingested(folder: Path, home: Path) -> ingest.Ingested:
    home.mkdir()
    return ingest.ingest(folder, home, seeded("cities"))


@pytest.mark.parametrize("city", ALL)
def test_a_node_holds_exactly_what_the_truth_says_it_must(world: Path, homes: Path, city: str) -> None:
    """Local files, mapping, snapshot: every value and every status byte equals `truth/as_mapped.parquet`."""
    assert mapping.check(world / city) == []
    home = homes / city
    made = ingested(world / city, home)
    expected = table(world / "truth" / "as_mapped.parquet", f"select * from read_parquet($1) where city = '{city}'")  # noqa: S608 a name of ALL
    key = ingest.holder_key(home, seeded("cities"))
    expected.index = pd.Index([ingest.holder(key, account).hex() for account in expected["account"]])
    expected = expected.sort_index()
    (main,) = home.glob("snapshots/*/main.parquet")
    found = table(main, "select * from read_parquet($1)")
    assert made.rows == len(found) == len(expected)
    for name, variable in load("hpf-flexible-employment@1").variables.items():
        if name == "worries":
            assert (found["worries__s"] == 7).all()
            continue
        assert (found[f"{name}__s"].to_numpy() == expected[f"{name}__s"].to_numpy()).all(), name
        known = ~np.isin(expected[f"{name}__s"], (2, 3, 7))
        values = expected[name][known]
        if variable.type == "category":
            values = values.map({code: place for place, code in enumerate(variable.codes)})
        elif variable.type == "date":
            values = (values - pd.Timestamp("1970-01-01")).dt.days
        assert values.notna().all(), name
        assert (found[name].to_numpy()[known] == values.to_numpy().astype(np.int64)).all(), name


@pytest.mark.parametrize(
    ("city", "counts"),
    [
        ("chengdu", {"channel": {"other": 3}}),
        ("guangzhou", {"personal_income": {"clipped_low": 11}, "household_income": {"clipped_high": 11}}),
        ("changzhou", {"residence": {"impossible": 5000}}),
    ],
)
def test_traps_are_counted(world: Path, homes: Path, city: str, counts: dict[str, dict[str, int]]) -> None:
    made = ingested(world / city, homes / city)
    for variable, expected in counts.items():
        for name, count in expected.items():
            assert getattr(made.counters[variable], name) == count


@pytest.mark.parametrize(("city", "twice"), [("shenzhen", 36), ("changzhou", 10)])
def test_of_accounts_that_are_there_twice_the_newest_is_kept(world: Path, homes: Path, city: str, twice: int) -> None:
    made = ingested(world / city, homes / city)
    assert (made.rows, made.quality.tables["account"].superseded) == (PROFILES[city].rows, twice)


@pytest.mark.parametrize(("city", "merged"), [("chengdu", True), ("suzhou", True), ("shenzhen", False)])
def test_a_city_that_counts_vocational_schools_as_high_schools_is_told(small: Path, city: str, merged: bool) -> None:
    means = mapping.load(small / city)
    unused = {
        look.values["name"]: look.values["codes"] for look in mapping.warnings(means) if look.code == "MAP_CODE_UNUSED"
    }
    assert unused.get("education") == ("vocational" if merged else None)


@pytest.mark.parametrize("city", ALL)
def test_no_amount_of_a_city_looks_as_if_its_unit_were_wrong(world: Path, homes: Path, city: str) -> None:
    assert ingested(world / city, homes / city).doubts == ()


def test_ten_thousands_of_yuan_that_are_read_as_yuan_are_noticed(world: Path, tmp_path: Path) -> None:
    shutil.copytree(world / "suzhou", tmp_path / "suzhou")
    path = tmp_path / "suzhou" / "mapping.yaml"
    path.write_text(path.read_text("utf-8").replace("unit: 万元", "unit: 元"), encoding="utf-8")
    made = ingest.ingest(tmp_path / "suzhou", tmp_path / "home", seeded("unit"))
    mistaken = {doubt.values["name"] for doubt in made.doubts}
    assert mistaken == {
        *("contribution_base", "period_amount", "paid_6m", "paid_12m", "paid_24m", "paid_total"),
        *("personal_income", "household_income"),
    }
    assert {doubt.code for doubt in made.doubts} == {"QUALITY_UNIT"}
    again = ingest.ingest(tmp_path / "suzhou", tmp_path / "home", seeded("unit"))
    assert (again.unchanged, len(again.doubts)) == (True, len(mistaken))


# --- all or nothing, the same again


def digests(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files(folder)}


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(small: Path, tmp_path: Path) -> None:
    write(tmp_path / "again", rows=2000)
    write(tmp_path / "other", rows=2000, seed=1)
    first, again, other = digests(small), digests(tmp_path / "again"), digests(tmp_path / "other")
    assert first == again
    assert other.keys() == first.keys()
    assert all(other[name] != digest for name, digest in first.items() if "/data/" in name)


def test_a_city_is_the_same_whoever_else_is_written(world: Path, tmp_path: Path) -> None:
    write(tmp_path / "two", cities=("suzhou", "changzhou", "suzhou"))
    alone = digests(tmp_path / "two")
    everyone = digests(world)
    assert {name.split("/")[0] for name in alone} == {"suzhou", "changzhou", "askers.yaml", "truth"}
    assert all(everyone[name] == digest for name, digest in alone.items() if not name.startswith("truth"))


def test_no_stated_shift_is_left_at_heterogeneity_0(tmp_path: Path) -> None:
    write(tmp_path / "equal", rows=5000, heterogeneity=0.0)
    rows = table(tmp_path / "equal/truth/clean.parquet")
    shares = pd.crosstab(rows["city"], rows["product"])
    assert shares.nunique().max() == 1
    means = rows.groupby("city")["birth_year"].mean()
    assert means.max() - means.min() < 0.01
    assert set(rows["account_type"]) == {"flexible"}


def shares(q: pd.DataFrame) -> dict[str, tuple[float, float, float]]:
    """Every share of the acceptance table that has a value: as found, as printed, and how far they may be apart at 26,606 accounts."""
    high, low, middle = q[q["high"]], q[q["low"]], q[q["segment"] == "middle"]
    young_low, young_high = q[q["segment"] == "young low"], q[q["segment"] == "young high"]
    drew, lump, base = q[q["withdrew_24m"]], q[q["product"] == "lump_sum"], base_of(q, "lump_sum")
    return {
        "p3": (len(lump) / len(q), 0.283, 0.003),
        "p3 free": (q["free"].mean(), 0.4078, 0.0001),
        "p3 monthly": ((q["product"] == "monthly").mean(), 0.3079, 0.0001),
        "p7": (len(high) / len(q), 0.40, 0.003),
        "p10": ((q["education"] == "unknown").mean(), 0.07, 0.005),
        "p11": (low["occupation"].isin(MANUAL).mean(), 0.70, 0.01),
        "p12 low": (middle["low"].mean(), 0.90, 0.02),
        "p12 work": ((middle["occupation"] == "self_employed").mean(), 0.50, 0.05),
        "p12 free": (middle["free"].mean(), 0.57, 0.01),
        "p13 high": (young_low["high"].mean(), 0.50, 0.05),
        "p13 work": ((young_low["occupation"] == "unclassified").mean(), 0.30, 0.05),
        "p14 high": (young_high["high"].mean(), 0.40, 0.05),
        "p14 work": ((young_high["occupation"] == "unclassified").mean(), 0.30, 0.05),
        "p15 male": (q["male"].mean(), 0.53, 0.03),
        "p15 unmarried": (q["unmarried"].mean(), 0.525, 0.025),
        "p15 from 28": (q[q["age"] >= 28]["unmarried"].mean(), 0.475, 0.025),
        "p20": ((base == base.max()).mean(), 0.25, 0.003),
        "p21": (lump["paid_total"].sum() / q["paid_total"].sum(), 0.736, 0.001),
        "p22": (drew["withdrawn_24m"].sum() / q["paid_total"].sum(), 0.032, 0.001),
        "p23 free": (drew["free"].mean(), 0.874, 0.001),
        "p23 male": (drew["male"].mean(), 0.64, 0.01),
        "p23 unmarried": (drew["unmarried"].mean(), 0.62, 0.01),
        "p28": ((q["channel"] == "counter").mean(), 0.003, 0.001),
        "p29": ((high["bank"] == "cmb").mean(), 0.24, 0.01),
    }


@pytest.mark.parametrize("rows", [500, 5000, 60_000])
def test_with_other_rows_shares_hold_and_counts_and_money_scale(tmp_path: Path, rows: int) -> None:
    """Shares within the tolerance of the table and three standard errors; counts are the share of the rows, rounded; money scales."""
    write(tmp_path / "scaled", cities=("chongqing",), rows=rows)
    q = rows_of(tmp_path / "scaled")
    scale, slack = rows / 26606, 3 * np.sqrt(0.25 / rows)
    assert len(q) == rows
    for name, (found, printed, tolerance) in shares(q).items():
        assert abs(found - printed) <= tolerance + slack, name
    users = q["product"].value_counts()
    assert max(abs(users - scale * pd.Series({"lump_sum": 7564, "monthly": 8191, "free": 10851}))) < 1
    counts = {
        (q["paid_total"] == 0).sum(): 586,
        (q["account_status"] == "sealed").sum(): 143,
        q["withdrew_24m"].sum(): 1423,
        q["owner"].sum(): 759,
        (q["account_status"] == "withdrawn_closed").sum(): 33,
    }
    assert all(count == round(printed * scale) for count, printed in counts.items()), counts
    assert q["abnormal"].sum() == q["interrupted"].sum() == round(586 * scale) + round(143 * scale)
    assert q["paid_total"].sum() / 100 == pytest.approx(214_000_000 * scale, rel=0.003)
    assert q["withdrawn_24m"].sum() / 100 == pytest.approx(6_936_382 * scale, rel=0.001)


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        ("SIMULATE_CITY", {"cities": ("chongqing", "atlantis")}),
        ("SIMULATE_CITY", {"cities": ()}),
        ("SIMULATE_ROWS", {"rows": 499}),
        ("SIMULATE_ROWS", {"rows": 20_000_001}),
        ("SIMULATE_HETEROGENEITY", {"heterogeneity": -0.1}),
        ("SIMULATE_HETEROGENEITY", {"heterogeneity": float("nan")}),
        ("SIMULATE_SEED", {"seed": -1}),
        ("SIMULATE_BROKEN", {"broken": "heart"}),
        ("SIMULATE_BROKEN", {"broken": "macro", "cities": ("suzhou",)}),
    ],
)
def test_a_wrong_argument_writes_nothing(tmp_path: Path, code: str, arguments: dict[str, object]) -> None:
    with pytest.raises(ConfigError) as fault:
        write(tmp_path / "world", **arguments)  # type: ignore[arg-type]  # wrong on purpose
    assert fault.value.code == code
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_empty_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "world").mkdir()
    (tmp_path / "world" / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError) as fault:
        write(tmp_path / "world")
    assert fault.value.code == "SIMULATE_OUT"
    assert [path.name for path in tmp_path.rglob("*")] == ["world", "mine.txt"]


def test_a_failure_half_way_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from simulations.cities import dialects

    def fails(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setitem(dialects.DIALECTS, "suzhou", fails)
    with pytest.raises(OSError, match="disk full"):
        write(tmp_path / "world", rows=500)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "empty").mkdir()
    with pytest.raises(OSError, match="disk full"):
        write(tmp_path / "empty", rows=500)
    assert list(tmp_path.rglob("*")) == [tmp_path / "empty"]


def test_an_empty_folder_that_is_there_is_filled(tmp_path: Path) -> None:
    (tmp_path / "world").mkdir()
    write(tmp_path / "world", cities=("changzhou",), rows=500)
    assert (tmp_path / "world" / "changzhou" / "mapping.yaml").is_file()
    assert {path.name for path in (tmp_path / "world").iterdir()} == {"changzhou", "askers.yaml", "truth"}
    assert [path.name for path in tmp_path.iterdir()] == ["world"]


PARTS = {"chongqing": 3, "shenzhen": 9, "chengdu": 5, "changzhou": 5}


def test_a_large_city_is_written_in_parts_that_add_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from simulations.cities import dialects, folders

    monkeypatch.setattr(folders, "CHUNK", 1300)
    monkeypatch.setattr(dialects, "MOST_ROWS_OF_A_WORKBOOK", 700)
    write(tmp_path / "parts", cities=("chongqing", "shenzhen", "chengdu", "changzhou"), rows=3000)
    files = {city: len(list((tmp_path / "parts" / city / "data").iterdir())) for city in PARTS}
    assert files == PARTS
    q = table(tmp_path / "parts/truth/clean.parquet")
    q = q[q["city"] == "chongqing"]
    scale = 3000 / 26606
    assert not q.duplicated("account").any()
    assert q["product"].value_counts().to_dict() == {"free": 1223, "monthly": 924, "lump_sum": 853}
    assert q["interrupted"].sum() == round(586 * scale) + round(143 * scale)
    assert (q["homes"] >= 1).sum() == round(759 * scale)
    for city in PARTS:
        (tmp_path / city).mkdir()
        assert ingest.ingest(tmp_path / "parts" / city, tmp_path / city, seeded("parts", city)).rows == 3000
