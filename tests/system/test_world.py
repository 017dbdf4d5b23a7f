"""Whole studies over real city folders, through the same door as `hpfed-simulate run`."""

import json
import shutil
from collections import Counter
from decimal import Decimal
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest

from coordinator import output, release, rounds
from coordinator.release import Opened
from node import gate, ledger, mapping
from node.identity import identity
from protocols import study
from protocols.entropy import operating_system
from protocols.errors import ConfigError, IncompleteError, Refusal
from protocols.noise import UNIT
from protocols.ring import Vector
from protocols.secagg.transcript import Transcript, recomputed
from simulations import world
from tests.system.conftest import SMALL, Ask

FLAGSHIP = Path(release.__file__).parent / "studies" / "flexible-employment-profile.yaml"
GENERATIONS = ("00s", "90s", "80s", "70s", "60s", "other")


def parsed(outcome: world.Outcome) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(outcome.results)
    return found


def flexible(made: Path) -> pd.DataFrame:
    """All holders of the six cities in dictionary terms, as the mappings should read them; the study's cohort."""
    with duckdb.connect() as connection:
        rows = connection.execute("SELECT * FROM read_parquet(?)", [str(made / "truth" / "as_mapped.parquet")]).df()
    return rows[rows["account_type"] == "flexible"]


def counts(results: dict[str, Any], question: str) -> dict[tuple[str, ...], float]:
    entry = results["questions"][question]
    rows = [row for row in entry["rows"] if row["measure"] == "count" and row["scope"] == "pooled"]
    return {tuple(row[key] for key in entry["keys"]): row["estimate"] for row in rows}


def test_the_same_seed_gives_the_same_bytes_and_another_seed_other_noise(ask: Ask) -> None:
    first, again, other = ask(seed=7).results, ask(seed=7).results, ask(seed=8).results
    assert first == again
    assert counts(json.loads(first), "product") != counts(json.loads(other), "product")


def test_without_a_seed_noise_is_fresh(made: Path, small: Path, tmp_path: Path) -> None:
    asked = study.load(small)
    answers = [world.run(asked, made, tmp_path / name, seed=None) for name in ("one", "two")]
    assert counts(parsed(answers[0]), "product") != counts(parsed(answers[1]), "product")
    assert "seeded" not in parsed(answers[0])["privacy"]


def test_a_finished_study_asked_again_is_answered_from_store_at_one_charge(
    made: Path, small: Path, tmp_path: Path
) -> None:
    asked, homes = study.load(small), tmp_path / "homes"
    first = world.run(asked, made, homes, seed=None)
    again = world.run(asked, made, homes, seed=None)
    assert again.stored
    assert again.results == first.results
    view = ledger.look(homes / "chengdu" / ledger.FILE, now=0)
    assert [held.state for held in view.reservations] == ["answered"]


def test_a_city_does_not_answer_twice_even_if_the_coordinator_forgot_the_answer(
    made: Path, small: Path, tmp_path: Path
) -> None:
    asked, homes = study.load(small), tmp_path / "homes"
    world.run(asked, made, homes, seed=None)
    shutil.rmtree(homes / "coordinator" / "answers")
    with pytest.raises(Refusal) as no:
        world.run(asked, made, homes, seed=None)
    assert {each.values.get("codes") for each in no.value.every()} >= {"already_answered"}


def test_exact_counts_equal_pandas_on_the_pooled_rows_to_the_last_digit(ask: Ask, small: Path, made: Path) -> None:
    results = parsed(ask(study.load(small).in_exact_mode()))
    rows = flexible(made)
    assert results["privacy"]["mode"] == "exact"
    assert counts(results, "accounts") == {(): len(rows)}
    known = rows["product"].value_counts().to_dict()
    assert {key[0]: n for key, n in counts(results, "product").items() if n} == known
    decade = rows["birth_year"].map(
        lambda year: next((f"{d % 100:02d}s" for d in (1960, 1970, 1980, 1990, 2000) if d <= year < d + 10), "other")
    )
    expected = Counter(zip(rows["product"], decade, strict=True))
    table = results["questions"]["tgi_generation"]["rows"]
    for row in table:
        if row["obs_status"] in ("", "u") and row["product"] != "_missing" and row["generation"] != "_missing":
            a = expected[(row["product"], row["generation"])]
            b = sum(expected[(p, row["generation"])] for p in known)
            big_a = sum(expected[(row["product"], g)] for g in GENERATIONS)
            assert row["estimate"] == pytest.approx(100 * (a / big_a) / (b / len(rows)), rel=1e-11)


def test_exact_totals_means_and_bins_equal_pandas_on_the_pooled_rows(ask: Ask, made: Path) -> None:
    """Money to the fen; means of what was clipped at the study's own bounds."""
    results = parsed(ask(study.load(FLAGSHIP).in_exact_mode()))
    rows = flexible(made)
    questions = results["questions"]

    def found(question: str, measure: str, **keys: str) -> Any:
        rows_ = [row for row in questions[question]["rows"] if (row["scope"], row["measure"]) == ("pooled", measure)]
        (row,) = [row for row in rows_ if all(row[key] == code for key, code in keys.items())]
        return row["estimate"]

    paid = rows["paid_total"].dropna().astype(int)  # fen
    assert found("paid", "total", paid_total="known") == paid.clip(upper=10_000_000).sum() / 100
    assert found("paid", "count", paid_total="known") == len(paid)
    assert found("paid", "count", paid_total="_missing") == len(rows) - len(paid)
    for product, own in rows.groupby("product"):
        of = {"product": str(product)}
        base = own["contribution_base"].dropna() / 100
        mean, sd = (found("base_mean", measure, contribution_base="known", **of) for measure in ("mean", "sd"))
        assert (mean, sd) == (pytest.approx(base.mean(), rel=1e-10), pytest.approx(base.std(), rel=1e-9))
        at_floor = found("base_bands", "count", contribution_base="[180, 181)", **of)
        assert at_floor == ((base >= 180) & (base < 181)).sum()


def test_the_interval_of_a_mean_with_noise_holds_the_mean(ask: Ask, made: Path) -> None:
    """Of the register itself, so that noise alone is between them; amounts travel in units of some hundred fen."""
    noised = parsed(ask(study.load(FLAGSHIP), seed=7))
    rows = flexible(made)
    entry = noised["questions"]["paid_product"]["rows"]
    for product, own in rows.groupby("product"):
        (row,) = [
            each
            for each in entry
            if (each["measure"], each["product"], each["paid_total"]) == ("mean", product, "known")
        ]
        truth = own["paid_total"].dropna().clip(upper=10_000_000).mean() / 100
        assert abs(row["estimate"] - truth) <= 4 * row["se_noise"]
        assert row["se_noise"] > 0


def test_codes_that_no_value_of_a_city_becomes_are_named_for_what_the_study_reads(
    ask: Ask, small: Path, made: Path
) -> None:
    """中专 stands under 高中 in chengdu and suzhou: they say so when they approve, and the results do."""
    small.write_text(SMALL + "  - {id: education, kind: frequency, of: education}\n", encoding="utf-8")
    asked = study.load(small)
    results = parsed(ask(asked.in_exact_mode()))
    unused = results["cities"]["unused"]
    merged = {city: named["education"] for city, named in unused.items() if "education" in named}
    assert merged == {"chengdu": ["vocational"], "suzhou": ["vocational"]}
    reads = set(asked.reads())
    for city in results["cities"]["answered"]:
        known = mapping.load(made / city).unused
        assert "bank" in known, "which this study does not read"
        assert unused.get(city, {}) == {name: list(codes) for name, codes in known.items() if name in reads}
    words = results["words"]["variables"]
    assert all(set(codes) <= set(words[name]["codes"]) for named in unused.values() for name, codes in named.items())


def test_holders_of_a_city_that_cannot_map_a_variable_stand_on_missing(ask: Ask, small: Path, made: Path) -> None:
    results = parsed(ask(study.load(small).in_exact_mode()))
    assert results["cities"]["cannot"] == {"changzhou": ["residence"]}
    assert "changzhou" not in results["questions"]["residence"]["cities"]
    rows = flexible(made)
    elsewhere = rows[rows["city"] != "changzhou"]
    found = counts(results, "residence")
    assert found[("_missing",)] == (rows["city"] == "changzhou").sum() + elsewhere["residence"].isna().sum()
    assert sum(found.values()) == len(rows)


@pytest.mark.parametrize("exact", [False, True])
def test_shared_margins_agree_in_decimal_arithmetic(ask: Ask, small: Path, exact: bool) -> None:
    asked = study.load(small)
    content = ask(asked.in_exact_mode() if exact else asked).results
    results = json.loads(content, parse_float=Decimal, parse_int=Decimal)
    total = counts(results, "accounts")[()]
    product = counts(results, "product")
    assert sum(product.values()) == total
    assert sum(counts(results, "withdrew_sex").values()) == total
    assert sum(counts(results, "residence").values()) == total


@pytest.mark.parametrize("step", ["advert", "shares", "masked", "confirm", "reveal"])
def test_one_lost_city_of_six_leaves_a_valid_result(ask: Ask, step: str) -> None:
    outcome = ask(drops=(f"chengdu@{step}",))
    results = parsed(outcome)
    lost_before_its_vector = step in ("advert", "shares", "masked")
    assert ("chengdu" not in results["cities"]["answered"]) == lost_before_its_vector
    expected = [{"city": "chengdu", "reason": f"no_{step}", "detail": "unreachable"}] if lost_before_its_vector else []
    assert results["cities"]["missing"] == expected
    assert world.exit_code(outcome) == (4 if lost_before_its_vector else 0)


def test_two_lost_cities_are_too_many_and_nothing_is_released(ask: Ask) -> None:
    with pytest.raises(IncompleteError) as few:
        ask(drops=("chengdu@masked", "suzhou@masked"))
    assert few.value.exit_code == 1


@pytest.mark.parametrize("step", ["advert", "shares", "masked", "confirm"])
def test_exact_mode_is_all_or_nothing(ask: Ask, small: Path, step: str) -> None:
    with pytest.raises(IncompleteError):
        ask(study.load(small).in_exact_mode(), drops=(f"suzhou@{step}",))


def test_exact_mode_survives_a_city_that_is_lost_after_all_have_signed(ask: Ask, small: Path) -> None:
    results = parsed(ask(study.load(small).in_exact_mode(), drops=("suzhou@reveal",)))
    assert len(results["cities"]["answered"]) == 6


# --- noise: what is declared is what is there


def opened(ask: Ask, monkeypatch: pytest.MonkeyPatch, asked: study.Study, seed: int) -> Opened:
    """The opened sum itself, caught on its way into the release."""
    caught: list[Opened] = []
    real = release.results

    def results(sums: Opened, *rest: Any, **named: Any) -> bytes:
        caught.append(sums)
        return real(sums, *rest, **named)

    with monkeypatch.context() as patch:
        patch.setattr(release, "results", results)
        ask(asked, seed=seed)
    return caught[0]


def spread(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> float:
    """Squared noise over its declared variance, averaged over the cells of the flagship, amounts in their coarse units among them: how
    many standard deviations from 1."""
    asked = study.load(FLAGSHIP)
    with monkeypatch.context() as patch:
        patch.setattr(gate, "noise", lambda layout, *_: np.zeros(layout.length, dtype=np.int64))
        still = opened(ask, monkeypatch, asked, 7)
    noised = opened(ask, monkeypatch, asked, 7)
    variances = [len(noised.survivors) * v20 / UNIT for v20 in noised.agreement.node_v20]
    blocks = noised.agreement.layout.blocks
    assert max(block.shift for block in blocks) > 0
    ratios = (noised.total - still.total) ** 2 / np.repeat(variances, [block.cells for block in blocks])
    return float((ratios.mean() - 1) / np.sqrt(2 / len(ratios)))


def test_the_noise_in_the_sum_has_the_declared_variance(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    assert abs(spread(ask, monkeypatch)) < 3


def test_cities_that_skip_their_share_of_noise_are_found(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = gate.noise, count()

    def skipping(*arguments: Any) -> Vector:
        share = real(*arguments)
        return np.zeros_like(share) if next(calls) % 2 else share

    monkeypatch.setattr(gate, "noise", skipping)
    assert spread(ask, monkeypatch) < -5


# --- what users get wrong


def test_a_broken_file_of_one_city_ends_the_run_before_anything_is_asked(
    made: Path, small: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(made, folder, ignore=shutil.ignore_patterns("truth"))
    mapping = folder / "suzhou" / "mapping.yaml"
    mapping.write_text(mapping.read_text(encoding="utf-8").replace("variables:", "variable:", 1), encoding="utf-8")
    with pytest.raises(ConfigError) as fault:
        world.run(study.load(small), folder, tmp_path / "homes", seed=None)
    assert fault.value.at is not None
    assert fault.value.at.file.endswith("suzhou/mapping.yaml")
    assert fault.value.at.line > 0
    assert not (tmp_path / "homes").exists()


def test_a_question_that_too_few_cities_can_answer_is_refused(made: Path, small: Path, tmp_path: Path) -> None:
    folder = tmp_path / "few"
    shutil.copytree(made, folder, ignore=shutil.ignore_patterns("truth"))
    for city in ("chengdu", "guangzhou", "shenzhen"):
        mapping = folder / city / "mapping.yaml"
        lines = mapping.read_text(encoding="utf-8").splitlines()
        at = next(number for number, line in enumerate(lines) if line.startswith("  residence:"))
        lines[at] = "  residence: {status: impossible, reason: {zh: 未登记, en: not recorded}}"
        mapping.write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(Refusal) as no:
        world.run(study.load(small), folder, tmp_path / "homes", seed=3)
    assert no.value.code == "POLICY_CITIES"
    assert "residence" in no.value.text("en")
    assert no.value.exit_code == 3


def test_a_city_whose_policy_forbids_a_variable_declines_and_dp_goes_on_without_it(
    made: Path, small: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "strict"
    shutil.copytree(made, folder, ignore=shutil.ignore_patterns("truth"))
    policy = folder / "chengdu" / "policy.yaml"
    policy.write_text(policy.read_text(encoding="utf-8") + "\nvariables: {deny: [sex]}\n", encoding="utf-8")
    asked = study.load(small)
    outcome = world.run(asked, folder, tmp_path / "homes", seed=3)
    assert parsed(outcome)["cities"]["missing"] == [
        {"city": "chengdu", "reason": "declined:POLICY_VARIABLE", "detail": ""}
    ]
    with pytest.raises(Refusal) as no:
        world.run(asked.in_exact_mode(), folder, tmp_path / "other", seed=3)
    assert no.value.exit_code == 3


def test_a_snapshot_of_another_date_does_not_answer(made: Path, tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(SMALL.replace("2022-05-31", "2022-04-30"), encoding="utf-8")
    with pytest.raises(Refusal) as no:
        world.run(study.load(path), made, tmp_path / "homes", seed=3)
    assert {each.values.get("codes") for each in no.value.every()} == {"SNAPSHOT_DATE"}


def test_an_interrupted_output_leaves_the_earlier_one_whole(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    first = ask(seed=1)
    output.write(out, first.results, first.events)
    before = {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}

    def broken(*_: object, **__: object) -> str:
        raise RuntimeError("no report today")

    monkeypatch.setattr("coordinator.report.html.render", broken)
    with pytest.raises(RuntimeError):
        output.write(out, ask(seed=2).results, ())
    assert {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_rows_of_a_question_come_known_codes_first(ask: Ask) -> None:
    rows = parsed(ask())["questions"]["product"]["rows"]
    places = [row["product"] == "_missing" for row in rows if row["measure"] == "count"]
    assert all(before <= after for before, after in pairwise(places))


def test_a_crash_after_the_sum_does_not_lose_a_paid_answer(
    made: Path, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, homes = study.load(small), tmp_path / "homes"

    def killed(*_: object) -> dict[int, bytes]:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(rounds.Conversation, "receipts", killed)
        with pytest.raises(KeyboardInterrupt):
            world.run(asked, made, homes, seed=None)
    again = world.run(asked, made, homes, seed=None)
    assert again.stored
    assert [held.state for held in ledger.look(homes / "chengdu" / ledger.FILE, now=0).reservations] == ["spent"]


def killed(*_: object, **__: object) -> Any:
    raise KeyboardInterrupt


def charged(homes: Path, city: str = "chengdu") -> list[str]:
    """How far each conversation of a city went."""
    return [held.state for held in ledger.look(homes / city / ledger.FILE, now=0).reservations]


def logs(homes: Path) -> list[Path]:
    return list((homes / "coordinator" / "runs").rglob("log"))


def test_a_crash_between_the_sum_and_the_answer_is_made_good_from_the_log_at_no_cost(
    made: Path, ingested: Path, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, homes = study.load(small), tmp_path / "homes"
    shutil.copytree(ingested, homes)
    opened: list[Opened] = []

    def noting(found: Opened, *_: object, **__: object) -> None:
        opened.append(found)
        killed()

    with monkeypatch.context() as patch:
        patch.setattr(release, "results", noting)
        with pytest.raises(KeyboardInterrupt):
            world.run(asked, made, homes, seed=None)
    assert len(logs(homes)) == 1
    again = world.run(asked, made, homes, seed=None)
    assert not again.stored
    assert charged(homes) == ["answered"]
    assert opened[0].total.tolist() == sum_of(homes, again)  # the same sum, so the same noise
    assert not logs(homes)


def sum_of(homes: Path, outcome: world.Outcome) -> list[int]:
    """The sum that a result's transcript gives."""
    assert outcome.sealer is not None
    (kept,) = [content for path, content in outcome.sealer.unsealed.files.items() if path.startswith("bundle/secagg/")]
    root = identity(homes / "coordinator" / "root", operating_system).public_key().public_bytes_raw()
    found: list[int] = recomputed(Transcript.decode(kept, 1 << 26), root).tolist()
    return found


def test_a_crash_before_the_sum_takes_every_city_s_keys_so_that_a_new_conversation_is_charged(
    made: Path, ingested: Path, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everyone is in the one process that died. The cities' vectors had left; the new ones have new noise."""
    asked, homes, real = study.load(small), tmp_path / "homes", world.InProcess.each

    shutil.copytree(ingested, homes)

    def dying(self: world.InProcess, kind: str, *rest: Any) -> Any:
        return killed() if kind == "survivors" else real(self, kind, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(world.InProcess, "each", dying)
        with pytest.raises(KeyboardInterrupt):
            world.run(asked, made, homes, seed=None)
    said: list[str] = []
    again = world.run(asked, made, homes, seed=None, progress=said.append)
    assert not again.missing
    assert charged(homes) == ["spent", "answered"]
    assert any("too few cities" in line or "the round is lost" in line for line in said)
    assert not logs(homes)


def test_a_log_that_was_opened_and_says_nothing_is_passed_over(
    made: Path, ingested: Path, small: Path, tmp_path: Path
) -> None:
    asked, homes = study.load(small), tmp_path / "homes"
    shutil.copytree(ingested, homes)
    name = f"{asked.file.asker}-{asked.digest.removeprefix('sha256:')}"
    path = homes / "coordinator" / "runs" / name / "1" / ("0" * 32) / "log"
    path.parent.mkdir(parents=True)
    path.touch()
    assert not world.run(asked, made, homes, seed=None).missing
    path.parent.mkdir(parents=True)
    path.touch()
    assert world.run(asked, made, homes, seed=None).stored
    assert not logs(homes)


@pytest.mark.parametrize("fault", ["locked", "rolled back"])
def test_a_ledger_that_does_not_open_makes_its_city_missing_and_no_other(
    made: Path, ingested: Path, small: Path, tmp_path: Path, fault: str
) -> None:
    homes = tmp_path / "homes"
    shutil.copytree(ingested, homes)
    (party,) = [each for each in world.parties(made, study.load(small)) if each.city.city == "chengdu"]
    books = homes / "chengdu" / ledger.FILE
    key = identity(books.parent, operating_system).public_key().public_bytes_raw()
    held = ledger.Ledger.open(books, policy=party.policy, city="chengdu", city_key=key, now=0, entropy=operating_system)
    if fault != "locked":
        held.close()
        books.unlink()
    said: list[str] = []
    outcome = world.run(study.load(small), made, homes, seed=None, progress=said.append)
    held.close()
    assert [(each.city, each.reason, each.detail) for each in outcome.missing] == [("chengdu", "no_advert", "refused")]
    assert any(line.startswith("chengdu: ") and "ledger" in line for line in said)
    assert world.exit_code(outcome) == 4


def test_results_state_what_each_cap_held_before_what_the_study_takes_and_what_is_left(
    made: Path, small: Path, tmp_path: Path
) -> None:
    """The second study finds what the first one cost; another asker's own cap is whole. Verify computes the same from the approvals."""
    homes, first = tmp_path / "homes", study.load(small)
    asked = []
    texts = SMALL.replace("as_of", "revision: 2\nas_of"), SMALL.replace("asker: analyst", "asker: regulator")
    for name, text in zip(("second", "third"), texts, strict=True):
        (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
        asked.append(study.load(tmp_path / f"{name}.yaml"))
    found = [parsed(world.run(each, made, homes, seed=None)) for each in (first, *asked)]
    caps = [{cap["scope"]: cap for cap in each["privacy"]["spent"][0]["caps"]} for each in found]
    assert [list(each) for each in caps] == [["per_asker_year", "per_year", "total"]] * 3
    for scope in caps[0]:
        assert (caps[0][scope]["used"], caps[0][scope]["epsilon_before"]) == (0, 0)
        assert caps[1][scope]["used"] == pytest.approx(caps[0][scope]["cost"], abs=2e-6)
        assert caps[1][scope]["epsilon_before"] == pytest.approx(found[0]["privacy"]["spent"][0]["epsilon"], rel=1e-9)
    assert caps[2]["per_asker_year"]["used"] == 0
    assert caps[2]["total"]["used"] == pytest.approx(2 * caps[0]["total"]["cost"], abs=3e-6)
    assert 0 < caps[0]["total"]["cost"] < caps[0]["total"]["room"]
    exact = parsed(world.run(first.in_exact_mode(), made, tmp_path / "exact", seed=None))
    assert all(spent["caps"] == [] for spent in exact["privacy"]["spent"])


def test_how_empty_values_count_is_in_the_results(made: Path, tmp_path: Path) -> None:
    text = SMALL + "  - {id: owner, kind: frequency, of: owner}\n  - {id: base, kind: mean, of: contribution_base}\n"
    (tmp_path / "study.yaml").write_text(text, encoding="utf-8")
    words = parsed(world.run(study.load(tmp_path / "study.yaml"), made, tmp_path / "homes", seed=3))["words"]
    assert words["nulls"] == {"contribution_base": "drop", "homes": "zero"}
    assert words["variables"]["homes"]["zh"] == "房屋套数"
