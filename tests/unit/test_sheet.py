"""The approval sheet, what the terminal says of a study, and when a cap ends: from study, roster, policy and ledger alone."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest

from coordinator import rounds
from node import outlook, policy, sheet
from node.desk import DAY, nobody
from node.ledger import FILE, look
from node.sheet import Sheet
from protocols import privacy
from protocols.filters import Leaf
from protocols.study import load
from tests import gates
from tests.gates import Rig
from tests.ledgers import M29, NOW, claim, opened, rows, spend, whole
from tests.unit.pages import parse
from tests.unit.test_desk import key

COHORT: Final = """cohort:
  all:
    - {any: [{variable: product, in: [free, monthly]}, {variable: sex, is: male}]}
    - {not: {variable: age, below: 18}}
    - {variable: age, between: [18, 60]}
    - {variable: sex, missing: false}
"""


def shown(tiny: Rig, cannot: tuple[str, ...] = (), unused: Mapping[str, tuple[str, ...]] | None = None) -> Sheet:
    """The sheet of the one study at the first city."""
    gate, folder = tiny.gate, tiny.folder / gates.CITIES[0]
    (digest, request), *_ = gate.desk.requests().items()
    return sheet.sheet(
        city=gate.station.city,
        digest=digest,
        request=request,
        policy=gate.policy,
        origins=policy.origin(folder, loose=True),
        view=look(gate.station.home / FILE, now=tiny.now),
        roster=tiny.present.post.roster,
        cannot=cannot,
        opinions=gate.desk.opinions(digest),
        now=tiny.now,
        unused=unused or {},
    )


def asking(folder: Path, study: str = gates.STUDY, rules: str = "policy: 1\n") -> Any:
    gates.write(folder, study=study)
    for city in gates.CITIES:
        (folder / city / "policy.yaml").write_text(rules, encoding="utf-8")
    return gates.rig(folder)


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Rig]:
    """A study of epsilon 2.5, which waits for two officers at the first city."""
    study = gates.STUDY.replace("epsilon: 1.0", "epsilon: 2.5").replace("questions:", COHORT + "questions:")
    with asking(tmp_path / "cities", study) as found:
        found.gate.desk = replace(found.gate.desk, present=nobody)
        rounds.offer(found.present.post, found.study, found.present.signed, found.present.ids)
        yield found


def test_the_sheet_says_what_is_asked_in_words(tiny: Rig) -> None:
    found = shown(tiny)
    assert [(name, words, cells) for name, words, cells, _ in found.questions] == [
        ("all", ("人数", "how many holders"), 1),
        ("product", ("各类人数与占比：product × sex", "numbers and shares: product × sex"), 9),
    ]
    assert found.cohort == (
        "（（product属于 free、monthly）或（sex等于 male））且（非（age低于 18））且（age介于 18 – 60）且（sex不缺失）",
        "((product is one of free, monthly) or (sex is male)) and (not (age below 18)) and (age between 18 – 60)"
        " and (sex is known)",
    )
    missing = Leaf.model_validate({"variable": "nowhere", "missing": "true"}, strict=False)
    assert found._leaf(missing) == ("nowhere缺失", "nowhere is missing")
    assert "10 cells (2 tables)" in found.leaves[0][1]


def test_levels_of_the_city_and_cohorts_of_questions_stand_on_the_sheet(tmp_path: Path) -> None:
    """As the asker says them, with how many cities share the level; and whether the table that leaves is of everybody."""
    study = gates.STUDY.replace(
        "questions:", "cities: {attributes: {region: {east: coast, west: coast}, pilot: {north: true}}}\nquestions:"
    ).replace("by: sex}", "by: sex, cohort: {variable: age, above: 30}}")
    study = study.replace("kind: count}", "kind: count, cohort: {variable: city.region, is: coast}}")
    with asking(tmp_path / "cities", study) as tiny:
        rounds.offer(tiny.present.post, tiny.study, tiny.present.signed, tiny.present.ids)
        found = shown(tiny)
        assert found.levels == (("pilot", "", "2"), ("region", "coast", "2"))
        texts = [words for _, words, _, _ in found.questions]
        assert texts[0][1].endswith(
            "of those where region of the city (city.region) is coast (the table that leaves is of everybody)"
        )
        assert "仅限" in texts[1][0]
        assert not texts[1][1].endswith("of everybody)")
        page, lines = sheet.page(found, tiny.now), "\n".join(sheet.lines(found, "en", tiny.now))
        assert "<code>region</code> = <code>coast</code>" in page
        assert "attribute pilot of this city: none (2 cities)" in lines
        assert sheet.value(found, tiny.now)["levels"] == {"pilot": None, "region": "coast"}


def test_the_price_on_the_sheet_is_the_one_the_ledger_holds(tiny: Rig) -> None:
    before = shown(tiny)
    assert [(each.scope, each.used) for each in before.shares] == [(scope, 0) for scope in outlook.SCOPES]
    assert before.decision.decide == "two_officers"
    assert (before.rule, before.place.endswith("approve[1]")) == ("{epsilon_above: 2.0, decide: two_officers}", True)
    for name in ("li", "wang"):
        tiny.gate.desk.enrol(name, key(name), tiny.gate.station.identity.key, tiny.now)
        tiny.gate.desk.say(tiny.study.digest, "approve", key(name), tiny.now)
    answers, agreement = tiny.approved()
    rounds.summed(tiny.present.post, agreement, answers, {})
    after = shown(tiny)
    assert [each.used for each in after.shares] == [each.after for each in before.shares]
    assert [each.after for each in after.shares] == [each.used for each in after.shares], "it is not counted twice"
    assert sheet.standing(after, "en", tiny.now).startswith("approved by li, wang until ")
    assert sheet.standing(after, "zh", tiny.now + 31 * DAY).startswith("待审批：2 人中已有 2 人同意")


def test_a_table_of_the_city_alone_is_told_apart_from_the_sum(tmp_path: Path) -> None:
    study = gates.STUDY.replace("of: product, by: sex}", "of: product, by: sex, release: both}")
    with asking(tmp_path / "cities", study) as tiny:
        answers, agreement = tiny.approved()
        found = shown(tiny)
    said = " ".join(sentence[1] for sentence in found.leaves)
    assert f"this city's own tables, in {tiny.study.workload.own.length} cells (1 tables), without masks" in said
    assert f"in {tiny.study.workload.layout.length} cells" in said
    assert "that of the own tables is all this city's" in said
    assert "counts of the sum over cities: noise" in said
    assert "this city's own counts: noise of standard deviation" in said
    assert found.agreement is not None
    assert found.agreement.cost == agreement.cost
    assert len(answers.approvals) == 3


def test_officers_see_the_table_that_an_asker_spends_the_budget_on(tmp_path: Path) -> None:
    """The split is the asker's to choose: all of it costs epsilon, and one table may get nearly all."""
    uneven = gates.STUDY.replace("epsilon: 1.0,", "epsilon: 1.0, noise: {accounting: rdp, shares: [1, 399]},")
    with asking(tmp_path / "cities", uneven) as tiny:
        rounds.offer(tiny.present.post, tiny.study, tiny.present.signed, tiny.present.ids)
        said = [english for _, english in shown(tiny).leaves]
        blocks, v20 = tiny.study.workload.layout.blocks, tiny.study.variances
    assert v20[0] > 300 * v20[1]
    sd = [f"{(each / 2**20) ** 0.5:,.1f}" for each in v20]
    assert (
        f"counts of the sum over cities: noise of standard deviation {sd[1]} to {sd[0]}, least in {blocks[1].name}."
        in said
    )


def test_every_reason_against_a_study_is_on_its_sheet(tmp_path: Path) -> None:
    small = "policy: 1\nkinds: {dp: [count]}\nvariables: {deny: [sex]}\n"
    caps = "dp: {caps: {per_asker_year: {epsilon: 0.1}, per_year: {epsilon: 0.1}, total: {epsilon: 0.1}}}\n"
    with asking(tmp_path / "cities", rules=small + caps) as tiny:
        rounds.offer(tiny.present.post, tiny.study, tiny.present.signed, tiny.present.ids)
        found = shown(tiny, cannot=("sex",))
    budgets = ["BUDGET_ASKER", "BUDGET_YEAR", "BUDGET_TOTAL"]
    assert [each.code for each in found.reasons] == ["POLICY_KIND", "POLICY_VARIABLE", *budgets]
    said = "\n".join(sheet.lines(found, "en", tiny.now))
    assert "variables.deny" in said
    assert "sex [C1]: this city has it not" in said
    assert "refused by a rule: POLICY_KIND" in said
    assert "analyst" in said
    assert "拒绝" in "\n".join(sheet.lines(found, "zh", tiny.now))
    page = sheet.page(found, tiny.now)
    assert all(f'<dt class="no">{each.code}</dt>' in page for each in found.reasons)
    assert "没有，全部记为缺失" in page


def test_an_exact_study_says_that_nothing_hides_it(tmp_path: Path) -> None:
    gates.write(tmp_path / "cities")
    study = load(tmp_path / "cities" / "study.yaml").in_exact_mode()
    with gates.rig(tmp_path / "cities", study=study) as tiny:
        rounds.offer(tiny.present.post, tiny.study, tiny.present.signed, tiny.present.ids)
        found = shown(tiny)
    assert found.shares == ()
    assert (found.rule, found.decision.rule) == ("", "approve")
    assert "no noise is added: the numbers are exact." in [sentence[1] for sentence in found.leaves]
    assert "no rule matches" in "\n".join(sheet.lines(found, "en", tiny.now))
    assert "精确模式：不加噪声，不占用 epsilon 预算" in sheet.page(found, tiny.now)


REAL: Final = "policy: 1\nkinds: {exact: all}\n"


@pytest.mark.parametrize("release", ["pooled", "by_city"])
def test_an_exact_study_says_what_is_withheld_where_and_what_cannot_be_undone(tmp_path: Path, release: str) -> None:
    gates.write(tmp_path / "cities", study=gates.STUDY.replace("questions:", f"release: {release}\nquestions:"))
    for city in gates.CITIES:
        (tmp_path / "cities" / city / "policy.yaml").write_text(REAL, encoding="utf-8")
    study = load(tmp_path / "cities" / "study.yaml").in_exact_mode()
    with gates.rig(tmp_path / "cities", study=study) as tiny:
        rounds.offer(tiny.present.post, tiny.study, tiny.present.signed, tiny.present.ids)
        found = shown(tiny)
        strict = replace(
            found, limits=found.limits.model_copy(update={"min_cell": 1, "min_cohort": 1, "min_cohort_by_city": 1})
        )
    zh, en = ("\n".join(sheet.lines(found, language, tiny.now)) for language in ("zh", "en"))
    where = {
        "pooled": ("公布之前由协调方隐去", "by the coordinator"),
        "by_city": ("送出之前由本市隐去", "by this city"),
    }[release]
    assert where[0] in zh
    assert where[1] in en
    assert ("缺一市即不计算" in zh) is (release == "pooled")
    assert ("1 to 4 holders" if release == "pooled" else "1 to 49 holders") in en
    assert "can never be taken back" in en
    page = sheet.page(found, tiny.now)
    assert all(sentence in page for sentence, _ in found.undone)
    assert "每一名缴存人" not in page
    assert sheet.value(found, tiny.now)["undone"] == [sentence for _, sentence in found.undone]
    assert "no cell is withheld." in [sentence for _, sentence in strict.leaves]
    assert "allow exact results about a single holder" in strict.undone[1][1]


def test_codes_that_no_value_of_the_city_becomes_stand_on_the_sheet(tiny: Rig) -> None:
    found = shown(tiny, unused={"product": ("free",), "nowhere": ("x",)})
    assert found.unused == {"product": ("free",)}
    assert "no value of this city becomes free of product" in "\n".join(sheet.lines(found, "en", tiny.now))
    assert "本市没有一个值对应 product 的 free" in sheet.page(found, tiny.now)
    assert found.undone == ()
    assert sheet.value(found, tiny.now)["unused"] == {"product": ["free"]}


def test_a_study_that_too_few_cities_could_answer_says_so(tiny: Rig) -> None:
    for name, request in tiny.gate.desk.requests().items():
        tiny.gate.desk.record(name, request.model_copy(update={"cities": ("east",)}), "pending", (), 20)
    found = shown(tiny)
    assert found.agreement is None
    assert "POLICY_CITIES" in [each.code for each in found.reasons]


def test_what_officers_said_stands_on_the_sheet_and_in_the_data(tiny: Rig) -> None:
    for name in ("li", "wang"):
        tiny.gate.desk.enrol(name, key(name), tiny.gate.station.identity.key, tiny.now)
    tiny.gate.desk.say(tiny.study.digest, "approve", key("li"), tiny.now)
    tiny.gate.desk.say(tiny.study.digest, "decline", key("wang"), tiny.now, "<b>不</b>")
    found = shown(tiny)
    assert sheet.standing(found, "en", tiny.now).startswith("wang said no")
    page = sheet.page(found, tiny.now)
    assert "&lt;b&gt;不&lt;/b&gt;" in page
    assert "<b>" not in page
    data = sheet.value(found, tiny.now)
    assert [(each["officer"], each["answer"]) for each in data["officers"]] == [("li", "approve"), ("wang", "decline")]
    rounds.offer(tiny.present.post, tiny.study, tiny.present.signed, tiny.present.ids)
    assert sheet.standing(shown(tiny), "zh", tiny.now) == "已拒绝（wang）：APPROVAL_DECLINED; <b>不</b>"


def test_the_page_is_whole_and_asks_nothing_of_the_network(tiny: Rig) -> None:
    page = sheet.page(shown(tiny), tiny.now)
    assert parse(page).text.startswith("数据研究审批单 ")
    for heading in "一二三四五六七八九":
        assert f"<h2>{heading}、" in page
    assert "size: A4" in page
    assert tiny.study.digest in page
    assert not re.search(r"https?://|<script|<img|<link", page)
    assert sheet.shown("x" * 700).endswith("…")
    assert sheet.shown("a\u202eb") == "a\\u202eb"


# --- what has left


def test_what_left_is_told_as_the_ledger_knows_it(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        whole(ledger, 1)
        ledger.reserve(claim(2, study="b"), now=NOW)
        rows(ledger, 2)
        ledger.end(bytes.fromhex(claim(2).conversation), now=NOW)
        ledger.reserve(claim(3, study="c", exact=True), now=NOW)
        held = [sheet.released(each, ledger.view(NOW)) for each in ledger.view(NOW).reservations]
    assert [(each["state"], len(each["sent"]), each["charged_without_sending"]) for each in held] == [
        ("answered", 1, 0),
        ("spent", 0, 1),
        ("reserved", 0, 0),
    ]
    assert held[0]["epsilon"] == held[1]["epsilon"]
    assert held[0]["epsilon"] == f"{privacy.epsilon_of(claim(1).cost.curve, Decimal('1e-6')):.4f}" == "1.0779"
    assert held[2]["epsilon"] is None
    text = "\n".join(sheet.released_lines(held, "en"))
    assert "no bytes left" in text
    assert "mode exact: no noise" in text
    assert "noise sd 11.4 of this city, 22.8 of the sum" in text


# --- how long a cap lasts


def ahead(folder: Path, *times: int, now: int) -> outlook.Outlook:
    """Of the cap on everything, after studies of equal price at these days."""
    folder.mkdir(parents=True, exist_ok=True)
    with opened(folder, now=NOW) as ledger:
        for number, day in enumerate(times):
            when = NOW + day * DAY
            ledger.reserve(claim(number, study=f"s{number}", expires=when + 600), now=when)
            rows(ledger, number, when)
            spend(ledger, number, when)
        view = ledger.view(now)
        return outlook.outlook(view.room("total", "", now), view.reservations, now)


def test_a_cap_ends_when_what_is_left_has_gone_at_the_pace_of_a_year(tmp_path: Path) -> None:
    cost = privacy.cost_at(claim(0).cost.curve, privacy.cap(Decimal(16), Decimal("1e-6")).order)
    room = privacy.cap(Decimal(16), Decimal("1e-6")).room
    now = NOW + 365 * DAY
    found = ahead(tmp_path / "a", 0, 100, now=now)
    assert found.days == 365
    assert found.per_day == pytest.approx(cost / 365), "the first one is more than a year ago"
    whole = (room - 2 * cost) * 365 // cost
    assert found.ends == datetime.fromtimestamp(now, UTC).date() + timedelta(whole)


def test_a_young_ledger_looks_back_to_its_first_charge_and_a_month_at_least(tmp_path: Path) -> None:
    assert ahead(tmp_path / "a", 0, now=NOW + DAY).days == 30
    assert ahead(tmp_path / "b", 0, 80, now=NOW + 90 * DAY).days == 90
    assert ahead(tmp_path / "c", now=NOW) == outlook.Outlook(30, 0.0, None)
    assert ahead(tmp_path / "d", 0, now=NOW + 366 * DAY).ends is None


def test_a_cap_that_outlasts_the_calendar_has_no_day(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        ledger.reserve(claim(1, total=10**9 * M29), now=NOW)
        view = ledger.view(NOW)
        assert outlook.outlook(view.room("total", "", NOW), view.reservations, NOW).ends is None


def test_caps_are_told_in_both_languages_with_what_waits_for_officers(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        whole(ledger, 1)
        view = ledger.view(NOW)
    values = [outlook.value(room, view.reservations, room.scope == "total", NOW) for room in view.rooms]
    assert [(each["scope"], each["asker"], each["renews"]) for each in values] == [
        ("per_asker_year", "fund-lab", date(2027, 1, 1)),
        ("per_year", "", date(2027, 1, 1)),
        ("total", "", None),
    ]
    assert all(each["used"] + each["left"] == pytest.approx(1, abs=1e-5) for each in values)
    english, chinese = ("\n".join(outlook.lines(values, language)) for language in ("en", "zh"))
    assert "used up on" in english
    assert "two officers" in english
    assert "须两名审批人" in chinese
    idle = [{**values[0], "ends": None}]
    assert "nothing was charged" in "\n".join(outlook.lines(idle, "en"))


def test_an_asker_without_charges_has_the_whole_of_its_cap(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        whole(ledger, 1)
        view = ledger.view(NOW)
    assert view.room("per_asker_year", "somebody-new", NOW).used == privacy.FREE
    assert view.room("per_asker_year", "fund-lab", NOW).used != privacy.FREE
