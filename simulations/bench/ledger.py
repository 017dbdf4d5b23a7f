"""A ledger beside what the disk alone takes, and how long a long one takes to open."""

import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from statistics import median

from node.audit import SALT, link
from node.entries import Answered, Charge, Claim, Confirmed, Entry, Reserved, Revealed, Rows, Spent, named, text
from node.ledger import FILE, LABEL, Ledger
from node.policy import load
from protocols.canonical import canonical
from protocols.entropy import seeded
from protocols.noise import UNIT
from simulations.bench import Line, line

NOW = 1_780_000_000
STUDIES = 31
ENTRIES = 100_000
A_CONVERSATION = 6  # entries: reserved, rows, spent, confirmed, revealed, answered
MOST_RATIO = 20  # of what three bare fsyncs take
MOST_SECONDS = 2.0
GENEROUS = "dp: {caps: {per_asker_year: {epsilon: 900}, per_year: {epsilon: 900}, total: {epsilon: 900}}}\n"


def lines(quick: bool) -> Iterator[Line]:
    """Holding, charging and finishing a study, against three bare fsyncs; and the start-up check of 10^5 entries, in CPU seconds."""
    with tempfile.TemporaryDirectory() as folder:
        yield _study(Path(folder), 3 if quick else STUDIES)
        yield _start(Path(folder) / "long", 100 if quick else ENTRIES)


def _study(home: Path, studies: int) -> Line:
    (home / "policy.yaml").write_text(GENEROUS, encoding="utf-8")
    ours, bare = [], []
    with _opened(home) as ledger, (home / "bare").open("wb", buffering=0) as file:
        for number in range(studies):
            claim, about = _claim(number), _name("conversation", number)[:16]
            begun = time.perf_counter()
            for _ in range(3):
                file.write(bytes(200))
                os.fsync(file.fileno())
            bare.append(time.perf_counter() - begun)
            begun = time.perf_counter()
            ledger.reserve(claim, now=NOW)
            taken = time.perf_counter() - begun
            ledger.rows(about, 0, _name("ask", number), now=NOW)
            begun = time.perf_counter()
            digest = _name("y", number)
            ledger.spend(about, 0, request=digest, reply=bytes(6000), y=digest, snapshot="first", now=NOW)
            taken += time.perf_counter() - begun
            ledger.confirm(about, 0, claim.cities, digest, now=NOW)
            ledger.reveal(about, 0, now=NOW)
            begun = time.perf_counter()
            ledger.answer(about, 0, sum_=digest, receipt=b"receipt", now=NOW)
            ours.append(taken + time.perf_counter() - begun)
    mine, theirs = median(ours), median(bare)
    return line("ledger, hold, charge, finish", "s", mine, theirs, "three bare fsyncs", MOST_RATIO, "less")


def _start(home: Path, entries: int) -> Line:
    home.mkdir()
    with _opened(home) as ledger:
        head = ledger.head
    salts = seeded("many salts")
    with closing(sqlite3.connect(home / FILE)) as db, db:
        for entry in _entries(-(-(entries - head.seq) // A_CONVERSATION)):
            body, salt = canonical(entry.model_dump(mode="json")), salts(SALT)
            head = link(LABEL, head, salt, body)
            db.execute("INSERT INTO entries VALUES (?, ?, ?, ?)", (head.seq, body.decode(), salt, head.hash))
    taken = []
    for _ in range(3):
        begun = time.process_time()
        with _opened(home) as ledger:
            taken.append(time.process_time() - begun)
            assert ledger.head.hash == head.hash  # noqa: S101 what is measured is the whole chain
    mine, name = median(taken), f"ledger, start-up, {head.seq:,} entries"
    return line(name, "CPU s", mine, MOST_SECONDS, "the limit", 1, "less")


def _opened(home: Path) -> Ledger:
    return Ledger.open(
        home / FILE, policy=load(home, loose=False), city="q-city", city_key=bytes(32), now=NOW, entropy=seeded("salts")
    )


def _entries(count: int) -> Iterator[Entry]:
    """Entries of so many whole conversations, of about fifty different prices."""
    for number in range(count):
        claim = _claim(number, 1000 * 519 * UNIT + number % 50)
        about, digest, cost = claim.conversation, named(_name("y", number)), claim.cost
        yield Reserved(at=NOW, claim=claim, cost=text(cost.curve), sampler=cost.sampler)
        yield Rows(at=NOW, conversation=about, round=0, ask=digest, blocks=(0,))
        yield Spent(
            at=NOW,
            conversation=about,
            run=1,
            round=0,
            plan=claim.plan,
            snapshot="first",
            sampler=cost.sampler,
            reply=digest,
            y=digest,
            turned=False,
        )
        yield Confirmed(at=NOW, conversation=about, round=0, cities=claim.cities, u3=digest)
        yield Revealed(at=NOW, conversation=about, round=0)
        yield Answered(at=NOW, conversation=about, round=0, sum=digest, receipt=digest)


def _claim(number: int, total: int = 519 * UNIT) -> Claim:
    """29 marginals, of which a holder is in one cell each."""
    charge = Charge(block="1 by ()", l1=29, l2sq=29, touches=29, step=1, v20=-(-total // 4), total=total)
    return Claim(
        conversation=_name("conversation", number)[:16].hex(),
        plan=named(_name("plan", number)),
        study=named(_name("study", number)),
        asker="fund-lab",
        runs=(1,),
        mode="dp",
        charges=(charge,),
        draws=6 * 704,
        delta="1e-6",
        expires=NOW + 7200,
        cities=(1, 2, 3, 4, 5, 6),
        colluders=1,
        snapshot="first",
        cohort_class=named(_name("cohort")),
        cohort="null",
        purpose="",
        variables=("product",),
    )


def _name(*parts: object) -> bytes:
    return sha256(repr(parts).encode()).digest()
