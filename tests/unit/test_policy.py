"""A city's policy: what it says where it is silent, which mistakes are named with file, line and key, and what it decides."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from node.policy import DEFAULT, Decision, Policy, decide, load, origin, unknown_variables
from protocols import study as studies
from protocols.errors import CODES, ConfigError, HpfedError
from protocols.study import Study
from tests.ledgers import policy

SIX = ("a-city", "b-city", "c-city", "d-city", "e-city", "f-city")
FLAGSHIP = Path(studies.__file__).parents[1] / "coordinator" / "studies" / "flexible-employment-profile.yaml"
TABLES = "kinds: {exact: all}\nexact: {min_cell: 1, min_cohort: 1, min_pooled: 1}\n"


def study(folder: Path, questions: str = "[{id: products, kind: frequency, of: product}]", **keys: str) -> Study:
    """A study of few words. `keys` are lines of the file."""
    words = {"privacy": "{epsilon: 1.0}", "cities": "{least: 3}", **keys}
    text = (
        "study: products\ntitle: {zh: 产品}\npurpose: {zh: 试}\nasker: fund-lab\ndictionary: hpf-flexible-employment@1\n"
        "as_of: 2022-05-31\n"
        + "".join(f"{key}: {value}\n" for key, value in words.items())
        + f"questions: {questions}\n"
    )
    path = folder / "study.yaml"
    path.write_text(text, encoding="utf-8")
    return studies.load(path)


def says(asked: Study, rules: Policy, role: str = "analyst", **words: Any) -> Decision:
    return decide(asked, role=role, policy=rules, **{"cities": SIX, "cannot": {}, **words})


def codes(decision: Decision) -> list[str]:
    return [reason.code for reason in decision.reasons]


def faults(folder: Path, text: str, *, loose: bool = False) -> list[HpfedError]:
    with pytest.raises(ConfigError) as raised:
        policy(folder, text, loose=loose)
    return list(raised.value.every())


# --- reading


def test_a_city_without_a_policy_has_the_shipped_one(tmp_path: Path) -> None:
    assert (
        load(tmp_path, loose=False)
        == policy(tmp_path / "empty", "")
        == policy(tmp_path / "same", DEFAULT.read_text("utf-8"))
    )


def test_a_city_without_a_policy_answers_boosted_trees_of_default_size_and_says_what_to_raise_for_more(
    tmp_path: Path,
) -> None:
    trees = "{id: trees, kind: gbdt, outcome: interrupted, features: [sex, personal_income, birth_year, paid_12m]"
    asked, more = (
        says(study(tmp_path, f"[{trees}{size}}}]", privacy="{mode: exact}"), load(tmp_path / "none", loose=False))
        for size in ("", ", trees: 300, depth: 6")
    )
    assert asked.decide != "refuse", codes(asked)
    assert codes(more) == ["MODEL_ROUNDS"]
    assert "limits.most_rounds" in more.reasons[0].text("en")
    assert more.reasons[0].values == {"round": 1801, "limit": 400}


def test_the_shipped_policy_is_that_of_the_specification(tmp_path: Path) -> None:
    shipped = load(tmp_path, loose=False).file
    caps = shipped.dp.caps
    assert [(each.epsilon, each.delta) for each in (caps.per_asker_year, caps.per_year, caps.total)] == [
        (Decimal(6), Decimal("1e-6")),
        (Decimal(8), Decimal("1e-6")),
        (Decimal(16), Decimal("1e-6")),
    ]
    assert (shipped.dp.most_epsilon_per_study, shipped.dp.most_delta, shipped.dp.min_cell) == (
        Decimal(4),
        Decimal("1e-5"),
        10,
    )
    assert shipped.kinds.exact == ("glm", "cox", "hazard", "ordinal", "multinomial", "scorecard", "gbdt", "evaluate")
    assert shipped.exact.model_dump() == {
        "min_cohort": 5,
        "min_cohort_by_city": 50,
        "min_pooled": 100,
        "min_cell": 10,
        "min_column": 5,
        "most_parameters_per_row": Decimal("0.2"),
        "dominance": {"top": 2, "share": Decimal("0.75"), "p_percent": 10},
        "min_unmapped": 3,
        "most_releases_per_snapshot": 50,
    }
    assert shipped.limits.model_dump() == {
        "most_questions": 80,
        "most_cells": 200_000,
        "most_cells_by_city": 50_000,
        "most_dimensions": 4,
        "most_rounds": 400,
        "pending_studies": 20,
        "conversations_per_day": 100,
    }
    assert (shipped.cities.least, shipped.cities.least_colluders, shipped.retries) == (3, 0, 2)
    assert (shipped.expiry.approval_days, shipped.keep_openings, shipped.quality_summary) == (30, False, "refused")
    assert shipped.models.model_dump() == {"open_transcript": True, "cox_time_tables": False, "city_constants": False}


def test_a_missing_key_has_its_default_at_every_depth(tmp_path: Path) -> None:
    mine = policy(tmp_path, "exact:\n  dominance: {p_percent: 12.5}\nlimits: {most_cells: 9}\n").file
    assert mine.exact.dominance.model_dump() == {"top": 2, "share": Decimal("0.75"), "p_percent": Decimal("12.5")}
    assert (mine.limits.most_cells, mine.limits.most_questions, mine.exact.min_cohort) == (9, 80, 5)


@pytest.mark.parametrize(
    ("text", "line", "key", "code"),
    [
        ("retries: 2\nlimit: {}\n", 2, "limit", "SCHEMA_KEY"),
        ("dp:\n  caps:\n    per_year: {epsilom: 8}\n", 3, "dp.caps.per_year.epsilom", "SCHEMA_KEY"),
        ("retries: -1\n", 1, "retries", "SCHEMA_VALUE"),
        ("retries: many\n", 1, "retries", "SCHEMA_VALUE"),
        ("kinds: 3\n", 1, "kinds", "SCHEMA_VALUE"),
        ("kinds:\n  exact: [glm, glmm]\n", 2, "kinds.exact[1]", "SCHEMA_VALUE"),
        ("kinds: {exact: any}\n", 1, "kinds.exact", "SCHEMA_VALUE"),
        ("kinds: {exact: {glm: true}}\n", 1, "kinds.exact", "SCHEMA_VALUE"),
        ("keep_openings: maybe\n", 1, "keep_openings", "SCHEMA_VALUE"),
        ("dp:\n  most_delta: nan\n", 2, "dp.most_delta", "SCHEMA_VALUE"),
        ("dp:\n  most_epsilon_per_study: inf\n", 2, "dp.most_epsilon_per_study", "SCHEMA_VALUE"),
        ("dp: {most_epsilon_per_study: 0}\n", 1, "dp.most_epsilon_per_study", "SCHEMA_VALUE"),
        ("dp: {caps: {total: {delta: 1}}}\n", 1, "dp.caps.total.delta", "SCHEMA_VALUE"),
        ("exact: {dominance: {share: 1.5}}\n", 1, "exact.dominance.share", "SCHEMA_VALUE"),
        ("exact: {most_parameters_per_row: -0.1}\n", 1, "exact.most_parameters_per_row", "SCHEMA_VALUE"),
        ("cities: {least: 2}\n", 1, "cities.least", "SCHEMA_VALUE"),
        ("limits: {pending_studies: 201}\n", 1, "limits.pending_studies", "SCHEMA_VALUE"),
        ("limits: {conversations_per_day: 1001}\n", 1, "limits.conversations_per_day", "SCHEMA_VALUE"),
        ("policy: 2\n", 1, "policy", "SCHEMA_VALUE"),
        ("approve:\n  - {mode: dp}\n", 2, "approve[0].decide", "SCHEMA_MISSING"),
        ("approve:\n  - {roles: [boss], decide: auto}\n", 2, "approve[0].roles[0]", "SCHEMA_VALUE"),
        ("variables: {deny_together: [[sex]]}\n", 1, "variables.deny_together[0]", "SCHEMA_VALUE"),
        ("dp:\n  caps:\n    per_year: {epsilon: 5}\n", 3, "dp.caps.per_year.epsilon", "POLICY_NESTED"),
        ("dp:\n  caps:\n    total: {delta: 1e-7}\n", 3, "dp.caps.total.delta", "POLICY_NESTED"),
        (
            "dp:\n  caps:\n    per_asker_year: {epsilon: 1e-9}\n",
            3,
            "dp.caps.per_asker_year",
            "PRIVACY_EPSILON_TOO_SMALL",
        ),
        ("- dp\n", 1, "", "SCHEMA_VALUE"),
    ],
)
def test_a_mistake_is_named_with_file_line_and_key(tmp_path: Path, text: str, line: int, key: str, code: str) -> None:
    (fault,) = faults(tmp_path, text)
    assert fault.at is not None
    assert (fault.code, fault.at.file, fault.at.line, fault.at.key) == (code, str(tmp_path / "policy.yaml"), line, key)
    assert fault.exit_code == 2


def test_all_mistakes_are_named_at_once(tmp_path: Path) -> None:
    found = faults(tmp_path, "retries: -1\ncities: {least: 2}\nexakt: {}\n")
    assert sorted(fault.at.key for fault in found if fault.at) == ["cities.least", "exakt", "retries"]


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("exact: {min_cohort: 4}", "exact.min_cohort"),
        ("exact: {min_cohort_by_city: 49}", "exact.min_cohort_by_city"),
        ("exact: {min_pooled: 99}", "exact.min_pooled"),
        ("exact: {min_cell: 9}", "exact.min_cell"),
        ("exact: {min_column: 4}", "exact.min_column"),
        ("exact: {most_parameters_per_row: 0.201}", "exact.most_parameters_per_row"),
        ("exact: {dominance: {top: 1}}", "exact.dominance.top"),
        ("exact: {dominance: {share: 0.76}}", "exact.dominance.share"),
        ("exact: {dominance: {p_percent: 9.9}}", "exact.dominance.p_percent"),
        ("exact: {min_unmapped: 2}", "exact.min_unmapped"),
        ("exact: {most_releases_per_snapshot: 51}", "exact.most_releases_per_snapshot"),
    ],
)
def test_only_synthetic_or_public_data_may_be_answered_more_loosely(tmp_path: Path, text: str, key: str) -> None:
    (fault,) = faults(tmp_path, text)
    assert fault.at is not None
    assert (fault.code, fault.at.key) == ("POLICY_TOO_LOOSE", key)
    assert policy(tmp_path, text, loose=True).loose


def test_tighter_thresholds_and_tables_are_open_to_every_city(tmp_path: Path) -> None:
    text = "kinds: {exact: all}\nexact: {min_cell: 11, most_parameters_per_row: 0.1, dominance: {share: 0.5}, min_unmapped: 4}\n"
    assert policy(tmp_path, text).file.exact.min_cell == 11


def test_where_data_are_synthetic_one_city_may_lack_a_variable(tmp_path: Path) -> None:
    assert load(tmp_path, loose=True).file.exact.min_unmapped == 1
    assert policy(tmp_path, "exact: {min_unmapped: 5}", loose=True).file.exact.min_unmapped == 5


def test_the_digest_names_what_is_in_force_and_not_how_it_is_written(tmp_path: Path) -> None:
    plain = load(tmp_path, loose=False)
    assert policy(tmp_path / "a", "retries: 2 # as shipped\n").digest == plain.digest
    assert policy(tmp_path / "b", "retries: 1\n").digest != plain.digest
    assert policy(tmp_path / "c", "exact: {min_unmapped: 3}\n", loose=True).digest != plain.digest


def test_origin_says_of_every_value_where_it_is_from(tmp_path: Path) -> None:
    policy(
        tmp_path, "# ours\nretries: 0\napprove:\n  - {mode: dp, decide: officer}\ndp: {caps: {total: {epsilon: 9}}}\n"
    )
    found = {each.key: each for each in origin(tmp_path, loose=False)}
    assert (found["retries"].value, str(found["retries"].at)) == ("0", f"{tmp_path / 'policy.yaml'}:2: retries")
    assert found["approve"].value == "[{mode: dp, decide: officer}]"
    assert found["dp.caps.total.epsilon"].at.line == 5
    assert found["dp.caps.total.delta"].at.file == "policy.default.yaml"
    assert found["modes"].value == "[dp, exact]"
    assert list(found)[:3] == ["policy", "modes", "releases"]


def test_origin_of_a_broken_policy_is_its_mistakes(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text("retries: -1\n")
    with pytest.raises(ConfigError):
        origin(tmp_path, loose=False)


# --- deciding


@pytest.mark.parametrize(
    ("epsilon", "decided", "rule"),
    [
        ("1.0", "auto", "approve[0]"),
        ("1.01", "officer", "approve"),
        ("2", "officer", "approve"),
        ("2.01", "two_officers", "approve[1]"),
    ],
)
def test_the_shipped_rules_ask_for_more_officers_as_epsilon_rises(
    tmp_path: Path, epsilon: str, decided: str, rule: str
) -> None:
    asked = study(tmp_path, privacy=f"{{epsilon: {epsilon}}}")
    assert says(asked, load(tmp_path, loose=False)) == Decision(decided, rule)  # type: ignore[arg-type] # a word of the table


def test_the_flagship_study_is_answered_without_an_officer(tmp_path: Path) -> None:
    flagship = studies.load(FLAGSHIP)
    assert says(flagship, load(tmp_path, loose=False), cannot={"f-city": ("residence",)}).decide == "auto"


def test_a_study_at_the_most_epsilon_is_decided_and_above_it_refused(tmp_path: Path) -> None:
    rules = load(tmp_path, loose=False)
    assert says(study(tmp_path, privacy="{epsilon: 4, delta: 1e-5}"), rules).decide == "two_officers"
    above = says(study(tmp_path, privacy="{epsilon: 4.001, delta: 1.1e-5}"), rules)
    assert codes(above) == ["POLICY_EPSILON", "POLICY_EPSILON"]
    assert "most_delta" in above.reasons[1].text("zh")


def test_exact_tables_are_off_until_a_city_turns_them_on(tmp_path: Path) -> None:
    asked = study(tmp_path, privacy="{mode: exact}")
    assert codes(says(asked, load(tmp_path, loose=False))) == ["POLICY_KIND"]
    assert says(asked, policy(tmp_path, TABLES, loose=True)) == Decision("officer", "approve")
    assert says(asked, policy(tmp_path, TABLES.replace("all", "[frequency]"), loose=True)).decide == "officer"


@pytest.mark.parametrize("release", ["pooled", "by_city", "both"])
def test_a_city_of_real_data_answers_exact_tables_of_counts_where_its_policy_lists_the_kind(
    tmp_path: Path, release: str
) -> None:
    asked = study(tmp_path, privacy="{mode: exact}", release=release)
    assert says(asked, policy(tmp_path, "kinds: {exact: [frequency]}\n")) == Decision("officer", "approve")
    assert codes(says(asked, policy(tmp_path, "kinds: {exact: [crosstab]}\n"))) == ["POLICY_KIND"]


MEAN = "{id: a, kind: mean, of: contribution_base"
RATIO = "{id: a, kind: ratio, numerator: withdrawn_24m, denominator: paid_total"


@pytest.mark.parametrize("bound", ["min_cell: 10", "min_pooled: 50"])
@pytest.mark.parametrize(
    ("questions", "guarded"),
    [
        (f"[{MEAN}}}]", True),
        (f"[{MEAN}, by: sex, clip: [0, 30000]}}, {RATIO.replace('id: a', 'id: b')}}}]", True),
        (f"[{MEAN}, release: by_city}}]", False),
        (f"[{MEAN}, release: both}}]", False),
        (f"[{MEAN}, clip: [0, 30000]}}, {{id: b, kind: mean, of: contribution_base}}]", False),
        (f"[{RATIO}, sampling: true}}]", False),
        ("[{id: a, kind: moments, of: [age, paid_total]}]", False),
    ],
)
def test_exact_amounts_are_refused_where_their_cells_cannot_be_withheld(
    tmp_path: Path, bound: str, questions: str, guarded: bool
) -> None:
    """Pooled means and ratios are guarded; by city, clipped in two ways, or with squares of ratios, they are not."""
    key = bound.split(":")[0]
    rules = policy(tmp_path, TABLES.replace(f"{key}: 1", bound), loose=True)
    said = says(study(tmp_path, questions, privacy="{mode: exact}"), rules)
    assert set(codes(said)) == (set() if guarded else {"POLICY_KIND"})
    for reason in said.reasons:
        assert f"exact.{bound}" in reason.text("en")
        assert "a few holders" in reason.text("en")
        assert "少数人" in reason.text("zh")


def test_exact_tables_by_city_are_refused_beside_pooled_ones_where_cells_are_withheld(tmp_path: Path) -> None:
    """What a city withholds would be the sum less what the others say."""
    questions = "[{id: a, kind: frequency, of: product}, {id: b, kind: frequency, of: sex, release: by_city}]"
    mixed = study(tmp_path, questions, privacy="{mode: exact}")
    no = says(mixed, policy(tmp_path, "kinds: {exact: all}\n"))
    assert codes(no) == ["POLICY_KIND", "POLICY_KIND"]
    assert "subtraction" in no.reasons[0].text("en")
    assert says(mixed, policy(tmp_path, TABLES, loose=True)).decide == "officer"


@pytest.mark.parametrize("key", ["keep_openings: true", "quality_summary: allowed"])
def test_what_this_version_cannot_do_is_not_promised_by_a_policy(tmp_path: Path, key: str) -> None:
    with pytest.raises(ConfigError) as fault:
        policy(tmp_path, key + "\n")
    assert fault.value.code == "NOT_YET"
    assert fault.value.at is not None
    assert fault.value.at.key == key.split(":")[0]


def test_a_misspelt_variable_of_a_policy_is_found_because_it_would_protect_nothing(tmp_path: Path) -> None:
    rules = policy(tmp_path, "variables: {deny: [sexx, product], deny_together: [[age, generaton]]}\n")
    found = list(unknown_variables(tmp_path, rules, study(tmp_path).dictionary))
    assert [(each.code, each.values["name"], each.values["near"]) for each in found] == [
        ("STUDY_VARIABLE", "sexx", "sex"),
        ("STUDY_VARIABLE", "generaton", "generation"),
    ]


def test_every_reason_is_given_at_once(tmp_path: Path) -> None:
    rules = policy(
        tmp_path,
        "modes: [exact]\nreleases: [by_city]\nkinds: {dp: [tgi]}\nvariables: {deny: [product]}\ncities: {least: 7, least_colluders: 2}\n"
        "limits: {most_questions: 1, most_cells: 1, most_dimensions: 0}\ndp: {most_epsilon_per_study: 0.5}\n",
    )
    asked = study(tmp_path, "[{id: all, kind: count}, {id: products, kind: frequency, of: product}]")
    decision = says(asked, rules)
    assert codes(decision) == [
        "POLICY_MODE",
        "POLICY_RELEASE",
        "POLICY_KIND",
        "POLICY_KIND",
        "POLICY_VARIABLE",
        "POLICY_CELLS",
        "POLICY_CELLS",
        "POLICY_CELLS",
        "POLICY_EPSILON",
        "POLICY_COLLUDERS",
        "POLICY_CITIES",
    ]
    first = decision.refusal()
    assert first is not None
    assert [each.code for each in first.every()] == codes(decision)
    for reason in decision.reasons:
        assert reason.exit_code == 3
        assert all("{" not in reason.text(language) for language in ("zh", "en"))


def test_a_variable_is_denied_with_all_that_is_derived_from_it(tmp_path: Path) -> None:
    asked = study(tmp_path, "[{id: g, kind: frequency, of: generation}]")
    assert codes(says(asked, policy(tmp_path, "variables: {deny: [birth_year]}"))) == ["POLICY_VARIABLE"]
    assert codes(says(asked, policy(tmp_path, "variables: {deny: [generation]}"))) == ["POLICY_VARIABLE"]
    assert says(asked, policy(tmp_path, "variables: {deny: [sex, age]}")).decide == "auto"


def test_a_step_between_a_derived_variable_and_its_source_can_be_denied(tmp_path: Path) -> None:
    asked = study(tmp_path, "[{id: s, kind: frequency, of: segment}]")
    assert codes(says(asked, policy(tmp_path, "variables: {deny: [age]}"))) == ["POLICY_VARIABLE"]


def test_a_denied_variable_cannot_choose_the_cohort_either(tmp_path: Path) -> None:
    asked = study(tmp_path, cohort="{variable: sex, is: male}")
    assert codes(says(asked, policy(tmp_path, "variables: {deny: [sex]}"))) == ["POLICY_VARIABLE"]


def test_variables_denied_together_may_stand_in_two_tables_but_not_in_one(tmp_path: Path) -> None:
    rules = policy(tmp_path, "variables: {deny_together: [[occupation, birth_year]]}")
    apart = study(tmp_path, "[{id: a, kind: frequency, of: occupation}, {id: b, kind: frequency, of: generation}]")
    assert says(apart, rules).decide == "auto"
    together = study(tmp_path, "[{id: a, kind: crosstab, by: [occupation, generation]}]")
    assert codes(says(together, rules)) == ["POLICY_VARIABLE"]
    by_cohort = study(tmp_path, "[{id: a, kind: frequency, of: occupation}]", cohort="{variable: generation, is: 90s}")
    assert codes(says(by_cohort, rules)) == ["POLICY_VARIABLE"]


def test_a_cohort_of_one_question_is_judged_as_what_it_makes_leave(tmp_path: Path) -> None:
    """As one more axis of a table of everybody: its variable, its dimensions and its cells; else as part of its blocks."""
    asked = "[{id: a, kind: frequency, of: occupation, cohort: {variable: generation, %s}}]"
    for cohort in ("is: 90s", "in: [90s]"):
        found = study(tmp_path, asked % cohort)
        assert codes(says(found, policy(tmp_path, "variables: {deny: [generation]}"))) == ["POLICY_VARIABLE"]
        together = "variables: {deny_together: [[occupation, birth_year]]}"
        assert codes(says(found, policy(tmp_path, together))) == ["POLICY_VARIABLE"]
    wide, apart = study(tmp_path, asked % "is: 90s"), study(tmp_path, asked % "in: [90s]")
    flat = policy(tmp_path, "limits: {most_dimensions: 1}")
    assert (codes(says(wide, flat)), codes(says(apart, flat))) == (["POLICY_CELLS"], [])
    exact = study(tmp_path, asked % "in: [90s]", privacy="{mode: exact}")
    loose = policy(tmp_path, "kinds: {exact: all}", loose=True)
    (reason,) = says(exact, loose).reasons
    assert (reason.code, "another cohort" in reason.text("en")) == ("POLICY_KIND", True)
    several = study(tmp_path, "[{id: w, kind: frequency, of: worries}]", privacy="{mode: exact}")
    (reason,) = says(several, loose).reasons
    assert (reason.code, "multi-response" in reason.text("en")) == ("POLICY_KIND", True)


def test_limits_allow_exactly_what_they_say(tmp_path: Path) -> None:
    asked = study(tmp_path, "[{id: a, kind: crosstab, by: [sex, product]}, {id: b, kind: count}]")
    cells = asked.workload.layout.length
    assert (
        says(asked, policy(tmp_path, f"limits: {{most_cells: {cells}, most_questions: 2, most_dimensions: 2}}")).decide
        == "auto"
    )
    for text in (f"{{most_cells: {cells - 1}}}", "{most_questions: 1}", "{most_dimensions: 1}"):
        assert codes(says(asked, policy(tmp_path, f"limits: {text}"))) == ["POLICY_CELLS"]


def test_a_city_counts_the_cells_of_its_own_tables_apart(tmp_path: Path) -> None:
    asked = study(tmp_path, "[{id: a, kind: crosstab, by: [sex, product]}, {id: b, kind: count}]")
    first = asked.file.questions[0].model_copy(update={"release": "by_city"})
    own = Study(asked.file.model_copy(update={"questions": (first, asked.file.questions[1])}), asked.dictionary)
    cells = own.workload.blocks["a"]["holders"].cells
    assert says(own, policy(tmp_path, f"limits: {{most_cells_by_city: {cells}}}")).decide == "auto"
    assert codes(says(own, policy(tmp_path, f"limits: {{most_cells_by_city: {cells - 1}}}"))) == ["POLICY_CELLS"]


@pytest.mark.parametrize(
    ("rule", "matches"),
    [
        ("{roles: [regulator], decide: refuse}", False),
        ("{roles: [analyst], decide: refuse}", True),
        ("{mode: exact, decide: refuse}", False),
        ("{kinds: [tgi, count], decide: refuse}", False),
        ("{kinds: [tgi, frequency], decide: refuse}", True),
        ("{releases: [by_city], decide: refuse}", False),
        ("{releases: [pooled, both], decide: refuse}", True),
        ("{epsilon_at_most: 0.99, decide: refuse}", False),
        ("{epsilon_above: 1, decide: refuse}", False),
        ("{epsilon_above: 0.99, epsilon_at_most: 1.0, decide: refuse}", True),
        ("{decide: refuse}", True),
    ],
)
def test_a_rule_matches_if_all_its_conditions_hold_and_the_first_decides(
    tmp_path: Path, rule: str, matches: bool
) -> None:
    rules = policy(tmp_path, f"approve:\n  - {rule}\n  - {{decide: auto}}\n")
    decision = says(study(tmp_path), rules)
    if matches:
        assert (decision.decide, decision.rule, codes(decision)) == ("refuse", "approve[0]", ["POLICY_REFUSED"])
    else:
        assert decision == Decision("auto", "approve[1]")


def test_a_rule_about_epsilon_never_matches_an_exact_study(tmp_path: Path) -> None:
    rules = policy(
        tmp_path,
        TABLES + "approve: [{epsilon_at_most: 9, decide: auto}, {epsilon_above: 0, decide: auto}]\n",
        loose=True,
    )
    assert says(study(tmp_path, privacy="{mode: exact}"), rules) == Decision("officer", "approve")


def test_a_rule_cannot_allow_what_the_limits_refuse(tmp_path: Path) -> None:
    rules = policy(tmp_path, "approve: [{decide: auto}]\n")
    assert says(study(tmp_path, privacy="{epsilon: 5}"), rules).decide == "refuse"


def test_the_same_officer_twice_is_one(tmp_path: Path) -> None:
    two, one = Decision("two_officers", "approve[1]"), Decision("officer", "approve")
    assert not two.met(["li", "li"])
    assert two.met(["li", "wang"])
    assert one.met(["li"])
    assert not one.met([])
    assert Decision("auto", "approve[0]").met([])
    assert not Decision("refuse", "approve[0]").met(["li", "wang"])
    assert says(study(tmp_path), load(tmp_path, loose=False)).refusal() is None


# --- who can answer


def unable(*cities: str, variable: str = "product") -> Mapping[str, tuple[str, ...]]:
    return dict.fromkeys(cities, (variable,))


def test_a_plan_needs_the_cities_that_study_and_city_ask_for(tmp_path: Path) -> None:
    rules = policy(tmp_path, "cities: {least: 4}")
    asked = study(tmp_path, privacy="{epsilon: 1, tolerate: {dropouts: 0, colluders: 1}}")
    assert says(asked, rules, cities=SIX[:4]).decide == "auto"
    assert codes(says(asked, rules, cities=SIX[:3])) == ["POLICY_CITIES"]
    more = study(tmp_path, cities="{least: 5}")
    assert codes(says(more, rules, cities=SIX[:4])) == ["POLICY_CITIES"]


def test_a_question_that_too_few_cities_can_answer_is_refused(tmp_path: Path) -> None:
    rules, asked = load(tmp_path, loose=False), study(tmp_path)
    assert says(asked, rules, cannot=unable(*SIX[:3])).decide == "auto"
    refused = says(asked, rules, cannot=unable(*SIX[:4]))
    assert codes(refused) == ["POLICY_CITIES"]
    assert (refused.reasons[0].values["count"], refused.reasons[0].values["limit"]) == (2, 3)


def test_at_an_offer_nobody_knows_yet_what_others_cannot_map(tmp_path: Path) -> None:
    assert says(study(tmp_path), load(tmp_path, loose=False), cannot=None).decide == "auto"


def test_colluders_raise_the_number_of_cities_that_must_be_able(tmp_path: Path) -> None:
    asked = study(tmp_path, privacy="{epsilon: 1, tolerate: {dropouts: 0, colluders: 2}}")
    assert says(asked, load(tmp_path, loose=False), cannot=unable(*SIX[:2])).decide == "auto"
    assert codes(says(asked, load(tmp_path, loose=False), cannot=unable(*SIX[:3]))) == ["POLICY_CITIES"]


def test_fewer_colluders_than_a_city_asks_for_are_refused(tmp_path: Path) -> None:
    asked = study(tmp_path)
    assert says(asked, policy(tmp_path, "cities: {least_colluders: 1}")).decide == "auto"
    assert codes(says(asked, policy(tmp_path, "cities: {least_colluders: 2}"))) == ["POLICY_COLLUDERS"]


def test_in_exact_mode_a_few_cities_alone_may_not_lack_a_variable(tmp_path: Path) -> None:
    exact = study(tmp_path, privacy="{mode: exact}")
    strict = policy(tmp_path, TABLES + "approve: [{decide: auto}]\n", loose=True)
    strict = Policy(strict.file.model_copy(update={"exact": strict.file.exact.model_copy(update={"min_unmapped": 3})}))
    assert says(exact, strict, cannot={}).decide == "auto"
    assert codes(says(exact, strict, cannot=unable("a-city"))) == ["POLICY_CITIES"]
    assert codes(says(exact, strict, cannot=unable("a-city", "b-city"))) == ["POLICY_CITIES"]
    assert says(exact, strict, cannot=unable("a-city", "b-city", "c-city")).decide == "auto"
    assert says(exact, strict, cannot=unable("a-city", variable="sex")).decide == "auto"
    dp = study(tmp_path)
    assert says(dp, strict, cannot=unable("a-city")).decide == "auto"


def test_synthetic_and_public_data_may_lack_a_variable_in_one_city_whatever_the_colluders(tmp_path: Path) -> None:
    exact = study(tmp_path, privacy="{mode: exact, tolerate: {colluders: 2}}")
    assert says(exact, policy(tmp_path, TABLES, loose=True), cannot=unable("a-city")).decide == "officer"


def test_every_code_of_a_policy_has_both_languages() -> None:
    for code in (
        code
        for code in CODES
        if code.startswith(("POLICY_", "BUDGET_", "LEDGER_", "EXACT_", "AUDIT_")) or code == "BUSY"
    ):
        assert all(CODES[code]["zh"])
        assert all(CODES[code]["en"])
