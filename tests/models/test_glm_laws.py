"""What changes nothing, and what changes only what it should. A conversation can stop after any round and go on."""

from typing import Any

import numpy as np
import pytest

from protocols.dictionary import Column
from protocols.entropy import public_stream
from protocols.errors import PeerError
from protocols.models.answer import Fit
from protocols.models.glm import Clustered, Fitting, Glm
from protocols.models.interface import Ask
from tests.models.data import Frame, dictionary
from tests.models.federation import answer, conversation, estimates, fitted, planned, secure_sum

CITIES = 6


def work(rows: int = 400, unit: float = 1.0, shift: float = 0.0, order: tuple[str, ...] = ("a", "b", "c")) -> Frame:
    """Rows with an income in any unit, an age, a kind of work and whether they stopped; some without an income."""
    generator = public_stream("tests", "models", "work")
    income = np.round(generator.gamma(2.0, 20.0, rows), 2)
    age = generator.integers(18, 66, rows)
    kind = generator.integers(0, 3, rows)
    eta = -0.5 + 0.02 * (40 - age) + 0.01 * income - 0.6 * (kind == 1)
    stopped = generator.random(rows) < 1 / (1 + np.exp(-eta))
    known = np.ones(rows, bool)
    place = {code: number for number, code in enumerate(order)}
    columns = {
        "income": Column(income * unit, generator.random(rows) > 0.05),
        "age": Column(age + shift, known),
        "work": Column(np.array([place["abc"[each]] for each in kind], np.int16), known),
        "stopped": Column(stopped, known),
    }
    variables: dict[str, Any] = {
        "income": {"type": "number", "range": ["0", str(400 * unit)]},
        "age": {"type": "number", "range": [str(18 + shift), str(66 + shift)]},
        "work": {"type": "category", "codes": {code: {} for code in order}},
        "stopped": {"type": "boolean"},
    }
    return Frame(dictionary(variables), columns, rows)


QUESTION = Glm(family="binomial", outcome="stopped", terms=("age", "log1p(income)", "work"), missing="indicator")
PLACE = np.arange(400) % CITIES


@pytest.fixture(scope="module")
def fit() -> Fit:
    return fitted(work(), QUESTION, PLACE)[0]


def apart(fit: Fit, other: Fit) -> float:
    """The largest difference of a coefficient over the sum of the two certificates."""
    assert fit.coefficient_error_bound is not None
    assert other.coefficient_error_bound is not None
    found, compared = estimates(fit), estimates(other)
    assert set(found) == set(compared)
    largest = max(abs(found[term][0] - compared[term][0]) for term in found)
    return largest / (fit.coefficient_error_bound + other.coefficient_error_bound)


@pytest.mark.parametrize("batch", [1, 7, 2**20])
def test_how_a_city_cuts_its_rows_does_not_matter(fit: Fit, batch: int) -> None:
    assert apart(fit, fitted(work(), QUESTION, PLACE, batch=batch)[0]) <= 1


def test_the_order_of_rows_and_which_city_has_them_does_not_matter(fit: Fit) -> None:
    frame = work()
    mixed = public_stream("tests", "models", "order").permutation(frame.rows)
    assert apart(fit, fitted(frame.take(mixed), QUESTION, PLACE)[0]) <= 1
    assert apart(fit, fitted(frame, QUESTION, (PLACE + 1) % CITIES)[0]) == 0
    assert apart(fit, fitted(frame, QUESTION, np.arange(frame.rows) * 3 // frame.rows)[0]) <= 1


def test_a_city_without_rows_does_not_matter(fit: Fit) -> None:
    assert apart(fit, fitted(work(), QUESTION, PLACE + (PLACE > 2))[0]) <= 1


def test_twice_the_rows_are_the_same_fit_with_half_the_variance(fit: Fit) -> None:
    frame = work()
    twice, _ = fitted(frame.take(np.tile(np.arange(frame.rows), 2)), QUESTION, np.tile(PLACE, 2))
    assert apart(fit, twice) <= 1
    assert np.allclose(np.array(fit.covariance), 2 * np.array(twice.covariance), rtol=1e-9)


def test_the_unit_of_an_amount_changes_no_statistic_and_a_shift_only_the_constant() -> None:
    question = Glm(family="binomial", outcome="stopped", terms=("age", "income", "work"))
    before = fitted(work(), question, PLACE)[0]
    for made, kept in ((work(unit=100.0), ["age", "income", "work[b]"]), (work(shift=1000.0), ["income", "age"])):
        after = fitted(made, question, PLACE)[0]
        now, was = ({each.term: each for each in one.coefficients} for one in (after, before))
        for term in kept:
            assert now[term].statistic == pytest.approx(was[term].statistic, rel=1e-8)
            assert now[term].p_value == pytest.approx(was[term].p_value, rel=1e-7)
        assert after.deviance == pytest.approx(before.deviance, rel=1e-12)
    assert now["age"].estimate == pytest.approx(was["age"].estimate, rel=1e-9)
    assert now["intercept"].estimate == pytest.approx(was["intercept"].estimate - 1000 * was["age"].estimate, rel=1e-9)


def test_the_order_of_codes_changes_no_fitted_value(fit: Fit) -> None:
    other = fitted(work(order=("c", "a", "b")), QUESTION, PLACE)[0]
    now, was = estimates(other), estimates(fit)
    assert other.deviance == pytest.approx(fit.deviance, rel=1e-12)
    assert now["work[b]"][0] - now["work[a]"][0] == pytest.approx(was["work[b]"][0], abs=1e-9)
    assert -now["work[a]"][0] == pytest.approx(was["work[c]"][0], abs=1e-9)


def test_a_city_sees_its_own_rows_and_adds_up(fit: Fit) -> None:
    """The vector of two batches is the sum of the vectors of each, but for one rounding; that is all a city's answer depends on."""
    frame, question = work(), QUESTION
    cities = [frame.take(np.flatnonzero(city == PLACE)) for city in range(CITIES)]
    model = planned(frame, question, cities)
    _, log = conversation(model, cities)
    ask = log.asks[1]
    halves = [cities[0].take(np.arange(0, 30)), cities[0].take(np.arange(30, cities[0].rows))]
    parts = np.sum([answer(model, ask, half) for half in halves], axis=0)
    assert np.abs(parts[2:] - answer(model, ask, cities[0])[2:]).max() <= 2
    assert fit.rounds == len(log.asks) <= 9


def test_a_conversation_that_goes_on_from_any_round_ends_with_the_same_bytes() -> None:
    frame = work()
    cities = [frame.take(np.flatnonzero(city == PLACE)) for city in range(CITIES)]
    model = planned(frame, QUESTION, cities)
    whole, log = conversation(model, cities)
    for state in log.states[:-1]:
        resumed = Fitting.model_validate_json(state.model_dump_json())
        again, rest = conversation(model, cities, state=resumed)
        assert again == whole
        assert rest.states[-1].model_dump_json() == log.states[-1].model_dump_json()


def test_a_city_replays_what_the_coordinator_made_of_the_totals() -> None:
    frame = work()
    cities = [frame.take(np.flatnonzero(city == PLACE)) for city in range(CITIES)]
    coordinator, city = planned(frame, QUESTION, cities), planned(frame, QUESTION, cities)
    _, log = conversation(coordinator, cities)
    state = city.start()
    for ask, vectors in zip(log.asks, log.vectors, strict=True):
        assert city.ask(state) == ask
        state = city.tell(state, ask, secure_sum(vectors))
    assert city.finalize(state) == coordinator.finalize(log.states[-1])


def test_an_ask_of_another_study_layout_or_round_is_not_answered() -> None:
    frame = work()
    cities = [frame.take(np.flatnonzero(city == PLACE)) for city in range(CITIES)]
    model = planned(frame, QUESTION, cities)
    _, log = conversation(model, cities)
    ask = log.asks[1]
    for wrong in ({"study": "sha256:" + "1" * 64}, {"layout": "sha256:" + "1" * 64}):
        forged = Ask.model_validate(ask.model_dump() | wrong)
        with pytest.raises(PeerError) as refused:
            answer(model, forged, cities[0])
        assert refused.value.code == "MODEL_ASK_FOREIGN"


def test_an_ask_that_does_not_follow_from_earlier_totals_is_found_and_rounding_of_another_machine_is_not() -> None:
    frame = work()
    cities = [frame.take(np.flatnonzero(city == PLACE)) for city in range(CITIES)]
    model = planned(frame, QUESTION, cities)
    whole, log = conversation(model, cities)
    before, ask, total = log.states[1], log.asks[2], secure_sum(log.vectors[2])
    for state, other in (
        (log.states[2], {}),
        (log.states[-1], {}),
        (before, {"point": tuple(each + 1e-6 for each in ask.point)}),
        (before, {"point": ask.point[:-1]}),
        (before, {"purpose": "final"}),
    ):
        with pytest.raises(PeerError) as refused:
            model.tell(state, ask.model_copy(update=other), total)
        assert refused.value.code == "MODEL_NOT_REPLAYABLE"
    nudged = ask.model_copy(update={"point": tuple(each * (1 + 1e-14) for each in ask.point)})
    after, _ = conversation(
        model, cities, state=model.tell(before, nudged, secure_sum(answer(model, nudged, city) for city in cities))
    )
    assert apart(whole, after) <= 1


def test_a_model_says_how_rows_may_be_cut() -> None:
    frame = work()
    for errors, scope in (
        ("model", "rows"),
        (Clustered(cluster="city"), "city"),
        (Clustered(cluster="work"), "group:work"),
    ):
        question = QUESTION.model_copy(update={"errors": errors})
        assert planned(frame, question, [frame] * 6).scope == scope
    assert planned(frame, QUESTION, [frame] * 6).most_rounds == 27
