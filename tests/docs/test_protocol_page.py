"""docs/protocol.md names what there is: every message, every module it sends the reader to, and the numbers of the code."""

import re

from protocols import messages
from protocols.noise import UNIT
from protocols.secagg import sharing
from protocols.secagg.plan import STEPS, thresholds
from tests.architecture.source import ROOT
from tests.docs import worked_example

PAGE = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")


def test_every_message_of_a_study_is_on_the_page() -> None:
    beside = {"roster", "cancel", "ping"}  # no part of a study
    assert {kind.value for kind in messages.Kind if f"`{kind.value}`" not in PAGE} == beside


def test_the_five_exchanges_are_those_of_the_steps() -> None:
    replies = re.findall(r"^\| [1-5] \| `[a-z]+` > `([a-z]+)` \|", PAGE, re.MULTILINE)
    assert tuple(replies) == STEPS


def test_every_file_that_it_points_to_is_there() -> None:
    named = re.findall(r"`([a-z]+/[a-z_/]+\.py)`", PAGE) + [
        f"docs/{name}" for name in re.findall(r"\]\(([a-z-]+\.md)\)", PAGE)
    ]
    assert len(named) > 10
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_its_numbers_are_those_of_the_code() -> None:
    assert sharing.P == 2**256 + 297
    assert UNIT == 2**20
    assert b"hpfed/envelope/1\x00" in (ROOT / "protocols" / "messages.py").read_bytes().replace(b"\\x00", b"\x00")
    for n in range(3, 12):
        for c in range(n - 1):
            for tolerated in range(n):
                t = n - thresholds(n, c, tolerated, 3, exact=False).d
                assert 2 * t > n + c
                assert t >= max(3, c + 2)
                assert thresholds(n, c, tolerated, 3, exact=True).d == 0


def test_the_worked_example_is_what_the_code_does() -> None:
    found, m = worked_example.example(), 2**32
    assert worked_example.lines() in PAGE
    for i in (1, 2, 3):
        pairs = sum((1 if i < j else -1) * found.pairs[min(i, j), max(i, j)] for j in worked_example.CITIES if j != i)
        value = worked_example.ROWS[i] + worked_example.NOISE[i]
        assert found.sent[i] == (value + found.own[i] + pairs) % m
    came = sum(found.sent.values()) % m
    own, lost = sum(found.own[i] for i in (1, 2, 3)) % m, sum(found.pairs[i, 4] for i in (1, 2, 3)) % m
    assert f"{found.sent[1]} alone says nothing" in PAGE
    assert f"the three vectors that came: {came}." in PAGE
    assert f"{own} together" in PAGE
    assert f"with city 4 is {lost}: {came} - {own} - {lost} = {found.total}\n" in PAGE
    parts = [worked_example.ROWS[i] + worked_example.NOISE[i] for i in (1, 2, 3)]
    assert found.total == (came - own - lost) % m == sum(parts)
    assert f"That is {' + '.join(map(str, parts))}" in PAGE


def test_its_thresholds_are_those_of_four_cities() -> None:
    limits = thresholds(4, 1, 1, 3, exact=False)
    assert (limits.t, limits.k, limits.d) == (3, 3, 1)
    assert "t = 3 of 4" in PAGE
    assert 2 * limits.t - 4 == 2 > 1
    assert "2t - n = 2 cities" in PAGE


def test_its_first_part_fits_on_two_pages() -> None:
    first = PAGE.split("# Where it is exact")[0]
    assert len(first.split()) < 1_250
    assert first.count("\n") < 130
