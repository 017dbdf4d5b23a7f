"""Laws of multi-response variables: what one holder changes, which layout is taken, and what least squares makes of it."""

from decimal import Decimal
from fractions import Fraction
from math import sqrt
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.consistency import reconcile
from protocols import dictionary as dictionaries
from protocols import entropy
from protocols.dictionary import MISSING, Column, Dictionary, Table
from protocols.errors import PeerError, Refusal
from protocols.privacy import Need, calibrate
from protocols.statistics import KINDS
from protocols.statistics.estimates import Estimates
from protocols.statistics.layout import Choice, Domain, Layout, Measure
from protocols.statistics.measures import encode
from protocols.statistics.question import Question
from protocols.statistics.rows import Answer
from protocols.statistics.workload import Workload
from protocols.yamltext import read
from tests.laws.generated import AS_OF, DOMAIN, Holder, crowds, encoded, holders, layout_of
from tests.laws.test_kinds_laws import clipped
from tests.laws.test_measures_laws import EXTREME, beyond_declared

MANY: Final = settings(max_examples=40)
SETS: Final[list[dict[str, Any]]] = [
    {"kind": "frequency", "of": "worries"},
    {"kind": "frequency", "of": "worries", "by": "owner"},
    {"kind": "frequency", "of": "worries", "by": ["sex", "product"]},
    {"kind": "crosstab", "by": ["worries"]},
    {"kind": "crosstab", "by": ["product", "worries"]},
    {"kind": "crosstab", "by": ["worries", "generation"]},
    {"kind": "crosstab", "by": ["sex", "worries", "owner"]},
]  # fmt: skip


def asked(text: dict[str, Any], name: str = "q", **more: Any) -> Question:
    tuples = {key: tuple(value) if isinstance(value, list) else value for key, value in text.items()}
    question = KINDS[str(text["kind"])].model_validate({"id": name, **tuples, **more})
    assert not list(question.faults(DOMAIN.dictionary))
    return question


def answered(questions: list[Question], vector: Any, domain: Domain = DOMAIN, variance: float = 0.0) -> list[Answer]:
    workload = Workload.of(questions, domain)
    families = reconcile(workload.layout, vector, [variance] * len(workload.layout.blocks))
    return [
        each.finalize(
            Estimates.of(
                families, workload.blocks[each.id], study="sha256:s", question=each.id, confidence=0.95, min_cell=10
            ),
            domain,
        )
        for each in questions
    ]


every: Final = pytest.mark.parametrize("text", SETS, ids=str)


# --- what leaves


@MANY
@given(st.sampled_from(SETS), crowds, holders)
def test_one_holder_changes_no_more_than_is_declared(text: dict[str, Any], crowd: list[Holder], one: Holder) -> None:
    assert not beyond_declared(layout_of(asked(text)), crowd, one)


@every
def test_a_holder_who_answered_moves_both_blocks_by_all_that_they_declare(text: dict[str, Any]) -> None:
    """Together K + w in all and K + w^2 in squares, whatever codes are named."""
    layout = layout_of(asked(text))
    (answers, named), weight = layout.blocks, DOMAIN.choice("worries")[1]
    assert (answers.l1 + named.l1, answers.l2sq + named.l2sq) == (3 + weight, 3 + weight**2)
    for worries in (0, 5, 7):
        moved = encoded(layout, [{**EXTREME, "worries": worries}])
        assert [int(abs(moved[layout.span(each)]).sum()) for each in layout.blocks] == [weight, 3]


@pytest.mark.parametrize(("codes", "gain"), [(2, 1.41), (5, 1.46), (12, 1.61), (30, 1.71)])
def test_centred_cells_are_as_much_better_than_plain_ones_as_is_said(codes: int, gain: float) -> None:
    choice, weight = of_codes(codes).choice("v")
    assert choice.most is None
    variance = (codes + weight**2) * (1 + 1 / weight**2) / 4
    assert sqrt((codes + 1) / variance) == pytest.approx(gain, abs=0.006)
    assert all(variance <= (codes + w**2) * (1 + 1 / w**2) / 4 for w in range(1, 7))


def of_codes(codes: int, most: int | None = None, exact: bool = False) -> Domain:
    bound = "" if most is None else f"most_codes: {most}, "
    listed = ", ".join(f"c{code}: {{}}" for code in range(codes))
    text = f"dictionary: sets\nversion: 1\nvariables:\n  v: {{type: set, {bound}codes: {{{listed}}}}}\n  s: {{type: boolean}}\n"
    return Domain(dictionaries.parse(read(text.encode(), "d.yaml")), exact)


def test_the_plain_layout_is_taken_where_few_codes_can_be_named() -> None:
    """With 5 codes the centred layout has 2.81 times the variance of a cell, the plain one m + 1."""
    assert [of_codes(5, most).choice("v")[0].most for most in (None, 1, 2)] == [None, 1, None]
    assert of_codes(5, 1, exact=True).choice("v") == (Choice("v", ("c0", "c1", "c2", "c3", "c4")), 1)
    domain = of_codes(5, 1)
    layout = Workload.of(
        (KINDS["frequency"].model_validate({"id": "q", "kind": "frequency", "of": "v"}),), domain
    ).layout
    assert [(block.l1, block.l2sq, block.low) for block in layout.blocks] == [(1, 1, 0), (1, 1, 0)]
    cells = encode(layout, crowd_of([0b10110, 0, None]), domain.dictionary, AS_OF, None, False)
    assert cells.tolist() == [2, 1, 0, 1, 0, 0, 0], "the first code alone counts, of a mask that holds three"


def crowd_of(masks: list[int | None], dictionary: Dictionary | None = None) -> Table:  # noqa: ARG001 named for readers
    values = np.array([mask or 0 for mask in masks], dtype=np.uint64)
    known = np.array([mask is not None for mask in masks])
    return Table(len(masks), {"v": Column(values, known), "s": Column(np.zeros(len(masks), dtype=bool), known)})


def test_codes_and_those_who_answered_pay_one_price_and_have_one_variance() -> None:
    domain = of_codes(12)
    question = KINDS["frequency"].model_validate({"id": "q", "kind": "frequency", "of": "v", "by": "s"})
    other = KINDS["count"].model_validate({"id": "n", "kind": "count"})
    workload = Workload.of((question, other), domain)
    assert sum(workload.weights[:2]) == workload.weights[2] == Fraction(1)
    needs = [Need(b.l1, b.l2sq, share) for b, share in zip(workload.layout.blocks, workload.shares(), strict=True)]
    answers, named, _ = calibrate(needs, Decimal(1), Decimal("1e-6"))
    assert answers == pytest.approx(named, rel=0.02)


@MANY
@given(st.lists(st.none() | st.integers(0, 31), max_size=12), st.integers(1, 5))
def test_no_mask_moves_the_plain_layout_further_than_it_declares(masks: list[int | None], most: int) -> None:
    domain = of_codes(5, most)
    block = Choice("v", domain.dictionary.codes("v"), most)
    from protocols.statistics.layout import yes_no

    layout = Layout((yes_no(block, [domain.axis("s")]),))
    for mask in masks:
        moved = encode(layout, crowd_of([mask]), domain.dictionary, AS_OF, None, False)
        assert int((moved**2).sum()) <= layout.blocks[0].l2sq
        assert moved.min() >= layout.blocks[0].low


def test_a_code_that_a_set_has_not_is_refused_in_exact_mode_and_ignored_in_dp() -> None:
    domain = of_codes(5)
    question = KINDS["frequency"].model_validate({"id": "q", "kind": "frequency", "of": "v"})
    layout = Workload.of((question,), domain).layout
    same = [encode(layout, crowd_of([mask]), domain.dictionary, AS_OF, None, False).tolist() for mask in (33, 1)]
    assert same[0] == same[1]
    with pytest.raises(Refusal, match="codes of the dictionary"):
        encode(layout, crowd_of([33]), domain.dictionary, AS_OF, None, True)


# --- what it means


@MANY
@given(st.sampled_from(SETS), crowds, st.sampled_from((0.0, 4.0, 900.0)), st.integers(0, 10**6))
def test_every_row_says_what_can_be_said_and_no_more(
    text: dict[str, Any], crowd: list[Holder], variance: float, seed: int
) -> None:
    domain = Domain(DOMAIN.dictionary, exact=not variance)
    question = asked(text)
    layout = Workload.of((question,), domain).layout
    noise = entropy.public_stream("sets", str(seed), "noise").normal(0, sqrt(variance), layout.length)
    vector = encoded(layout, crowd * 20) + np.rint(noise).astype(np.int64)
    (answer,) = answered([question], vector, domain, variance)
    assert len({(row.measure, *row.keys.items(), row.contrast) for row in answer.rows}) == len(answer.rows)
    assert {tuple(row.keys) for row in answer.rows} == {question.variables()}
    for row in answer.rows:
        assert (row.estimate is None) == (row.obs_status in ("x", "z"))
        assert row.measure == "count" or MISSING not in row.keys.values() or row.obs_status == "z"
        if row.estimate is not None:
            assert row.ci_low is not None
            assert row.ci_high is not None
            assert row.ci_low - 1e-9 <= clipped(row, question.kind) <= row.ci_high + 1e-9
            assert (row.se_noise == 0) == (variance == 0)
    for measure in dict.fromkeys(row.measure for row in answer.rows):
        last = [MISSING in row.keys.values() for row in answer.rows if row.measure == measure and not row.contrast]
        assert last == sorted(last), "rows of `_missing` come last"


@MANY
@given(crowds, st.integers(0, 10**6), st.sampled_from((0.0, 6.0, 250.0)))
def test_shared_margins_of_sets_and_other_tables_agree_to_the_last_digit(
    crowd: list[Holder], seed: int, variance: float
) -> None:
    """Counts of a code by sex, by owner and alone; those who did not answer; and holders by sex."""
    domain = Domain(DOMAIN.dictionary, exact=not variance)
    questions = [
        asked({"kind": "frequency", "of": "worries"}, "all"),
        asked({"kind": "frequency", "of": "worries", "by": "sex"}, "sex"),
        asked({"kind": "crosstab", "by": ["owner", "worries"]}, "owner"),
        asked({"kind": "frequency", "of": "sex"}, "sexes"),
    ]
    layout = Workload.of(questions, domain).layout
    noise = entropy.public_stream("sets", str(seed), "noise").normal(0, sqrt(variance), layout.length)
    vector = encoded(layout, crowd * 30) + np.rint(noise).astype(np.int64)
    every = answered(questions, vector, domain, variance)
    alone, sex, owner, _ = ({tuple(r.keys.values()): r.estimate for r in a.rows if r.measure == "count"} for a in every)

    def added(table: dict[Any, Any], at: int) -> dict[str, int]:
        found = dict[str, int]()
        for keys, value in table.items():
            found[keys[at]] = found.get(keys[at], 0) + round(10**6 * (value or 0))
        return found

    whole = {keys[0]: round(10**6 * (value or 0)) for keys, value in alone.items()}
    assert added(sex, 0) == whole
    assert added(owner, 1) == whole


def test_least_squares_over_a_set_is_that_over_its_yes_and_no_tables() -> None:
    """One code by sex, against dense least squares over (yes, no, not answered) x sex: numbers and variances."""
    questions = [
        asked({"kind": "frequency", "of": "worries", "by": "sex"}, "sex"),
        asked({"kind": "frequency", "of": "worries", "by": "owner"}, "owner"),
        asked({"kind": "count"}, "n"),
    ]
    workload = Workload.of(questions, DOMAIN)
    layout = workload.layout
    variances = [40.0 + 30 * number for number in range(len(layout.blocks))]
    generator = entropy.public_stream("sets", "dense", "noise")
    crowd: list[Holder] = [
        {"sex": int(generator.integers(0, 3)), "owner": int(generator.integers(0, 2)), "worries": int(generator.integers(0, 8))}
        for _ in range(200)
    ]  # fmt: skip
    sds = np.sqrt(np.repeat(variances, [block.cells for block in layout.blocks]))
    vector = encoded(layout, crowd) + np.rint(generator.normal(0, 1, layout.length) * sds).astype(np.int64)
    families = reconcile(layout, vector, variances)
    shape = (3, 4, 3)  # yes, no, not answered; sex; owner
    cells = np.indices(shape).reshape(3, -1)
    for code in range(3):
        rows, seen, spread = [], [], []
        for block, variance in zip(layout.blocks, variances, strict=True):
            names = [axis.name for axis in block.axes]
            place, number = np.zeros(cells.shape[1], dtype=int), vector[layout.span(block)]
            adds = np.full(cells.shape[1], float(block.weight))
            if block.measure is Measure.YES_NO:
                adds = np.array([1.0, -1.0, 0.0])[cells[0]]
                number = number.reshape(3, -1)[code]
            for name, axis in zip(names, block.axes, strict=True):
                at = {"known(worries)": (cells[0] == 2).astype(int), "sex": cells[1], "owner": cells[2]}[name]
                place = place * axis.size + at
            size = len(number)
            rows.append((place == np.arange(size)[:, None]) * adds)
            seen.append(number)
            spread.append(np.full(size, variance))
        scale = np.sqrt(np.concatenate(spread))[:, None]
        design, observed = np.concatenate(rows) / scale, np.concatenate(seen) / scale[:, 0]
        fitted = np.linalg.lstsq(design, observed, rcond=None)[0]
        covariance = np.linalg.pinv(design.T @ design, rcond=1e-12)
        wanted = np.array([(cells[0] == 0) & (cells[1] == each) for each in range(4)], dtype=float)
        sums = Estimates.of(families, workload.blocks["sex"], study="s", question="q", confidence=0.95, min_cell=1)
        answer = questions[0].finalize(sums, DOMAIN)
        name = DOMAIN.dictionary.codes("worries")[code]
        mine = [row for row in answer.rows if row.measure == "count" and row.keys["worries"] == name]
        assert [row.estimate for row in mine] == pytest.approx((wanted @ fitted).tolist(), abs=1e-4)
        assert [row.se_noise for row in mine] == pytest.approx(
            np.sqrt(np.diag(wanted @ covariance @ wanted.T)).tolist(), rel=1e-6
        )
        for measure, part, whole in (
            ("share", wanted[:3], np.array([(cells[0] < 2) & (cells[1] == each) for each in range(3)], dtype=float)),
            ("row_share", wanted[:3], np.array([(cells[0] == 0) & (cells[1] < 3)] * 3, dtype=float)),
            (
                "column_share",
                wanted[:3],
                np.array([(cells[0] < 2) & (cells[1] == each) for each in range(3)], dtype=float),
            ),
        ):
            asked_ = (
                questions[0] if measure == "share" else asked({"kind": "crosstab", "by": ["worries", "sex"]}, "sex")
            )
            shares = asked_.finalize(sums, DOMAIN)
            rows_ = [
                row for row in shares.rows
                if row.measure == measure and row.keys["worries"] == name and row.obs_status != "z" and not row.contrast
            ]  # fmt: skip
            gradient = part / (whole @ fitted)[:, None] - whole * ((part @ fitted) / (whole @ fitted) ** 2)[:, None]
            expected = np.sqrt(np.einsum("ij,jk,ik->i", gradient, covariance, gradient))
            assert [row.se_noise for row in rows_] == pytest.approx(expected.tolist(), rel=1e-5)


@pytest.mark.slow  # a minute: 3,000 fits; the dense least squares above holds the same errors to 1e-6 at every run
def test_declared_errors_are_those_of_noise() -> None:
    """Counts, shares and a difference of shares over 1,500 draws of the noise, in both layouts."""
    for domain in (of_codes(5), of_codes(5, 1)):
        question = KINDS["frequency"].model_validate({"id": "q", "kind": "frequency", "of": "v", "by": "s"})
        layout = Workload.of((question,), domain).layout
        generator = entropy.public_stream("sets", "errors", "noise")
        masks = (1 << generator.integers(0, 5, 4000)).astype(np.uint64)
        sides = generator.random(4000) < 0.5
        crowd = Table(4000, {"v": Column(masks, np.ones(4000, bool)), "s": Column(sides, np.ones(4000, bool))})
        exact = encode(layout, crowd, domain.dictionary, AS_OF, None, False)
        found: dict[tuple[str, ...], list[float]] = {}
        claimed: dict[tuple[str, ...], float] = {}
        for _ in range(1500):
            noised = exact + np.rint(generator.normal(0, 20, layout.length)).astype(np.int64)
            (answer,) = answered([question], noised, domain, 400.0)
            for row in answer.rows:
                if row.estimate is not None and MISSING not in row.keys.values():
                    at = (row.measure, *row.keys.values(), str(row.contrast))
                    found.setdefault(at, []).append(row.estimate)
                    claimed[at] = row.se_noise or 0.0
        ratios = [np.var(values) / claimed[at] ** 2 for at, values in found.items()]
        assert 0.95 < float(np.mean(ratios)) < 1.05
        assert 0.85 < min(ratios) < max(ratios) < 1.17


def test_what_cannot_be_a_sum_of_answers_makes_no_table() -> None:
    layout = layout_of(asked(SETS[0]))
    with pytest.raises(PeerError, match="cell"):
        reconcile(layout, np.zeros(layout.length - 1, dtype=np.int64), [4.0, 4.0])
    alone = Layout(layout.blocks[1:])
    with pytest.raises(ValueError, match="known was not measured"):
        reconcile(alone, np.zeros(alone.length, dtype=np.int64), [4.0])


@pytest.mark.parametrize(
    "text",
    [
        {"kind": "frequency", "of": "sex", "by": "worries"},
        {"kind": "tgi", "target": "worries", "by": "sex"},
        {"kind": "histogram", "of": "income", "bins": ["2"], "by": "worries"},
    ],
    ids=str,
)
def test_where_a_set_cannot_stand_it_is_named(text: dict[str, Any]) -> None:
    tuples = {key: tuple(value) if isinstance(value, list) else value for key, value in text.items()}
    question = KINDS[str(text["kind"])].model_validate({"id": "q", **tuples})
    assert [(fault.code, fault.values["name"]) for fault in question.faults(DOMAIN.dictionary)] == [
        ("STUDY_SET", "worries")
    ]
