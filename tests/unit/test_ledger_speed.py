"""How fast a ledger is, beside what the disk alone takes."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

import pytest

from node.audit import SALT, Head, link
from node.entries import Answered, Confirmed, Entry, Reserved, Revealed, Rows, Spent, named, text
from node.ledger import FILE, LABEL
from protocols.canonical import canonical
from protocols.entropy import seeded
from tests.ledgers import M29, NOW, answer, claim, confirm, name, opened, policy, reveal, rows, spend

GENEROUS = "dp: {caps: {per_asker_year: {epsilon: 900}, per_year: {epsilon: 900}, total: {epsilon: 900}}}\n"


@pytest.mark.slow  # waits for the disk some hundred times
def test_holding_charging_and_finishing_a_study_takes_at_most_20_times_three_bare_fsyncs(tmp_path: Path) -> None:
    ratios = []
    with opened(tmp_path, policy(tmp_path, GENEROUS)) as ledger, (tmp_path / "bare").open("wb", buffering=0) as bare:
        for number in range(31):
            words = claim(number, study=f"study {number}")
            begun = perf_counter()
            for _ in range(3):
                bare.write(bytes(200))
                os.fsync(bare.fileno())
            alone = perf_counter() - begun
            begun = perf_counter()
            ledger.reserve(words, now=NOW)
            ours = perf_counter() - begun
            rows(ledger, number)
            begun = perf_counter()
            spend(ledger, number)
            ours += perf_counter() - begun
            confirm(ledger, number)
            reveal(ledger, number)
            begun = perf_counter()
            answer(ledger, number)
            ratios.append((ours + perf_counter() - begun) / alone)
    assert median(ratios) <= 20


def conversations(count: int) -> Iterator[Entry]:
    """Entries of so many whole conversations, about fifty different prices."""
    for number in range(count):
        words = claim(number, study=f"study {number}", total=1000 * M29 + number % 50)
        held, about, asked, sampler = words.cost, words.conversation, named(name(number)), words.cost.sampler
        yield Reserved(at=NOW, claim=words, cost=text(held.curve), sampler=sampler)
        yield Rows(at=NOW, conversation=about, round=0, ask=asked, blocks=(0,))
        yield Spent(
            at=NOW,
            conversation=about,
            run=1,
            round=0,
            plan=words.plan,
            snapshot="first",
            sampler=sampler,
            reply=asked,
            y=asked,
            turned=False,
        )
        yield Confirmed(at=NOW, conversation=about, round=0, cities=words.cities, u3=asked)
        yield Revealed(at=NOW, conversation=about, round=0)
        yield Answered(at=NOW, conversation=about, round=0, sum=asked, receipt=asked)


@pytest.mark.slow  # 10^5 entries are made first
def test_a_ledger_of_100000_entries_is_checked_and_opened_in_2_seconds(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        head = ledger.head
    salts = seeded("many salts")
    with closing(sqlite3.connect(tmp_path / FILE)) as db, db:
        for entry in conversations(16_667):
            body, salt = canonical(entry.model_dump(mode="json")), salts(SALT)
            head = link(LABEL, head, salt, body)
            db.execute("INSERT INTO entries VALUES (?, ?, ?, ?)", (head.seq, body.decode(), salt, head.hash))
    begun = process_time()
    with opened(tmp_path) as ledger:
        taken = process_time() - begun
        assert ledger.head == Head(6 * 16_667 + 4, head.hash)
    assert taken <= 2
