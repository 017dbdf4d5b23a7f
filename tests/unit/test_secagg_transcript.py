"""Anyone who holds a transcript can recompute the sum; every field of it matters."""

from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from functools import cache
from typing import Any, Final

import numpy as np
import pytest

from protocols import messages
from protocols.errors import PeerError
from protocols.messages import Body, Kind, Plan
from protocols.secagg import collector
from protocols.secagg.sharing import P
from protocols.secagg.transcript import Members, Transcript, verify
from tests.conversations.bad import flipped, low_order, resealed
from tests.conversations.table import ROOT_KEY, Table, hex_of, lost_at, nobody, roster_of, table_of

IDS: Final = (1, 2, 3, 4)


@cache
def played(exact: bool = False) -> tuple[Table, Transcript]:
    """Four cities, one lost after sharing (dp), and the record of their sum."""
    table = table_of(IDS, exact=exact)
    table.run(nobody if exact else lost_at({"masked": (4,)}))
    assert isinstance(table.state, collector.Summed)
    return table, collector.transcript(table.state, table.recall)


def code_of(transcript: Transcript, total: Any = None, root: bytes = ROOT_KEY) -> str:
    table, _ = played()
    try:
        verify(transcript, root, table.total if total is None else total)
    except PeerError as fault:
        return fault.code if fault.text("zh") else "no text"
    return ""


def test_an_untouched_transcript_passes_in_both_modes() -> None:
    for exact in (False, True):
        table, transcript = played(exact)
        verify(transcript, ROOT_KEY, table.total)
        assert Transcript.decode(transcript.encode()) == transcript
        assert isinstance(table.state, collector.Summed)
        assert transcript.digest() == table.state.receipt.transcript


def test_a_sum_that_differs_in_one_cell_by_one_fails() -> None:
    table, transcript = played()
    for cell in range(table.plan.length):
        for by in (1, -1):
            wrong = table.total.copy()
            wrong[cell] += by
            assert code_of(transcript, wrong) == "SECAGG_WRONG_SUM"
    assert code_of(transcript, table.total.astype(np.float64)) == "SECAGG_WRONG_SUM"
    assert code_of(transcript, table.total[:-1]) == "SECAGG_WRONG_SUM"


def test_every_byte_class_of_a_transcript_matters() -> None:
    """One bit in every field and in every signature, of every relayed message."""
    _, transcript = played()
    content = transcript.encode()
    places = set(range(0, len(content), 211)) | set(range(len(content) - 70, len(content)))
    for at in sorted(places):
        try:
            mutated = Transcript.decode(flipped(content, at))
        except PeerError:
            continue
        assert code_of(mutated), at


def test_a_vector_is_bound_by_its_header_so_one_that_was_changed_does_not_open() -> None:
    """The digest stands on header and signature alone; a reader opens what it is over."""
    table, transcript = played()
    first, *others = transcript.masked
    changed = replace(transcript, masked=(flipped(first, len(first) - 70), *others))
    assert changed.digest() == transcript.digest()
    assert code_of(changed) == "SECAGG_BAD_SIGNATURE"
    masked = messages.Masked.decode(messages.body_of(first))
    again = resealed(first, replace(masked, y=bytes(len(masked.y))))
    assert replace(transcript, masked=(again, *others)).digest() != transcript.digest()
    assert table.state is not None
    assert collector.step(table.state, changed.masked[0], table.stamp(), table.recall) == (table.state, ())


def swapped(transcript: Transcript, name: str, value: Any) -> Transcript:
    return replace(transcript, **{name: value})


def pieces() -> Iterator[tuple[str, Transcript]]:
    """Every field, every envelope of every list, with one bit changed: first byte, middle and last."""
    _, transcript = played()
    for field in fields(transcript):
        value = getattr(transcript, field.name)
        for index, content in enumerate(value if isinstance(value, tuple) else (value,)):
            for at in (0, len(content) // 2, len(content) - 1):
                new = flipped(content, at)
                whole = (*value[:index], new, *value[index + 1 :]) if isinstance(value, tuple) else new
                yield f"{field.name}[{index}] at {at}", swapped(transcript, field.name, whole)


def test_one_bit_in_any_piece_fails() -> None:
    for name, transcript in pieces():
        assert code_of(transcript), name


Change = Callable[[Transcript], Transcript]


def body(name: str, kind: type[Body], **changes: Any) -> Change:
    """Another content of a coordinator's body, which nobody signs."""

    def change(transcript: Transcript) -> Transcript:
        record = kind.decode(getattr(transcript, name))
        new = {key: value(getattr(record, key)) if callable(value) else value for key, value in changes.items()}
        return swapped(transcript, name, replace(record, **new).encode())

    return change


def said(name: str, kind: type[Body], **changes: Any) -> Change:
    """The first envelope of a list with another content, correctly signed by its city."""

    def change(transcript: Transcript) -> Transcript:
        first, *others = getattr(transcript, name)
        record = kind.decode(messages.body_of(first))
        new = {key: value(getattr(record, key)) if callable(value) else value for key, value in changes.items()}
        return swapped(transcript, name, (resealed(first, replace(record, **new)), *others))

    return change


def nested(name: str, kind: type[Any], part: str, alter: Callable[[bytes], bytes]) -> Change:
    """The first relayed envelope inside Adverts or Confirms."""

    def change(transcript: Transcript) -> Transcript:
        record = kind.decode(getattr(transcript, name))
        first, *others = getattr(record, part)
        return swapped(transcript, name, replace(record, **{part: (alter(first), *others)}).encode())

    return change


def in_adverts(alter: Callable[[bytes], bytes]) -> Change:
    return nested("adverts", messages.Adverts, "adverts", alter)


def in_confirms(alter: Callable[[bytes], bytes]) -> Change:
    return nested("confirms", messages.Confirms, "confirms", alter)


def of(kind: type[Body], **changes: Any) -> Callable[[bytes], bytes]:
    return lambda content: resealed(content, replace(kind.decode(messages.body_of(content)), **changes))


def other_advert(content: bytes) -> bytes:
    """City 1 with the key of city 2."""
    _, transcript = played()
    second = messages.Advert.decode(messages.body_of(messages.Adverts.decode(transcript.adverts).adverts[1]))
    return of(messages.Advert, c_pk=second.c_pk)(content)


def respelled(shares: "Shares") -> "Shares":
    """The first share plus p: the same element of the field."""
    return ((shares[0][0], (int.from_bytes(shares[0][1]) + P).to_bytes(33)), *shares[1:])


Shares = tuple[tuple[int, bytes], ...]
CASES: Final[dict[str, tuple[Change, str]]] = {
    "another root's roster": (lambda t: replace(t, roster=b"{}"), "SECAGG_BAD_SIGNATURE"),
    "another roster of the root": (lambda t: replace(t, roster=roster_of(IDS, 2).file), "SECAGG_INCONSISTENT"),
    "no plan": (lambda t: replace(t, plan=b""), "SECAGG_INCONSISTENT"),
    "a plan with a low threshold": (body("plan", Plan, threshold=2, dropouts=2), "SECAGG_INCONSISTENT"),
    "another plan": (body("plan", Plan, bound=7), "SECAGG_FOREIGN_ADVERT"),
    "adverts of another plan": (body("adverts", messages.Adverts, plan_digest=bytes(32)), "SECAGG_FOREIGN_ADVERT"),
    "an advert for another plan": (in_adverts(of(messages.Advert, plan_digest=bytes(32))), "SECAGG_FOREIGN_ADVERT"),
    "an advert with another key": (in_adverts(of(messages.Advert, c_pk=next(low_order()))), "SECAGG_ROUND_USED"),
    "a repeated key": (in_adverts(other_advert), "SECAGG_REPEATED_KEY"),
    "too few adverts": (body("adverts", messages.Adverts, adverts=lambda a: a[:2]), "SECAGG_TOO_FEW"),
    "adverts in another order": (body("adverts", messages.Adverts, adverts=lambda a: a[::-1]), "SECAGG_BAD_SIGNATURE"),
    "U2 with a stranger": (body("u2", Members, ids=(1, 2, 3, 9)), "SECAGG_BAD_U2"),
    "U2 too small": (body("u2", Members, ids=(1, 2)), "SECAGG_BAD_U2"),
    "another U2": (body("u2", Members, ids=(1, 2, 3)), "SECAGG_FOREIGN_ROUND"),
    "a question of another conversation": (body("ask", messages.Ask, ctx=bytes(32)), "SECAGG_ROUND_USED"),
    "another question": (body("ask", messages.Ask, question=b"?"), "SECAGG_FOREIGN_ROUND"),
    "a vector of another round": (said("masked", messages.Masked, rctx=bytes(32)), "SECAGG_FOREIGN_ROUND"),
    "a short vector": (said("masked", messages.Masked, y=lambda y: bytes(y)[4:]), "SECAGG_FOREIGN_ROUND"),
    "another vector": (said("masked", messages.Masked, y=lambda y: bytes(len(y))), "SECAGG_WRONG_SUM"),
    "a vector less": (lambda t: replace(t, masked=t.masked[1:]), "SECAGG_BAD_U3"),
    "a vector twice": (lambda t: replace(t, masked=(t.masked[0], *t.masked)), "SECAGG_BAD_SIGNATURE"),
    "survivors of another round": (body("survivors", messages.Survivors, rctx=bytes(32)), "SECAGG_BAD_U3"),
    "other survivors": (body("survivors", messages.Survivors, u3=(1, 2)), "SECAGG_BAD_U3"),
    "a city that confirmed something else": (in_confirms(of(messages.Confirm, u3_digest=bytes(32))), "SECAGG_SPLIT_SURVIVORS"),
    "confirms of another round": (body("confirms", messages.Confirms, rctx=bytes(32)), "SECAGG_FOREIGN_ROUND"),
    "too few confirms": (body("confirms", messages.Confirms, confirms=lambda c: c[1:]), "SECAGG_TOO_FEW"),
    "a reveal of another round": (said("reveals", messages.Reveal, rctx=bytes(32)), "SECAGG_FOREIGN_ROUND"),
    "a reveal of another set": (said("reveals", messages.Reveal, b_shares=lambda s: s[1:]), "SECAGG_BAD_U3"),
    "too few reveals": (lambda t: replace(t, reveals=t.reveals[1:]), "SECAGG_TOO_FEW"),
    "a share in another spelling": (said("reveals", messages.Reveal, b_shares=respelled), "SECAGG_BAD_SHARE"),
    "a wrong share": (said("reveals", messages.Reveal, s_shares=lambda s: ((s[0][0], bytes(33)),)), "SECAGG_INCONSISTENT"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_transcript_that_is_signed_but_wrong_fails_at_its_first_wrong_message(name: str) -> None:
    change, code = CASES[name]
    assert code_of(change(played()[1])) == code


def test_a_reveal_of_a_city_that_is_not_shown_to_have_confirmed_fails() -> None:
    """Enough others confirmed: but Confirms go to those who signed, and to nobody else."""
    table = table_of(IDS)
    table.run(nobody)
    assert isinstance(table.state, collector.Summed)
    transcript = collector.transcript(table.state, table.recall)
    assert code_of(transcript, table.total) == ""
    assert code_of(body("confirms", messages.Confirms, confirms=lambda c: c[1:])(transcript), table.total) == (
        "SECAGG_FOREIGN_ROUND"
    )


def test_another_root_key_fails() -> None:
    assert code_of(played()[1], root=bytes.fromhex(hex_of("other root"))) == "SECAGG_BAD_SIGNATURE"


def test_a_transcript_with_a_lying_revealer_still_gives_the_sum() -> None:
    table = table_of(range(1, 7))
    out = table.start()
    while messages.peek(out[0][1]).kind is not Kind.CONFIRMS:
        out = table.exchange(out, nobody)
    replies = {city: table.cities[city].on(content, table.now)[0][1] for city, content in out}
    reveal = messages.Reveal.decode(messages.body_of(replies[2]))
    lie = ((reveal.b_shares[0][0], bytes(33)), *reveal.b_shares[1:])
    replies[2] = resealed(replies[2], replace(reveal, b_shares=lie))
    for reply in replies.values():
        table.reply(reply)
    assert isinstance(table.state, collector.Summed)
    transcript = collector.transcript(table.state, table.recall)
    assert len(transcript.reveals) == 6  # the lie is part of the record
    verify(transcript, ROOT_KEY, table.total)
