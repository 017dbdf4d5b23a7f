"""`study plan`: what is said beforehand is what comes, and nobody is asked for it."""

import json
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest

from coordinator import beforehand, forecast, plan, plan_text, split
from coordinator import cli as coordinator
from coordinator.beforehand import Beforehand, Known, StandIn
from coordinator.forecast import Cell, mostly_noise, typical
from coordinator.plan import Planned
from coordinator.release import POOLED
from node import gate, ingest
from protocols import study as studies
from protocols.entropy import exactly, seeded
from protocols.errors import ConfigError
from protocols.ring import Vector
from protocols.statistics.layout import Layout
from protocols.study import Study
from simulations import cities, standins, world
from simulations import cli as simulate
from tests.system.conftest import SMALL, Ask
from tests.system.test_programs import called

NOW = world.SEEDED_START
Plan = Callable[..., Planned]


def asked(path: Path, questions: str, epsilon: str = "1.0", names: str = "") -> Study:
    """A study of these questions, one a line; of the named cities alone, if any are."""
    head = SMALL[: SMALL.index("questions:")].replace("epsilon: 1.0", f"epsilon: {epsilon}")
    head += f"cities: {{names: [{names}]}}\n" if names else ""
    path.write_text(head + "questions:\n" + "".join(f"  - {{{line}}}\n" for line in questions.strip().splitlines()))
    return studies.load(path)


MIXED = """
id: accounts, kind: count
id: product, kind: frequency, of: product, release: both
id: tgi_generation, kind: tgi, target: product, by: generation
id: marital_sex, kind: frequency, of: marital, by: sex, weight: 2
id: age, kind: mean, of: age, by: sex
"""


def planned_over(study: Study, made: Path, homes: Path) -> Planned:
    """A plan over the cities of a folder, which stand in for themselves."""
    found = world.parties(made, study)
    sums = tuple(
        StandIn(city=each.city.city, sums=standins.given(study, homes / each.city.city, each.city.city))
        for each in found
    )
    twin = Beforehand(twin=sums)
    return plan.planned(
        study, standins.known(study, made, NOW), "folder", lambda names: beforehand.stand_ins(names, study, twin)
    )


@pytest.fixture
def plan_of(made: Path, ingested: Path) -> Plan:
    def planned(study: Study) -> Planned:
        return planned_over(study, made, ingested)

    return planned


def medians(rows: list[Mapping[str, Any]], half: Callable[[Mapping[str, Any]], float | None]) -> dict[Any, float]:
    """By scope and measure, over rows that a question is judged by."""
    found: dict[Any, list[float]] = {}
    for row in rows:
        value = half(row)
        if value is not None and "_missing" not in row.values() and not row.get("contrast"):
            found.setdefault((row["scope"] == POOLED, row["measure"]), []).append(value)
    return {key: median(values) for key, values in found.items()}


def compared(planned: Planned, runs: list[dict[str, Any]], most: float) -> None:
    """Medians of half-widths over rows and runs, beside those that were said; the noise in them within 2 %."""
    for question in planned.study.file.questions:
        rows = [row for run in runs for row in run["questions"][question.id]["rows"]]
        came = medians(rows, lambda row: None if row["ci_low"] is None else (row["ci_high"] - row["ci_low"]) / 2)
        noise = medians(rows, lambda row: row["se_noise"])
        cells = [cell for cell in planned.cells[question.id] if cell.counted]
        assert {(cell.scope == POOLED, cell.measure) for cell in cells} == set(came)
        for (pooled, measure), width in came.items():
            chosen = [cell for cell in cells if (cell.scope == POOLED, cell.measure) == (pooled, measure)]
            said = typical(chosen, lambda cell: cell.half_width)
            assert said == pytest.approx(width, rel=most), (question.id, measure, pooled)
            if measure == "count":
                of_noise = typical(chosen, lambda cell: cell.of_noise)
                assert of_noise == pytest.approx(planned.forecast.z * noise[pooled, measure], rel=0.02)


def errors_of_counts(planned: Planned, runs: list[dict[str, Any]]) -> np.ndarray[Any, Any]:
    """How far released counts were from what the cities hold, in standard deviations of noise as they were said beforehand."""
    found = []
    for question in planned.study.file.questions:
        said = {
            (cell.scope, tuple(cell.keys.items())): cell
            for cell in planned.cells[question.id]
            if cell.measure == "count"
        }
        names = list(dict.fromkeys(name for cell in said.values() for name in cell.keys))
        for run in runs:
            for row in run["questions"][question.id]["rows"]:
                if row["measure"] == "count":
                    cell = said[row["scope"], tuple((name, row[name]) for name in names if name in row)]
                    assert cell.expected is not None
                    assert cell.of_noise is not None
                    found.append((row["estimate"] - cell.expected) / (cell.of_noise / planned.forecast.z))
    return np.array(found)


def released(planned: Planned, seed: int) -> dict[str, Any]:
    """Rows of a run: what the cities hold, the noise that their gates would draw, and the release of it."""
    agreement, twin = planned.agreement, planned.twin
    assert twin is not None

    def noised(city: int, layout: Layout, v20: Sequence[int], part: str) -> Vector:
        key = exactly(seeded("noise", seed, city, part), 32)
        return twin.of(city, layout) + gate.noise(layout, v20, key)

    total = sum(noised(city, agreement.layout, agreement.node_v20, "sum") for city in agreement.cities)
    own = {city: noised(city, agreement.own, agreement.own_v20, "own") for city in agreement.cities}
    tables = planned.forecast._fitted(np.asarray(total), own)
    rows = {
        question.id: {
            "rows": [
                row.published(scope)
                for apart in planned.forecast._apart(question, tables)
                for scope, sums in apart.items()
                for row in question.finalize(sums, planned.study.domain).rows
            ]
        }
        for question in planned.study.file.questions
    }
    return {"questions": rows}


def test_what_is_said_beforehand_is_what_comes(plan_of: Plan, tmp_path: Path) -> None:
    planned = plan_of(asked(tmp_path / "mixed.yaml", MIXED))
    runs = [released(planned, seed) for seed in range(5)]
    compared(planned, runs, 0.15)
    assert float(np.sqrt((errors_of_counts(planned, runs) ** 2).mean())) == pytest.approx(1.0, rel=0.1)


@pytest.mark.slow  # fifty runs, and cities of another seed to stand in: two minutes
def test_fifty_runs_at_cities_like_the_twin_are_as_wide_as_was_said(
    made: Path, ingested: Path, ask: Ask, tmp_path: Path
) -> None:
    study = asked(tmp_path / "mixed.yaml", MIXED)
    runs = [json.loads(ask(study, seed=seed).results) for seed in range(50)]
    like, homes = tmp_path / "like", tmp_path / "like-homes"
    cities.write(like, cities.ALL, 1200, seed=99)
    for city in cities.ALL:
        ingest.ingest(like / city, homes / city, seeded("like", city))
    compared(planned_over(study, like, homes), runs, 0.15)
    errors = errors_of_counts(planned_over(study, made, ingested), runs)
    assert float(np.sqrt((errors**2).mean())) == pytest.approx(1.0, rel=0.02)


def test_the_chance_of_a_mark_is_that_of_two_hundred_draws(plan_of: Plan, tmp_path: Path) -> None:
    study = asked(
        tmp_path / "rare.yaml",
        "id: rare, kind: frequency, of: occupation, by: marital\nid: age, kind: mean, of: age, by: education",
        "0.5",
    )
    planned = plan_of(study)
    uncertain = 0
    for question in study.file.questions:
        ((sums,),) = (apart.values() for apart in planned.forecast._apart(question, planned.forecast._tables))
        drawn = {name: table.draws(sums.stream("check"), 200) for name, table in sums.tables.items()}
        blocks = study.workload.blocks[question.id]
        for name, block in blocks.items():
            if block.measure.value == "x-c" and isinstance(block.of, tuple):
                drawn[name] = drawn[name] + block.of[0].centre * forecast._held(block, block.of[0], blocks, drawn)
        marks = []
        for number in range(200):
            tables = {
                name: replace(table, units=table.units + np.rint(drawn[name][number] * table.quantum).astype(np.int64))
                for name, table in sums.tables.items()
            }
            rows = question.finalize(replace(sums, tables=tables), study.domain).rows
            marks.append(["u" in row.obs_status for row in rows if row.obs_status != "z"])
        shares = np.array(marks).mean(axis=0)
        said = np.array([cell.doubtful for cell in planned.cells[question.id]])
        uncertain += int(((shares > 0.05) & (shares < 0.95)).sum())
        # Ten draws: the error of a share near a half is up to 0.16. A mean has the noise of two tables, and ten draws of the pair.
        most = 0.25 if question.kind == "frequency" else 0.35
        assert float(np.abs(said - shares).max()) < most
        assert float(np.abs(said - shares).mean()) < 0.03
        assert float(said.sum()) == pytest.approx(float(shares.sum()), rel=0.05)
    assert uncertain > 10


def test_the_least_epsilon_reaches_a_width_and_a_little_less_does_not(plan_of: Plan, tmp_path: Path) -> None:
    study = asked(tmp_path / "mixed.yaml", MIXED)
    planned = plan_of(study)
    for text in ("accounts=20", "tgi_generation=25"):
        (found,) = plan.published(planned, [plan.wish(text, study)])["widths"]
        assert found["epsilon"] is not None, found

        def width(epsilon: float, of: Mapping[str, Any] = found) -> float:
            again = plan_of(plan._at(study, Decimal(str(epsilon))))
            question = next(each for each in study.file.questions if each.id == of["question"])
            cells = [cell for cell in again.forecast.widths(question) if cell.measure == of["measure"]]
            value = typical(forecast.judged(cells), lambda cell: cell.half_width)
            assert value is not None
            return value

        assert width(found["epsilon"]) <= found["width"] < width(found["epsilon"] * 0.98)


def test_leaving_out_the_questions_that_are_named_reaches_the_width_and_one_fewer_does_not(
    plan_of: Plan, tmp_path: Path
) -> None:
    study = asked(tmp_path / "mixed.yaml", MIXED)
    planned = plan_of(study)
    (found,) = plan.published(planned, [plan.wish("accounts=20", study)])["widths"]
    assert not found["reached"]
    assert 1 <= len(found["drop"]) < 4

    def width(gone: list[str]) -> float:
        kept = tuple(each for each in study.file.questions if each.id not in gone)
        rest = Study(study.file.model_copy(update={"questions": kept}), study.dictionary)
        (cell,) = plan_of(rest).forecast.widths(kept[0])
        assert cell.half_width is not None
        return cell.half_width

    assert width(found["drop"]) <= 20 < width(found["drop"][:-1])


def test_a_width_below_that_of_sampling_alone_is_said_to_be_out_of_reach(plan_of: Plan, tmp_path: Path) -> None:
    study = asked(tmp_path / "mixed.yaml", MIXED)
    value = plan.published(plan_of(study), [plan.wish("tgi_generation=0.5", study)])
    (found,) = value["widths"]
    assert (found["epsilon"], found["drop"], found["reached"]) == (None, None, False)
    assert found["without_noise"] > 0.5
    assert "no epsilon gives" in plan_text.table(value, "en")
    assert "epsilon 再高也达不到" in plan_text.table(value, "zh")


def test_without_a_twin_only_what_no_count_can_change_is_said(plan_of: Plan, made: Path, tmp_path: Path) -> None:
    study = asked(tmp_path / "mixed.yaml", MIXED)
    known = standins.known(study, made, NOW)
    blind, seeing = plan.planned(study, known, "folder", lambda _names: None), plan_of(study)
    for question in study.file.questions:
        for without, with_ in zip(blind.cells[question.id], seeing.cells[question.id], strict=True):
            assert without.key == with_.key
            assert without.expected is without.half_width is without.of_sampling is without.doubtful is None
            if without.measure in ("count", "total"):
                assert without.of_noise == pytest.approx(with_.of_noise)
            else:
                assert without.of_noise is None
    value = plan.published(blind, [plan.wish("accounts=20", study), plan.wish("tgi_generation=5", study)])
    assert {"warning": "no_twin"} in value["warnings"]
    assert [each["noise_only"] for each in value["widths"]] == [True, True]
    assert value["widths"][0]["epsilon"] > 1
    assert value["widths"][1]["now"] is None
    page = plan_text.table(value, "en")
    assert "nothing is known without a twin" in page
    assert "not guessed" in page


def test_a_plan_reads_no_row_and_leaves_every_byte_of_the_cities_as_it_was(
    made: Path, small: Path, tmp_path: Path
) -> None:
    folder, out = tmp_path / "cities", tmp_path / "out"
    shutil.copytree(made, folder, ignore=shutil.ignore_patterns("truth"))
    assert called(simulate, "run", small, "--cities", folder, "--out", out).exit_code == 0
    for city in cities.ALL:
        shutil.rmtree(folder / city / "data")  # whoever wants rows now fails
        shutil.rmtree(folder / city / ".hpfed" / "snapshots")
    before = {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
    another = asked(tmp_path / "another.yaml", "id: product, kind: frequency, of: product")
    assert any(path.name == "ledger.sqlite" for path in before)
    done = called(coordinator, "study", "plan", tmp_path / "another.yaml", "--cities", folder, "--json", "--lang", "en")
    assert done.exit_code == 0, done.stderr
    assert {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()} == before
    value = json.loads(done.stdout)
    assert value["study"]["digest"] == split.stated(another).digest
    assert value["cities"] == {"from": "folder", "names": sorted(cities.ALL), "twin": False}
    for city in value["cost"]["cities"]:
        assert city["decides"] == "auto"
        year, _, total = city["caps"]
        assert year["left"] < year["room"]  # of the run before
        assert 0 < total["share"] < year["share"] < 1
        assert year["fits"]
    assert value["cost"]["epsilon"] == pytest.approx(1.0, abs=1e-4)
    of_roster = out / "bundle" / "roster.json"
    strangers = asked(tmp_path / "strangers.yaml", "id: product, kind: frequency, of: product", names="aa, bb, cc")
    with pytest.raises(ConfigError) as refused:
        beforehand.chosen(strangers, of_roster, Beforehand())
    assert refused.value.code == "PLAN_CITIES"
    roster = called(coordinator, "study", "plan", tmp_path / "another.yaml", "--cities", of_roster)
    assert roster.exit_code == 0, roster.stderr
    assert "changzhou" in roster.stdout


def test_a_plan_says_who_would_refuse_and_whose_budget_is_too_small(made: Path, small: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cities"
    shutil.copytree(made, folder, ignore=shutil.ignore_patterns("truth", "data"))
    (folder / "suzhou" / "policy.yaml").write_text("policy: 1\nvariables: {deny: [residence]}\n")
    caps = "per_asker_year: {epsilon: 0.5, delta: 1.0e-6}, per_year: {epsilon: 8, delta: 1.0e-6}"
    (folder / "chengdu" / "policy.yaml").write_text(f"policy: 1\ndp: {{caps: {{{caps}}}}}\n")
    done = called(coordinator, "study", "plan", small, "--cities", folder, "--json")
    assert done.exit_code == 0, done.stderr
    value = json.loads(done.stdout)
    assert {"warning": "refuses", "city": "suzhou", "codes": ["POLICY_VARIABLE"]} in value["warnings"]
    assert {"warning": "over_cap", "city": "chengdu", "scopes": ["per_asker_year"]} in value["warnings"]
    assert "拒绝：POLICY_VARIABLE" in plan_text.table(value, "zh")
    assert "预算不够" in plan_text.table(value, "zh")
    assert "no: POLICY_VARIABLE" in plan_text.table(value, "en")
    assert "too little budget" in plan_text.table(value, "en")


def test_a_question_that_too_few_cities_can_answer_is_named(made: Path, ingested: Path, small: Path) -> None:
    study = studies.load(small)
    known = standins.known(study, made, NOW)
    lacking = tuple(
        each.model_copy(update={"cannot": ("residence",)}) if number < 4 else each for number, each in enumerate(known)
    )
    planned = replace(planned_over(study, made, ingested), cities=lacking)
    value = plan.published(planned, [])
    assert planned.short == {"residence"}
    assert {"warning": "too_few_able", "question": "residence"} in value["warnings"]
    last = value["questions"][-1]
    assert (last["id"], len(last["cities"]), last["enough_cities"]) == ("residence", 2, False)
    assert all(cell["half_width"] is None for cell in last["cells"])


def test_where_no_cities_are_named_the_plan_is_for_the_fewest_and_says_so(small: Path, tmp_path: Path) -> None:
    value = json.loads(called(coordinator, "study", "plan", small, "--json").stdout)
    assert value["cities"] == {"from": "least", "names": ["city-1", "city-2", "city-3"], "twin": False}
    assert {"warning": "least_cities", "count": 3} in value["warnings"]
    assert {"warning": "dropouts", "asked": 1, "left": 0} in value["warnings"]
    named = tmp_path / "named.yaml"
    named.write_text(small.read_text(encoding="utf-8") + "cities: {names: [aa, bb, cc, dd]}\n", encoding="utf-8")
    assert json.loads(called(coordinator, "study", "plan", named, "--json").stdout)["cities"]["from"] == "study"


def test_a_plan_in_mode_exact_costs_nothing_and_has_no_noise(plan_of: Plan, small: Path) -> None:
    planned = plan_of(studies.load(small).in_exact_mode())
    value = plan.published(planned, [plan.wish("product=0.001", planned.study)])
    assert value["cost"]["epsilon"] is None
    assert {block["variance"] for block in value["blocks"]} == {0.0}
    assert {cell["of_noise"] for question in value["questions"] for cell in question["cells"]} <= {0.0, None}
    assert value["widths"][0]["epsilon"] is None
    assert "mode exact" in plan_text.table(value, "en")


def test_cells_that_an_exact_table_would_withhold_are_known_beforehand(plan_of: Plan, small: Path) -> None:
    planned = plan_of(studies.load(small).in_exact_mode())
    loose = {cell.key: cell for cells in planned.cells.values() for cell in cells}
    assert {cell.withheld for cell in loose.values()} == {0.0}
    cities_ = tuple(each.model_copy(update={"exact_cell": 200}) for each in planned.cities)
    strict = [cell for cells in replace(planned, cities=cities_).cells.values() for cell in cells]
    hidden = [cell for cell in strict if cell.withheld]
    assert 0 < len(hidden) < len(strict)
    assert all(cell.expected is None for cell in hidden)
    for cell in strict:
        if cell.measure == "count" and 0 < (loose[cell.key].expected or 0) < 200:
            assert cell.withheld == 1.0


def test_the_stand_in_of_a_city_must_say_that_its_rows_are_nobodys(made: Path, small: Path, tmp_path: Path) -> None:
    twin = tmp_path / "twin"
    shutil.copytree(made / "changzhou", twin / "changzhou")
    (twin / "changzhou" / "policy.yaml").unlink()  # what it says is for synthetic cities alone
    page = twin / "changzhou" / "city.yaml"
    page.write_text(page.read_text(encoding="utf-8").replace("synthetic: true", ""), encoding="utf-8")
    found = called(coordinator, "study", "plan", small, "--twin", twin, "--json", "--lang", "en")
    assert found.exit_code == 2
    assert json.loads(found.stdout)["error"]["code"] == "TWIN_NOT_PUBLIC"
    assert "changzhou" in found.stderr


def test_a_twin_in_a_folder_gives_the_sampling_part_and_leaves_nothing_there(
    made: Path, small: Path, tmp_path: Path
) -> None:
    twin = tmp_path / "twin"
    shutil.copytree(made / "changzhou", twin / "changzhou")
    before = sorted(twin.rglob("*"))
    value = json.loads(called(coordinator, "study", "plan", small, "--twin", twin, "--json").stdout)
    assert sorted(twin.rglob("*")) == before
    assert value["cities"] == {"from": "least", "names": ["city-1", "city-2", "city-3"], "twin": True}
    accounts = value["questions"][0]["cells"][0]
    assert accounts["expected"] == pytest.approx(3 * 1200, rel=0.2)  # those of one stand-in, three times
    assert accounts["of_sampling"] > 0


@pytest.mark.parametrize(
    ("text", "code"), [("nothing=1", "PLAN_WIDTH"), ("product=0", "PLAN_WIDTH"), ("product", "PLAN_WIDTH")]
)
def test_a_wish_that_is_none_is_refused(small: Path, text: str, code: str) -> None:
    found = called(coordinator, "study", "plan", small, "--width", text, "--json")
    assert (found.exit_code, json.loads(found.stdout)["error"]["code"]) == (2, code)


def test_a_measure_that_a_question_does_not_have_is_refused(plan_of: Plan, small: Path) -> None:
    study = studies.load(small)
    with pytest.raises(ConfigError, match="index"):
        plan.published(plan_of(study), [plan.wish("tgi_generation.mean=1", study)])


def test_a_study_that_would_be_noise_runs_only_when_that_is_accepted(made: Path, tmp_path: Path, plan_of: Plan) -> None:
    folder, names = tmp_path / "cities", "changzhou, chengdu, suzhou"
    for name in names.split(", "):
        shutil.copytree(made / name, folder / name)
    noisy = asked(tmp_path / "noisy.yaml", "id: rare, kind: frequency, of: occupation, by: education", "0.1", names)
    (said,) = plan.published(plan_of(noisy), [])["noisy"]
    assert said["question"] == "rare"
    assert said["noise"] > said["rows"] / 2
    enough = plan_of(plan._at(noisy, Decimal(str(said["epsilon"]))))
    assert not mostly_noise(enough.forecast.widths(noisy.file.questions[0]))
    path = tmp_path / "noisy.yaml"
    stopped = called(simulate, "run", path, "--cities", folder, "--out", tmp_path / "out", "--lang", "en", "--json")
    assert (stopped.exit_code, json.loads(stopped.stdout)["error"]["code"]) == (2, "PLAN_NOISY")
    assert re.search(r"Raise epsilon to [0-9.]+, ask for fewer categories, or go on", stopped.stderr)
    assert "--accept-noisy" in stopped.stderr
    assert not list(folder.rglob("ledger.sqlite"))
    done = called(simulate, "run", path, "--cities", folder, "--out", tmp_path / "out", "--accept-noisy")
    assert done.exit_code == 0, done.stderr


def test_columns_stand_under_each_other_whatever_the_script() -> None:
    lines = plan_text.aligned([["问题", "半宽"], ["product", "1.0"]], left=1)
    assert {plan_text.wide(line) for line in lines} == {2 + 7 + 2 + 4}


def test_a_stand_in_takes_the_place_of_its_namesake_else_of_the_next(small: Path) -> None:
    study = studies.load(small)
    length = study.workload.together.length
    twin = Beforehand(twin=tuple(StandIn(city=name, sums=(number,) * length) for number, name in enumerate(("b", "z"))))
    found = beforehand.stand_ins({1: "a", 2: "b", 3: "c"}, study, twin)
    assert found is not None
    assert [int(found.sums[city][0]) for city in (1, 2, 3)] == [0, 0, 0]
    assert Known(city="a").min_cell == beforehand.SHIPPED_MIN_CELL
    assert Cell("pooled", "count", {}, False, 0.0, 1.0, 1.0, 0.0).empty


CLUSTERS = (
    "id: clusters, kind: kmeans, of: [age, consecutive_periods], clip: {consecutive_periods: [0, 12]}, k: 3, rounds: 3"
)
FIT = "id: fit, kind: glm, family: poisson, outcome: consecutive_periods, terms: [sex, age], errors: robust"


@pytest.mark.parametrize(
    ("mode", "question", "rounds", "exchanges", "said"),
    [
        (
            "dp",
            CLUSTERS,
            4,
            14,
            {"zh": ("pairs 64", "每轮的合计带噪声"), "en": ("sums 6", "reserved before the first")},
        ),
        ("exact", FIT, 27, 83, {"zh": ("meat 10", "协调方与每座作答城市"), "en": ("square 3", "no city may drop out")}),
    ],
)
def test_rounds_and_what_each_has_of_a_city_are_said_beforehand(
    mode: str, question: str, rounds: int, exchanges: int, said: Mapping[str, Sequence[str]], tmp_path: Path
) -> None:
    head = SMALL[: SMALL.index("questions:")].replace("mode: dp", f"mode: {mode}")
    head = head.replace(" epsilon: 1.0,", "") if mode == "exact" else head
    (tmp_path / "study.yaml").write_text(f"{head}questions:\n  - {{{question}}}\n", encoding="utf-8")
    for command in ("check", "plan"):
        found = json.loads(called(coordinator, "study", command, tmp_path / "study.yaml", "--json").stdout)["session"]
        assert (found["rounds"], found["exchanges"], found["sessions"]) == (rounds, exchanges, 1)
        assert found["noised"] == (mode == "dp")
        for language, words in said.items():
            page = called(coordinator, "study", command, tmp_path / "study.yaml", "--lang", language).stdout
            assert all(word in page for word in (str(exchanges), *words)), page
