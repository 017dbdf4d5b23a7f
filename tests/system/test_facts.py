"""Facts of centres from their files to a verified bundle: ratios against Python integers, in both modes, with a city that lacks one."""

import json
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from coordinator import beforehand, plan, rounds
from coordinator.beforehand import Beforehand
from coordinator.forecast import Twin
from coordinator.results import Results
from coordinator.stated import Figures, opened
from node import city as city_file
from node import ingest
from node.city import Told, added
from node.figures import figures as sheet_figures
from node.gate import figures
from protocols import facts as statements
from protocols.answerable import shortages
from protocols.approval import read_approval, sign_approval
from protocols.attestation import read_attestation
from protocols.entropy import seeded
from protocols.errors import ConfigError, PeerError, Refusal
from protocols.roster import self_declared
from protocols.statistics.rows import Answer, Row
from protocols.statistics.suppression import Withheld
from simulations import standins
from tests.bundles import Sealed, failing
from tests.six import CITIES, Six, results, rows_of, unsound, written

FACTS: Final = """facts:
  paid: {type: money, unit: 亿元, range: [0, 200], timing: flow, label: {zh: 缴存额, en: Deposits}}
  drawn: {type: money, unit: 亿元, range: [0, 200], timing: flow}
  balance: {type: money, unit: 亿元, range: [0, 900], timing: balance}
  bank: {type: money, unit: 亿元, range: [0, 200], timing: balance}
  branches: {type: integer, unit: branch, range: [0, 500]}
"""
PAID: Final = {"aa": "12.34", "bb": "5.6", "cc": "1.01", "dd": "0.99", "ee": "100", "ff": "7.77"}
DRAWN: Final = {"aa": "8.21", "bb": "3.33", "cc": "0.70", "dd": "0.55", "ee": "61.19", "ff": "5.05"}
BANK: Final = {"aa": "3", "bb": "1.5", "cc": "0.3", "dd": "0.21", "ee": "19.87", "ff": "2.02"}
SILENT: Final = ("dd", "ee", "ff")  # let `bank` be added up, and do not say it
FLOWS: Final = "  - {id: rate, kind: ratio, numerator: {fact: drawn}, denominator: {fact: paid}, band: [0.5, 0.9]}\n"
LIQUID: Final = "  - {id: liquid, kind: ratio, numerator: {fact: bank}, denominator: {fact: drawn}}\n"
LOANS: Final = "  - {id: held, kind: ratio, numerator: {fact: balance}, denominator: {fact: paid}}\n"
ALL: Final = "  - {id: all, kind: count}\n"


def stated(city: str) -> str:
    """Lines of `city.yaml`. The balance of bb is that of another day; that of aa is written in 万元, of two days."""
    day, visible = "as_of: 2022-05-31, visible: public", "summed" if city in SILENT else "public"
    balance = {
        "aa": f"[{{value: 820000, unit: 万元, {day}}}, {{value: 81, unit: 亿元, as_of: 2021-05-31, visible: public}}]",
        "bb": "{value: 41, unit: 亿元, as_of: 2021-12-31, visible: public}",
    }.get(city, f"{{value: 33.5, unit: 亿元, {day}}}")
    return f"""facts:
  paid: {{value: {PAID[city]}, unit: 亿元, {day}, source: annual report}}
  drawn: {{value: {DRAWN[city]}, unit: 亿元, {day}}}
  balance: {balance}
  bank: {{value: {BANK[city]}, unit: 亿元, as_of: 2022-05-31, visible: {visible}}}
"""


@pytest.fixture(scope="module")
def centres(tmp_path_factory: pytest.TempPathFactory) -> Six:
    """Six cities of 40 holders each that state things of themselves."""
    folder = tmp_path_factory.mktemp("centres")
    return written(folder, further=FACTS, stated={city: stated(city) for city in CITIES}, rows_each=40)


def whole(figures_: dict[str, str], cities: tuple[str, ...] = CITIES) -> Fraction:
    """The sum in Python's own numbers."""
    return sum((Fraction(figures_[city]) for city in cities), Fraction(0))


def only(outcome: Any, question: str, scope: str = "pooled") -> dict[str, Any]:
    (row,) = rows_of(outcome, question, "ratio", scope)
    return row


def test_ratios_of_facts_in_exact_mode_are_those_of_python_integers_and_the_bundle_holds(
    centres: Six, tmp_path: Path
) -> None:
    by_city = FLOWS.replace("rate", "rates").replace("kind", "release: by_city, kind")
    unsaid = LIQUID.replace("liquid", "liquids").replace("kind", "release: by_city, kind")
    mixed = "  - {id: each, kind: ratio, numerator: amount, denominator: {fact: paid}}\n"
    study = centres.study(FLOWS + LIQUID + LOANS + by_city + unsaid + mixed + ALL, mode="exact")
    outcome = centres.ask(study, tmp_path)
    found = results(outcome)
    rate, liquid, held, each = (only(outcome, name) for name in ("rate", "liquid", "held", "each"))
    assert rate["estimate"] == pytest.approx(float(whole(DRAWN) / whole(PAID)), rel=1e-12)
    assert (rate["se_noise"], rate["ci_low"], rate["ci_high"]) == (0, rate["estimate"], rate["estimate"])
    assert (rate["position"], rate["obs_status"]) == ("within", "")
    assert liquid["estimate"] == pytest.approx(float(whole(BANK) / whole(DRAWN)), rel=1e-12)
    able = tuple(city for city in CITIES if city != "bb")
    assert found["questions"]["held"]["cities"] == list(able)
    assert held["estimate"] == pytest.approx(float((82 + 4 * Fraction("33.5")) / whole(PAID, able)), rel=1e-12)
    known = centres.rows.dropna(subset=["amount"])["amount"].astype(int)
    assert each["estimate"] == pytest.approx(float(int(known.sum()) / (whole(PAID) * 10**8)), rel=1e-12)
    for city in CITIES:
        assert only(outcome, "rates", city)["estimate"] == pytest.approx(
            float(Fraction(DRAWN[city]) / Fraction(PAID[city])), rel=1e-12
        )
        own = only(outcome, "liquids", city)
        assert (own["obs_status"], own["estimate"] is None) == (("x", True) if city in SILENT else ("", False))
    assert found["questions"]["liquid"]["facts"] == {
        "bank": {city: float(BANK[city]) for city in CITIES if city not in SILENT},
        "drawn": {city: float(DRAWN[city]) for city in CITIES},
        "summed": {"bank": float(whole(BANK, SILENT))},
    }
    assert found["cities"]["cannot"] == {"bb": ["fact:balance"]}
    assert found["words"]["facts"]["paid"] == {"zh": "缴存额", "en": "Deposits", "unit": "亿元", "timing": "flow"}
    left = {block["block"]: block["cells"] for block in found["privacy"]["blocks"]}
    assert {name: cells for name, cells in left.items() if name.startswith("stated")} == dict.fromkeys(
        (
            "stated[fact:drawn 0..2000000000000] by ()",
            "stated[fact:paid 0..2000000000000] by ()",
            "stated[fact:bank 0..2000000000000] by ()",
            "stated[fact:balance 0..9000000000000] by ()",
        ),
        1,
    )
    out = tmp_path / "out"
    assert unsound(outcome, out) == {}
    Results.load(out)
    roster = self_declared((out / "bundle/roster.json").read_bytes())
    for number, entry in roster.cities.items():
        said = read_attestation((out / f"bundle/attestations/{entry.name}.json").read_bytes(), number, roster)
        hidden = entry.name in SILENT
        assert ("bank" in said.facts, said.summed) == (not hidden, ("bank",) if hidden else ())
        assert (said.facts["paid"], said.cannot) == (PAID[entry.name], ("fact:balance",) if entry.name == "bb" else ())
    forged(Sealed(out, tmp_path / ".hpfed"))


def forged(made: Sealed) -> None:
    """A coordinator that signs other facts, or other ratios of them, is found out: approvals hold values, and numbers follow from them.

    Pages are not made again, so that they name other results.
    """
    before = made.results()

    def faults() -> dict[str, set[str]]:
        return {step: {code for code, _ in found} for step, found in failing(made).items() if step != "reports"}

    def told(change: Callable[[dict[str, Any]], object]) -> dict[str, set[str]]:
        tree = json.loads(json.dumps(before))
        change(tree["questions"])
        made.published(tree)
        return faults()

    def ratio(questions: dict[str, Any], name: str, times: float) -> None:
        (row,) = (each for each in questions[name]["rows"] if each["measure"] == "ratio")
        row |= {column: row[column] * times for column in ("estimate", "display", "ci_low", "ci_high")}

    facts: dict[str, Callable[[dict[str, Any]], object]] = {
        "another ratio": lambda found: ratio(found, "rate", 1.01),
        "another sum": lambda found: found["liquid"]["facts"]["summed"].update(bank=22.11),
    }
    numbers = {"numbers": {"BUNDLE_NUMBERS"}}
    assert [told(change) for change in facts.values()] == [numbers, numbers]
    other = told(lambda found: found["rate"]["facts"]["paid"].update(aa=12.35))
    assert other == {"numbers": {"BUNDLE_DIFFERS", "BUNDLE_NUMBERS"}}
    assert told(lambda found: found["liquid"]["facts"]["summed"].update(bank=-1)) == {"numbers": {"SUM_STATED"}}
    assert told(lambda found: found["liquid"]["facts"]["summed"].update(bank=1e-11)) == {"numbers": {"BUNDLE_DIFFERS"}}
    assert told(lambda _found: None) == {}
    made.attest("aa", lambda said: said.model_copy(update={"facts": {**said.facts, "paid": "12.35"}}))
    assert faults() == {"attestations": {"BUNDLE_DIFFERS"}}


def test_in_dp_mode_published_facts_cost_nothing_and_are_answered_beside_what_has_noise(
    centres: Six, tmp_path: Path
) -> None:
    both = FLOWS.replace("rate", "rates").replace("kind", "release: both, kind")
    outcome = centres.ask(centres.study(FLOWS + both + LOANS + ALL), tmp_path, drops=("cc@masked",))
    alone = centres.study(ALL)
    assert centres.study(FLOWS + both + LOANS + ALL).workload.cells == alone.workload.cells == 1
    left = tuple(city for city in CITIES if city != "cc")
    for name in ("rate", "rates"):
        row = only(outcome, name)
        assert row["estimate"] == pytest.approx(float(whole(DRAWN, left) / whole(PAID, left)), rel=1e-12)
        assert row["se_noise"] == 0
    assert only(outcome, "rates", "aa")["estimate"] == pytest.approx(8.21 / 12.34, rel=1e-12)
    assert results(outcome)["questions"]["held"]["cities"] == ["aa", "dd", "ee", "ff"]
    assert unsound(outcome, tmp_path / "out") == {}


def test_a_study_with_noise_cannot_use_what_is_only_added_up(centres: Six, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        centres.ask(centres.study(LIQUID + ALL), tmp_path)
    assert caught.value.code == "FACT_SUMMED_IN_DP"
    assert "dd, ee, ff" in caught.value.text("zh")
    with pytest.raises(ConfigError) as caught:
        centres.study(FLOWS)
    assert [each.code for each in caught.value.every()] == ["STUDY_NOTHING"]


def test_what_one_city_alone_lets_be_added_up_is_not_added_up(centres: Six, tmp_path: Path) -> None:
    """What the others print, taken from the sum, would be its own. So it is with a fact that too few cities state."""
    study = centres.study(LIQUID + ALL, "cities: {names: [aa, bb, cc, ff]}\n", "exact")
    plan = {"aa": (), "bb": (), "cc": (), "ff": ("summed:bank",)}
    (short,) = shortages(study, plan)
    assert (short.of, short.name, short.count, short.limit) == ("summed", "bank", 1, 3)
    assert not shortages(study, plan, min_unmapped=1, loose=True)
    assert not shortages(study, dict.fromkeys(("aa", "bb", "ff"), ("summed:bank",)))
    policy = centres.folder / "aa" / "policy.yaml"
    before = policy.read_text(encoding="utf-8")
    try:
        policy.write_text(before.replace("min_cell: 1", "min_cell: 1, min_unmapped: 3"), encoding="utf-8")
        with pytest.raises(Refusal) as caught:
            centres.ask(study, tmp_path / "one")
    finally:
        policy.write_text(before, encoding="utf-8")
    assert "POLICY_CITIES" in caught.value.text("en")
    few = "cities: {names: [aa, bb, cc]}\n"
    with pytest.raises(Refusal) as caught:
        centres.ask(centres.study(LOANS + ALL, few), tmp_path / "few")
    assert caught.value.code == "POLICY_CITIES"
    assert "held" in caught.value.text("en")


def test_a_fact_outside_its_range_is_refused_wherever_it_comes_from(centres: Six, tmp_path: Path) -> None:
    study = centres.study(LIQUID + ALL, mode="exact")
    terms = study.dictionary
    with centres.gates(study, tmp_path) as present:
        answers = rounds.offer(present.post, study, present.signed, present.ids)
        agreement = rounds.agreed(present.post, study, answers)
        names = {present.post.roster.name(city): approval for city, approval in answers.approvals.items()}
        total = np.zeros(agreement.layout.length, dtype=np.int64)
        at = statements.cells(agreement.layout)["bank"]
        most = len(SILENT) * 200 * 10**10
        for found in (most, 0):
            total[at] = found
            assert Figures.of(agreement, names, opened(agreement, total)).summed["bank"] == found
        for found in (most + 1, -1):
            total[at] = found
            with pytest.raises(PeerError) as caught:
                Figures.of(agreement, names, opened(agreement, total))
            assert caught.value.code == "SUM_STATED"
        one = answers.approvals[1]
        gate_ = present.link.gates["aa"]
        for lie in (
            {"facts": {**one.facts, "bank": "200.01"}},
            {"facts": {**one.facts, "bank": "3.000"}},
            {"facts": {**one.facts, "loans": "1"}},
            {"facts": {"drawn": one.facts["drawn"]}},
            {"cannot": ("summed:bank",)},
        ):
            file = sign_approval(one.model_copy(update=lie), gate_.station.identity.key)
            with pytest.raises(PeerError) as caught:
                read_approval(file, 1, study, present.post.roster, present.post.clock())
            assert caught.value.code == "APPROVAL_FACTS"
        held = {"bank": Told(value="2.02", visible="summed"), "drawn": Told(value="1", visible="public")}
        vector = figures(agreement.layout, added(held, terms))
        assert {name: int(vector[place]) for name, place in statements.cells(agreement.layout).items()} == {
            "bank": 202 * 10**8,
            "drawn": 0,
        }
        with pytest.raises(ValueError, match="900"):
            added({"bank": Told(value="900", visible="summed")}, terms)
    assert statements.text(terms.facts["bank"], -5 * 10**9) == "-0.5"


def test_facts_that_changed_after_the_approval_need_a_new_one(centres: Six, tmp_path: Path) -> None:
    study = centres.study(FLOWS + ALL)
    with centres.gates(study, tmp_path) as present:
        answers = rounds.offer(present.post, study, present.signed, present.ids)
        assert answers.approvals[1].facts == {"drawn": "8.21", "paid": "12.34"}
        place = centres.folder / "aa" / "city.yaml"
        before = place.read_text(encoding="utf-8")
        try:
            place.write_text(before.replace("12.34", "12.35"), encoding="utf-8")
            ingest.ingest(place.parent, tmp_path / ".hpfed" / "aa", seeded("tests", "aa"))
        finally:
            place.write_text(before, encoding="utf-8")
        agreement = rounds.agreed(present.post, study, answers)
        talk = rounds.summed(present.post, agreement, answers, {})
        assert [(each.city, each.reason) for each in talk.opened.missing] == [("aa", "declined:APPROVAL")]
        again = rounds.offer(present.post, study, present.signed, present.ids)
        assert again.approvals[1].facts["paid"] == "12.35"


def test_officers_and_whoever_plans_are_told_what_is_stated_and_by_whom(centres: Six, tmp_path: Path) -> None:
    study = centres.study(FLOWS + LIQUID + LOANS + ALL, mode="exact")
    with centres.gates(study, tmp_path) as present:
        rounds.offer(present.post, study, present.signed, present.ids)
        sheets = {}
        for city in ("aa", "bb", "ff"):
            station = present.link.gates[city].station
            told = city_file.told(station.city, study.dictionary, study.file.as_of)
            sheets[city] = "\n".join(zh + "\n" + en for zh, en in sheet_figures(study, city_file.said(told)))
    assert "缴存额（paid） 12.34 亿元" in sheets["aa"]
    assert "balance 82 亿元" in sheets["aa"]
    assert "Deposits (paid) 12.34 亿元" in sheets["aa"]
    assert "without noise and outside epsilon" in sheets["aa"]
    assert "this city states no balance of that day" in sheets["bb"]
    assert "bank：只在掩码之下参加各市合计" in sheets["ff"]
    assert "bank 2.02" not in sheets["ff"]
    found = {each.city: each for each in standins.known(study, centres.folder, present.post.clock())}
    assert found["bb"].cannot == ("fact:balance",)
    assert found["ff"].cannot == ("summed:bank",)
    noised = centres.study(FLOWS + LOANS + ALL)
    told_before = standins.known(noised, centres.folder, 0)
    sums = standins.twin(noised, centres.folder)
    twins: tuple[Callable[[Mapping[int, str]], Twin | None], ...] = (
        lambda _names: None,
        lambda names: beforehand.stand_ins(names, noised, Beforehand(twin=sums)),
    )
    for twin in twins:
        planned = plan.planned(noised, told_before, "folder", twin)
        entries = {each["id"]: each for each in plan.published(planned, ())["questions"]}
        assert not planned.noisy
        assert entries["held"]["cities"] == ["aa", "cc", "dd", "ee", "ff"]
        assert [row["expected"] for row in entries["rate"]["measures"]] == [None]


def test_a_ratio_of_facts_has_no_holders_that_could_be_withheld(centres: Six) -> None:
    question = centres.study(FLOWS + ALL).file.questions[0]
    answer = Answer((Row("ratio", {}, estimate=0.5, base=None),))
    assert question.withhold(answer, Withheld({}, {}), {}) == answer


def test_facts_alone_are_a_sum_in_mode_exact_and_stand_beside_what_cities_answer_by_themselves(
    centres: Six, tmp_path: Path
) -> None:
    alone = centres.ask(centres.study(LIQUID, mode="exact"), tmp_path / "alone")
    assert only(alone, "liquid")["estimate"] == pytest.approx(float(whole(BANK) / whole(DRAWN)), rel=1e-12)
    assert results(alone)["privacy"]["left_each_city"]["cells"] == 2
    assert unsound(alone, tmp_path / "alone" / "out") == {}
    own = centres.ask(centres.study(FLOWS + ALL, "release: by_city\n"), tmp_path / "own")
    for city in CITIES:
        assert only(own, "rate", city)["estimate"] == pytest.approx(float(DRAWN[city]) / float(PAID[city]), rel=1e-12)
    assert unsound(own, tmp_path / "own" / "out") == {}
