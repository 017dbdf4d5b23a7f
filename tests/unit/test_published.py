"""What was published exactly before is held against what is published next: by its words, and only while it is about the same rows."""

from pathlib import Path
from typing import Final

import numpy as np
import pytest

from coordinator.published import Published, amounts_before, beside, counts, earlier
from protocols.errors import PeerError
from protocols.ring import Vector
from protocols.statistics.dominance import Printed
from protocols.statistics.layout import Amount
from protocols.statistics.suppression import Withheld
from protocols.study import Study, load
from tests import gates

CITIES: Final = (1, 2, 3)
LEAST: Final = 10
MARGINS: Final = "  - {id: sexes, kind: frequency, of: sex}\n"
CROSSED: Final = "  - {id: crossed, kind: crosstab, by: [product, sex]}\n"
# product (monthly, free, _missing) x sex (male, female, _missing): one small cell, which the line of `free` gives away beside the margin
TABLE: Final = np.array([[100, 200, 0], [4, 300, 0], [0, 0, 0]])


def asked(folder: Path, name: str, questions: str, cohort: str = "") -> Study:
    gates.write(folder / name, cities=())
    text = gates.STUDY.split("questions:")[0].replace("tiny-study", name) + cohort + "questions:\n" + questions
    (folder / name / "study.yaml").write_text(text, encoding="utf-8")
    return load(folder / name / "study.yaml").in_exact_mode()


def summed(study: Study, table: Vector = TABLE) -> Vector:
    """The sum that these holders give."""
    cells = []
    for block in study.workload.layout.blocks:
        over = tuple(at for at, name in enumerate(("product", "sex")) if name not in {axis.name for axis in block.axes})
        cells.append(table.sum(axis=over).ravel())
    return np.concatenate(cells)


def release(
    study: Study, before: tuple[Published, ...] = (), table: Vector = TABLE, cells: Vector | None = None
) -> Withheld:
    total = summed(study, table) if cells is None else cells
    return beside(study.workload.layout, total, before, LEAST, 0)


def test_a_margin_that_was_published_before_is_known_beside_the_table(tmp_path: Path) -> None:
    """Alone, the table withholds margins of `sex` to keep its small cell; they were printed, so that it withholds cells instead."""
    one, two = asked(tmp_path, "one", MARGINS), asked(tmp_path, "two", CROSSED)
    Published.of(one, CITIES, summed(one), release(one)).write(tmp_path)
    before = earlier(tmp_path, two, CITIES)
    assert [each.study.digest for each in before] == [one.digest]
    sexes = frozenset(("sex",))
    assert not release(one).cells[sexes].any()
    covered, joint = release(two, before), frozenset(("product", "sex"))
    assert covered.cells[joint].sum() >= 4, "four corners, so that no line gives the small one back"
    assert not covered.cells[sexes].any()
    (file,) = (tmp_path / "exact").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600


def test_sums_of_amounts_are_remembered_with_whether_some_was_withheld(tmp_path: Path) -> None:
    one, two = asked(tmp_path, "one", MARGINS), asked(tmp_path, "two", CROSSED)
    some, none = Amount("x", 0, 9, "fen"), Amount("y", 0, 9, "fen")
    amounts = {of: Withheld({}, {frozenset(): np.array(of is some)}) for of in (some, none)}
    Published.of(one, CITIES, summed(one), release(one), amounts).write(tmp_path)
    kept = amounts_before(earlier(tmp_path, two, CITIES))
    assert kept == (Printed("x", some.name, withheld=True), Printed("y", none.name, withheld=False))


def test_releases_about_others_are_not_held_against_it(tmp_path: Path) -> None:
    one, two = asked(tmp_path, "one", MARGINS), asked(tmp_path, "two", CROSSED)
    others = asked(tmp_path, "others", MARGINS, "cohort: {variable: sex, is: male}\n")
    for study, cities in ((one, (1, 2, 3, 4)), (others, CITIES), (two, CITIES)):
        Published.of(study, cities, summed(study), release(study)).write(tmp_path)
    assert earlier(tmp_path, two, CITIES) == ()
    assert len(earlier(tmp_path, two, (1, 2, 3, 4))) == 1
    assert earlier(tmp_path / "nowhere", two, CITIES) == ()


def test_a_level_of_cities_that_means_other_cities_now_is_another_table(tmp_path: Path) -> None:
    """Tables by it are left aside, and their margins are still known; a cohort of such a level is of other holders."""
    by = "  - {id: sides, kind: crosstab, by: [sex, city.side]}\n"

    def of(name: str, east: str, cohort: str = "") -> Study:
        return asked(
            tmp_path, name, by + MARGINS, f"cities: {{attributes: {{side: {{c1: west, {east}: east}}}}}}\n" + cohort
        )

    one, same, other = of("one", "c2"), of("same", "c2"), of("other", "c3")
    for study in (one, of("west", "c2", "cohort: {variable: city.side, is: west}\n")):
        cells = np.zeros(study.workload.layout.length, dtype=np.int64)
        Published.of(study, CITIES, cells, release(study, cells=cells)).write(tmp_path)
    (alike,), (apart,) = earlier(tmp_path, same, CITIES), earlier(tmp_path, other, CITIES)
    assert {len(block.axes) for block in alike.tables} == {1, 2}
    assert {len(block.axes) for block in apart.tables} == {1}
    assert earlier(tmp_path, of("still-west", "c3", "cohort: {variable: city.side, is: west}\n"), CITIES) == ()
    cells = np.zeros(other.workload.layout.length, dtype=np.int64)
    assert not any(hidden.any() for hidden in release(other, (apart,), cells=cells).cells.values())


@pytest.mark.parametrize("moved", [[(0, 0, 1)], [(0, 0, -1), (0, 1, 1)]])
def test_what_was_published_of_other_rows_is_left_aside(tmp_path: Path, moved: list[tuple[int, int, int]]) -> None:
    """A city ingested anew in between: the totals no longer agree, or the same table holds other numbers."""
    one, two = asked(tmp_path, "one", MARGINS + CROSSED), asked(tmp_path, "two", CROSSED)
    table = TABLE.copy()
    for product, sex, by in moved:
        table[product, sex] += by
    old = Published.of(one, CITIES, summed(one), release(one))
    alone, beside_old = release(two, table=table), release(two, (old,), table)
    assert all(np.array_equal(alone.cells[part], beside_old.cells[part]) for part in alone.cells)


def test_a_sum_that_does_not_add_up_is_an_error_whatever_was_before(tmp_path: Path) -> None:
    both = asked(tmp_path, "both", MARGINS + CROSSED)
    wrong = summed(both)
    assert len(counts(both.workload.layout).blocks) == 2
    wrong[0] += 1
    with pytest.raises(PeerError):
        beside(both.workload.layout, wrong, (), LEAST, 0)
