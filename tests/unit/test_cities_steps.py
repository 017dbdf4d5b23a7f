"""Each step of the population does what its paragraph of the specification says, for Q city at its own size."""

from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from protocols.dictionary import Category, load
from simulations.cities import ALL, design, hazard, population
from simulations.cities.facts import (
    AGES,
    DEFAULT_SEED,
    GENERATIONS,
    MONTHS,
    PROFILES,
    REFERENCE,
    Facts,
    chunks,
    facts_file,
    facts_text,
    published,
)
from simulations.cities.folders import by_generation, reference_people
from simulations.cities.hazard import Hazard
from simulations.cities.streams import Streams
from simulations.cities.terms import CODES, MONEY, NOT_GIVEN, VARIABLES, Table, index

FACTS = "a668cae0e23c7a789a89588431124aee304605a169bb923ecd4c1f85af46516a"  # SHA-256 of the published facts as they were read


@pytest.fixture(scope="module")
def facts() -> Facts:
    (only,) = chunks(REFERENCE, by_generation(design.joint(REFERENCE)), REFERENCE.rows)
    return only


@pytest.fixture(scope="module")
def streams() -> Streams:
    return Streams(DEFAULT_SEED, "chongqing")


@pytest.fixture(scope="module")
def people() -> Table:
    return reference_people(DEFAULT_SEED)


@pytest.fixture(scope="module")
def model(people: Table) -> Hazard:
    return hazard.solved_baseline(people, 586, 143)


@pytest.fixture(scope="module")
def events(people: Table, streams: Streams, facts: Facts, model: Hazard) -> Table:
    return population.interruptions(people, streams, facts, model)


@pytest.fixture(scope="module")
def paid(events: Table, streams: Streams, facts: Facts) -> Table:
    return population.payments(population.withdrawers(events, streams, facts), streams, facts)


# --- facts and terms


def test_the_shipped_facts_are_those_that_were_read_from_the_publications() -> None:
    packaged = Path(population.__file__).parent / "seed-facts.yaml"
    assert sha256(packaged.read_bytes()).hexdigest() == FACTS


def test_the_terms_are_those_of_the_dictionary() -> None:
    terms = load("hpf-flexible-employment@1").variables
    assert set(VARIABLES) == set(terms) - {"worries"}
    for name, codes in CODES.items():
        term = terms[name]
        assert isinstance(term, Category)
        assert tuple(term.codes) == codes
    assert {name for name, term in terms.items() if term.type == "money"} == set(MONEY)


def test_every_contradiction_is_printed_with_the_reading_taken() -> None:
    text = facts_text()
    for number in range(1, 17):
        assert f"\nQ{number}  " in text
    for number in range(1, 9):
        assert f"\nC{number}  " in text
    assert "misprint for 10814" in text
    assert "n_withdrew  有提取行为用户  1423" in text


@pytest.mark.parametrize("city", ALL)
@pytest.mark.parametrize("heterogeneity", [0.0, 0.5, 1.0, 1.7, 2.0])
def test_every_city_has_a_joint_table_at_every_heterogeneity(city: str, heterogeneity: float) -> None:
    profile = PROFILES[city].shrunk(REFERENCE, heterogeneity)
    table = design.joint(profile)
    q = design.reference_joint()
    assert table.min() > 0
    assert table.sum() == pytest.approx(1)
    assert (table.sum(axis=(1, 2)) - q.sum(axis=(1, 2))) @ AGES == pytest.approx(profile.age, abs=1e-8)
    assert table[:, 2].sum() - q[:, 2].sum() == pytest.approx(profile.free, abs=1e-10)
    assert table[:, :, 2].sum() == pytest.approx(profile.unknown_education, abs=1e-10)


def test_every_age_keeps_near_the_share_of_its_generation() -> None:
    """0.3 to 1.8 of the mean share (section 1), but for the oldest and the youngest year of a thin generation."""
    shares = design.reference_joint().sum(axis=(1, 2))
    for generation in range(len(GENERATIONS)):
        inside = shares[generation == design.GENERATION]
        assert (inside / inside.mean()).min() > 0.29
        assert (inside / inside.mean()).max() < 2.2


# --- people


def test_step_1_is_the_fixed_table(people: Table, facts: Facts) -> None:
    cells = facts_file()["q_city"]["table1_tgi"]["derived"]["cell_counts"]
    for position, product in enumerate(("lump_sum", "monthly", "free")):
        for generation in range(5):
            held = (people["product"] == position) & (people["_generation"] == generation)
            assert held.sum() == cells[product][generation]
    assert facts.blocks.sum() == len(people["product"])


def test_step_2_gives_ages_of_the_generation_and_codes_of_the_group(people: Table) -> None:
    assert (design.GENERATION[people["age"] - AGES[0]] == people["_generation"]).all()
    assert (people["birth_year"] + people["age"] == 2022).all()
    high = people["education"] <= index("education", "college")
    assert ((people["_group"] == design.HIGH) == high).all()
    born = people["born"].astype("datetime64[D]").astype("datetime64[Y]").astype(int) + 1970
    assert (born == people["birth_year"]).all()


def test_step_3_reaches_the_constants(people: Table) -> None:
    male = (people["sex"] == index("sex", "male")).mean()
    unmarried = people["marital"] == index("marital", "unmarried")
    young = people["age"] < 28
    assert male == pytest.approx(0.53, abs=0.001)
    assert unmarried[young].mean() == pytest.approx(0.75, abs=0.005)
    assert unmarried[~young].mean() == pytest.approx(0.46, abs=0.005)
    assert young.mean() == pytest.approx(0.276, abs=0.001)


def test_step_4_leaves_12_percent_of_household_incomes_out(people: Table) -> None:
    household = people["household_income"]
    assert (household == NOT_GIVEN).mean() == pytest.approx(0.12, abs=0.001)
    known = household != NOT_GIVEN
    assert (household[known] % 10_000 == 0).all()
    assert (people["personal_income"] <= np.maximum(household, people["personal_income"])).all()
    assert people["personal_income"].min() >= 50_000
    assert people["personal_income"].max() <= 8_000_000


def test_step_4_makes_incomes_log_normal_inside_a_group(people: Table) -> None:
    group = (people["age"] < 45) & (people["product"] == 2) & (people["_group"] == design.LOW)
    logs = np.log(people["household_income"][group & (people["household_income"] > 0)] + 5_000)
    z = (logs - logs.mean()) / logs.std()
    assert abs(logs.std() - design.INCOME_SPREAD) < 0.02
    assert abs((z**3).mean()) < 0.12


def test_step_5_draws_bases_from_the_quantile_function(people: Table) -> None:
    p = published()
    for name, product in (("monthly", 1), ("free", 2)):
        base = people["_base"][(people["product"] == product) & (people["_base"] != NOT_GIVEN)]
        assert len(base) == p.bases[name]
        assert base.sum() == round(p.base_means[name] * len(base))
        assert (base.min(), base.max()) == (p.knots[name][0], p.knots[name][-1])
    lump = people["_base"][people["product"] == 0]
    assert (lump == 180).sum() == 1907
    assert ((lump > 180) & (lump < 1000)).sum() == 2027
    assert (lump == 76_200).sum() == 1891
    assert lump.sum() == 157_504_000


def test_step_6_owners_are_counted(people: Table) -> None:
    owner = people["homes"] >= 1
    assert owner.sum() == 759
    assert (people["homes"] == NOT_GIVEN)[~owner].mean() == pytest.approx(0.08, abs=0.001)
    assert people["age"][owner].mean() > people["age"].mean() + 3


def test_step_7_accounts_are_opened_inside_the_window_and_more_at_the_start(people: Table) -> None:
    months = np.bincount(people["opened_month"], minlength=MONTHS) / len(people["opened_month"])
    assert months[:2] == pytest.approx([0.15, 0.15], abs=1e-4)
    assert months[2:] == pytest.approx([0.0875] * 8, abs=1e-4)
    opened = people["opened"].astype("datetime64[D]")
    assert opened.min() >= np.datetime64("2021-08-01")
    assert opened.max() <= np.datetime64("2022-05-31")
    counted = opened.astype("datetime64[M]").astype(int) - np.datetime64("2021-08", "M").astype(int)
    assert (counted == people["opened_month"]).all()


# --- lives


def test_step_6_interruptions_are_counted(events: Table) -> None:
    event, owner = events["event_at"], events["homes"] >= 1
    assert ((event >= 0).sum(), (event == 0).sum(), ((event >= 0) & owner).sum()) == (729, 586, 28)
    assert (event < MONTHS - events["opened_month"]).all()


def test_step_6_rows_are_chosen_in_proportion_to_the_planted_probability(
    people: Table, facts: Facts, model: Hazard
) -> None:
    """Over 60 draws the mean linear predictor of the chosen equals its expectation under the model."""
    eta = hazard.slopes(people)
    chance = 1 - np.prod(
        1 - np.where(np.arange(MONTHS) < hazard.at_risk(people)[:, None], model.months(eta), 0.0), axis=1
    )
    home = people["homes"] >= 1
    chance[home] *= 28 / chance[home].sum()
    chance[~home] *= 701 / chance[~home].sum()
    means = []
    for seed in range(60):
        event = population.interruptions(people, Streams(seed, "chongqing"), facts, model)["event_at"]
        means.append(eta[event >= 0].mean())
    expected = (chance @ eta) / 729
    assert abs(np.mean(means) - expected) < 4 * np.std(means) / np.sqrt(60)


def test_plain_draws_have_the_expected_number(people: Table, model: Hazard) -> None:
    never, sealed = hazard.expected(people, model)
    assert np.array([never, sealed]) == pytest.approx([586, 143], abs=1e-6)
    counts = np.array(
        [
            np.bincount(hazard.bernoulli_events(people, model, Streams(seed, "x")) + 1, minlength=11)
            for seed in range(60)
        ]
    )
    assert abs(counts[:, 1].mean() - 586) < 4 * np.sqrt(586 / 60)
    assert abs(counts[:, 2:].sum(axis=1).mean() - 143) < 4 * np.sqrt(143 / 60)


def test_a_city_constant_reaches_the_stated_rate(people: Table, model: Hazard) -> None:
    never, sealed = hazard.expected(people, hazard.solved_city(people, model, 0.035))
    assert (never + sealed) / len(people["sex"]) == pytest.approx(0.035, abs=1e-9)


def test_step_7_payments_stop_at_an_interruption(paid: Table) -> None:
    open_months = np.where(paid["event_at"] >= 0, paid["event_at"], MONTHS - paid["opened_month"])
    monthly, lump, free = (paid["product"] == position for position in (1, 0, 2))
    assert (paid["months_paying"][monthly] == open_months[monthly]).all()
    assert (paid["months_paying"][lump] == (open_months[lump] > 0)).all()
    assert (paid["months_paying"][free] <= open_months[free]).all()
    assert (paid["months_paying"][free & (open_months > 0)] >= 1).all()
    assert (paid["consecutive_periods"][paid["event_at"] >= 0] == 0).all()


def test_step_8_amounts_are_exact_and_follow_the_base(paid: Table) -> None:
    lump = paid["product"] == 0
    assert paid["paid_total"][lump].sum() == 15_750_400_000
    assert paid["paid_total"][~lump].sum() == 5_649_600_000
    payers = lump & (paid["months_paying"] > 0)
    assert (paid["paid_total"][payers] == paid["contribution_base"][payers]).all()
    monthly = (paid["product"] == 1) & (paid["contribution_base"] > 0) & (paid["months_paying"] > 0)
    ratio = paid["paid_total"][monthly] / (paid["contribution_base"][monthly] * paid["months_paying"][monthly])
    assert np.abs(ratio - 1).max() < 0.02
    without = (paid["contribution_base"] <= 0) & (paid["months_paying"] > 0)
    each = np.round(paid["paid_total"][without] / paid["months_paying"][without] / 100 / np.median(ratio))
    assert set(each) <= {180, 200, 300, 500}


def test_step_9_withdrawals_fit_into_the_window_and_close_accounts(paid: Table, streams: Streams, facts: Facts) -> None:
    done = population.status(population.withdrawals(paid, streams, facts), streams, facts)
    first = done["opened_month"] + done["months_to_first_withdrawal"]
    drew = done["withdrew_24m"] == 1
    assert (first[drew] + done["withdrawals_24m"][drew] <= MONTHS).all()
    early = drew & (first + done["withdrawals_24m"] <= 4)
    assert early.any()
    assert (done["withdrawn_6m"][early] == 0).all()
    late = drew & (first >= 4)
    assert (done["withdrawn_6m"][late] == done["withdrawn_24m"][late]).all()
    states = np.bincount(done["account_status"], minlength=7)
    assert states.tolist() == [26430, 143, 0, 0, 33, 0, 0]


def test_keys_are_a_permutation_of_ten_digits(paid: Table, streams: Streams, facts: Facts) -> None:
    keys = population.account_keys(paid, streams, facts)["account"]
    assert len(np.unique(keys)) == len(keys)
    assert (keys // 10**10 == 99).all()
    differences = np.diff(np.sort(keys))
    assert len(np.unique(differences)) > 0.9 * len(differences)


def test_the_steps_run_in_the_stated_order_and_change_no_earlier_column(
    facts: Facts, streams: Streams, model: Hazard
) -> None:
    table: Table = {}
    for step in (*population.PEOPLE, None, *population.LIVES):
        before = {name: column.copy() for name, column in table.items()}
        table = step(table, streams, facts) if step else population.interruptions(table, streams, facts, model)
        assert all((table[name] == column).all() for name, column in before.items())
        assert len(table) > len(before)
