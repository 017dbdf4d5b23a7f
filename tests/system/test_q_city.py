"""The published single-city profile, end to end: Q city's folder through mapping, ingest, gate, secure sum and release, in mode exact.

A sum needs three cities. Three folders that each hold Q city's file give three times its counts, and its shares and indices unchanged.
"""

import json
import shutil
from pathlib import Path
from typing import Any, Final

import pytest

from coordinator import release
from protocols import study
from simulations import cities, world
from simulations.cities.facts import facts_file

COPIES: Final = ("q-east", "q-middle", "q-west")
FLAGSHIP: Final = Path(release.__file__).parent / "studies" / "flexible-employment-profile.yaml"
FACTS: Final[dict[str, Any]] = facts_file()["q_city"]
COLUMNS: Final = {"00后": "00s", "90后": "90s", "80后": "80s", "70后": "70s", "60后": "60s"}


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    base = tmp_path_factory.mktemp("q")
    cities.write(base / "made", ["chongqing"])
    for name in COPIES:
        shutil.copytree(base / "made" / "chongqing", base / "cities" / name)
        for file in ("city.yaml", "mapping.yaml"):
            path = base / "cities" / name / file
            path.write_text(
                path.read_text(encoding="utf-8").replace("city: chongqing", f"city: {name}", 1), encoding="utf-8"
            )
    asked = FLAGSHIP.read_text(encoding="utf-8").replace(
        ", clip: [0, 100000]", ""
    )  # the published totals are of all payments
    (base / "study.yaml").write_text(asked, encoding="utf-8")
    outcome = world.run(study.load(base / "study.yaml").in_exact_mode(), base / "cities", base / "homes", seed=1)
    found: dict[str, Any] = json.loads(outcome.results)["questions"]
    return found


def value(questions: dict[str, Any], question: str, measure: str, **keys: str) -> float:
    (row,) = (
        row
        for row in questions[question]["rows"]
        if row["scope"] == "pooled"
        and row["measure"] == measure
        and all(row[key] == code for key, code in keys.items())
    )
    found: float = row["estimate"]
    return found


def published(key: str) -> dict[str, Any]:
    (fact,) = (fact for fact in FACTS["facts"] if fact["key"] == key)
    found: dict[str, Any] = fact
    return found


@pytest.mark.parametrize(
    ("question", "keys", "fact"),
    [
        ("accounts", {}, "n_accounts"),
        ("status", {"account_status": "normal"}, "n_normal"),
        ("ever", {"ever_paid": "yes"}, "n_ever_contributed"),
        ("withdrew", {"withdrew_24m": "true"}, "n_withdrew"),
        ("abnormal", {"abnormal": "yes"}, "n_abnormal"),
        ("owner", {"owner": "yes"}, "n_owner"),
    ],
)
def test_published_counts_come_out_exactly(
    questions: dict[str, Any], question: str, keys: dict[str, str], fact: str
) -> None:
    assert value(questions, question, "count", **keys) == len(COPIES) * published(fact)["value"]


@pytest.mark.parametrize("product", ["lump_sum", "monthly", "free"])
@pytest.mark.parametrize("column", list(COLUMNS))
def test_table_1_comes_out_within_half_a_point(questions: dict[str, Any], product: str, column: str) -> None:
    table = FACTS["table1_tgi"]
    printed = table["rows"][product][table["columns"].index(column)]
    found = value(questions, "tgi_generation", "index", product=product, generation=COLUMNS[column])
    assert abs(found - printed) <= table["tolerance"]


@pytest.mark.parametrize("product", ["lump_sum", "monthly", "free"])
def test_products_come_out_exactly_and_their_shares_within_0_3_points(questions: dict[str, Any], product: str) -> None:
    derived = FACTS["table1_tgi"]["derived"]
    assert value(questions, "product", "count", product=product) == len(COPIES) * derived["product_count"][product]
    assert abs(value(questions, "product", "share", product=product) - derived["product_share"][product]) <= 0.003


@pytest.mark.parametrize("column", list(COLUMNS))
def test_shares_of_generations_come_out_within_0_3_points(questions: dict[str, Any], column: str) -> None:
    chosen = FACTS["table1_tgi"]["derived"]["generation_share_chosen"]
    assert abs(value(questions, "generation", "share", generation=COLUMNS[column]) - chosen[column]) <= 0.003


def test_lump_sum_users_are_the_printed_share(questions: dict[str, Any]) -> None:
    assert (
        abs(value(questions, "product", "share", product="lump_sum") - published("share_lump_users")["value"]) <= 0.003
    )


def test_withdrawers_are_mostly_of_the_free_product_as_the_corrected_reading_says(questions: dict[str, Any]) -> None:
    share = value(questions, "withdrew_product", "row_share", withdrew_24m="true", product="free")
    assert abs(share - published("withdrew_free_share")["value"]) <= 0.001


def of_known(questions: dict[str, Any], question: str, measure: str, **keys: str) -> dict[str, Any]:
    """The row of a mean over the holders whose value is known."""
    (row,) = (
        row
        for row in questions[question]["rows"]
        if row["scope"] == "pooled"
        and row["measure"] == measure
        and "known" in row.values()
        and all(row[key] == code for key, code in keys.items())
    )
    found: dict[str, Any] = row
    return found


@pytest.mark.parametrize(("question", "printed"), [("paid", 214_000_000), ("drawn", 6_936_382)])
def test_published_totals_come_out_to_the_fen(questions: dict[str, Any], question: str, printed: int) -> None:
    assert of_known(questions, question, "total")["estimate"] == len(COPIES) * printed


def test_the_share_of_lump_sums_in_the_amount_comes_out_within_0_1_points(questions: dict[str, Any]) -> None:
    row = of_known(questions, "paid_product", "total_share", product="lump_sum")
    assert abs(row["estimate"] - published("share_lump_amount")["value"]) <= 0.001


@pytest.mark.parametrize(
    ("product", "count", "mean", "deviation"), [("monthly", 8165, 956.22, 1031.59), ("free", 10814, 319.54, 1954.40)]
)
def test_table_3_comes_out_with_its_numbers_means_and_deviations(
    questions: dict[str, Any], product: str, count: int, mean: float, deviation: float
) -> None:
    found = {each: of_known(questions, "base_mean", each, product=product) for each in ("count", "mean", "sd")}
    assert found["count"]["estimate"] == len(COPIES) * count
    assert found["mean"]["estimate"] == pytest.approx(mean, rel=0.005)
    assert found["sd"]["estimate"] == pytest.approx(deviation, rel=0.01)
