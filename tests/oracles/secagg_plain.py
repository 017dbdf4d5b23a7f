"""`hpf-secagg/1` a second time, written from its text in plain integers: no numpy, nothing of `protocols`, nothing clever.

AES-256 of single blocks, SHA-256, HMAC and Ed25519 come from libraries; X25519
(RFC 7748), ChaCha20-Poly1305 (RFC 8439), HKDF (RFC 5869), counter mode, Shamir's scheme and every encoding are written out.
"""

import hmac
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import ECB

# --- section 3: encoding


def u8(x: int) -> bytes:
    return x.to_bytes(1, "big")


def u16(x: int) -> bytes:
    return x.to_bytes(2, "big")


def u32(x: int) -> bytes:
    return x.to_bytes(4, "big")


def u64(x: int) -> bytes:
    return x.to_bytes(8, "big")


def lp(x: bytes) -> bytes:
    return u32(len(x)) + x


def listed(items: Sequence[bytes]) -> bytes:
    return u16(len(items)) + b"".join(items)


def d(label: str, *parts: bytes) -> bytes:
    return sha256(lp(b"hpf-secagg/1") + lp(label.encode()) + b"".join(lp(part) for part in parts)).digest()


# --- section 2: primitives


@cache
def x25519(k: bytes, u: bytes) -> bytes:
    """RFC 7748, section 5."""
    p, a24 = 2**255 - 19, 121_665
    scalar = bytearray(k)
    scalar[0] &= 248
    scalar[31] = (scalar[31] & 127) | 64
    n = int.from_bytes(scalar, "little")
    x1 = (int.from_bytes(u, "little") & (2**255 - 1)) % p
    x2, z2, x3, z3, swap = 1, 0, x1, 1, 0
    for t in range(254, -1, -1):
        bit = n >> t & 1
        if swap ^ bit:
            x2, x3, z2, z3 = x3, x2, z3, z2
        swap = bit
        a, b, c, e = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        aa, bb, da, cb = a * a % p, b * b % p, e * a % p, c * b % p
        x3, z3 = (da + cb) ** 2 % p, x1 * (da - cb) ** 2 % p
        f = (aa - bb) % p
        x2, z2 = aa * bb % p, f * (aa + a24 * f) % p
    if swap:
        x2, z2 = x3, z3
    return (x2 * pow(z2, p - 2, p) % p).to_bytes(32, "little")


def public(k: bytes) -> bytes:
    return x25519(k, u32(0x09000000) + bytes(28))


def hkdf(ikm: bytes, salt: bytes, info: bytes, length: int = 32) -> bytes:
    """RFC 5869."""
    prk = hmac.digest(salt, ikm, "sha256")
    out, block = b"", b""
    for n in range(1, -(-length // 32) + 1):
        block = hmac.digest(prk, block + info + bytes([n]), "sha256")
        out += block
    return out[:length]


def _quarter(s: list[int], a: int, b: int, c: int, e: int) -> None:
    for x, y, z, turn in ((a, b, e, 16), (c, e, b, 12), (a, b, e, 8), (c, e, b, 7)):
        s[x] = (s[x] + s[y]) & 0xFFFFFFFF
        v = s[z] ^ s[x]
        s[z] = ((v << turn) | (v >> (32 - turn))) & 0xFFFFFFFF


def chacha20(key: bytes, counter: int, nonce: bytes) -> bytes:
    """One block (RFC 8439, section 2.3)."""
    words = [int.from_bytes(x[i : i + 4], "little") for x in (b"expand 32-byte k", key) for i in range(0, len(x), 4)]
    words += [counter, *(int.from_bytes(nonce[i : i + 4], "little") for i in (0, 4, 8))]
    s = list(words)
    for _ in range(10):
        for i in range(4):
            _quarter(s, i, 4 + i, 8 + i, 12 + i)
        for i in range(4):
            _quarter(s, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
    return b"".join(((a + b) & 0xFFFFFFFF).to_bytes(4, "little") for a, b in zip(s, words, strict=True))


def chacha20poly1305(key: bytes, nonce: bytes, plain: bytes, aad: bytes) -> bytes:
    """RFC 8439, section 2.8: ciphertext, then tag."""
    stream = b"".join(chacha20(key, 1 + i, nonce) for i in range(-(-len(plain) // 64)))
    sealed = bytes(a ^ b for a, b in zip(plain, stream, strict=False))
    once = chacha20(key, 0, nonce)
    r = int.from_bytes(once[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    text = b"".join(x + bytes(-len(x) % 16) for x in (aad, sealed))
    text += len(aad).to_bytes(8, "little") + len(sealed).to_bytes(8, "little")
    tag = 0
    for i in range(0, len(text), 16):
        tag = (tag + int.from_bytes(text[i : i + 16] + b"\x01", "little")) * r % (2**130 - 5)
    return sealed + ((tag + int.from_bytes(once[16:], "little")) % 2**128).to_bytes(16, "little")


def aes_ctr(key: bytes, size: int, first: int = 0) -> bytes:
    """Keystream: AES of the 16-byte big-endian integers from `first` on (NIST SP 800-38A, 6.5)."""
    block = Cipher(AES256(key), ECB()).encryptor()  # noqa: S305 counter mode is spelled out here
    return b"".join(block.update((first + i).to_bytes(16, "big")) for i in range(-(-size // 16)))[:size]


@cache
def words(key: bytes, cells: int, bits: int) -> list[int]:
    """PRG(key) of section 8."""
    size = bits // 8
    stream = aes_ctr(key, cells * size)
    return [int.from_bytes(stream[i : i + size], "little") for i in range(0, len(stream), size)]


# --- section 9: Shamir

P = 2**256 + 297


def evaluate(coefficients: Sequence[int], x: int) -> int:
    return sum(a * pow(x, i, P) for i, a in enumerate(coefficients)) % P


def at_zero(points: Mapping[int, int]) -> int:
    """Lagrange."""
    total = 0
    for i, y in points.items():
        for j in points:
            if j != i:
                y = y * j * pow(j - i, -1, P) % P
        total += y
    return total % P


def coefficients(secret: bytes, k: int, draw: Callable[[int], bytes]) -> list[int]:
    found = [int.from_bytes(secret, "big")]
    while len(found) < k:
        x = int.from_bytes(draw(33), "big") % 2**257
        if x < P:
            found.append(x)
    return found


# --- section 2: thresholds


def thresholds(n: int, c: int, dropouts: int, least: int, exact: bool) -> tuple[int, int, int] | None:
    """(t, k, d), found by trying every d from the most tolerant down; None if there is none."""
    for drop in [0] if exact else range(dropouts, -1, -1):
        t = n - drop
        if 3 <= n <= 512 and 0 <= c <= n - 2 and c <= t - 2 and 2 * t > n + c and t >= least:
            return t, max(2 * n // 3 + 1, c + 2) if exact else t, drop
    return None


# --- the conversation


@dataclass
class City:
    """Everything a city draws (section 5: order of draws)."""

    id: int
    c: bytes
    s: list[bytes]
    b: list[bytes]
    b_poly: list[list[int]]
    s_poly: list[list[int]]
    draw: Callable[[int], bytes]


@dataclass
class Conversation:
    """A conversation, remade from its inputs and from who sent what to whom, when, under which number; `r` is the round of the moment."""

    file: dict[str, Any]
    envelopes: list[bytes] = field(default_factory=list)
    salts: dict[tuple[int, int], bytes] = field(default_factory=dict)
    totals: dict[int, list[int]] = field(default_factory=dict)
    r: int = 0

    def __post_init__(self) -> None:
        self.plan: dict[str, Any] = self.file["plan"]
        self.bits: int = self.plan["ring"]
        self.plan_bytes = plan_bytes(self.plan)
        self.digest = d("plan", self.plan_bytes)
        n, t, c = len(self.plan["cities"]), self.plan["threshold"], self.plan["colluders"]
        self.k = max(2 * n // 3 + 1, c + 2) if self.plan["mode"] == 2 else t
        self.cities = {i: self._city(i) for i in self.plan["cities"]}
        self.last: dict[int, bytes] = {}
        self.sets: dict[str, list[int]] = {}
        self.u3s: dict[int, list[int]] = {}
        self.by: dict[tuple[str, int, int], bytes] = {}

    def _city(self, i: int) -> City:
        stream, at = aes_ctr(d("test-entropy", u32(i), bytes.fromhex(self.file["seed"])), 1 << 16), [0]

        def draw(size: int) -> bytes:
            at[0] += size
            return stream[at[0] - size : at[0]]

        c = draw(32)
        s, b = [], []
        for _ in range(self.plan["rounds"]):
            s.append(draw(32))
            b.append(draw(32))
        b_poly, s_poly = [], []
        for r in range(self.plan["rounds"]):
            b_poly.append(coefficients(b[r], self.k, draw))
            s_poly.append(coefficients(s[r], self.k, draw))
        return City(i, c, s, b, b_poly, s_poly, draw)

    # sets, as far as the wire has shown them

    def u(self, kind: str) -> list[int]:
        return sorted(i for name, i, r in self.by if (name, r) == (kind, self.r))

    @property
    def u3(self) -> list[int]:
        return self.u3s[self.r]

    @property
    def question(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.file["questions"][self.r] if "questions" in self.file else self.file["question"]
        return found

    @property
    def ctx(self) -> bytes:
        return d("ctx", self.digest, d("u1", *(self.by["advert", i, 0] for i in self.sets["u1"])))

    @property
    def ask(self) -> bytes:
        question = self.question
        return (
            self.ctx
            + u16(self.r)
            + u32(question["length"])
            + bytes.fromhex(question["layout"])
            + lp(bytes.fromhex(question["question"]))
        )

    @property
    def rctx(self) -> bytes:
        u2 = d("u2", *map(u32, self.sets["u2"]))
        return d("round", self.ctx, u2, u16(self.r), d("ask", self.ask))

    @property
    def u3_digest(self) -> bytes:
        return d("u3", self.rctx, *map(u32, self.u3))

    def pair(self, i: int, j: int) -> bytes:
        shared = x25519(self.cities[i].s[self.r], public(self.cities[j].s[self.r]))
        return hkdf(shared, self.rctx, lp(b"pair") + u32(min(i, j)) + u32(max(i, j)))

    def own(self, i: int) -> bytes:
        return hkdf(self.cities[i].b[self.r], self.rctx, lp(b"self") + u32(i))

    # section 4: bodies

    def advert(self, i: int) -> bytes:
        city = self.cities[i]
        pairs = b"".join(
            public(s) + d("b-commit", self.digest, u32(i), u16(r), b)
            for r, (s, b) in enumerate(zip(city.s, city.b, strict=True))
        )
        return self.digest + public(city.c) + pairs

    def box(self, i: int, j: int) -> bytes:
        me, rounds = self.cities[i], self.plan["rounds"]
        key = hkdf(x25519(me.c, public(self.cities[j].c)), self.ctx, lp(b"box") + u32(i) + u32(j))
        content = b"".join(
            evaluate(poly[r], j).to_bytes(33, "big") for r in range(rounds) for poly in (me.b_poly, me.s_poly)
        )
        return chacha20poly1305(key, bytes(12), content, d("box-aad", self.ctx, u32(i), u32(j), u16(rounds)))

    def y(self, i: int) -> bytes:
        mod, cells, vectors = 2**self.bits, self.question["length"], self.file["vectors"][str(i)]
        total = [x % mod for x in (vectors[str(self.r)] if "questions" in self.file else vectors)]
        masks = [(1, self.own(i))] + [(1 if i < j else -1, self.pair(i, j)) for j in self.sets["u2"] if j != i]
        for sign, key in masks:
            total = [(a + sign * b) % mod for a, b in zip(total, words(key, cells, self.bits), strict=True)]
        return b"".join(x.to_bytes(self.bits // 8, "little") for x in total)

    def masked(self, i: int) -> bytes:
        salt = self.salts.setdefault((i, self.r), self.cities[i].draw(32))
        commit = d(
            "input", self.rctx, salt, bytes.fromhex(self.file["snapshot"]), bytes.fromhex(self.file["noise_seed"])
        )
        return self.rctx + commit + lp(self.y(i))

    def reveal(self, i: int) -> bytes:
        def share(poly: Sequence[int]) -> bytes:
            return evaluate(poly, i).to_bytes(33, "big")

        lost = [j for j in self.sets["u2"] if j not in self.u3]
        b = [u32(j) + share(self.cities[j].b_poly[self.r]) for j in self.u3]
        return self.rctx + listed(b) + listed([u32(j) + share(self.cities[j].s_poly[self.r]) for j in lost])

    def confirms(self) -> bytes:
        return self.rctx + listed([lp(self.by["confirm", i, self.r]) for i in self.u("confirm")])

    def receipt(self) -> bytes:
        reveals = [self.by["reveal", i, self.r] for i in self.u("reveal")]
        total = b"".join(x.to_bytes(8, "little", signed=True) for x in self.total())
        sum_digest = d("sum", self.rctx, self.u3_digest, d("reveals", *reveals), total)
        transcript = d(
            "transcript",
            self.file["roster"].encode(),
            self.plan_bytes,
            self.adverts(),
            listed([u32(i) for i in self.sets["u2"]]),
            self.ask,
            *(imprint(self.by["masked", i, self.r]) for i in self.u3),
            self.rctx + listed([u32(i) for i in self.u3]),
            self.confirms(),
            *reveals,
        )
        inputs = [u32(i) + d("y", self.rctx, u32(i), body_digest(self.by["masked", i, self.r])) for i in self.u3]
        return self.rctx + sum_digest + transcript + listed(inputs)

    def adverts(self) -> bytes:
        return self.digest + listed([lp(self.by["advert", i, 0]) for i in self.sets["u1"]])

    def body(self, event: Mapping[str, Any]) -> bytes:
        kind, i, j = event["kind"], event["from"], event["to"]
        match kind:
            case "open":
                return lp(self.plan_bytes) + lp(b"")
            case "advert":
                return self.advert(i)
            case "adverts":
                self.sets.setdefault("u1", self.u("advert"))
                return self.adverts()
            case "shares":
                return self.ctx + listed([u32(k) + self.box(i, k) for k in self.sets["u1"] if k != i])
            case "deliver":
                u2 = self.sets.setdefault("u2", self.u("shares"))
                boxes = listed([u32(k) + self.box(k, j) for k in u2 if k != j])
                return self.ctx + listed([u32(k) for k in u2]) + boxes + lp(self.ask)
            case "ask":
                return self.ask
            case "masked":
                return self.masked(i)
            case "survivors":
                return self.rctx + listed([u32(k) for k in self.u3s.setdefault(self.r, self.u("masked"))])
            case "confirm":
                return self.rctx + self.u3_digest
            case "confirms":
                return self.confirms()
            case "reveal":
                return self.reveal(i)
            case "receipt":
                return self.receipt()
            case "ack":
                return self.rctx + d("receipt", self.receipt()) + u64(event["ledger_seq"]) + bytes(32)
            case "abort":
                return u16(event["code"]) + u32(event["about"])
            case _:
                raise ValueError(kind)

    # the envelope

    def seal(self, event: Mapping[str, Any], body: bytes) -> bytes:
        sender, to = event["from"], event["to"]
        header = {
            "body": {"length": len(body), "sha256": sha256(body).hexdigest()},
            "consortium": self.file["consortium"],
            "conversation": self.plan["conversation"],
            "expires": self.plan["expires"],
            "from": sender,
            "issued": event["issued"],
            "kind": event["kind"],
            "roster": {"sha256": self.plan["roster"], "version": self.file["roster_version"]},
            "round": self.r,
            "run": self.plan["run"],
            "seq": event["seq"],
            "software": self.file["software"],
            "study": self.plan["study"],
            "to": to,
        }
        if sender:
            header["in_reply_to"] = sha256(self.last[sender]).hexdigest()
        text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
        key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(self.file["identities"][str(sender)]))
        return b"HPFE" + u8(1) + lp(text) + body + key.sign(b"hpfed/envelope/1\x00" + text)

    def replay(self) -> list[bytes]:
        """Every envelope of the conversation, in order."""
        for event in self.file["events"]:
            self.r = event.get("round", 0)
            envelope = self.seal(event, self.body(event))
            if event["from"]:
                self.by[event["kind"], event["from"], self.r] = envelope
            else:
                self.last[event["to"]] = envelope
            self.envelopes.append(envelope)
            if event["kind"] == "receipt":
                self.totals.setdefault(self.r, self.total())
        return self.envelopes

    def total(self) -> list[int]:
        """Section 10, from the shares that were revealed, not from what the cities drew."""
        mod, cells = 2**self.bits, self.question["length"]
        revealers = self.u("reveal")[: self.k]
        total = [0] * cells

        def add(sign: int, vector: Iterable[int]) -> None:
            total[:] = [(a + sign * b) % mod for a, b in zip(total, vector, strict=True)]

        def opened(polys: Callable[[City], list[list[int]]], dealer: int) -> bytes:
            points = {i: evaluate(polys(self.cities[dealer])[self.r], i) for i in revealers}
            return at_zero(points).to_bytes(32, "big")

        for i in self.u3:
            y, size = self.y(i), self.bits // 8
            add(1, [int.from_bytes(y[at : at + size], "little") for at in range(0, len(y), size)])
            b = opened(lambda city: city.b_poly, i)
            add(-1, words(hkdf(b, self.rctx, lp(b"self") + u32(i)), cells, self.bits))
        for j in self.sets["u2"]:
            if j not in self.u3:
                s = opened(lambda city: city.s_poly, j)
                for i in self.u3:
                    shared = x25519(s, public(self.cities[i].s[self.r]))
                    key = hkdf(shared, self.rctx, lp(b"pair") + u32(min(i, j)) + u32(max(i, j)))
                    add(-1 if i < j else 1, words(key, cells, self.bits))
        return [x - mod if x >= mod // 2 else x for x in total]


def imprint(envelope: bytes) -> bytes:
    """Section 3: SHA-256 of an envelope without its body, which the header names by its digest."""
    body = 9 + int.from_bytes(envelope[5:9], "big")
    return sha256(envelope[:body] + envelope[-64:]).digest()


def body_digest(envelope: bytes) -> bytes:
    """SHA-256 of its body, from the bytes and not from the header."""
    return sha256(envelope[9 + int.from_bytes(envelope[5:9], "big") : -64]).digest()


def plan_bytes(plan: Mapping[str, Any]) -> bytes:
    """Section 4: the fields of a plan in order."""
    h = bytes.fromhex
    head = u8(plan["suite"]) + h(plan["conversation"]) + h(plan["study"]) + u16(plan["run"]) + h(plan["roster"])
    head += h(plan["layout"]) + h(plan["noise"]) + u8(plan["mode"]) + u8(plan["ring"]) + u16(plan["rounds"])
    head += u32(plan["length"]) + u64(plan["bound"]) + u64(plan["support"])
    head += b"".join(u16(plan[name]) for name in ("threshold", "colluders", "dropouts", "least"))
    head += u64(plan["expires"]) + b"".join(map(u32, plan["waits"]))
    cannot = [u32(city) + listed([u16(position) for position in positions]) for city, positions in plan["cannot"]]
    return head + listed([u32(city) for city in plan["cities"]]) + listed(cannot)
