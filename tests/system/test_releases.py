"""Studies that are released by city, or both ways, through the real gates: what adds up, what a lost city leaves, what is asked again."""

import json
import shutil
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest

from coordinator import output, rounds
from coordinator.verify import verify
from node import ledger
from protocols import study as studies
from protocols.errors import IncompleteError, Refusal
from protocols.study import Study
from simulations import world
from tests import gates
from tests.system.conftest import SMALL, Ask
from tests.system.test_world import flexible

BOTH: Final = SMALL.replace("questions:", "release: both\nquestions:")
BY_CITY: Final = SMALL.replace("questions:", "release: by_city\nquestions:")
MIXED: Final = SMALL.replace("kind: count}", "kind: count, release: both}").replace(
    "of: product}", "of: product, release: by_city}"
)
MEAN: Final = "  - {id: paid, kind: mean, of: paid_total, clip: [0, 100000]}\n"
CITIES: Final = ("changzhou", "chengdu", "chongqing", "guangzhou", "shenzhen", "suzhou")
TINY_LOOSE: Final = (
    "policy: 1\nkinds: {exact: all}\nexact: {min_cohort: 1, min_cohort_by_city: 1, min_pooled: 1, min_cell: 1}\n"
)
Results = dict[str, Any]


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], Study]:
    def load(text: str) -> Study:
        path = tmp_path / "asked.yaml"
        path.write_text(text, encoding="utf-8")
        return studies.load(path)

    return load


def of(outcome: world.Outcome) -> Results:
    found: Results = json.loads(outcome.results)
    return found


def holds(outcome: world.Outcome, out: Path) -> dict[str, list[str]]:
    """Steps of the verification that do not hold, with their codes."""
    output.write(out, outcome.results, outcome.events, outcome.sealer)
    steps = verify(out, None, output.made)
    return {step.name: [fault.code for fault in step.faults] for step in steps if not step.holds}


def sums(results: Results, question: str) -> dict[tuple[str, ...], dict[str, Decimal]]:
    """Counts and totals of a question by measure and keys, then by scope, as a reader of the file adds them up."""
    entry, found = results["questions"][question], dict[tuple[str, ...], dict[str, Decimal]]()
    for row in entry["rows"]:
        if row["measure"] in ("count", "total") and row["estimate"] is not None:
            at = (row["measure"], *(row[key] for key in entry["keys"]))
            found.setdefault(at, {})[row["scope"]] = Decimal(repr(row["estimate"]))
    return found


def scopes(results: Results, question: str) -> list[str]:
    return list(dict.fromkeys(row["scope"] for row in results["questions"][question]["rows"]))


def test_exact_counts_by_city_are_those_of_the_rows_of_that_city(
    ask: Ask, written: Callable[[str], Study], made: Path
) -> None:
    results = of(ask(written(BY_CITY).in_exact_mode()))
    rows = flexible(made)
    for city, own in rows.groupby("city"):
        known = own["product"].value_counts().to_dict()
        table = {
            row["product"]: row["estimate"]
            for row in results["questions"]["product"]["rows"]
            if row["scope"] == city and row["measure"] == "count"
        }
        assert {code: n for code, n in table.items() if n} == known


def test_a_study_by_city_alone_needs_no_conversation(ask: Ask, written: Callable[[str], Study], tmp_path: Path) -> None:
    outcome = ask(written(BY_CITY))
    results = of(outcome)
    assert {event["event"] for event in outcome.events} == {"offer", "count", "attest"}
    assert scopes(results, "product") == list(CITIES)
    assert not {"left_each_city", "threshold", "tolerate"} & results["privacy"].keys()
    assert holds(outcome, tmp_path / "out") == {}
    assert not list((tmp_path / "out" / "bundle").glob("secagg/*"))
    assert len(list((tmp_path / "out" / "bundle" / "counted").iterdir())) == len(CITIES)
    notes = {note.key: note.values for step in verify(tmp_path / "out", None, output.made) for note in step.notes}
    assert "own_recomputed" in notes
    assert "counted" not in str(notes.get("unchecked")), "what was computed from was looked at"


@pytest.mark.parametrize("step", ["masked", "reveal"])
def test_a_city_that_drops_out_of_the_sum_gives_no_numbers_of_its_own(
    ask: Ask, written: Callable[[str], Study], tmp_path: Path, step: str
) -> None:
    """A city lost at reveal is in the sum, and was not there when cities were asked for their own."""
    outcome = ask(written(MIXED), drops=(f"suzhou@{step}",))
    results = of(outcome)
    assert world.exit_code(outcome) == 4
    if step == "reveal":
        assert [each["city"] for each in results["cities"]["uncounted"]] == ["suzhou"]
    else:
        assert "suzhou" not in scopes(results, "product")
        for at in sums(results, "accounts").values():
            assert at.pop("pooled") == sum(at.values())
    assert set(holds(outcome, tmp_path / "out")) <= {"attestations"}


def test_a_city_lost_at_its_own_answer_is_in_the_sum_and_has_rows_without_numbers(
    ask: Ask, written: Callable[[str], Study], tmp_path: Path
) -> None:
    outcome = ask(written(BOTH), drops=("suzhou@count",))
    results = of(outcome)
    assert results["cities"]["uncounted"] == [{"city": "suzhou", "reason": "no_counted", "detail": "unreachable"}]
    assert "suzhou" in results["cities"]["answered"]
    own = [row for row in results["questions"]["accounts"]["rows"] if row["scope"] == "suzhou"]
    assert [(row["estimate"], row["obs_status"]) for row in own] == [(None, "x")]
    whole = {at: found["pooled"] for at, found in sums(results, "product").items()}
    truth = {at: found["pooled"] for at, found in sums(of(ask(written(BOTH).in_exact_mode())), "product").items()}
    assert all(abs(float(whole[at]) - float(truth[at])) < 250 for at in truth), "the totals are over all six cities"
    assert world.exit_code(outcome) == 4
    assert holds(outcome, tmp_path / "out") == {"attestations": ["BUNDLE_UNATTESTED"]}
    for language in ("zh", "en"):
        assert {"zh": "未自行作答", "en": "without numbers of its own"}[language] in (
            tmp_path / "out" / f"report.{language}.html"
        ).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def both(made: Path, ingested: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, world.Outcome]:
    """The six cities, everything released both ways, an amount among it."""
    folder = tmp_path_factory.mktemp("both")
    (folder / "asked.yaml").write_text(BOTH + MEAN, encoding="utf-8")
    homes = world.fresh_homes(folder)
    shutil.copytree(ingested, homes, dirs_exist_ok=True)
    asked = studies.load(folder / "asked.yaml")
    return asked, world.run(asked, made, homes, seed=7)


def test_pooled_rows_are_the_sums_of_the_cities_to_the_last_digit(
    both: tuple[Study, world.Outcome], tmp_path: Path
) -> None:
    asked, outcome = both
    results = of(outcome)
    for question in results["questions"]:
        assert scopes(results, question) == ["pooled", *CITIES]
        if question != "residence":
            for at in sums(results, question).values():
                assert at.pop("pooled") == sum(at.values())
    assert holds(outcome, tmp_path / "out") == {}
    assert results["privacy"]["own_of_each_city"]["cells"] == asked.workload.own.length


def test_the_whole_study_costs_once_what_it_says(both: tuple[Study, world.Outcome]) -> None:
    """Both halves are calibrated together: epsilon is that of the study."""
    privacy = of(both[1])["privacy"]
    assert {0.9999 <= each["epsilon"] <= 1 for each in privacy["spent"]} == {True}
    assert sum(block["share"] for block in (*privacy["blocks"], *privacy["own_blocks"])) == pytest.approx(1)
    parts = {each["block"]: each["share"] for each in privacy["own_blocks"]}
    ratios = {round(parts[each["block"]] / each["share"], 9) for each in privacy["blocks"] if each["block"] in parts}
    assert ratios == {9.0}, "a tenth of a question's cost is for the sum"


def test_a_city_has_no_numbers_of_its_own_for_a_variable_that_it_cannot_map(both: tuple[Study, world.Outcome]) -> None:
    results = of(both[1])
    entry = results["questions"]["residence"]
    (lacking,) = results["cities"]["cannot"]
    assert lacking not in entry["cities"]
    own = [row for row in entry["rows"] if row["scope"] == lacking]
    assert own
    assert all(row["estimate"] is None and row["obs_status"] in ("x", "z") for row in own)
    assert any(row["estimate"] is not None for row in entry["rows"] if row["scope"] == "pooled")
    assert all(row["estimate"] is not None for row in results["questions"]["accounts"]["rows"])


def test_counts_are_marked_by_the_least_cell_of_the_city_itself(both: tuple[Study, world.Outcome]) -> None:
    rows = [row for row in of(both[1])["questions"]["withdrew_sex"]["rows"] if row["measure"] == "count"]
    few = [row for row in rows if row["scope"] != "pooled" and row["estimate"] < max(10, 5 * row["se_noise"])]
    assert few
    assert all(row["obs_status"] == "u" for row in few)


# --- three tiny cities


def tiny(folder: Path, release: str, *, exact: bool = False) -> Study:
    text = (
        gates.STUDY.replace("questions:", f"release: {release}\nquestions:")
        if release != "mixed"
        else gates.STUDY.replace("kind: count}", "kind: count, release: by_city}")
    )
    gates.write(folder, study=text)
    for city in gates.CITIES:
        (folder / city / "policy.yaml").write_text(TINY_LOOSE, encoding="utf-8")
    asked = studies.load(folder / "study.yaml")
    return asked.in_exact_mode() if exact else asked


@pytest.mark.parametrize("release", ["by_city", "both", "mixed"])
def test_exact_answers_are_the_rows_themselves_and_pooled_ones_their_sums(tmp_path: Path, release: str) -> None:
    """Of `both`, only the cities are measured: nothing is summed in secret that is published anyway."""
    outcome = world.run(tiny(tmp_path, release, exact=True), tmp_path, tmp_path / "homes", seed=3)
    results = of(outcome)
    asked = {"by_city": gates.CITIES, "both": ("pooled", *gates.CITIES), "mixed": gates.CITIES}[release]
    rows = results["questions"]["all"]["rows"]
    assert [(row["scope"], row["estimate"]) for row in rows] == [
        (each, 36 if each == "pooled" else 12) for each in asked
    ]
    assert ("left_each_city" in results["privacy"]) is (release == "mixed")
    assert holds(outcome, tmp_path / "out") == {}


@pytest.mark.parametrize("release", ["by_city", "mixed"])
def test_mode_exact_is_all_or_nothing_by_city_too(tmp_path: Path, release: str) -> None:
    asked = tiny(tmp_path, release, exact=True)
    with pytest.raises(IncompleteError) as few:
        world.run(asked, tmp_path, tmp_path / "homes", seed=3, drops=[world.drop("west@count")])
    assert few.value.code == "COUNT_TOO_FEW"


def test_fewer_answers_than_the_study_demands_are_none(tmp_path: Path) -> None:
    with pytest.raises(IncompleteError) as few:
        world.run(tiny(tmp_path, "by_city"), tmp_path, tmp_path / "homes", seed=3, drops=[world.drop("west@count")])
    assert few.value.code == "COUNT_TOO_FEW"


def test_a_city_that_declines_its_own_answer_is_named_with_its_reason(tmp_path: Path) -> None:
    asked = tiny(tmp_path, "by_city", exact=True)
    (tmp_path / "west" / "policy.yaml").write_text(
        TINY_LOOSE.replace("min_cohort_by_city: 1", "min_cohort_by_city: 13"), encoding="utf-8"
    )
    with pytest.raises(Refusal) as no:
        world.run(asked, tmp_path, tmp_path / "homes", seed=3)
    assert (no.value.code, no.value.values["city"], no.value.values["codes"]) == (
        "CITY_DECLINED",
        "west",
        "declined:disclosure",
    )
    assert no.value.text("en").startswith("west declines this study: declined:disclosure. ")


@pytest.mark.parametrize(("release", "lost"), [("by_city", False), ("mixed", False), ("mixed", True)])
def test_a_city_asked_again_gives_the_same_numbers_at_no_charge_whatever_the_coordinator_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, release: str, lost: bool
) -> None:
    """The run breaks off after cities have answered by themselves: their numbers come back as they were. The sum is taken from the
    coordinator's log; where that is `lost`, it is asked for anew."""
    asked, homes, heard = tiny(tmp_path, release), tmp_path / "homes", list[rounds.Counted]()
    real = rounds.counted

    def listening(*arguments: Any) -> rounds.Counted:
        heard.append(real(*arguments))
        if len(heard) == 1:
            raise KeyboardInterrupt
        return heard[-1]

    monkeypatch.setattr(rounds, "counted", listening)
    with pytest.raises(KeyboardInterrupt):
        world.run(asked, tmp_path, homes, seed=None)
    logs = list(tmp_path.rglob("log"))
    assert bool(logs) == (release == "mixed")
    for log in logs if lost else ():
        log.unlink()
    outcome = world.run(asked, tmp_path, homes, seed=None)
    first, again = ({city: cells.tolist() for city, cells in each.cells.items()} for each in heard)
    assert first == again
    view = ledger.look(homes / "east" / ledger.FILE, now=0)
    assert [held.claim.counted for held in view.reservations] == ([True, False] if lost else [True])
    assert [held.own is not None for held in view.reservations] == ([True, False] if lost else [True])
    assert holds(outcome, tmp_path / "out") == {}
