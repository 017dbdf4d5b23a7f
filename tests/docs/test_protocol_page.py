"""docs/protocol.md names what there is: every message, every module it sends the reader to, and the numbers of the code."""

import re

from protocols import messages
from protocols.noise import UNIT
from protocols.secagg import sharing
from protocols.secagg.plan import STEPS, thresholds
from tests.architecture.source import ROOT

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
