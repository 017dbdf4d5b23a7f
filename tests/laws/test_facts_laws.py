"""Laws of facts: one spelling of each value, exact sums of cities, a cell that no holder moves, and no wrap in the ring of the plan."""

from decimal import Decimal
from typing import Final

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from node.gate import figures
from protocols import dictionary as dictionaries
from protocols import facts
from protocols.dictionary import Fact
from protocols.ring import width
from protocols.statistics import KINDS
from protocols.statistics.layout import Domain, Layout, Measure
from protocols.statistics.workload import Workload
from tests.laws.generated import SMALL, Holder, crowds, encoded

FACT: Final = {
    "money": Fact(type="money", unit="亿元", range=(Decimal(-1000), Decimal(50000)), timing="flow"),
    "number": Fact(type="number", unit="%", range=(Decimal(0), Decimal(100))),
    "integer": Fact(type="integer", unit="branch", range=(Decimal(-3), Decimal(500))),
}
TERMS: Final = SMALL.model_copy(update={"facts": FACT})


@given(st.sampled_from(sorted(FACT)), st.data())
def test_a_value_has_one_spelling_and_is_read_back_to_the_step(name: str, data: st.DataObject) -> None:
    fact = FACT[name]
    low, high = (int(bound * fact.steps) for bound in fact.range)
    found = data.draw(st.integers(low, high))
    said = facts.text(fact, found)
    assert facts.value_of(fact, said) == found
    assert Decimal(said) * fact.steps == found
    assert not facts.inside(fact, data.draw(st.sampled_from([low - 1, high + 1])))
    for other in (f"+{said}", f"{said}0" if "." in said else f"{said}.0", f" {said}", f"{said}e0"):
        try:
            read = facts.value_of(fact, other)
        except ValueError:
            continue
        raise AssertionError((other, read))


@given(st.lists(st.integers(-(10**13), 5 * 10**14), min_size=1, max_size=8))
def test_what_cities_add_up_is_their_sum_and_stays_within_what_so_many_can_state(values: list[int]) -> None:
    cell = facts.cell("money", TERMS)
    layout = Layout((facts.cell("integer", TERMS), cell))
    total = sum((figures(layout, {"money": value}) for value in values), np.zeros(2, dtype=np.int64))
    assert total.tolist() == [0, sum(values)]
    assert facts.within(sum(values), cell, len(values))
    assert not facts.within(len(values) * cell.high + 1, cell, len(values))
    assert (cell.low, cell.high) == (-(10**13), 5 * 10**14)
    assert width(len(values), layout.largest_stated, 0) == 64


@given(crowds)
def test_no_holder_moves_the_cell_of_a_fact(crowd: list[Holder]) -> None:
    """Neither by being there nor by what a row says: D1 and D2 are 0, and a batch adds nothing to it."""
    asked = {"id": "q", "kind": "ratio", "numerator": {"fact": "money"}, "denominator": "months_paying"}
    layout = Workload.of([KINDS["ratio"].model_validate(asked)], Domain(TERMS, exact=True)).layout
    (block,) = (each for each in layout.blocks if each.measure is Measure.STATED)
    assert (block.l1, block.l2sq, block.step, block.sources, block.cells) == (0, 0, 0, (), 1)
    inside = [{**each, "months_paying": min(max(each.get("months_paying", 0), 0), 36)} for each in crowd]
    assert encoded(layout, inside, exact=True)[layout.span(block)].tolist() == [0]


def test_facts_of_the_shipped_dictionaries_are_whole_numbers_that_every_reader_of_json_keeps() -> None:
    core = dictionaries.load("hpf-core@1")
    assert max(facts.cell(name, core).high for name in core.facts) < 2**53
