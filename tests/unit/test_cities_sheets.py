"""Workbooks of the invented cities: what another reader finds in them, and the same bytes again."""

import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path

import numpy as np
import pytest
import python_calamine
from hypothesis import given
from hypothesis import strategies as st

from simulations.cities import text
from simulations.cities.sheets import BLOCK, Sheet, letters, write_workbook


def sheet(count: int, **more: object) -> Sheet:
    """Two columns: the number of the row as text, and as a number."""
    numbers = np.arange(count)
    columns = (text.whole(numbers), [*text.whole(numbers), b".5"])
    given_ = {"name": "明细", "top": (("标题",), ("甲", "乙")), "rows": numbers + 3, "numbers": frozenset((1,))} | more
    return Sheet(columns=columns, **given_)  # type: ignore[arg-type]  # what the test names


def read(path: Path, name: str) -> list[list[object]]:
    with python_calamine.load_workbook(path) as workbook:
        return [list(row) for row in workbook.get_sheet_by_name(name).iter_rows()]


@pytest.mark.parametrize("rows", [1, BLOCK, BLOCK + 1])
def test_another_reader_finds_every_cell(tmp_path: Path, rows: int) -> None:
    write_workbook((sheet(rows, bottom=("合计", "")), sheet(2, name="A&B")), tmp_path / "a.xlsx")
    found = read(tmp_path / "a.xlsx", "明细")
    assert found == [["标题", ""], ["甲", "乙"], *([str(n), n + 0.5] for n in range(rows)), ["合计", ""]]
    assert read(tmp_path / "a.xlsx", "A&B")[2:] == [["0", 0.5], ["1", 1.5]]


def test_rows_may_be_left_out_and_blocks_are_merged(tmp_path: Path) -> None:
    write_workbook((sheet(3, rows=np.array([3, 5, 6]), merged=("A1:B1", "A5:A6")),), tmp_path / "a.xlsx")
    assert [row[0] for row in read(tmp_path / "a.xlsx", "明细")] == ["标题", "甲", "0", "", "1", "2"]
    with python_calamine.load_workbook(tmp_path / "a.xlsx") as workbook:
        assert workbook.get_sheet_by_name("明细").merged_cell_ranges == [((0, 0), (0, 1)), ((4, 0), (5, 0))]


def test_every_part_is_xml_and_the_bytes_are_the_same_again(tmp_path: Path) -> None:
    for name in ("a.xlsx", "b.xlsx"):
        write_workbook((sheet(9),), tmp_path / name)
    assert (tmp_path / "a.xlsx").read_bytes() == (tmp_path / "b.xlsx").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.xlsx") as archive:
        assert archive.testzip() is None
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        for entry in archive.namelist():
            ET.fromstring(archive.read(entry))  # noqa: S314 as above


@given(st.integers(0, 16383))
def test_names_of_columns_follow_each_other(place: int) -> None:
    number = 0
    for letter in letters(place):
        number = number * 26 + ord(letter) - ord("A") + 1
    assert number == place + 1


@pytest.mark.parametrize("mark", [b"<", b"&"])
@pytest.mark.parametrize("plain", [True, False])
def test_a_text_with_markup_is_a_bug(tmp_path: Path, mark: bytes, plain: bool) -> None:
    cell: text.Cell = [mark] if plain else [np.array([mark])]
    with pytest.raises(ValueError, match="markup"):
        write_workbook((Sheet("S", (("a",),), (cell,), np.array([2])),), tmp_path / "a.xlsx")
