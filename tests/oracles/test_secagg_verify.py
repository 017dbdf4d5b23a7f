"""Two verifiers, one written only from the text, give the same yes or no to every transcript, true or changed in one place."""

import ast
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from protocols import messages
from protocols.canonical import canonical
from protocols.entropy import Entropy, seeded
from protocols.errors import PeerError
from protocols.messages import Body, Kind
from protocols.secagg import collector
from protocols.secagg.sharing import P
from protocols.secagg.transcript import Members, Transcript, verify
from tests.conversations.bad import resealed
from tests.conversations.table import ROOT_KEY, Table, key_of, lost_at, table_of
from tests.oracles import secagg_verify

SETTINGS: Final[tuple[dict[str, Any], ...]] = (
    {"ids": (1, 2, 3)},
    {"ids": (1, 2, 3, 4), "lost": {"masked": (4,)}},
    {"ids": (1, 2, 3, 4), "exact": True, "bits": 64},
    {"ids": (1, 2, 5, 7, 9, 4_294_967_295), "lost": {"masked": (5,)}, "bits": 64},
    {"ids": (1, 2, 3, 4, 5, 6), "exact": True, "lost": {"reveal": (2,)}},
    {"ids": (1, 2, 3, 4, 5), "lost": {"confirm": (3,)}},
    {"ids": (1, 2, 3, 4, 5, 6, 7), "dropouts": 2, "lost": {"masked": (2,), "shares": (6,)}},
)
Change = Callable[[Transcript, Entropy], Transcript]


@cache
def played(number: int) -> tuple[Table, Transcript]:
    setting = dict(SETTINGS[number])
    lost = setting.pop("lost", {})
    table = table_of(**setting, seed=b"verify", lengths=5)
    table.run(lost_at(lost))
    assert isinstance(table.state, collector.Summed)
    return table, collector.transcript(table.state, table.recall)


def pick(entropy: Entropy, among: int) -> int:
    return int.from_bytes(entropy(4)) % among


def one_of(entropy: Entropy, items: Sequence[Any]) -> Any:
    return items[pick(entropy, len(items))]


# --- one change


def bit(content: bytes, entropy: Entropy) -> bytes:
    at = pick(entropy, 8 * len(content))
    return content[: at // 8] + bytes([content[at // 8] ^ 1 << at % 8]) + content[at // 8 + 1 :]


def put(transcript: Transcript, name: str, value: Any) -> Transcript:
    """The transcript with another value of a field."""
    return replace(transcript, **{name: value})


def a_bit_of_a_part(transcript: Transcript, entropy: Entropy) -> Transcript:
    """Anywhere: of a body, an envelope's header, body or signature."""
    name = one_of(entropy, fields(transcript)).name
    value = getattr(transcript, name)
    if not isinstance(value, tuple):
        return put(transcript, name, bit(value, entropy))
    at = pick(entropy, len(value))
    return put(transcript, name, (*value[:at], bit(value[at], entropy), *value[at + 1 :]))


def a_list_in_another_order_or_size(transcript: Transcript, entropy: Entropy) -> Transcript:
    name = one_of(entropy, ("masked", "reveals"))
    value = getattr(transcript, name)
    at = pick(entropy, len(value))
    changed = one_of(entropy, (value[::-1], value[:at] + value[at + 1 :], (*value, value[at]), value[:at], ()))
    return put(transcript, name, changed)


BODIES: Final[dict[str, type[Body]]] = {"masked": messages.Masked, "reveals": messages.Reveal}
NESTED: Final[dict[str, tuple[type[Any], type[Body]]]] = {
    "adverts": (messages.Adverts, messages.Advert),
    "confirms": (messages.Confirms, messages.Confirm),
}
PLAIN: Final[dict[str, type[Body]]] = {
    "plan": messages.Plan, "u2": Members, "ask": messages.Ask, "survivors": messages.Survivors,
    "adverts": messages.Adverts, "confirms": messages.Confirms,
}  # fmt: skip


def other(value: Any, entropy: Entropy) -> Any:
    """Another value of the same form."""
    if isinstance(value, int):
        return one_of(entropy, (value + 1, max(value - 1, 0), 0, pick(entropy, 255)))
    if isinstance(value, bytes | memoryview):
        content = bytes(value)
        return bit(content, entropy) if content else b"x"
    if not value:
        return value
    at = pick(entropy, len(value))
    if isinstance(value[at], tuple) and isinstance(value[at][1], bytes) and pick(entropy, 2):
        share = value[at][1]
        moved = (int.from_bytes(share) + one_of(entropy, (1, P))) % 2 ** (8 * len(share))
        return (*value[:at], (value[at][0], moved.to_bytes(len(share))), *value[at + 1 :])
    return one_of(entropy, (value[:at] + value[at + 1 :], (*value, value[-1]), value[::-1]))


def changed(body: Body, entropy: Entropy) -> Body:
    name = one_of(entropy, fields(body)).name
    return replace(body, **{name: other(getattr(body, name), entropy)})


def a_field_of_what_nobody_signs(transcript: Transcript, entropy: Entropy) -> Transcript:
    name = one_of(entropy, tuple(PLAIN))
    return put(transcript, name, changed(PLAIN[name].decode(getattr(transcript, name)), entropy).encode())


def a_field_that_its_city_signs_again(transcript: Transcript, entropy: Entropy) -> Transcript:
    def again(content: bytes, kind: type[Body]) -> bytes:
        return resealed(content, changed(kind.decode(messages.body_of(content)), entropy))

    return _with_envelope(transcript, entropy, again)


def a_header_that_its_city_signs_again(transcript: Transcript, entropy: Entropy) -> Transcript:
    """Every field of the header in turn, those that do not matter among them."""

    def again(content: bytes, _kind: type[Body]) -> bytes:
        size = int.from_bytes(content[5:9])
        header = json.loads(content[9 : 9 + size])
        name = one_of(entropy, (*sorted(header), "poll_s", "more"))
        by = key_of(header["from"])
        if name == "from" or name == "more":
            header[name] = 2 if name == "from" else 1
        elif isinstance(header.get(name), dict):
            part = one_of(entropy, sorted(header[name]))
            header[name][part] = _other_text(header[name][part], entropy)
        else:
            header[name] = 1.5 if name == "poll_s" else _other_text(header[name], entropy)
        text = canonical(header)
        signature = by.sign(b"hpfed/envelope/1\x00" + text)
        return content[:5] + len(text).to_bytes(4) + text + content[9 + size : -64] + signature

    return _with_envelope(transcript, entropy, again)


def _other_text(value: Any, entropy: Entropy) -> Any:
    if isinstance(value, int):
        return value + 1 + pick(entropy, 3)
    if value in list(Kind):
        return one_of(entropy, ("advert", "masked", "confirm", "reveal"))
    return value[:-1] + ("1" if value[-1] != "1" else "2")


def _with_envelope(transcript: Transcript, entropy: Entropy, again: Callable[[bytes, type[Body]], bytes]) -> Transcript:
    """One envelope of any list made anew."""
    name = one_of(entropy, (*BODIES, *NESTED))
    if name in BODIES:
        value = getattr(transcript, name)
        at = pick(entropy, len(value))
        return put(transcript, name, (*value[:at], again(value[at], BODIES[name]), *value[at + 1 :]))
    outer, inner = NESTED[name]
    record = outer.decode(getattr(transcript, name))
    value = getattr(record, name)
    at = pick(entropy, len(value))
    record = replace(record, **{name: (*value[:at], again(value[at], inner), *value[at + 1 :])})
    return put(transcript, name, record.encode())


def nothing(transcript: Transcript, _entropy: Entropy) -> Transcript:
    return transcript


CHANGES: Final[tuple[Change, ...]] = (
    nothing,
    a_bit_of_a_part,
    a_list_in_another_order_or_size,
    a_field_of_what_nobody_signs,
    a_field_that_its_city_signs_again,
    a_header_that_its_city_signs_again,
)


# --- both


def both(case: int) -> tuple[str, str, str]:
    """What was done, and what either verifier says: nothing where it accepts."""
    entropy = seeded("verify", case)
    table, transcript = played(case % len(SETTINGS))
    change = CHANGES[pick(entropy, len(CHANGES))]
    try:
        content = change(transcript, entropy).encode()
    except (PeerError, OverflowError):
        return "not even written", "", ""
    announced = table.total.copy()
    if change is nothing and pick(entropy, 2):
        announced[pick(entropy, announced.size)] += 1
    ours = ""
    try:
        verify(Transcript.decode(content), ROOT_KEY, announced)
    except PeerError as fault:
        ours = fault.code
    return change.__name__, ours, secagg_verify.why(content, ROOT_KEY, announced.tolist())


def agree(cases: range) -> Counter[tuple[str, bool]]:
    found = Counter[tuple[str, bool]]()
    for case in cases:
        what, ours, plain = both(case)
        assert (ours == "") == (plain == ""), (case, what, ours, plain)
        found[what, ours == ""] += 1
    return found


def test_both_verifiers_agree_on_transcripts_that_are_true_and_that_are_changed_in_one_place() -> None:
    found = agree(range(50))
    assert found["nothing", True] > 2
    assert sum(count for (_, accepted), count in found.items() if not accepted) > 25


@pytest.mark.slow  # 1,000 transcripts in plain integers, half a minute
def test_both_verifiers_agree_on_a_thousand_transcripts() -> None:
    found = agree(range(1_000))
    for change in CHANGES[1:]:
        assert found[change.__name__, False] > 50, found
    assert found["nothing", True] > 30
    assert found["a_header_that_its_city_signs_again", True] > 10  # seq, issued, expires: not of the reader's concern


def test_every_setting_is_accepted_by_both_and_the_sum_is_the_plain_one() -> None:
    for number in range(len(SETTINGS)):
        table, transcript = played(number)
        verify(transcript, ROOT_KEY, table.total)
        assert isinstance(table.state, collector.Summed)
        assert np.array_equal(table.total, table.plain(table.state.u3))
        assert secagg_verify.total(transcript.encode(), ROOT_KEY) == table.total.tolist()


def test_the_second_verifier_rests_on_nothing_of_ours() -> None:
    for name in ("secagg_verify.py", "secagg_plain.py"):
        tree = ast.parse(Path(__file__).with_name(name).read_text(encoding="utf-8"))
        roots = {
            (node.module or "").split(".")[0] if isinstance(node, ast.ImportFrom) else each.name.split(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for each in node.names
        }
        assert not roots & {"protocols", "node", "coordinator", "simulations", "numpy"}, name
