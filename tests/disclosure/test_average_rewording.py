"""T17: reworded question (other id, title, order, bins shifted, `revision`), averaged. Another digest is another charge, up to the cap."""

from decimal import Decimal
from pathlib import Path

import pytest

from protocols import privacy
from protocols.noise import UNIT
from tests.ledgers import NOW, claim, holds, opened, policy, rows, spend

TENTH = 1_561 * UNIT  # V of epsilon 0.1 at m = 1 is 1560.5
WORDINGS = 1_000


def test_a_thousand_wordings_at_epsilon_a_tenth_stop_at_the_cap_of_1(tmp_path: Path) -> None:
    rules = policy(
        tmp_path,
        "dp: {caps: {per_asker_year: {epsilon: 1}, per_year: {epsilon: 1}, total: {epsilon: 1}}}\n"
        "limits: {conversations_per_day: 1000}\n",
    )
    cost = claim(0, total=TENTH, m=1).cost
    assert privacy.epsilon_of(cost.curve, Decimal("1e-6")) <= Decimal("0.1")
    with opened(tmp_path, rules) as ledger:
        answered = 0
        for number in range(WORDINGS):
            words = claim(number, study=f"wording {number}", total=TENTH, m=1, draws=6)
            if holds(ledger, words, "BUDGET_ASKER", "BUDGET_YEAR", "BUDGET_TOTAL"):
                rows(ledger, number)
                spend(ledger, number)
                answered += 1
        cap, used = ledger.view(NOW).rooms[-1].cap, ledger.view(NOW).rooms[-1].used
        assert answered == cap.room // privacy.cost_at(cost.curve, cap.order)
        assert 10 < answered < 100
        assert privacy.epsilon_of(used.curve, Decimal("1e-6")) <= 1


def test_without_the_filter_all_wordings_would_be_answered_and_the_noise_averaged_out() -> None:
    """The control: what the same claims cost together."""
    together = privacy.rdp(privacy.Event(1, 1, TENTH, WORDINGS))
    assert privacy.epsilon_of(together, Decimal("1e-6")) > 3


@pytest.mark.parametrize("change", [{"study": "products, revision 2"}, {"run": 2}, {"asker": "fund-two"}])
def test_another_revision_run_or_asker_is_another_charge(tmp_path: Path, change: dict[str, str]) -> None:
    with opened(tmp_path) as ledger:
        for number, words in enumerate(({}, change)):
            ledger.reserve(claim(number, **words), now=NOW)  # type: ignore[arg-type] # words by name
            rows(ledger, number)
            spend(ledger, number)
        assert ledger.view(NOW).rooms[-1].used.curve == tuple(2 * cost for cost in claim(0).cost.curve)
