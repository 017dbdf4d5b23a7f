"""The ledger of a city: what is held before rows are read, charged before bytes leave, and said again to who asks again."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from node.entries import SESSION, Claim, Reservation
from node.ledger import AHEAD, DAY, KEPT_DAYS, Ledger
from node.policy import Decision, load
from protocols import privacy
from protocols import study as studies
from protocols.errors import HpfedError, PeerError, abort_number
from protocols.noise import UNIT
from protocols.study import Study
from tests.ledgers import (
    M29,
    NOW,
    altered,
    answer,
    claim,
    confirm,
    conversation,
    masked,
    name,
    opened,
    policy,
    receipt,
    request,
    reveal,
    rows,
    spend,
    whole,
    years_later,
    yes,
)

FLAGSHIP = Path(studies.__file__).parents[1] / "coordinator" / "studies" / "flexible-employment-profile.yaml"


@contextmanager
def refused(code: str) -> Iterator[list[HpfedError]]:
    found: list[HpfedError] = []
    with pytest.raises(HpfedError) as raised:
        yield found
    found.append(raised.value)
    assert raised.value.code == code


def state(ledger: Ledger, number: int) -> str:
    return held(ledger, number).state


def held(ledger: Ledger, number: int) -> Reservation:
    found = ledger.reservation(conversation(number))
    assert found is not None
    return found


# --- one conversation


def test_a_conversation_goes_from_reserved_to_answered_and_every_step_is_an_entry(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        begun = ledger.head.seq
        states = []
        ledger.reserve(claim(1), now=NOW)
        states.append(state(ledger, 1))
        for step in (rows, spend, confirm, reveal, answer):
            step(ledger, 1, NOW)
            states.append(state(ledger, 1))
        assert states == ["reserved", "read", "spent", "spent", "spent", "answered"]
        assert ledger.head.seq == begun + 6
        done = held(ledger, 1).rounds[0]
        assert done.sent
        assert done.confirmed is not None
        assert done.confirmed.cities == (1, 2, 3, 4, 5, 6)
        assert done.revealed
        head = ledger.head
    with opened(tmp_path) as again:
        assert (again.head, state(again, 1), held(again, 1).rounds[0]) == (head, "answered", done)


def test_the_steps_of_a_conversation_cannot_be_taken_out_of_order(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        for step in (rows, spend):
            with refused("SECAGG_BUDGET"):
                step(ledger, 1)
        for late in (confirm, reveal, answer):
            with refused("SECAGG_OUT_OF_ORDER"):
                late(ledger, 1)
        ledger.reserve(claim(1), now=NOW)
        with refused("SECAGG_BUDGET"):
            spend(ledger, 1)
        rows(ledger, 1)
        with refused("SECAGG_BUDGET"):
            rows(ledger, 1)
        for late in (confirm, reveal, answer):
            with refused("SECAGG_OUT_OF_ORDER"):
                late(ledger, 1)
        spend(ledger, 1)
        with refused("SECAGG_BUDGET"):
            spend(ledger, 1)
        with refused("SECAGG_OUT_OF_ORDER"):
            reveal(ledger, 1)
        confirm(ledger, 1)
        with refused("SECAGG_OUT_OF_ORDER") as found:
            confirm(ledger, 1, cities=(1, 2, 3))
        assert isinstance(found[0], PeerError)
        assert found[0].who == "coordinator"
        reveal(ledger, 1)
        with refused("SECAGG_OUT_OF_ORDER"):
            reveal(ledger, 1)
        assert state(ledger, 1) == "spent"


def test_a_city_lost_after_its_vector_left_still_takes_the_receipt(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        ledger.reserve(claim(1), now=NOW)
        rows(ledger, 1)
        spend(ledger, 1)
        answer(ledger, 1)
        assert state(ledger, 1) == "answered"


def test_the_same_receipt_again_changes_nothing_and_another_one_is_refused(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        whole(ledger, 1)
        head = ledger.head
        answer(ledger, 1)
        assert ledger.head == head
        with refused("SECAGG_OUT_OF_ORDER"):
            ledger.answer(conversation(1), 0, sum_=name("another"), receipt=receipt(1), now=NOW)
        with refused("SECAGG_OUT_OF_ORDER"):
            ledger.answer(conversation(1), 0, sum_=name("sum", 1), receipt=b"another", now=NOW)


def test_a_conversation_id_is_never_used_twice(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        ledger.reserve(claim(1), now=NOW)
        with refused("SECAGG_REPLAY"):
            ledger.reserve(claim(1, study="another"), now=NOW)
        ledger.end(conversation(1), now=NOW)
    with opened(tmp_path, now=NOW + 300 * DAY) as ledger, refused("SECAGG_REPLAY"):
        ledger.reserve(claim(1, expires=NOW + 301 * DAY), now=NOW + 300 * DAY)


def test_a_finished_run_is_answered_from_the_stored_receipt_and_never_again(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        assert ledger.finished("fund-lab", claim(1).study, 1) is None
        whole(ledger, 1)
        spent = ledger.view(NOW).rooms
        with refused("SECAGG_ALREADY_ANSWERED"):
            ledger.reserve(claim(2), now=NOW)
        ledger.reserve(claim(3, run=2), now=NOW)
        ledger.end(conversation(3), now=NOW)
    with opened(tmp_path) as ledger:
        found = ledger.finished("fund-lab", claim(1).study, 1)
        assert found is not None
        assert (found.conversation, found.round, found.sum, found.receipt) == (
            conversation(1),
            0,
            name("sum", 1),
            receipt(1),
        )
        assert ledger.view(NOW).rooms == spent


# --- what is held and what is freed


def used(ledger: Ledger, scope: str = "total", now: int = NOW) -> int:
    (room,) = (each for each in ledger.view(now).rooms if each.scope == scope)
    return privacy.cost_at(room.used.curve, room.cap.order)


def cost(words: Claim, order: int = 3) -> int:
    return privacy.cost_at(words.cost.curve, order)


def test_a_reservation_no_row_was_read_for_is_freed_when_the_conversation_ends(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        ledger.reserve(claim(1), now=NOW)
        assert used(ledger) == cost(claim(1))
        ledger.end(conversation(1), now=NOW)
        assert (used(ledger), state(ledger, 1)) == (0, "void")
        ledger.end(conversation(1), now=NOW)
        ledger.end(conversation(99), now=NOW)
        with refused("SECAGG_BUDGET"):
            rows(ledger, 1)


def test_rows_once_read_are_charged_however_the_conversation_ends(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        ledger.reserve(claim(1), now=NOW)
        rows(ledger, 1)
        ledger.end(conversation(1), now=NOW)
        assert (used(ledger), state(ledger, 1)) == (cost(claim(1)), "spent")
        assert not held(ledger, 1).rounds[0].sent
        for late in (confirm, answer):
            with refused("SECAGG_OUT_OF_ORDER"):
                late(ledger, 1)
        with refused("SECAGG_BUDGET"):
            spend(ledger, 1)


def test_what_was_sent_is_never_given_back(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        ledger.reserve(claim(1), now=NOW)
        rows(ledger, 1)
        spend(ledger, 1)
        head = ledger.head
        ledger.end(conversation(1), now=NOW)
        assert (ledger.head, used(ledger)) == (head, cost(claim(1)))


def test_a_reservation_lives_until_its_plan_expires(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        ledger.reserve(claim(1, expires=NOW + 10), now=NOW)
        ledger.reserve(claim(2, study="other", expires=NOW + 999), now=NOW + 10)
        assert used(ledger) == 2 * cost(claim(1))
        with refused("SECAGG_BUDGET"):
            rows(ledger, 1, now=NOW + 11)
        ledger.reserve(claim(3, study="third", expires=NOW + 999), now=NOW + 11)
        assert (state(ledger, 1), state(ledger, 2)) == ("void", "reserved")
        assert used(ledger) == 2 * cost(claim(1))


def test_rows_read_and_never_sent_are_charged_once_the_plan_has_expired(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        ledger.reserve(claim(1, expires=NOW + 10), now=NOW)
        rows(ledger, 1)
        with refused("SECAGG_BUDGET"):
            spend(ledger, 1, now=NOW + 11)
        ledger.reserve(claim(2, study="other"), now=NOW + 11)
        assert state(ledger, 1) == "spent"


def test_the_last_second_of_a_plan_belongs_to_it(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        ledger.reserve(claim(1, expires=NOW + 10), now=NOW)
        rows(ledger, 1, now=NOW + 10)
        spend(ledger, 1, now=NOW + 10)
        assert state(ledger, 1) == "spent"


def test_a_new_attempt_ends_the_one_before(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        ledger.reserve(claim(1), now=NOW)
        ledger.reserve(claim(2), now=NOW)
        assert (state(ledger, 1), state(ledger, 2), used(ledger)) == ("void", "reserved", cost(claim(1)))
        rows(ledger, 2)
        ledger.reserve(claim(3), now=NOW)
        assert (state(ledger, 2), used(ledger)) == ("spent", 2 * cost(claim(1)))


def test_a_charged_run_without_an_answer_is_tried_again_at_most_twice(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        ledger.reserve(claim(1), now=NOW)
        for number in (2, 3, 4):
            ledger.reserve(claim(number), now=NOW)
            rows(ledger, number)
            spend(ledger, number)
        with refused("BUDGET_RETRIES") as found:
            ledger.reserve(claim(5), now=NOW)
        assert (found[0].values["count"], found[0].values["limit"]) == (3, 2)
        ledger.reserve(claim(6, run=2), now=NOW)
        ledger.reserve(claim(7, study="revision 2"), now=NOW)


def test_a_city_opens_as_many_conversations_a_day_as_its_policy_says(tmp_path: Path) -> None:
    with opened(tmp_path, policy(tmp_path, "limits: {conversations_per_day: 2}")) as ledger:
        ledger.reserve(claim(1), now=NOW)
        ledger.reserve(claim(2), now=NOW)
        with refused("BUSY"):
            ledger.reserve(claim(3), now=NOW + DAY - 1)
        ledger.reserve(claim(3, expires=NOW + 2 * DAY), now=NOW + DAY)


def test_rounds_of_one_reservation_are_charged_one_by_one_and_the_rest_is_freed(tmp_path: Path) -> None:
    words = claim(1, rounds=3, total=4 * M29)
    one = privacy.rdp(privacy.Event(29, 29, 4 * M29))
    with opened(tmp_path) as ledger:
        ledger.reserve(words, now=NOW)
        for number in (0, 1):
            ledger.rows(conversation(1), number, name("ask", number), now=NOW, blocks=[0])
        with refused("SECAGG_BUDGET"):
            ledger.rows(conversation(1), 1, name("again"), now=NOW)
        for wrong in ([1], [-1], [0, 0], []):
            with refused("SECAGG_BUDGET"):
                ledger.rows(conversation(1), 2, name("ask"), now=NOW, blocks=wrong)
        assert used(ledger) == cost(words) == 3 * privacy.cost_at(one, 3)
        ledger.end(conversation(1), now=NOW)
        assert used(ledger) == 2 * privacy.cost_at(one, 3)
        assert held(ledger, 1).charged.sampler == words.cost.sampler
        assert held(ledger, 1).left == (1,)
    with opened(tmp_path) as ledger:
        assert used(ledger) == 2 * privacy.cost_at(one, 3)


def test_a_reservation_whose_rounds_are_all_read_takes_no_more(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        ledger.reserve(claim(1, rounds=2, total=4 * M29), now=NOW)
        for number in (0, 1):
            ledger.rows(conversation(1), number, name("ask", number), now=NOW)
        with refused("SECAGG_BUDGET"):
            ledger.rows(conversation(1), 2, name("ask", 2), now=NOW)


# --- caps


def test_with_the_shipped_policy_one_asker_gets_22_studies_of_epsilon_1_in_a_year(tmp_path: Path) -> None:
    """A reference: m = 29, V = 518.852 costs 0.14014 at order 5."""
    with opened(tmp_path) as ledger:
        for number in range(22):
            ledger.reserve(claim(number, study=f"study {number}"), now=NOW)
            rows(ledger, number)
            spend(ledger, number)
        head = ledger.head
        with refused("BUDGET_ASKER") as found:
            ledger.reserve(claim(22, study="study 22"), now=NOW)
        assert [each.code for each in found[0].every()] == ["BUDGET_ASKER"]
        assert ledger.head == head
        values, room = found[0].values, privacy.cap(Decimal(6), Decimal("1e-6")).room
        needed, left = Decimal(str(values["cost"])), Decimal(str(values["left"]))
        assert (values["order"], round(needed, 5), values["renews"]) == (5, Decimal("0.14014"), "2027-01-01")
        assert 0 <= Decimal(room - 22 * cost(claim(0), 5)) / privacy.COST_UNIT - left < Decimal("1e-6")
        assert (values["cost_millionths"], values["left_millionths"]) == (needed * 1_000_000, left * 1_000_000)
        assert values["renews_s"] == int(datetime(2027, 1, 1, tzinfo=UTC).timestamp())
        assert "2027-01-01" in found[0].text("zh")
        ledger.reserve(claim(23, study="study 23", asker="fund-two"), now=NOW)


def test_askers_share_the_year_and_years_share_the_total(tmp_path: Path) -> None:
    text = "dp: {caps: {per_asker_year: {epsilon: 1.1}, per_year: {epsilon: 1.1}, total: {epsilon: 1.6}}}"
    with opened(tmp_path, policy(tmp_path, text)) as ledger:
        ledger.reserve(claim(1, study="a"), now=NOW)
        rows(ledger, 1)
        with refused("BUDGET_ASKER") as found:
            ledger.reserve(claim(2, study="b"), now=NOW)
        assert [each.code for each in found[0].every()] == ["BUDGET_ASKER", "BUDGET_YEAR"]
        with refused("BUDGET_YEAR") as found:
            ledger.reserve(claim(3, study="b", asker="fund-two"), now=NOW)
        assert [each.code for each in found[0].every()] == ["BUDGET_YEAR"]
        later = years_later(NOW, 1)
        ledger.reserve(claim(4, study="b", expires=later + 9), now=later)
        rows(ledger, 4, now=later)
        with refused("BUDGET_TOTAL") as found:
            ledger.reserve(claim(5, study="c", expires=later * 2), now=years_later(NOW, 2))
        assert [each.code for each in found[0].every()] == ["BUDGET_TOTAL"]
        assert (found[0].values["renews"], found[0].values["renews_s"]) == ("", 0)


def test_a_study_that_fills_a_cap_to_the_last_unit_fits_and_one_unit_more_does_not(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        room = ledger.view(NOW).rooms[0].cap.room
        cap = privacy.cap(Decimal(6), Decimal("1e-6"))

        def price(total: int) -> int:
            return cost(claim(0, total=total), cap.order)

        low, high = 4 * UNIT, 10_000 * UNIT
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if price(middle) <= cap.room else (middle + 1, high)
        assert price(low) <= cap.room < price(low - 1)
        assert room == privacy.cap(Decimal(8), Decimal("1e-6")).room
        with refused("BUDGET_ASKER"):
            ledger.reserve(claim(1, total=low - 1), now=NOW)
        ledger.reserve(claim(1, total=low), now=NOW)


def test_the_finite_tables_of_the_sampler_have_a_cap_of_their_own(tmp_path: Path) -> None:
    most = int(privacy.SAMPLER_UNIT * Decimal("1e-6") / 1000)
    with opened(tmp_path) as ledger:
        with refused("BUDGET_ASKER"):
            ledger.reserve(claim(1, draws=most), now=NOW)
        ledger.reserve(claim(1, draws=most // 4), now=NOW)


def test_the_clock_of_the_entries_never_runs_backwards(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        ledger.reserve(claim(1), now=NOW)
        ledger.reserve(claim(2, study="b"), now=NOW - 400 * DAY)
        assert held(ledger, 2).at == NOW
        assert used(ledger, "per_year", now=NOW - 400 * DAY) == 2 * cost(claim(1), 4)


def test_a_view_has_the_rooms_of_the_year(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        ledger.reserve(claim(1), now=NOW)
        ledger.reserve(claim(2, asker="bureau", study="b"), now=NOW)
        rooms = ledger.view(NOW).rooms
        assert [(each.scope, each.asker) for each in rooms] == [
            ("per_asker_year", "bureau"),
            ("per_asker_year", "fund-lab"),
            ("per_year", ""),
            ("total", ""),
        ]
        assert [each.renews for each in rooms] == [date(2027, 1, 1)] * 3 + [None]
        assert rooms[0].left == rooms[0].cap.room - cost(claim(1), 5)
        assert [each.scope for each in ledger.view(years_later(NOW, 1)).rooms] == ["per_year", "total"]


# --- policies and caps that change


def test_a_lower_cap_holds_at_once(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        ledger.reserve(claim(1, study="a"), now=NOW)
        rows(ledger, 1)
    less = "dp: {caps: {per_asker_year: {epsilon: 1}, per_year: {epsilon: 1.5}}}"
    with opened(tmp_path, policy(tmp_path, less)) as ledger, refused("BUDGET_ASKER"):
        ledger.reserve(claim(2, study="b"), now=NOW)


def test_a_higher_cap_waits_for_two_officers(tmp_path: Path) -> None:
    opened(tmp_path).close()
    more = policy(tmp_path, "dp: {caps: {total: {epsilon: 20}}}")
    for officers in ((), ("li",), ("li", "li")):
        with opened(tmp_path, more, officers=officers) as ledger:
            assert ledger.view(NOW).waiting == ("total",)
            assert ledger.view(NOW).rooms[-1].cap.epsilon == 16
    with opened(tmp_path, more, officers=("li", "wang")) as ledger:
        assert ledger.view(NOW).waiting == ()
        assert ledger.view(NOW).rooms[-1].cap == privacy.cap(Decimal(20), Decimal("1e-6"))
    with opened(tmp_path, more) as ledger:
        assert ledger.view(NOW).waiting == ()


def test_a_new_policy_a_new_key_and_nothing_new(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        first = ledger.head
        ledger.reserve(claim(1), now=NOW)
        rows(ledger, 1)
        spend(ledger, 1)
        head = ledger.head
    with opened(tmp_path) as ledger:
        assert ledger.head == head
    with opened(tmp_path, policy(tmp_path, "retries: 1")) as ledger:
        assert ledger.head.seq == head.seq + 1
        assert ledger.view(NOW).policy == load(tmp_path, loose=False).digest
    with opened(tmp_path, city_key=bytes(32)) as ledger:
        assert ledger.head.seq == head.seq + 2
        assert used(ledger) == cost(claim(1))
    assert first.seq == 4  # opened, and three caps


# --- approvals


@pytest.fixture
def flagship() -> Study:
    return studies.load(FLAGSHIP)


AUTO = Decision("auto", "approve[0]")


def test_a_yes_is_kept_with_the_bytes_it_was_given_to(tmp_path: Path, flagship: Study) -> None:
    with opened(tmp_path) as ledger:
        given = ledger.approve(flagship, AUTO, signed=(), cannot=("residence",), now=NOW)
    with opened(tmp_path) as ledger:
        found = ledger.approval(flagship.digest, NOW)
        assert found == given
        assert (found.cannot, found.rule, found.officers) == (("residence",), "approve[0]", ())
        assert found.expires == NOW + 30 * DAY
        assert ledger.study(flagship.digest).content == flagship.content
        assert list(ledger.view(NOW).approvals) == [flagship.digest]


def test_a_yes_ends_with_its_days_and_with_a_later_no(tmp_path: Path, flagship: Study) -> None:
    with opened(tmp_path) as ledger:
        for ask in (lambda: ledger.approval(flagship.digest, NOW), lambda: ledger.study(flagship.digest)):
            with refused("APPROVAL_MISSING") as found:
                ask()
            assert found[0].values["city"] == "q-city"
        ledger.approve(flagship, AUTO, signed=(), cannot=(), now=NOW)
        ledger.approval(flagship.digest, NOW + 30 * DAY - 1)
        with refused("APPROVAL_EXPIRED"):
            ledger.approval(flagship.digest, NOW + 30 * DAY)
        ledger.decline(flagship.digest, "fund-lab", codes=("POLICY_KIND",), officers=("li",), reason="不便", now=NOW)
        with refused("APPROVAL_MISSING"):
            ledger.approval(flagship.digest, NOW)
    with opened(tmp_path) as ledger, refused("APPROVAL_MISSING"):
        ledger.approval(flagship.digest, NOW)


def test_two_officers_are_two(tmp_path: Path, flagship: Study) -> None:
    two = Decision("two_officers", "approve[1]")
    with opened(tmp_path) as ledger:
        for officers in ((), ("li",), ("li", "li")):
            with refused("APPROVAL_MISSING"):
                ledger.approve(flagship, two, signed=[yes(each) for each in officers], cannot=(), now=NOW)
        given = ledger.approve(flagship, two, signed=(yes("wang", NOW - 5 * DAY), yes("li")), cannot=(), now=NOW)
        assert given.officers == ("li", "wang")
        assert given.expires == NOW + 25 * DAY, "a yes ends with the oldest signature that it stands on"


def test_the_same_no_again_is_not_written_again(tmp_path: Path, flagship: Study) -> None:
    with opened(tmp_path) as ledger:
        for at in (NOW, NOW + 1):
            ledger.decline(flagship.digest, "fund-lab", codes=("POLICY_KIND",), now=at)
            head = ledger.head
        assert ledger.view(NOW).declined[flagship.digest].at == NOW
        ledger.decline(flagship.digest, "fund-lab", codes=("POLICY_MODE",), now=NOW + 2)
        assert ledger.head.seq == head.seq + 1
        ledger.approve(flagship, AUTO, signed=(), cannot=(), now=NOW + 3)
        assert not ledger.view(NOW).declined


def test_altered_bytes_of_an_approved_study_are_not_read(tmp_path: Path, flagship: Study) -> None:
    with opened(tmp_path) as ledger:
        ledger.approve(flagship, AUTO, signed=(), cannot=(), now=NOW)
    for change in ("UPDATE documents SET content = CAST('{}' AS BLOB)", "DELETE FROM documents"):
        altered(tmp_path, change)
        with opened(tmp_path) as ledger, refused("LEDGER_BROKEN"):
            ledger.study(flagship.digest)


def test_a_claim_is_made_from_study_and_plan(flagship: Study) -> None:
    blocks = flagship.workload.layout.blocks
    made = Claim.of(
        flagship,
        conversation=conversation(1),
        plan=name("plan"),
        run=1,
        expires=NOW,
        cities=(3, 1, 2),
        snapshot="first",
        totals=[M29] * len(blocks),
        h=2,
    )
    assert [charge.block for charge in made.charges] == [block.name for block in blocks]
    assert {(charge.total, charge.v20) for charge in made.charges} == {(M29, -(-M29 // 2))}
    assert made.draws == 3 * flagship.workload.layout.length
    assert (made.cities, made.asker, made.mode, made.colluders) == ((1, 2, 3), "analyst", "dp", 1)
    assert made.cohort == '{"is":"flexible","variable":"account_type"}'
    events = [privacy.Event(block.l1, block.l2sq, M29) for block in blocks]
    assert made.cost == privacy.cost(events, made.draws, Decimal("1e-6"))
    exact = Claim.of(
        flagship.in_exact_mode(),
        conversation=conversation(1),
        plan=name("plan"),
        run=1,
        expires=NOW,
        cities=(1, 2, 3),
        snapshot="first",
    )
    assert (exact.charges, exact.draws, exact.cost) == ((), 0, privacy.FREE)
    assert exact.cohort_class == made.cohort_class


def test_nothing_is_released_with_noise_for_free(flagship: Study) -> None:
    words = {
        "conversation": conversation(1),
        "plan": name("p"),
        "run": 1,
        "expires": NOW,
        "cities": (1,),
        "snapshot": "s",
    }
    with pytest.raises(ValueError, match="charges"):
        Claim.of(flagship, **words)  # type: ignore[arg-type] # words by name
    blocks = len(flagship.in_exact_mode().workload.layout.blocks)
    with pytest.raises(ValueError, match="charges"):
        Claim.of(flagship.in_exact_mode(), **words, totals=[M29] * blocks, h=1)  # type: ignore[arg-type] # words by name


# --- messages


def test_a_repeated_request_gets_the_stored_bytes_also_after_a_restart_until_the_receipt(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        assert ledger.repeated(request(1)) is None
        ledger.reserve(claim(1), now=NOW)
        rows(ledger, 1)
        spend(ledger, 1)
        assert ledger.repeated(request(1)) == masked(1)
    with opened(tmp_path) as ledger:
        assert ledger.repeated(request(1)) == masked(1)
        confirm(ledger, 1)
        reveal(ledger, 1)
        answer(ledger, 1)
        assert ledger.repeated(request(1)) is None
        ledger.acknowledge(name("receipt", 1), b"ack", now=NOW)
    with opened(tmp_path) as ledger:
        assert ledger.repeated(name("receipt", 1)) == b"ack"


def test_stored_replies_end_with_what_they_answer(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        ledger.reserve(claim(1), now=NOW)
        rows(ledger, 1)
        spend(ledger, 1)
        whole(ledger, 2, study="other")
        ledger.acknowledge(name("receipt", 2), b"ack", now=NOW)
    with opened(tmp_path, now=NOW + 7201) as ledger:
        assert ledger.repeated(request(1)) is None
        assert ledger.repeated(name("receipt", 2)) == b"ack"
    with opened(tmp_path, now=NOW + (KEPT_DAYS + 1) * DAY) as ledger:
        assert ledger.repeated(name("receipt", 2)) is None


def test_where_stored_replies_grow_too_large_those_that_end_first_go(tmp_path: Path) -> None:
    size = len(masked(1))
    with opened(tmp_path, most_stored=2 * size) as ledger:
        for number in (1, 2, 3):
            ledger.reserve(claim(number, study=f"study {number}", expires=NOW + 1000 - number), now=NOW)
            rows(ledger, number)
            spend(ledger, number)
        assert [ledger.repeated(request(number)) is not None for number in (1, 2, 3)] == [True, True, False]


def test_an_altered_stored_reply_is_not_sent(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        ledger.reserve(claim(1), now=NOW)
        rows(ledger, 1)
        spend(ledger, 1)
    altered(tmp_path, "UPDATE replies SET reply = CAST('other' AS BLOB)")
    with opened(tmp_path) as ledger, refused("LEDGER_BROKEN") as found:
        ledger.repeated(request(1))
    assert found[0].values["entry"] == 7


def test_other_replies_are_kept_in_memory_for_the_last_requests_of_a_peer(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        for number in range(257):
            ledger.remember(0, name(number), b"%d" % number)
        ledger.remember(7, name("other"), b"other")
        assert ledger.repeated(name(0)) is None
        assert ledger.repeated(name(1)) == b"1"
        assert ledger.repeated(name("other")) == b"other"
    with opened(tmp_path) as ledger:
        assert ledger.repeated(name(1)) is None


def test_a_number_is_taken_once_whatever_the_order_and_over_restarts(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        for seq in (1000, 998, 999, 1200):
            ledger.admit(0, seq)
        ledger.admit(5, 1000)
    with opened(tmp_path) as ledger:
        for seq in (1000, 998, 1200, 943):
            with refused("ENVELOPE_SEQ"):
                ledger.admit(0, seq)
        ledger.admit(0, 944)
        ledger.admit(0, 1201)


def test_own_numbers_only_rise(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        first = [ledger.number(0, NOW) for _ in range(AHEAD + 5)]
        other = ledger.number(7, NOW)
        assert first == list(range(NOW * 1000, NOW * 1000 + AHEAD + 5))
        assert other == NOW * 1000
    with opened(tmp_path) as ledger:
        assert ledger.number(0, NOW - 50) == NOW * 1000 + 2 * AHEAD
        assert ledger.number(0, NOW + 50) == NOW * 1000 + 2 * AHEAD + 1
        assert ledger.number(7, NOW + 50) == (NOW + 50) * 1000


# --- mode exact


def exact(ledger: Ledger, number: int, seen: str = "all rows", now: int = NOW) -> None:
    ledger.exact(conversation(number), rows=name("rows", seen), cells=12, now=now)


def opens(ledger: Ledger, number: int, cities: tuple[int, ...], **words: object) -> None:
    """An exact conversation up to its own Confirm."""
    now = words.pop("now", NOW)
    seen = words.pop("seen", "all rows")
    assert isinstance(now, int)
    ledger.reserve(claim(number, exact=True, cities=cities, expires=now + 60, **words), now=now)  # type: ignore[arg-type] # by name
    exact(ledger, number, str(seen), now)
    rows(ledger, number, now)
    spend(ledger, number, now)
    confirm(ledger, number, now, cities)


def test_an_exact_run_costs_no_epsilon_and_is_answered_once(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        opens(ledger, 1, (1, 2, 3, 4, 5, 6))
        with refused("SECAGG_BUDGET"):
            exact(ledger, 1)
        with refused("SECAGG_BUDGET"):
            ledger.rows(conversation(1), 1, name("ask"), now=NOW)
        reveal(ledger, 1)
        answer(ledger, 1)
        assert used(ledger) == 0
        with refused("SECAGG_ALREADY_ANSWERED"):
            ledger.reserve(claim(2, exact=True), now=NOW)
    with opened(tmp_path) as ledger:
        done = held(ledger, 1)
        assert done.state == "answered"
        assert done.exact is not None
        assert done.exact.rows == name("rows", "all rows").hex()


def test_a_set_that_differs_by_one_city_is_refused_for_the_same_filter(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        opens(ledger, 1, (1, 2, 3, 4, 5, 6))
        with refused("SECAGG_COHORT_DIFFERENCE"):
            ledger.reserve(claim(2, exact=True, study="other", cities=(1, 2, 3, 4, 5)), now=NOW)
        opens(ledger, 3, (1, 2, 3, 4, 5, 6), study="same cities")
        opens(ledger, 4, (1, 2, 3), study="half of them")
        with refused("SECAGG_COHORT_DIFFERENCE"):
            ledger.reserve(claim(5, exact=True, study="one new", cities=(1, 2, 3, 4, 5, 6, 7)), now=NOW)
        opens(ledger, 6, (1, 2, 3, 4, 5, 6, 7, 8, 9), study="three new")


def test_another_filter_with_equal_rows_is_the_same_cohort(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        opens(ledger, 1, (1, 2, 3, 4, 5, 6))
        ledger.reserve(claim(2, exact=True, study="b", cohort="not not all", cities=(1, 2, 3, 4, 5)), now=NOW)
        with refused("EXACT_OVERLAP") as found:
            exact(ledger, 2)
        assert found[0].values == {"study": claim(1).study}
        assert abort_number("EXACT_OVERLAP") == abort_number("declined:disclosure")
        ledger.end(conversation(2), now=NOW)
        opens(ledger, 3, (1, 2, 3, 4, 5), study="c", cohort="women", seen="women")


def test_a_cohort_of_a_question_counts_with_every_set_of_cities_it_was_summed_over(tmp_path: Path) -> None:
    """Women of six cities, less women of five, are those of one city: whether a study was about them, or a question of it."""
    of_both = [name("rows", each).hex() for each in ("all rows", "women")]
    with opened(tmp_path) as ledger:
        ledger.reserve(claim(1, exact=True, cities=(1, 2, 3, 4, 5, 6)), now=NOW)
        ledger.exact(conversation(1), rows=name("rows", "both"), cells=12, now=NOW, alone=of_both)
        for number, seen in ((2, "women"), (3, "all rows")):
            asked = claim(number, exact=True, study=seen, cohort=f"not not {seen}", cities=(1, 2, 3, 4, 5))
            ledger.reserve(asked, now=NOW)
            with refused("EXACT_OVERLAP"):
                exact(ledger, number, seen)
            ledger.end(conversation(number), now=NOW)


def test_what_few_cities_let_be_added_up_is_not_the_difference_of_two_sums_whatever_their_cohorts(
    tmp_path: Path,
) -> None:
    """A fact is of a city, not of holders: all of them less all but one, asked beside men and beside women, is that one's own."""

    seven = (1, 2, 3, 4, 5, 6, 7)

    def asked(number: int, silent: tuple[int, ...], fact: str = "bank", cities: tuple[int, ...] = seven) -> Claim:
        words = {"study": f"study {number}", "cohort": f"cohort {number}"}
        return claim(number, exact=True, cities=cities, stated={fact: silent}, **words)  # type: ignore[arg-type] # texts by name

    with opened(tmp_path) as ledger:
        ledger.reserve(asked(1, (4, 5, 6, 7), cities=seven), now=NOW)
        with refused("SECAGG_COHORT_DIFFERENCE"):
            ledger.reserve(asked(2, (4, 5, 6), cities=seven[:6]), now=NOW)
        ledger.reserve(asked(3, (4, 5, 6, 7), cities=seven), now=NOW)
        ledger.reserve(asked(4, (4, 5, 6), "loans"), now=NOW)
        ledger.reserve(asked(5, ()), now=NOW)
        ledger.reserve(asked(6, (4, 5, 6, 7, 8, 9, 10), cities=(*seven, 8, 9, 10)), now=NOW)
        with refused("SECAGG_COHORT_DIFFERENCE"):
            ledger.reserve(asked(7, (5, 6, 7, 8, 9, 10), cities=(1, 2, 3, 5, 6, 7, 8, 9, 10)), now=NOW)
    with opened(tmp_path / "loose", policy(tmp_path / "loose", loose=True)) as ledger:
        ledger.reserve(asked(1, (6,)), now=NOW)
        ledger.reserve(asked(2, (5, 6)), now=NOW)


def test_two_plans_at_once_cannot_slip_through(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        ledger.reserve(claim(1, exact=True), now=NOW)
        with refused("SECAGG_COHORT_DIFFERENCE"):
            ledger.reserve(claim(2, exact=True, study="b", cities=(1, 2, 3, 4, 5)), now=NOW)


def test_a_set_is_forgotten_only_if_it_ended_before_the_own_confirm(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        ledger.reserve(claim(1, exact=True), now=NOW)
        exact(ledger, 1)
        rows(ledger, 1)
        spend(ledger, 1)
        ledger.end(conversation(1), now=NOW)
        with refused("SECAGG_OUT_OF_ORDER"):
            confirm(ledger, 1)
        opens(ledger, 2, (1, 2, 3, 4, 5), study="b")
        ledger.end(conversation(2), now=NOW)
        with refused("SECAGG_COHORT_DIFFERENCE"):
            ledger.reserve(claim(3, exact=True, study="c"), now=NOW)


def test_an_unconfirmed_set_is_forgotten_when_its_plan_expires_or_is_tried_again(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        ledger.reserve(claim(1, exact=True, expires=NOW + 5), now=NOW)
        exact(ledger, 1)
        rows(ledger, 1)
    with opened(tmp_path) as ledger:
        assert state(ledger, 1) == "spent"
        ledger.reserve(claim(2, exact=True, cities=(1, 2, 3, 4, 5), expires=NOW + 9), now=NOW + 1)
        ledger.reserve(claim(3, exact=True, study="b", cities=(1, 2, 3, 4, 6)), now=NOW + 10)


def test_inside_one_study_the_set_is_always_the_first_one_confirmed(tmp_path: Path) -> None:
    nine = (1, 2, 3, 4, 5, 6, 7, 8, 9)
    with opened(tmp_path) as ledger:
        opens(ledger, 1, (1, 2, 3, 4, 5, 6))
        for run, now in ((1, NOW), (2, NOW), (3, NOW + 400 * DAY)):
            with refused("SECAGG_COHORT_DIFFERENCE"):
                ledger.reserve(claim(2, exact=True, cities=nine, run=run, expires=now + 60), now=now)
        opens(ledger, 3, (1, 2, 3, 4, 5, 6), run=2)


def test_a_set_counts_for_a_year(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        opens(ledger, 1, (1, 2, 3, 4, 5, 6))
        late = NOW + 365 * DAY
        with refused("SECAGG_COHORT_DIFFERENCE"):
            ledger.reserve(claim(2, exact=True, study="b", cities=(1, 2, 3, 4, 5), expires=late), now=late - 1)
        opens(ledger, 3, (1, 2, 3, 4, 5), study="c", now=late)


def test_the_own_minimum_and_the_colluders_say_how_many_cities_a_difference_must_cover(tmp_path: Path) -> None:
    ten = tuple(range(1, 11))
    with opened(tmp_path) as ledger:
        opens(ledger, 1, ten)
        with refused("SECAGG_COHORT_DIFFERENCE"):
            ledger.reserve(claim(2, exact=True, study="b", cities=ten[:7], colluders=2), now=NOW)
        ledger.reserve(claim(3, exact=True, study="c", cities=ten[:7], colluders=1), now=NOW)
    with opened(tmp_path / "stricter", policy(tmp_path, "cities: {least: 4}")) as ledger:
        opens(ledger, 1, ten)
        with refused("SECAGG_COHORT_DIFFERENCE"):
            ledger.reserve(claim(2, exact=True, study="b", cities=ten[:7]), now=NOW)
        ledger.reserve(claim(3, exact=True, study="c", cities=ten[:6]), now=NOW)


def test_a_snapshot_is_released_exactly_only_so_often(tmp_path: Path) -> None:
    rules = policy(tmp_path, "exact: {most_releases_per_snapshot: 2}")
    with opened(tmp_path, rules) as ledger:
        opens(ledger, 1, (1, 2, 3, 4, 5, 6), study="a")
        opens(ledger, 2, (1, 2, 3, 4, 5, 6), study="b")
        with refused("EXACT_RELEASES"):
            ledger.reserve(claim(3, exact=True, study="c"), now=NOW)
        opens(ledger, 4, (1, 2, 3, 4, 5, 6), study="c", snapshot="second")


def test_a_noised_run_takes_no_exact_step(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        ledger.reserve(claim(1), now=NOW)
        with refused("SECAGG_BUDGET"):
            exact(ledger, 1)


def test_exact_sessions_that_used_their_rounds_up_are_no_attempts_as_far_as_the_study_needs_them(
    tmp_path: Path,
) -> None:
    with opened(tmp_path / "city", policy(tmp_path / "city", "retries: 0\n")) as ledger:

        def session(number: int, opened_: int, following: int) -> None:
            """A session of two rounds, so many of which were opened."""
            of = claim(number, exact=True).model_copy(update={"part": SESSION, "rounds": 2})
            ledger.reserve(of, now=NOW, following=following)
            exact(ledger, number)
            for at in range(opened_):
                ledger.rows(conversation(number), at, name("ask", number, at), now=NOW)
                y, words = name("y", number, at), {"request": request(number), "reply": masked(number)}
                ledger.spend(conversation(number), at, now=NOW, y=y, snapshot="first", **words)
                ledger.confirm(conversation(number), at, (1, 2, 3, 4, 5, 6), name("u3", number, at), now=NOW)

        session(1, 2, 1)
        with refused("BUDGET_RETRIES"):  # a study whose rounds fit into one session
            session(2, 2, 0)
        session(2, 1, 1)
        with refused("BUDGET_RETRIES"):  # the second was lost half way
            session(3, 1, 1)


def test_exact_attempts_that_were_confirmed_count_as_retries(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        for number in (1, 2, 3):
            ledger.reserve(claim(10 + number, exact=True), now=NOW)
            opens(ledger, number, (1, 2, 3, 4, 5, 6))
        with refused("BUDGET_RETRIES"):
            ledger.reserve(claim(4, exact=True), now=NOW)
