"""Many-round questions driven together: a city that replays the rounds comes to the same asks, and to none that totals do not give."""

from dataclasses import replace
from datetime import date
from typing import Any, Literal

import numpy as np
import pytest

from protocols.canonical import canonical
from protocols.dictionary import Reading, Table
from protocols.errors import ConfigError, PeerError
from protocols.models.fixedpoint import Block
from protocols.models.interface import Ask, Done, Draw, Result, Seen, Sums, chained, layout_digest
from protocols.models.question import ManyRounds, Setting, supposed
from protocols.models.regression import Regression
from protocols.models.session import Models, Progress, Round, Told, read_round
from protocols.ring import Vector
from protocols.statistics.layout import Domain
from protocols.yamltext import Record, Whole
from tests.models.data import Frame
from tests.models.federation import secure_sum
from tests.models.test_glm_laws import work

STUDY = "sha256:" + "0" * 64


class Counted(Record):
    round: Whole = 0
    chain: str = ""
    n: Whole = 0
    given: Whole = 0


class Counting:
    """Two rounds: how many rows there are, and how many again. `bad`: what its totals do to it."""

    most_rounds, most_cells, scope = 2, 1, "rows"

    def __init__(self, bad: str) -> None:
        self.bad = bad

    def start(self) -> Counted:
        return Counted(chain=STUDY)

    def ask(self, state: Counted) -> Ask | Done:
        if state.round == 2:
            return Done()
        if state.round == 1 and self.bad == "ask":
            raise ConfigError("MODEL_FEW_ROWS", rows=state.n, columns=1)
        if state.round == 1 and self.bad == "numbers":
            raise ZeroDivisionError
        bare = Ask(round=state.round, purpose="count", study=STUDY, layout="", chain=state.chain)
        return bare.model_copy(update={"layout": layout_digest(self.blocks(bare))})

    def blocks(self, ask: Ask) -> tuple[Block, ...]:  # noqa: ARG002 the same in each round
        return (Block("rows", 1),)

    def length(self, ask: Ask) -> int:  # noqa: ARG002 the same in each round
        return 1

    def drawn(self, ask: Ask) -> tuple[str, ...]:  # noqa: ARG002 mode exact
        return ()

    def measure(self, ask: Ask, read: Reading, rows: int) -> Sums:  # noqa: ARG002 rows are counted, whatever they hold
        return Sums({"rows": np.array([float(rows)])})

    def encode(self, ask: Ask, sums: Sums) -> Vector:  # noqa: ARG002 the same in each round
        return sums.values["rows"].astype(np.int64)

    def tell(self, state: Counted, ask: Ask, total: Vector) -> Counted:
        if self.bad == "tell":
            raise FloatingPointError
        done = {"round": state.round + 1, "chain": chained(state.chain, ask, total), "n": int(total[0])}
        return state.model_copy(update=done)

    def seen(self, state: Counted) -> Seen | None:
        return Seen(state.n, 10**6 if self.bad == "crowded" else 1, state.n)

    def result(self, state: Counted) -> Result:
        if self.bad == "result":
            raise ConfigError("MODEL_FEW_ROWS", rows=state.n, columns=1)
        return Result(fit={"converged": True, "rounds": state.round, "n": state.n, "given": state.given})


class Rows(ManyRounds):
    STATE = Counted

    kind: Literal["rows"] = "rows"
    about: tuple[str, ...] = ()
    bad: str = ""

    def variables(self) -> tuple[str, ...]:
        return ()

    def named(self) -> tuple[str, ...]:
        return self.about

    def planned(self, setting: Setting) -> Any:  # noqa: ARG002 nothing to plan from
        return Counting(self.bad)

    def draws(self, domain: Domain) -> tuple[Draw, ...]:
        return super().draws(domain)

    def start(self, model: Any, given: Any) -> Counted:
        n = int(sum(each.fit.get("n", 0) for each in given.values()))
        return Counted(chain=STUDY, given=n) if given else super().start(model, given)  # type: ignore[return-value] # STATE


def models_of(*questions: Any, frame: Frame | None = None) -> Models:
    domain = Domain((frame or work()).dictionary, exact=True)
    return Models.of(questions, replace(supposed(domain), cities=3, study=STUDY))


def fit(**changed: Any) -> Regression:
    asked = {"id": "fit", "kind": "glm", "family": "binomial", "outcome": "stopped", "terms": ["age", "work"]}
    return Regression.model_validate(asked | changed)


def summed(models: Models, at: Progress, cities: list[Frame]) -> Vector:
    """The secure sum of one round."""
    vectors = []
    for city in cities:
        parts = []
        for name, ask in at.asks.items():
            model = models.models[name]
            read = Reading(Table(city.rows, city.columns), city.dictionary, date(2022, 5, 31))
            parts.append(model.encode(ask, model.measure(ask, read, city.rows)))
        vectors.append(np.concatenate(parts))
    return secure_sum(vectors)


def driven(models: Models, cities: list[Frame]) -> tuple[list[Progress], list[Told]]:
    """Every round of a session; a city reads what is asked, and replays it, before it answers."""
    at, told, seen = models.begin(), list[Told](), list[Progress]()
    while not at.over:
        replayed, asks = models.replayed(read_round(Round.of(at.asks, told).content))
        assert asks == at.asks
        assert replayed.states == at.states
        total = summed(models, at, cities)
        seen.append(at)
        at = models.tell(at, asks, total)
        told.append(Told.of(asks, total))
    return [*seen, at], told


def three(rows: int = 600) -> list[Frame]:
    frame = work(rows)
    return [frame.take(np.arange(city, rows, 3)) for city in range(3)]


def test_questions_are_asked_side_by_side_and_one_about_another_after_it() -> None:
    models = models_of(Rows(id="after", about=("fit",)), fit(), Rows(id="beside"))
    seen, told = driven(models, three())
    results = models.results(seen[-1])
    rounds = results["fit"].fit["rounds"]
    assert [list(each.asks) for each in seen[:2]] == [["fit", "beside"]] * 2
    assert [list(each.asks) for each in seen[rounds:]] == [["after"], ["after"], []]
    assert results["after"].fit["given"] == results["fit"].fit["n"] == 600
    assert results["beside"].fit == {"converged": True, "rounds": 2, "n": 600, "given": 0}
    assert models.most_rounds == models.models["fit"].most_rounds + 2
    assert models.again(told).states == seen[-1].states
    assert dict(models.seen(seen[1]))["fit"].smallest is not None


@pytest.mark.parametrize(
    ("bad", "cause"),
    [
        ("tell", "MODEL_NUMBERS"),
        ("numbers", "MODEL_NUMBERS"),
        ("ask", "MODEL_FEW_ROWS"),
        ("result", "MODEL_FEW_ROWS"),
        ("crowded", "EXACT_TOO_MANY_PARAMETERS"),
    ],
)
def test_a_question_that_cannot_go_on_ends_alone(bad: str, cause: str) -> None:
    models = models_of(Rows(id="bad", bad=bad), Rows(id="after", about=("bad",)), Rows(id="good"))
    seen, _ = driven(models, three(30))
    results = models.results(seen[-1])
    assert (results["bad"].fit["converged"], results["bad"].fit["cause"]) == (False, cause)
    assert results["bad"].fit["why"]["zh"]
    assert [results[name].fit["n"] for name in ("good", "after")] == [30, 30]


def code_of(models: Models, asked: Round) -> str:
    with pytest.raises(PeerError) as fault:
        models.replayed(asked)
    return fault.value.code


def test_an_ask_that_does_not_follow_from_its_totals_is_not_answered() -> None:
    models = models_of(fit(), Rows(id="beside"))
    seen, told = driven(models, three())
    honest = Round.of(seen[2].asks, told[:2])
    point = tuple(2 * each for each in seen[2].asks["fit"].point)
    aimed = seen[2].asks["fit"].model_copy(update={"point": point})
    other = Told.of(models.parsed(told[1].asks), summed(models, seen[1], three())[::-1].copy())
    changed = {
        "another point": Round.of({**seen[2].asks, "fit": aimed}, told[:2]),
        "a round left out": honest.model_copy(update={"before": tuple(told[:1])}),
        "another number": honest.model_copy(update={"round": 3}),
        "an earlier total": honest.model_copy(update={"before": (told[0], other)}),
        "a total too short": honest.model_copy(update={"before": (told[0], told[1].model_copy(update={"total": "AAAAAAAAAAA="}))}),
        "a question less": honest.model_copy(update={"before": (told[0].model_copy(update={"asks": {"fit": told[0].asks["fit"]}}),)}),
        "a round after the last": Round.of(seen[2].asks, told),
    }  # fmt: skip
    assert {name: code_of(models, each) for name, each in changed.items()} == dict.fromkeys(
        changed, "MODEL_NOT_REPLAYABLE"
    )
    foreign = {
        "no vector": honest.model_copy(update={"before": (told[0].model_copy(update={"total": "*"}),)}),
        "no ask": honest.model_copy(update={"asks": {"fit": {"round": 2}}}),
        "another question": honest.model_copy(update={"asks": {"other": honest.asks["fit"]}}),
        "none": honest.model_copy(update={"asks": {}}),
    }
    assert {name: code_of(models, each) for name, each in foreign.items()} == dict.fromkeys(
        foreign, "MODEL_ASK_FOREIGN"
    )
    for content in (b"{", canonical({"round": 0}), honest.content + b" "):
        with pytest.raises(PeerError) as fault:
            read_round(content)
        assert fault.value.code == "MODEL_ASK_FOREIGN"


def test_a_question_of_many_rounds_is_released_pooled_in_the_modes_of_its_kind() -> None:
    domain = Domain(work().dictionary, exact=False)
    robust = [each.code for each in fit(errors="hc0").faults_beside(domain, "both")]
    assert robust == ["MODEL_RELEASE", "MODEL_DP_NOT_OFFERED"]
    assert list(fit(release="pooled").faults_beside(replace(domain, exact=True), "by_city")) == []
    assert fit().draws(replace(domain, exact=True)) == ()
    faults = [(each.key, each.code) for each in fit(terms=["agee"], link="log").faults(work().dictionary)]
    assert faults == [("terms", "STUDY_VARIABLE")]
