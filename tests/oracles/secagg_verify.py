"""Whether a transcript of one round gives the announced sum, a second time: written from the text of the protocol, in plain integers.

Section numbers are those of the specification of the protocol. Nothing of `protocols` is imported, no numpy; Ed25519, SHA-256 and AES of
single blocks come from libraries. `verified` says yes or no; `why` says at what a transcript fails, in words of its own.
"""

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import chain, combinations, islice
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tests.oracles.secagg_plain import P, at_zero, d, hkdf, lp, public, u16, u32, words, x25519

FIELD = 2**255 - 19
REQUIRED = {
    "body", "consortium", "conversation", "expires", "from", "issued", "kind", "roster", "round", "run", "seq", "software", "study", "to",
}  # fmt: skip


class Wrong(Exception):
    """The first thing that does not hold."""


def must(holds: bool, what: str) -> None:
    if not holds:
        raise Wrong(what)


def verified(transcript: bytes, root: bytes, announced: Sequence[int]) -> bool:
    """Whether everything holds and the sum is this one. `transcript`: the file; `root`: 32 bytes, pinned."""
    return why(transcript, root, announced) == ""


def why(transcript: bytes, root: bytes, announced: Sequence[int]) -> str:
    """Nothing if all holds, else the first thing that does not."""
    try:
        must(total(transcript, root) == list(announced), "sum")
    except Wrong as wrong:
        return str(wrong)
    return ""


# --- bytes (section 3)


@dataclass
class Reader:
    """Takes fields off the front. `what`: the record, for words."""

    left: bytes
    what: str

    def take(self, size: int) -> bytes:
        must(size <= len(self.left), f"{self.what}: too short")
        taken, self.left = self.left[:size], self.left[size:]
        return taken

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def sized(self) -> bytes:
        return self.take(self.number(4))

    def listed(self, size: int | None = None) -> list[bytes]:
        """A list of items of `size` bytes, or of LP(item)."""
        return [self.sized() if size is None else self.take(size) for _ in range(self.number(2))]

    def ids(self) -> list[int]:
        found = [int.from_bytes(each, "big") for each in self.listed(4)]
        ascending(found, self.what)
        return found

    def by_city(self, size: int) -> dict[int, bytes]:
        """A list of (u32 id, `size` bytes), ids strictly ascending."""
        rows = [(int.from_bytes(each[:4], "big"), each[4:]) for each in self.listed(4 + size)]
        ascending([city for city, _ in rows], self.what)
        return dict(rows)

    def end(self) -> None:
        must(not self.left, f"{self.what}: trailing bytes")


def ascending(ids: Sequence[int], what: str) -> None:
    must(all(city > 0 for city in ids) and list(ids) == sorted(set(ids)), f"{what}: ids do not ascend")


def unsigned_json(text: bytes, what: str) -> Any:
    """JSON that is its own canonical form. Whole numbers, text, lists and objects: all that headers and rosters hold."""
    try:
        value = json.loads(text)
        again = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise Wrong(f"{what}: no JSON") from None
    must(again == text, f"{what}: not canonical")
    return value


def signed_by(key: bytes, signature: bytes, content: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, content)
    except (InvalidSignature, ValueError):
        return False
    return True


# --- roster


@dataclass(frozen=True)
class Roster:
    """What is used of it. `keys`: identity keys of active cities."""

    digest: str
    version: int
    consortium: str
    keys: Mapping[int, list[bytes]]


def strict(text: str, what: str) -> bytes:
    try:
        content = base64.b64decode(text, validate=True)
    except ValueError:
        raise Wrong(f"{what}: base64") from None
    must(base64.b64encode(content).decode() == text, f"{what}: base64")
    return content


def roster(file: bytes, root: bytes) -> Roster:
    tree = unsigned_json(file, "roster")
    must(isinstance(tree, dict) and set(tree) == {"payload", "payloadType", "signatures"}, "roster: shape")
    media = "application/vnd.hpfed.roster+json"
    must(tree["payloadType"] == media, "roster: type")
    payload = strict(tree["payload"], "roster")
    entries = unsigned_json(payload, "roster payload")
    roots = {root, bytes.fromhex(entries["root"])}
    content = b"DSSEv1 %d %s %d %s" % (len(media), media.encode(), len(payload), payload)
    by_id = {"ed25519:" + sha256(key).hexdigest()[:16]: key for key in roots}
    signers = []
    for each in tree["signatures"]:
        must(set(each) == {"keyid", "sig"} and each["keyid"] in by_id, "roster: stranger's signature")
        signers.append(by_id[each["keyid"]])
        must(signed_by(signers[-1], strict(each["sig"], "roster"), content), "roster: signature")
    must(sorted(signers) == sorted(roots), "roster: not signed by the root")
    keys = {
        city["id"]: [bytes.fromhex(key["key"]) for key in city["identity"]]
        for city in entries["cities"]
        if city["state"] == "active"
    }
    return Roster(sha256(file).hexdigest(), entries["version"], entries["consortium"], keys)


# --- plan (sections 2 and 4)


@dataclass(frozen=True)
class Plan:
    """Its fields as far as a reader of a transcript needs them."""

    conversation: str
    study: str
    run: int
    roster: str
    bits: int
    rounds: int
    length: int
    t: int
    c: int
    k: int
    cities: list[int]


def plan(content: bytes) -> Plan:
    reader = Reader(content, "plan")
    suite = reader.number(1)
    conversation, study, run = reader.take(16).hex(), reader.take(32).hex(), reader.number(2)
    roster_, _layout, _noise = (reader.take(32).hex() for _ in range(3))
    mode, bits, rounds = reader.number(1), reader.number(1), reader.number(2)
    length, _bound, _support = reader.number(4), reader.number(8), reader.number(8)
    t, c, dropouts, least = (reader.number(2) for _ in range(4))
    reader.take(8 + 5 * 4)
    cities, cannot = reader.ids(), []
    for _ in range(reader.number(2)):
        cannot.append(reader.number(4))
        positions = [int.from_bytes(each, "big") for each in reader.listed(2)]
        must(bool(positions) and positions == sorted(set(positions)), "plan: cannot")
    ascending(cannot, "plan")
    reader.end()
    n, exact = len(cities), mode == 2
    must(suite == 1 and mode in (1, 2) and bits in (32, 64) and set(cannot) <= set(cities), "plan")
    must(3 <= n <= 512 and 1 <= rounds <= 64 and 1 <= length <= 2**22, "plan: sizes")
    must(c <= n - 2 and c <= t - 2, "plan: colluders")
    must(t == n - dropouts and 2 * t > n + c and t >= max(least, 3), "plan: threshold")
    must(dropouts == 0 if exact else dropouts <= n - max(least, c + 2) or dropouts == 0, "plan: dropouts")
    k = max(2 * n // 3 + 1, c + 2) if exact else t
    return Plan(conversation, study, run, roster_, bits, rounds, length, t, c, k, cities)


# --- relayed messages (section 3)


@dataclass
class Line:
    """Opens what cities said. `pinned`: the key under which each first spoke."""

    roster: Roster
    plan: Plan
    pinned: dict[int, bytes]

    def opened(self, envelopes: Sequence[bytes], kind: str, round_: int) -> dict[int, bytes]:
        """Bodies by city, in the order in which they stand, which must ascend."""
        found: dict[int, bytes] = {}
        for envelope in envelopes:
            city, body, key = self.one(envelope, kind, round_)
            must(city > max(found, default=0), f"{kind}: order")
            if kind == "advert":
                self.pinned[city] = key
            found[city] = body
        return found

    def one(self, envelope: bytes, kind: str, round_: int) -> tuple[int, bytes, bytes]:
        must(73 <= len(envelope) <= 2**26 and envelope[:5] == b"HPFE\x01", f"{kind}: envelope")
        size = int.from_bytes(envelope[5:9], "big")
        must(size <= 4096 and 73 + size <= len(envelope), f"{kind}: header length")
        text, body, signature = envelope[9 : 9 + size], envelope[9 + size : -64], envelope[-64:]
        header = unsigned_json(text, kind)
        must(isinstance(header, dict) and set(header) - {"in_reply_to"} == REQUIRED, f"{kind}: header")
        numbers = [header[name] for name in ("expires", "from", "issued", "round", "run", "seq", "to")]
        must(all(type(each) is int and each >= 0 for each in numbers), f"{kind}: header numbers")
        city = header["from"]
        must(header["consortium"] == self.roster.consortium, f"{kind}: consortium")
        must(header["roster"] == {"sha256": self.roster.digest, "version": self.roster.version}, f"{kind}: roster")
        must(city in self.roster.keys and header["to"] == 0 and header["kind"] == kind, f"{kind}: from, to, kind")
        matter = (header["study"], header["run"], header["conversation"], header["round"])
        must(matter == (self.plan.study, self.plan.run, self.plan.conversation, round_), f"{kind}: matter")
        keys = [self.pinned[city]] if city in self.pinned else self.roster.keys[city]
        key = next((key for key in keys if signed_by(key, signature, b"hpfed/envelope/1\x00" + text)), b"")
        must(key != b"", f"{kind}: signature")
        must(header["body"] == {"length": len(body), "sha256": sha256(body).hexdigest()}, f"{kind}: body")
        return city, body, key


# --- the round (sections 5, 10, 11)


def total(transcript: bytes, root: bytes) -> list[int]:
    """The sum, from the messages alone."""
    parts = Reader(transcript, "transcript")
    file, plan_bytes, adverts_body, u2_body, ask_body = (parts.sized() for _ in range(5))
    masked_list, survivors_body, confirms_body = parts.listed(), parts.sized(), parts.sized()
    reveal_list = parts.listed()
    parts.end()
    held = roster(file, root)
    agreed = plan(plan_bytes)
    must(agreed.roster == held.digest, "plan: another roster")
    digest, line = d("plan", plan_bytes), Line(held, agreed, {})

    reader = Reader(adverts_body, "adverts")
    must(reader.take(32) == digest, "adverts: another plan")
    envelopes = reader.listed()
    reader.end()
    u1 = line.opened(envelopes, "advert", 0)
    must(set(u1) <= set(agreed.cities) and len(u1) >= agreed.t, "adverts: cities")
    pairs, points = {}, []
    for city, body in u1.items():
        must(len(body) == 64 + 64 * agreed.rounds and body[:32] == digest, "advert")
        pairs[city] = [(body[at : at + 32], body[at + 32 : at + 64]) for at in range(64, len(body), 64)]
        points += [point(body[32:64]), *(point(s_pk) for s_pk, _ in pairs[city])]
    must(len(set(points)) == len(points), "adverts: a key twice")
    reader = Reader(u2_body, "u2")
    u2 = reader.ids()
    reader.end()
    must(set(u2) <= set(u1) and len(u2) >= agreed.t, "u2")

    ctx = d("ctx", digest, d("u1", *envelopes))
    reader = Reader(ask_body, "ask")
    must(reader.take(32) == ctx, "ask: another conversation")
    round_, length = reader.number(2), reader.number(4)
    reader.take(32)
    reader.sized()
    reader.end()
    must(round_ < agreed.rounds and 1 <= length <= agreed.length, "ask")
    rctx = d("round", ctx, d("u2", *map(u32, u2)), u16(round_), d("ask", ask_body))

    modulus, size = 2**agreed.bits, agreed.bits // 8
    result = [0] * length
    came = line.opened(masked_list, "masked", round_)
    for body in came.values():
        reader = Reader(body, "masked")
        must(reader.take(32) == rctx, "masked: another round")
        reader.take(32)
        y = reader.sized()
        reader.end()
        must(len(y) == length * size, "masked: length")
        add(result, 1, [int.from_bytes(y[at : at + size], "little") for at in range(0, len(y), size)], modulus)
    reader = Reader(survivors_body, "survivors")
    must(reader.take(32) == rctx, "survivors: another round")
    u3 = reader.ids()
    reader.end()
    must(u3 == list(came) and set(u3) <= set(u2), "survivors: not those who came")
    u3_digest = d("u3", rctx, *map(u32, u3))
    reader = Reader(confirms_body, "confirms")
    must(reader.take(32) == rctx, "confirms: another round")
    confirms = line.opened(reader.listed(), "confirm", round_)
    reader.end()
    must(set(confirms) <= set(u3) and set(confirms.values()) <= {rctx + u3_digest}, "confirm: another set")
    must(len(confirms) >= agreed.t, "confirms: too few")

    lost = [city for city in u2 if city not in u3]
    shares: dict[int, dict[int, int]] = {city: {} for city in u2}
    reveals = line.opened(reveal_list, "reveal", round_)
    for giver, body in reveals.items():
        reader = Reader(body, "reveal")
        must(giver in confirms and reader.take(32) == rctx, "reveal: another round")
        b, s = reader.by_city(33), reader.by_city(33)
        reader.end()
        must(list(b) == u3 and list(s) == lost, "reveal: other cities")
        for dealer, share in (*b.items(), *s.items()):
            shares[dealer][giver] = int.from_bytes(share, "big")
            must(shares[dealer][giver] < P, "reveal: no share")
    must(len(reveals) >= agreed.k, "reveals: too few")
    for city in u3:
        commitment = pairs[city][round_][1]
        head = (digest, u32(city), u16(round_))
        b_ = opened(shares[city], agreed.k, lambda x, head=head, c=commitment: d("b-commit", *head, x) == c)
        add(result, -1, words(hkdf(b_, rctx, lp(b"self") + u32(city)), length, agreed.bits), modulus)
    for gone in lost:
        s_ = opened(shares[gone], agreed.k, lambda x, i=gone: public(x) == pairs[i][round_][0])
        for city in u3:
            shared = x25519(s_, pairs[city][round_][0])
            must(shared != bytes(32), "a key of low order")
            key = hkdf(shared, rctx, lp(b"pair") + u32(min(city, gone)) + u32(max(city, gone)))
            add(result, -1 if city < gone else 1, words(key, length, agreed.bits), modulus)
    return [x - modulus if x >= modulus // 2 else x for x in result]


def add(result: list[int], sign: int, vector: Sequence[int], modulus: int) -> None:
    result[:] = [(a + sign * b) % modulus for a, b in zip(result, vector, strict=True)]


def point(key: bytes) -> int:
    return (int.from_bytes(key, "little") & (2**255 - 1)) % FIELD


def opened(given: Mapping[int, int], k: int, opens: Any) -> bytes:
    """Section 10: the first k revealers, then the first k outside left-out sets, at most 1,000 of them."""
    for subset in subsets(sorted(given), k):
        value = at_zero({city: given[city] for city in subset})
        if value < 2**256 and opens(value.to_bytes(32, "big")):
            return value.to_bytes(32, "big")
    raise Wrong("shares open nothing")


def subsets(cities: Sequence[int], k: int) -> Iterator[Sequence[int]]:
    yield cities[:k]
    left_out = chain.from_iterable(combinations(cities, size) for size in range(1, len(cities) - k + 1))
    for out in islice(left_out, 1000):
        yield [city for city in cities if city not in out][:k]
