"""Laws of a city's memory: whatever is asked in whatever order, no cap is passed, nothing sent is uncharged, and no city stands alone."""

import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from node.audit import Head, link
from node.disclosure import city_set, classes
from node.entries import ENTRY, Book, Entry
from node.ledger import DAY, FILE, LABEL, Ledger, verify
from node.policy import Policy, decide, load
from protocols import privacy
from protocols.canonical import canonical
from protocols.entropy import Entropy, seeded
from protocols.errors import HpfedError
from tests.ledgers import (
    M29,
    NOW,
    answer,
    claim,
    confirm,
    conversation,
    masked,
    opened,
    policy,
    request,
    reveal,
    rows,
    spend,
)
from tests.unit.test_policy import study

# --- rule X1

CITIES: Final = 14


def proposals(entropy: Entropy, kept: list[frozenset[int]]) -> frozenset[int]:
    """The next set that a coordinator tries: at will, near a set that was accepted, or made of whole classes of these; city 1 is in all."""
    first, second, third = (int.from_bytes(entropy(4), "little") for _ in range(3))
    drawn = frozenset(city for city in range(1, CITIES + 1) if first >> city & 1)
    groups = classes(kept)
    if groups and second % 3 == 1:
        drawn = kept[first % len(kept)] ^ frozenset(city for city in range(1, CITIES + 1) if first & third >> city & 1)
    if groups and second % 3 == 2:
        drawn = frozenset[int]().union(
            *(group for at, group in enumerate(groups) if third >> at & 1), drawn - frozenset[int]().union(*kept)
        )
    return drawn | {1}


def test_in_10000_histories_every_class_of_the_accepted_sets_holds_enough_cities() -> None:
    """Whatever sums and differences of the accepted sums give is constant on each class, so it covers a whole class."""
    entropy, distinct = seeded("sets of cities"), list[int]()
    for number in range(10_000):
        u, kept = 3 + number % 3, list[frozenset[int]]()
        for _ in range(6):
            new = proposals(entropy, kept)
            if city_set(sorted(new), kept, u) is None:
                kept.append(new)
        assert all(len(group) >= u for group in classes(kept))
        distinct.append(len(set(kept)))
    assert sum(several >= 2 for several in distinct) > 3_000  # the rule does not just refuse
    assert max(distinct) >= 4


def test_without_the_rule_the_same_coordinator_soon_has_a_city_alone() -> None:
    entropy, alone = seeded("sets of cities"), 0
    for _ in range(100):
        kept: list[frozenset[int]] = []
        for _ in range(6):
            kept.append(proposals(entropy, kept))
        alone += any(len(group) == 1 for group in classes(kept))
    assert alone > 80


@given(st.lists(st.frozensets(st.integers(1, 9)), max_size=5), st.frozensets(st.integers(1, 9)), st.integers(1, 5))
def test_a_set_is_allowed_exactly_if_no_class_it_makes_is_too_small(
    earlier: list[frozenset[int]], new: frozenset[int], u: int
) -> None:
    """The same rule in other words: of every class before, and of the rest, what the new set takes or leaves is nothing or enough."""
    before = set(classes(earlier))
    after = {group for group in classes([*earlier, new]) if group not in before}
    assert (city_set(sorted(new), earlier, u) is None) == all(len(group) >= u for group in after)


# --- the account


class Accounts(RuleBasedStateMachine):
    """A city with small caps, two askers, and a coordinator that asks, leaves off, tries again and comes back after years."""

    CAPS: Final = (
        "dp: {caps: {per_asker_year: {epsilon: 1.5}, per_year: {epsilon: 2}, total: {epsilon: 3}}}\n"
        "limits: {conversations_per_day: 1000}\n"
    )

    def __init__(self) -> None:
        super().__init__()
        memory = Path("/dev/shm")  # noqa: S108 a folder of its own is made in it; where there is none, on disk
        self.folder = tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None)
        self.home, self.now, self.number = Path(self.folder.name), NOW, 0
        self.live: list[int] = []
        self.sent: set[int] = set()  # conversations of which a vector left
        self.read: set[int] = set()
        self.mine: Policy = policy(self.home, self.CAPS)
        self.ledger: Ledger = self.reopened()

    def reopened(self) -> Ledger:
        return opened(self.home, self.mine, now=self.now, entropy=seeded("salts", self.number, self.now))

    @initialize()
    def begin(self) -> None:
        assert self.ledger.view(self.now).rooms

    @rule(
        asker=st.sampled_from(["fund-lab", "bureau"]),
        about=st.integers(1, 6),
        parts=st.integers(1, 4),
        lives=st.integers(0, 50),
    )
    def reserve(self, asker: str, about: int, parts: int, lives: int) -> None:
        self.number += 1
        words = claim(self.number, study=f"{about}", asker=asker, total=parts * M29, expires=self.now + lives)
        with suppress(HpfedError):
            self.ledger.reserve(words, now=self.now)
            self.live.append(self.number)

    @rule(pick=st.integers(0, 50), how=st.integers(1, 5))
    def go_on(self, pick: int, how: int) -> None:
        if not self.live:
            return
        number = self.live[pick % len(self.live)]
        for step in (rows, spend, confirm, reveal, answer)[:how]:
            try:
                step(self.ledger, number, self.now)
            except HpfedError:
                continue
            if step is rows:
                self.read.add(number)
            if step is spend:
                self.sent.add(number)

    @rule(pick=st.integers(0, 50))
    def end(self, pick: int) -> None:
        if self.live:
            self.ledger.end(conversation(self.live[pick % len(self.live)]), now=self.now)

    @rule(seconds=st.sampled_from([1, 30, 400, 200 * DAY, -50]))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @rule()
    def restart(self) -> None:
        view = self.ledger.view(self.now)
        unspent = [each for each in view.reservations if each.unspent]
        self.ledger.close()
        self.ledger = self.reopened()
        again = self.ledger.view(self.now)
        assert again.rooms == view.rooms
        assert not any(each.unspent for each in again.reservations)
        assert again.head.seq == view.head.seq + len(unspent)

    @invariant()
    def no_cap_is_passed(self) -> None:
        held = self.ledger.view(self.now).reservations
        for year in {each.year for each in held}:
            for scope in ("per_year", "per_asker_year", "total"):
                for asker in ("fund-lab", "bureau"):
                    room = self.ledger._book.room(scope, asker, year)
                    assert privacy.cost_at(room.used.curve, room.cap.order) <= room.cap.room
                    assert privacy.epsilon_of(room.used.curve, room.cap.delta) <= room.cap.epsilon

    @invariant()
    def all_that_was_read_is_charged_and_all_that_left_is_kept(self) -> None:
        for number in self.read:
            held = self.ledger.reservation(conversation(number))
            assert held is not None
            assert held.charged == held.claim.cost
        for number in self.sent:
            held = self.ledger.reservation(conversation(number))
            assert held is not None
            assert held.rounds[0].sent
            stored = self.ledger.repeated(request(number))
            assert stored in ((None,) if held.state == "answered" else (masked(number), None))

    def teardown(self) -> None:
        head = self.ledger.head
        self.ledger.close()
        assert verify(self.home / FILE, head) == head
        self.folder.cleanup()


TestAccounts = Accounts.TestCase
TestAccounts.settings = settings(max_examples=25, stateful_step_count=30)


# --- the chain


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Entry, bytes]]:
    """The entries of a ledger with two conversations."""
    home = tmp_path_factory.mktemp("home")
    with opened(home) as ledger:
        for number in (1, 2):
            ledger.reserve(claim(number, study=f"{number}"), now=NOW)
            for step in (rows, spend, confirm, reveal, answer):
                step(ledger, number)
        found = ledger._db.execute("SELECT body, salt FROM entries ORDER BY seq").fetchall()
    return [(ENTRY.validate_json(body), salt) for body, salt in found]


def folded(entries: list[tuple[Entry, bytes]]) -> Book:
    book = Book()
    for entry, salt in entries:
        book.apply(entry, link(LABEL, book.head, salt, canonical(entry.model_dump(mode="json"))))
    return book


def test_an_entry_is_its_own_canonical_bytes(chain: list[tuple[Entry, bytes]]) -> None:
    for entry, _ in chain:
        content = canonical(entry.model_dump(mode="json"))
        assert ENTRY.validate_json(content) == entry


@given(data=st.data())
def test_entries_in_another_order_or_number_have_another_head_or_no_meaning(
    chain: list[tuple[Entry, bytes]], data: st.DataObject
) -> None:
    kept = data.draw(st.lists(st.sampled_from(range(len(chain))), max_size=len(chain) + 2))
    whole = folded(chain).head
    if kept == list(range(len(chain))):
        return
    try:
        head = folded([chain[number] for number in kept]).head
    except ValueError:
        return
    assert head != whole
    assert head == Head() or kept[0] == 0


# --- the policy


@settings(max_examples=20)
@given(
    epsilon=st.decimals("0.1", "6", places=2),
    most=st.sampled_from(["1", "2.5", "4"]),
    role=st.sampled_from(["analyst", "regulator"]),
    tighter=st.sampled_from(
        [
            "limits: {most_cells: 3}",
            "kinds: {dp: [count]}",
            "cities: {least: 7}",
            "modes: [exact]",
            "variables: {deny: [product]}",
        ]
    ),
)
def test_a_tighter_policy_never_allows_more(
    tmp_path_factory: pytest.TempPathFactory, epsilon: object, most: str, role: str, tighter: str
) -> None:
    folder = tmp_path_factory.mktemp("policy")
    asked = study(folder, privacy=f"{{epsilon: {epsilon}}}")
    text = f"dp: {{most_epsilon_per_study: {most}}}\n"
    words = {"role": role, "cities": ("a", "b", "c", "d", "e", "f"), "cannot": {}}
    before = decide(asked, policy=policy(folder, text), **words)  # type: ignore[arg-type] # words by name
    after = decide(asked, policy=policy(folder, text + tighter), **words)  # type: ignore[arg-type] # words by name
    assert {reason.code for reason in before.reasons} <= {reason.code for reason in after.reasons}
    assert after.decide == "refuse"
    assert load(folder, loose=False).digest != policy(folder, text).digest
