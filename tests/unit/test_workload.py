"""Questions of a study as one layout: what is measured once, and what is not measured at all."""

from fractions import Fraction

from coordinator.consistency import reconcile
from protocols.statistics import KINDS
from protocols.statistics.estimates import Estimates
from protocols.statistics.layout import amount, count
from protocols.statistics.question import Question
from protocols.statistics.workload import Workload, margin_of
from tests.laws.generated import BIRTH_YEAR, DOMAIN, encoded


def ask(kind: str, number: str = "q", **keys: object) -> Question:
    return KINDS[kind].model_validate({"id": number, "kind": kind, **keys})


def test_equal_blocks_of_two_questions_are_measured_once_with_the_larger_weight() -> None:
    questions = (
        ask("tgi", "first", target="product", by="sex"),
        ask("crosstab", "second", by=["sex", "product"], weight="4"),
        ask("frequency", "third", of="owner"),
    )
    workload = Workload.of(questions, DOMAIN)
    assert [block.name for block in workload.layout.blocks] == ["1 by (product, sex)", "1 by (owner)"]
    assert workload.weights == (Fraction(4), Fraction(1))
    assert workload.shares() == (Fraction(4, 5), Fraction(1, 5))
    assert workload.blocks["first"]["holders"] == workload.blocks["second"]["holders"]


def test_a_margin_that_would_get_next_to_nothing_is_summed_out_instead() -> None:
    """At most 0.5 % of the budget: then the larger table serves for both, and the budget is not split for it."""
    table = ask("crosstab", "table", by=["sex", "product"], weight="200")
    for weight, measured in (("1", 1), ("2", 2)):
        workload = Workload.of((ask("frequency", "margin", of="sex", weight=weight), table), DOMAIN)
        assert len(workload.layout.blocks) == measured
        assert sum(workload.shares()) == 1
    alone = Workload.of((ask("frequency", "other", of="owner", weight="0.001"), table), DOMAIN)
    assert len(alone.layout.blocks) == 2


def test_a_margin_has_fewer_axes_of_the_same_counts() -> None:
    sex, product = DOMAIN.axis("sex"), DOMAIN.axis("product")
    assert margin_of(count([sex]), count([product, sex]))
    assert margin_of(count(), count([sex]))
    assert not margin_of(count([sex]), count([sex]))
    assert not margin_of(count([product, sex]), count([sex]))
    assert not margin_of(amount(BIRTH_YEAR), count([sex]))


def test_a_margin_that_was_not_measured_is_answered_from_the_larger_table() -> None:
    crowd = [{"sex": 0, "product": 1}, {"sex": 1}, {"product": 2}] * 5
    frequency, table = (
        ask("frequency", "margin", of="sex"),
        ask("crosstab", "table", by=["sex", "product"], weight="200"),
    )
    workload = Workload.of((frequency, table), DOMAIN)
    (block,) = workload.layout.blocks
    families = reconcile(workload.layout, encoded(workload.layout, crowd), [9.0])
    sums = Estimates.of(
        families, workload.blocks["margin"], study="sha256:w", question="margin", confidence=0.95, min_cell=0
    )
    rows = frequency.finalize(sums, DOMAIN).rows[:4]
    assert [row.estimate for row in rows] == [5, 5, 0, 5]
    assert {row.se_noise for row in rows} == {3.0 * 2.0}, "four cells of variance 9 in each"
    assert block.cells == 16
