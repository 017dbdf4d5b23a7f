"""Ledgers for tests: claims by hand, a policy of few words, and one whole conversation, step by step."""

import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from node.entries import Charge, Claim
from node.ledger import DAY, FILE, Ledger
from node.policy import Policy, load
from protocols.approval import OfficerYes
from protocols.entropy import Entropy, seeded
from protocols.errors import HpfedError
from protocols.noise import UNIT

NOW: Final = 1_780_000_000  # a day in May 2026
KEY: Final = bytes(range(32))
M29: Final = -(-518_852 * UNIT // 1000)  # v20 of V = 518.852: epsilon 1 for m = 29


def policy(folder: Path, text: str = "", *, loose: bool = False) -> Policy:
    """The policy that `text` makes of the shipped one."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "policy.yaml").write_text(text, encoding="utf-8")
    return load(folder, loose=loose)


def opened(home: Path, rules: Policy | None = None, *, now: int = NOW, **others: Any) -> Ledger:
    """The ledger of a home, opened by a city called q-city."""
    entropy: Entropy = others.pop("entropy", None) or seeded("salts", now)
    words = {"city": "q-city", "city_key": KEY, "now": now, "entropy": entropy, **others}
    return Ledger.open(home / FILE, policy=rules or load(home, loose=False), **words)


def name(*parts: object) -> bytes:
    """32 bytes that stand for the digest of something."""
    return sha256(repr(parts).encode()).digest()


def yes(officer: str, at: int = NOW) -> OfficerYes:
    """What an officer signed, as a ledger keeps it; it does not look at signatures."""
    return OfficerYes(officer=officer, key=name("key", officer).hex(), at=at, signature="00" * 64)


def conversation(number: int) -> bytes:
    return name("conversation", number)[:16]


def claim(
    number: int,
    *,
    study: str = "products",
    asker: str = "fund-lab",
    total: int = M29,
    m: int = 29,
    run: int = 1,
    rounds: int = 1,
    expires: int = NOW + 7200,
    cities: Collection[int] = (1, 2, 3, 4, 5, 6),
    exact: bool = False,
    cohort: str = "null",
    snapshot: str = "first",
    colluders: int = 1,
    draws: int = 6 * 704,
    stated: Mapping[str, tuple[int, ...]] = MappingProxyType({}),
) -> Claim:
    """The claim of conversation `number` on one count block with `m` answers per holder and total variance `total` in 2**-20."""
    charge = Charge(block="1 by ()", l1=m, l2sq=m, touches=m, step=1, v20=-(-total // 4), total=total, rounds=rounds)
    return Claim(
        conversation=conversation(number).hex(),
        plan="sha256:" + name("plan", number).hex(),
        study="sha256:" + name("study", study).hex(),
        asker=asker,
        runs=(run,),
        mode="exact" if exact else "dp",
        charges=() if exact else (charge,),
        draws=0 if exact else draws,
        delta="1e-6",
        expires=expires,
        cities=tuple(sorted(cities)),
        colluders=colluders,
        snapshot=snapshot,
        cohort_class="sha256:" + name("cohort", cohort).hex(),
        cohort=cohort,
        purpose="看哪些产品有人用",
        variables=("product",),
        stated=dict(stated),
    )


Act = Callable[[Ledger, int, int], object]


def holds(ledger: Ledger, words: Claim, *codes: str) -> bool:
    """Whether the claim is held. If it is not, the reasons are exactly `codes`."""
    try:
        ledger.reserve(words, now=NOW)
    except HpfedError as no:
        if tuple(each.code for each in no.every()) != codes:
            raise
        return False
    return True


def rows(ledger: Ledger, number: int, now: int = NOW) -> None:
    ledger.rows(conversation(number), 0, name("ask", number), now=now)


def request(number: int) -> bytes:
    """Digest of the Deliver of a conversation."""
    return name("deliver", number)


def masked(number: int) -> bytes:
    """The envelope that answers it."""
    return b"masked %d " % number * 40


def spend(ledger: Ledger, number: int, now: int = NOW) -> None:
    what = {"request": request(number), "reply": masked(number), "y": name("y", number), "snapshot": "first"}
    ledger.spend(conversation(number), 0, now=now, **what)  # type: ignore[arg-type] # bytes and str by name


def confirm(ledger: Ledger, number: int, now: int = NOW, cities: Sequence[int] = (1, 2, 3, 4, 5, 6)) -> None:
    ledger.confirm(conversation(number), 0, cities, name("u3", number), now=now)


def reveal(ledger: Ledger, number: int, now: int = NOW) -> None:
    ledger.reveal(conversation(number), 0, now=now)


def receipt(number: int) -> bytes:
    """The coordinator's receipt of a conversation."""
    return b"receipt %d" % number


def answer(ledger: Ledger, number: int, now: int = NOW) -> None:
    ledger.answer(conversation(number), 0, sum_=name("sum", number), receipt=receipt(number), now=now)


STEPS: Final[tuple[Act, ...]] = (rows, spend, confirm, reveal, answer)


def whole(ledger: Ledger, number: int, now: int = NOW, **words: Any) -> None:
    """A conversation from its first step to its last."""
    ledger.reserve(claim(number, **words), now=now)
    for step in STEPS:
        step(ledger, number, now)


def years_later(now: int, years: int) -> int:
    return now + years * 366 * DAY


def altered(home: Path, *statements: str) -> None:
    with closing(sqlite3.connect(home / FILE)) as db, db:
        for statement in statements:
            db.execute(statement)
