"""A scorecard over six cities is that of the pooled rows: bins, weights of evidence, logit, points."""

import warnings
from collections.abc import Iterator
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from protocols.dictionary import Column
from protocols.entropy import public_stream
from protocols.errors import ConfigError, PeerError
from protocols.models.binning import Bins, quantile_edges
from protocols.models.evidence import binned, evidence, labels
from protocols.models.glm import Limits
from protocols.models.modelfile import Points, Trees, load
from protocols.models.optimal import Division, Least, division
from protocols.models.scorecard import CardAnswer, Scorecard, plan
from protocols.models.scoring import adapted, points, scaled, scores
from tests.models.data import Frame, dictionary, germancredit
from tests.models.rounds import MADE, STUDY, Log, conversation, divided, filed

Floats = npt.NDArray[np.float64]
TRENDS = ("ascending", "descending", "peak", "valley", "none")


# --- bins


def divisions(size: int) -> Iterator[tuple[int, ...]]:
    for inner in range(size):
        yield from ((0, *cut) for cut in combinations(range(1, size), inner))


def follows(rates: list[int], trend: str) -> bool:
    up, down = ([here <= there for here, there in pairwise(rates)], [here >= there for here, there in pairwise(rates)])
    turns = range(len(rates))
    return {
        "ascending": all(up),
        "descending": all(down),
        "peak": any(all(up[:turn]) and all(down[turn:]) for turn in turns),
        "valley": any(all(down[:turn]) and all(up[turn:]) for turn in turns),
        "none": True,
    }[trend]


def enumerated(events: Floats, others: Floats, least: Least) -> dict[str, int | None]:
    """The best value of each trend, by looking at every division."""
    best: dict[str, int | None] = dict.fromkeys(TRENDS)
    for starts in divisions(len(events)):
        e, o = (np.add.reduceat(each, starts) for each in (events, others))
        if (e < max(least.events, 1)).any() or (o < max(least.others, 1)).any() or (e + o < least.rows).any():
            continue
        p, q = e / events.sum(), o / others.sum()
        value = int(((q - p) * np.log(q / p) * 1e6).astype(int).sum())
        rates = (e.astype(int) * 1_000_000 // (e + o).astype(int)).tolist()
        for trend in TRENDS:
            known = best[trend]
            if follows(rates, trend) and (known is None or value > known):
                best[trend] = value
    return best


def test_no_division_is_better_than_the_one_that_is_found() -> None:
    stream = public_stream("tests", "models", "divisions")
    for _ in range(60):
        size = int(stream.integers(1, 9))
        events, others = (stream.poisson(mean, size).astype(float) for mean in (5, 11))
        least = Least(*(float(each) for each in stream.integers(0, 14, 3)))
        best = enumerated(events, others, least) if events.sum() and others.sum() else dict.fromkeys(TRENDS)
        for trend in TRENDS:
            found = division(events, others, least, trend)  # type: ignore[arg-type]  # a trend by its name
            assert (None if found is None else found.value) == best[trend]
        either = [each for each in (best["ascending"], best["descending"]) if each is not None]
        auto = division(events, others, least)
        assert (None if auto is None else auto.value) == max(either, default=None)


def test_what_differs_by_less_than_a_millionth_is_no_reason_for_a_bin() -> None:
    same = np.full(4, 1e7)
    assert division(same, same + np.array([0, 0, 1, 1]), Least(1, 1, 1), "none") == Division((0,), 0)
    assert division(np.array([3.0]), np.array([3.0]), Least(9, 1, 1)) is None


def compared(x: Floats, yes: npt.NDArray[np.bool_], edges: tuple[float, ...], trend: str, theirs: str) -> None:
    """Ours on the histogram, and optbinning on the rows with the same pre-bins: the same edges, and the same values.

    By default optbinning first forbids every edge at which the rates of the two pre-bins beside it turn, which loses the best division
    where bins have a least size. With a least difference of rates, here of nothing, it does not.
    """
    from optbinning import OptimalBinning

    bins = Bins(name="x", edges=edges)
    place = np.searchsorted(edges, x, side="right")
    events, others = (np.bincount(place[of], minlength=bins.cells).astype(float) for of in (yes, ~yes))
    assert events[:-1].min() > 0
    assert others[:-1].min() > 0
    made, value = binned(bins, events, others, trend)  # type: ignore[arg-type]  # a trend by its name
    asked: dict[str, Any] = {
        "min_bin_size": 0.05,
        "min_bin_n_event": 20,
        "min_bin_n_nonevent": 20,
        "monotonic_trend": theirs,
    }
    peer = OptimalBinning(user_splits=list(edges), min_event_rate_diff=1e-9, **asked).fit(x, yes.astype(int))
    with warnings.catch_warnings():  # its table writes text into a column of numbers, which pandas is to forbid
        warnings.simplefilter("ignore")
        table = peer.binning_table.build()
    assert made is not None
    assert [e for e, (a, b) in zip(edges, pairwise(made.place), strict=False) if a != b] == list(peer.splits)
    assert value == pytest.approx(peer.binning_table.iv, abs=1e-12)
    woe = evidence(made.events, made.others)[0][:-1]
    assert woe == pytest.approx(table["WoE"].iloc[: len(woe)].astype(float).to_numpy(), abs=1e-12)


def test_bins_are_those_of_optbinning_on_the_pooled_rows(capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("optbinning", reason="the oracle of the bins comes with requirements/test.txt")
    stream = public_stream("tests", "models", "optbinning")
    x = stream.gamma(2.0, 20.0, 20_000)
    for curve, trend, theirs in (
        (-2 + 0.02 * x, "auto", "auto_asc_desc"),
        (-1 - 0.03 * x, "auto", "auto_asc_desc"),
        (-2 + 0.05 * x - 0.0006 * x * x, "peak", "peak"),
    ):
        yes = stream.random(len(x)) < 1 / (1 + np.exp(-curve))
        most = 40 if trend == "auto" else 16
        edges = tuple(dict.fromkeys(np.quantile(x, np.arange(1, most) / most).round(2).tolist()))
        compared(x, yes, edges, trend, theirs)
    credits_ = germancredit()
    bad = credits_.values("bad").astype(bool)
    for name, edges in (("v1", (9.0, 12.0, 16.0, 20.0, 24.0, 30.0, 42.0)), ("v12", (24.0, 28.0, 33.0, 40.0, 50.0))):
        compared(credits_.values(name), bad, edges, "auto", "auto_asc_desc")
    capfd.readouterr()
    binned(Bins(name="x", edges=(1.0,)), np.array([50.0, 90.0, 0.0]), np.array([90.0, 50.0, 0.0]), "auto")
    assert capfd.readouterr() == ("", "")


def test_codes_are_divided_in_the_order_of_their_share_and_nobody_stands_in_the_middle() -> None:
    codes = Bins(name="work", codes=("a", "b", "c", "d", "none"))
    events, others = np.array([10.0, 80.0, 30.0, 85.0, 0.0, 40.0]), np.array([90.0, 20.0, 70.0, 15.0, 0.0, 60.0])
    made, _ = binned(codes, events, others, "descending")
    assert made is not None
    share = {
        code: made.events[at] / (made.events[at] + made.others[at])
        for code, at in zip(codes.codes, made.place, strict=False)
    }
    assert share["a"] <= share["c"] <= share["none"] <= share["b"] <= share["d"]
    assert made.place[-1] == len(made.events) - 1, "the missing have a bin of their own"


def test_a_bin_without_a_class_is_marked_and_a_thin_bin_of_the_missing_has_no_weight() -> None:
    woe, value, adjusted = evidence((30, 70, 0), (70, 30, 40))
    assert adjusted == (False, False, True)
    assert woe[2] == pytest.approx(np.log((40.5 / 140) / (0.5 / 100)))
    assert np.isfinite(value).all()
    thin, none, marks = evidence((30, 70, 2), (70, 30, 7))
    assert (thin[2], none[2], marks[2]) == (0.0, 0.0, False)


EDGES = st.lists(st.floats(-1e6, 1e6, allow_subnormal=False), min_size=1, max_size=63, unique=True).map(sorted)


@given(edges=EDGES, x=st.lists(st.floats(-2e6, 2e6), max_size=20), log=st.booleans())
@settings(max_examples=150)
def test_the_bin_of_a_number_is_that_of_a_search(edges: list[float], x: list[float], log: bool) -> None:
    """At edges, just beside them, far outside, and where edges stand close together at one end."""
    if log:
        edges = sorted({float(np.exp(each / 1e5)) for each in edges})
    beside = [float(np.nextafter(each, way)) for each in edges for way in (-np.inf, np.inf)]
    numbers = np.array([*edges, *beside, *x, -1e300, 1e300])
    bins = Bins(name="x", edges=tuple(edges))
    field = dictionary({"x": {"type": "number", "range": ["-9", "9"]}})
    known = np.arange(len(numbers)) % 5 > 0
    found = bins.places(field, lambda _: Column(np.where(known, numbers, np.nan), known))
    wanted = np.where(known, np.searchsorted(edges, numbers, side="right"), len(edges) + 1)
    assert found.tolist() == wanted.tolist()


def test_edges_of_equal_shares_leave_no_bin_empty() -> None:
    stream = public_stream("tests", "models", "edges")
    for rows in (1, 40, 5000):
        values = np.round(stream.gamma(1.0, 90.0, rows)).clip(0, 999)
        boundaries = np.arange(1.0, 1000.0)
        counts = np.bincount(np.searchsorted(boundaries, values, side="right"), minlength=1000).astype(float)
        edges = quantile_edges(boundaries.tolist(), counts, 20)
        held = np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1)
        assert held.min() > 0
        assert len(edges) <= 19
        if rows == 5000:
            assert held.max() < 2 * 5000 / 20
    assert quantile_edges([1.0, 2.0], np.array([0.0, 7.0, 0.0]), 5) == ()


def test_special_values_have_one_bin_beside_that_of_the_missing_as_in_optbinning() -> None:
    pytest.importorskip("optbinning", reason="the oracle of the bins comes with requirements/test.txt")
    from optbinning import OptimalBinning

    stream = public_stream("tests", "models", "special")
    x = stream.gamma(2.0, 20.0, 8000).round(1)
    yes = stream.random(8000) < 1 / (1 + np.exp(2 - 0.03 * x))
    x[:900] = np.where(np.arange(900) % 3 == 0, -1.0, -2.0)
    edges = (10.0, 20.0, 30.0, 45.0, 60.0)
    bins = Bins(name="x", edges=edges, special=("-1", "-2"))
    field = dictionary({"x": {"type": "number", "range": ["-5", "900"]}})
    place = bins.places(field, lambda _: Column(x, np.arange(8000) % 16 > 0))
    assert set(place[:900].tolist()) == {6, 7}, "one bin for both, and one for the missing"
    events, others = (np.bincount(place[of], minlength=bins.cells).astype(float) for of in (yes, ~yes))
    made, value = binned(bins, events, others, "auto")
    assert made is not None
    assert labels(made)[-2:] == ("_special", "_missing")
    known = np.where(np.arange(8000) % 16 > 0, x, np.nan)
    peer = OptimalBinning(
        user_splits=list(edges),
        special_codes=[-1, -2],
        min_event_rate_diff=1e-9,
        min_bin_size=0.05,
        min_bin_n_event=20,
        min_bin_n_nonevent=20,
        monotonic_trend="auto_asc_desc",
    ).fit(known, yes.astype(int))
    with warnings.catch_warnings():  # its table writes text into a column of numbers, which pandas is to forbid
        warnings.simplefilter("ignore")
        table = peer.binning_table.build()
    assert value == pytest.approx(peer.binning_table.iv, abs=1e-12)
    woe = made.evidence()[0]
    assert woe == pytest.approx(table["WoE"].iloc[: len(woe)].astype(float).to_numpy(), abs=1e-12)


def test_special_codes_are_not_merged_with_others_and_thin_ones_are_not_shown() -> None:
    codes = Bins(name="work", codes=("a", "b", "refused", "c", "odd"), special=("refused", "odd"))
    read = {"work": Column(np.array([0, 1, 2, 3, 4, 0], np.int16), np.arange(6) < 5)}.__getitem__
    assert codes.places(dictionary({"work": {"type": "boolean"}}), read).tolist() == [0, 1, 5, 3, 5, 6]
    events, others = np.array([50.0, 90, 0, 70, 0, 3, 40]), np.array([90.0, 50, 0, 70, 0, 4, 30])
    made, _ = binned(codes, events, others, "auto")
    assert made is not None
    assert labels(made) == ("a", "c", "b", "_special", "_missing")
    assert made.told() == (True, True, True, False, True)
    assert made.evidence()[0][3] == 0
    assert Bins.model_validate_json(codes.model_dump_json(), strict=True) == codes
    for wrong in ({"codes": ("a",), "special": ("b",)}, {"edges": (1.0,), "special": ("x",)}):
        with pytest.raises(ValidationError):
            Bins(name="x", **wrong)
    with pytest.raises(ValidationError, match="cannot have special values"):
        Trees(features=(codes,), base=0.0, trees=())


def test_a_thousand_million_holders_are_binned_as_a_thousand_with_nothing_scaled() -> None:
    """Counts are binned, not rows: there is no size at which they would have to be made fewer."""
    events, others = np.array([50.0, 90, 120, 60, 0]), np.array([300.0, 190, 120, 40, 0])
    bins = Bins(name="x", edges=(1.0, 2.0, 3.0))
    small, large = (binned(bins, times * events, times * others, "auto") for times in (1, 1_000_000))
    assert small[0] is not None
    assert large[0] is not None
    assert large[0].place == small[0].place
    assert large[1] == pytest.approx(small[1], rel=1e-14)


# --- the card

ROWS = 4000
VARIABLES: dict[str, Any] = {
    "income": {"type": "money", "unit": "CNY", "range": ["0", "60000"], "label": {"zh": "收入", "en": "Income"}},
    "age": {"type": "integer", "range": [16, 80], "label": {"zh": "年龄", "en": "Age"}},
    "work": {"type": "category", "codes": {"rider": {}, "driver": {}, "shop": {}, "nobody": {}}},
    "noise": {"type": "number", "range": ["0", "1"]},
    "flat": {"type": "number", "range": ["0", "9"]},
    "stopped": {"type": "boolean"},
    "earned": {"type": "money", "unit": "CNY", "range": ["0", "60000"]},
}
FEATURES = ("income", "age", "work", "noise", "flat")


def workers() -> Frame:
    stream = public_stream("tests", "models", "workers")
    income = np.round(stream.gamma(2.0, 4000.0, ROWS) * 100).clip(0, 6_000_000).astype(np.int64)
    age = stream.integers(18, 60, ROWS)
    work = stream.integers(0, 3, ROWS).astype(np.int16)
    eta = -0.6 - 0.9 * np.log(income / 8e5) - 0.03 * (age - 40) + np.array([0.5, 0.0, -0.6])[work]
    known = np.ones(ROWS, bool)
    columns = {
        "income": Column(income, stream.random(ROWS) > 0.06),
        "age": Column(age, known),
        "work": Column(work, known),
        "noise": Column(stream.random(ROWS), known),
        "flat": Column(np.full(ROWS, 4.0), known),
        "stopped": Column(stream.random(ROWS) < 1 / (1 + np.exp(-eta)), stream.random(ROWS) > 0.01),
        "earned": Column((income + stream.integers(0, 400_000, ROWS)).clip(0, 6_000_000), known),
    }
    return Frame(dictionary(VARIABLES), columns, ROWS)


QUESTION = Scorecard(outcome="stopped", features=FEATURES, bins={"age": (25.0, 30.0, 35.0, 40.0, 45.0, 50.0)})


@pytest.fixture(scope="module")
def carded() -> tuple[CardAnswer, Log]:
    planned = plan(QUESTION, workers().dictionary, 6, ROWS, STUDY)
    state, log = conversation(planned, planned.start(), divided(workers()))
    return planned.finalize(state), log


def test_the_card_is_that_of_the_pooled_rows(carded: tuple[CardAnswer, Log]) -> None:
    import statsmodels.api as sm

    answer, log = carded
    frame, card = workers(), answer.card
    assert card is not None
    assert [each.bins.name for each in card.features] == ["income", "age", "work"]
    assert answer.poor == {"noise": "value", "flat": "bins"}
    assert len(log.asks) <= 11, "two rounds of counts, and those of a logit"
    known = frame.columns["stopped"].known
    yes = frame.values("stopped").astype(bool)
    assert (answer.rows, answer.unknown) == (int(known.sum()), int((~known).sum()))
    columns = []
    for feature in card.features:
        place = np.array(feature.place)[feature.bins.places(frame.dictionary, frame.columns.__getitem__)]
        for number, entry in enumerate(feature.card):
            inside = (place == number) & known
            assert (entry.events or 0, entry.nonevents or 0) == (int((inside & yes).sum()), int((inside & ~yes).sum()))
            if inside.any():
                q, p = (inside & ~yes).sum() / (known & ~yes).sum(), (inside & yes).sum() / (known & yes).sum()
                assert entry.woe == pytest.approx(np.log(q / p), abs=1e-13)
        columns.append(np.array([entry.woe for entry in feature.card])[place])
    x = sm.add_constant(np.stack(columns, axis=1))
    pooled = sm.GLM(yes[known].astype(float), x[known], family=sm.families.Binomial()).fit(tol=1e-13)
    for weight, estimate, error in zip(card.weights, pooled.params, pooled.bse, strict=True):
        assert weight.estimate == pytest.approx(estimate, abs=1e-8)
        assert weight.std_error == pytest.approx(error, abs=1e-8)
    assert all(weight.estimate < 0 for weight in card.weights[1:])


def test_points_add_up_to_the_score_within_half_a_point_each(carded: tuple[CardAnswer, Log]) -> None:
    card, frame = carded[0].card, workers()
    assert card is not None
    file = filed(frame, card, "stopped", ["income", "age", "work"])
    file = load(file.content, "card.json", MADE)
    here = adapted(file, frame.dictionary, frame.columns.__getitem__)
    found = scores(file, here, frame.rows)
    total, reasons = points(card, file.domain, here, frame.rows)
    exact = scaled(card.points, -found.margin)
    assert np.abs(total - exact).max() <= len(card.features) / 2
    assert exact == pytest.approx(600 + 20 / np.log(2) * (-found.margin - np.log(50)), rel=1e-12)
    assert scaled(Points(), np.array([np.log(50), np.log(100)])) == pytest.approx([600, 620]), (
        "odds that double give pdo points"
    )
    each = np.stack(
        [
            np.array([entry.points for entry in f.card])[np.array(f.place)[f.bins.places(file.domain, here)]]
            - f.neutral
            for f in card.features
        ],
        axis=1,
    )
    for row in range(0, frame.rows, 97):
        wanted = sorted((gap, place) for place, gap in enumerate(each[row].tolist()) if gap < 0)
        assert [place for place in reasons[row].tolist() if place >= 0] == [place for _, place in wanted[:3]]
    known = frame.columns["stopped"].known
    assert each[known].mean(axis=0) == pytest.approx(0, abs=1e-9), "the neutral points are the pooled mean"


def test_the_order_of_rows_and_cities_does_not_matter(carded: tuple[CardAnswer, Log]) -> None:
    answer, log = carded
    frame = workers()
    planned = plan(QUESTION, frame.dictionary, 4, ROWS, STUDY)
    mixed = frame.take(public_stream("tests", "models", "cards").permutation(ROWS))
    state, other = conversation(planned, planned.start(), [*divided(mixed, 3), frame.take(np.arange(0))], batch=501)
    found = planned.finalize(state)
    assert other.states[1].binned == log.states[1].binned, "counts are exact, and bins follow from counts"
    assert found.card is not None
    assert answer.card is not None
    for here, there in zip(found.card.weights, answer.card.weights, strict=True):
        assert abs(here.estimate - there.estimate) <= found.card.error_bound + answer.card.error_bound


def test_a_feature_with_the_wrong_sign_is_named_and_left_out_on_request() -> None:
    """`earned` is income with an error; beside income its own coefficient may turn."""
    stream = public_stream("tests", "models", "wrong")
    frame = workers()
    income = frame.values("income")
    turned = (income + stream.normal(0, 1e5, ROWS)).clip(0, 6e6).astype(np.int64)
    outcome = stream.random(ROWS) < 1 / (
        1 + np.exp(3.0 * np.log(income / 8e5) - 2.2 * np.log(np.maximum(turned, 1e4) / 8e5))
    )
    made = Frame(
        frame.dictionary,
        {
            **frame.columns,
            "earned": Column(turned, np.ones(ROWS, bool)),
            "stopped": Column(outcome, np.ones(ROWS, bool)),
            "income": Column(income.astype(np.int64), np.ones(ROWS, bool)),
        },
        ROWS,
    )
    kept = {}
    for drop in (False, True):
        asked = Scorecard(outcome="stopped", features=("income", "earned"), drop_wrong_sign=drop)
        planned = plan(asked, made.dictionary, 6, ROWS, STUDY)
        answer = planned.finalize(conversation(planned, planned.start(), divided(made))[0])
        assert answer.card is not None
        kept[drop] = [each.bins.name for each in answer.card.features]
        assert answer.wrong == ("earned",)
    assert kept == {False: ["income", "earned"], True: ["income"]}


def test_special_values_of_the_study_have_a_line_of_the_card_and_score() -> None:
    frame = workers()
    work, age = frame.columns["work"].values.copy(), frame.columns["age"].values.copy()
    work[::7], age[::5] = 3, 16  # `nobody`, and 16 where nobody asked
    columns = {**frame.columns, "work": Column(work, np.ones(ROWS, bool)), "age": Column(age, np.ones(ROWS, bool))}
    frame = Frame(frame.dictionary, columns, ROWS)
    asked = Scorecard(
        outcome="stopped", features=("income", "age", "work", "flat"), special={"age": ("16",), "work": ("nobody",)}
    )
    planned = plan(asked, frame.dictionary, 6, ROWS, STUDY)
    state, _ = conversation(planned, planned.start(), divided(frame))
    result = planned.result(state)
    counts = {
        (row.keys["feature"], row.measure): row.estimate for row in result.rows if row.keys.get("bin") == "_special"
    }
    known, yes = frame.columns["stopped"].known, frame.values("stopped") == 1
    for name, of in (("age", age == 16), ("work", work == 3)):
        assert counts[name, "events"] == (of & known & yes).sum()
        assert counts[name, "nonevents"] == (of & known & ~yes).sum()
    (flat,) = [row for row in result.rows if row.measure == "iv" and row.keys["feature"] == "flat"]
    assert (flat.estimate, flat.obs_status) == (None, "z"), "fewer than two bins end no card"
    card = planned.finalize(state).card
    assert card is not None
    file = load(filed(frame, card, "stopped", ["income", "age", "work"]).content, "card.json", MADE)
    margin = scores(file, adapted(file, frame.dictionary, frame.columns.__getitem__), ROWS).margin
    of_age = next(each for each in card.features if each.bins.name == "age")
    weight = next(each.estimate for each in card.weights if each.term == "age")
    other = Frame(frame.dictionary, {**columns, "age": Column(np.where(age == 16, 30, age), known | True)}, ROWS)
    moved = margin - scores(file, adapted(file, other.dictionary, other.columns.__getitem__), ROWS).margin
    at_30 = of_age.card[of_age.place[np.searchsorted(of_age.bins.edges, 30, side="right")]]
    assert moved[age == 16] == pytest.approx(weight * (of_age.card[-2].woe - at_30.woe), abs=1e-12)


def carding(question: Scorecard) -> None:
    planned = plan(question, workers().dictionary, 6, ROWS, STUDY)
    conversation(planned, planned.start(), divided(workers()))


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"outcome": "age"}, "MODEL_TYPE"),
        ({"features": ("age", "stopped")}, "MODEL_TERM_OUTCOME"),
        ({"features": ("age", "age")}, "STUDY_TWICE"),
        ({"features": ("nothing",)}, "STUDY_VARIABLE"),
        ({"bins": {"age": (40.0, 30.0)}}, "MODEL_BINS"),
        ({"bins": {"work": (1.0,)}}, "MODEL_TYPE"),
        ({"bins": {"earned": (1.0,)}}, "STUDY_VARIABLE"),
        ({"trend": {"earned": "peak"}}, "STUDY_VARIABLE"),
        ({"special": {"earned": ("0",)}}, "STUDY_VARIABLE"),
        ({"special": {"age": ("none",)}}, "MODEL_SPECIAL"),
        ({"special": {"age": ("99",)}}, "MODEL_SPECIAL"),
        ({"special": {"work": ("rider", "driver", "shop", "nobody")}}, "MODEL_SPECIAL"),
        ({"features": ("noise",)}, "MODEL_NO_FEATURE"),
    ],
    ids=str,
)
def test_each_fault_has_a_name(asked: dict[str, Any], code: str) -> None:
    question = QUESTION.model_copy(update={"bins": 20} | asked)
    with pytest.raises(ConfigError) as refused:
        carding(question)
    assert refused.value.code == code


def test_too_few_events_and_foreign_asks_are_refused(carded: tuple[CardAnswer, Log]) -> None:
    few = workers().take(np.arange(60))
    planned = plan(QUESTION, few.dictionary, 6, ROWS, STUDY, Limits(events_per_column=30))
    with pytest.raises(ConfigError, match="at least 60 events"):
        conversation(planned, planned.start(), divided(few))
    _, log = carded
    planned = plan(QUESTION, workers().dictionary, 6, ROWS, STUDY)
    first, fitting = log.asks[0], log.asks[2]
    sums = planned.measure(first, workers().columns.__getitem__, ROWS)
    with pytest.raises(PeerError, match="not one of the approved study"):
        planned.encode(first.model_copy(update={"layout": "other"}), sums)
    with pytest.raises(PeerError):
        planned.blocks(fitting.model_copy(update={"binned": ()}))
    swapped = log.states[1].binned[0].model_copy(update={"events": tuple(reversed(log.states[1].binned[0].events))})
    for state, ask in (
        (planned.start(), fitting),
        (log.states[1], fitting.model_copy(update={"binned": (swapped,)})),
        (planned.start(), first),
    ):
        with pytest.raises(PeerError) as found:
            planned.tell(state, ask, np.zeros(3, np.int64))
        assert found.value.code == "MODEL_NOT_REPLAYABLE"
