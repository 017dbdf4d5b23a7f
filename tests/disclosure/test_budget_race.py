"""T34: two studies at once overspend. One process at a time holds the ledger, and holding budget is one transaction.

Two processes open the ledger of one home over and over, and each tries to have its own studies answered. However they interleave, no more
is answered than the cap has room for.
"""

import subprocess
import sys
from pathlib import Path
from time import sleep

import pytest

from node.ledger import Ledger
from protocols import privacy
from protocols.errors import HpfedError
from tests.ledgers import M29, NOW, claim, holds, opened, rows, spend


def open_when_free(home: Path) -> Ledger:
    while True:
        try:
            return opened(home)
        except HpfedError as no:
            if no.code != "LEDGER_LOCKED":
                raise
            sleep(0.001)


def main(home: Path, first: int, tries: int, parts: int) -> None:
    """Try studies of one part in `parts` of epsilon 1; print the number of each that was answered."""
    for number in range(first, first + tries):
        with open_when_free(home) as ledger:
            if holds(ledger, claim(number, study=f"study {number}", total=parts * M29), "BUDGET_ASKER"):
                rows(ledger, number)
                spend(ledger, number)
                print(number, flush=True)


def raced(home: Path, tries: int, parts: int) -> list[int]:
    """Numbers of the studies that two processes got answered, each in `tries` tries."""
    opened(home).close()
    words = [sys.executable, "-m", __name__, str(home)]
    racing = [
        subprocess.Popen([*words, str(first), str(tries), str(parts)], stdout=subprocess.PIPE, text=True)  # noqa: S603 this file itself
        for first in (0, tries)
    ]
    printed = [each.communicate()[0] for each in racing]
    assert [each.returncode for each in racing] == [0, 0]
    return sorted(int(number) for text in printed for number in text.split())


def check(home: Path, tries: int, parts: int) -> None:
    answered = raced(home, tries, parts)
    with opened(home) as ledger:
        room, held = ledger.view(NOW).rooms[0], ledger.view(NOW).reservations
    cost = privacy.cost_at(claim(0, total=parts * M29).cost.curve, room.cap.order)
    fit = room.cap.room // cost
    assert room.scope == "per_asker_year"
    assert fit < 2 * tries  # else nothing was refused, and nothing shown
    assert len(answered) == fit
    assert sorted(each.claim.study for each in held) == sorted(claim(0, study=f"study {n}").study for n in answered)
    assert privacy.cost_at(room.used.curve, room.cap.order) == fit * cost <= room.cap.room


def test_two_processes_never_spend_more_than_the_cap(tmp_path: Path) -> None:
    check(tmp_path, 15, 1)


@pytest.mark.slow  # a thousand openings of a ledger take a minute
def test_two_processes_never_spend_more_than_the_cap_in_1000_tries(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text("limits: {conversations_per_day: 1000}")
    check(tmp_path, 500, 40)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
