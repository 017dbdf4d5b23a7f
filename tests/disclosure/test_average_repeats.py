"""T16: the same question asked k times, averaged. A request gets the same bytes, a finished run its stored receipt, at one charge."""

from pathlib import Path

import pytest

from node.ledger import Ledger
from protocols import privacy
from protocols.errors import HpfedError
from tests.ledgers import NOW, answer, claim, confirm, holds, masked, opened, receipt, request, reveal, rows, spend

REPEATS = 1_000


def charged(ledger: Ledger) -> privacy.Cost:
    return ledger.view(NOW).rooms[-1].used


def test_a_thousand_repeats_of_a_request_get_equal_bytes_at_one_charge(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        ledger.reserve(claim(1), now=NOW)
        rows(ledger, 1)
        spend(ledger, 1)
        head = ledger.head
        assert {ledger.repeated(request(1)) for _ in range(REPEATS)} == {masked(1)}
    with opened(tmp_path) as ledger:
        assert {ledger.repeated(request(1)) for _ in range(REPEATS)} == {masked(1)}
        assert (ledger.head, charged(ledger)) == (head, claim(1).cost)


def test_a_thousand_new_conversations_about_a_finished_run_are_told_that_it_is_answered(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        ledger.reserve(claim(1), now=NOW)
        for step in (rows, spend, confirm, reveal, answer):
            step(ledger, 1)
        head = ledger.head
        for number in range(2, REPEATS + 2):
            with pytest.raises(HpfedError) as raised:
                ledger.reserve(claim(number, snapshot=f"ingested since {number}"), now=NOW)
            assert raised.value.code == "SECAGG_ALREADY_ANSWERED"
            stored = ledger.finished("fund-lab", claim(1).study, 1)
            assert stored is not None
            assert stored.receipt == receipt(1)
        assert (ledger.head, charged(ledger)) == (head, claim(1).cost)


def test_asking_again_after_an_abort_is_charged_each_time_and_soon_over(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        answered = 0
        for number in range(50):
            if holds(ledger, claim(number), "BUDGET_RETRIES"):
                rows(ledger, number)
                spend(ledger, number)
                answered += 1
        assert answered == 3
        assert charged(ledger).curve == tuple(3 * cost for cost in claim(1).cost.curve)
