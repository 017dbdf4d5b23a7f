"""The secure aggregation against SecAgg+ of Flower, and how it grows.

In one process, in turn, with t = floor(2n/3) + 1; CPU time, the best of three; no network on either side; both sums are checked. Each line
is whole against whole: our conversation from Open to the last receipt, in which every message is also sealed, signed, verified and hashed,
and the record for auditors is made; the peer's client mod and server workflow, which have none of that and quantise floats. The target
stands on this line. Its note says what our keys, shares, boxes, masks, sums, recovery and unmasking take alone; nothing is taken off the
peer, so that figure is for information and reaches no target.
"""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from protocols import messages, ring
from protocols.entropy import seeded
from protocols.messages import Kind
from protocols.ring import Vector
from protocols.secagg import collector, keys, sharing
from protocols.secagg.collector import Question
from protocols.secagg.masks import add_masks, pair_sign
from simulations.attacks.parties import Sitting, World, seated
from simulations.bench import Line, flower, line

ROUNDS: Final = 3
CASES: Final[tuple[tuple[int, int, int, int, float, float], ...]] = (  # n, L, ring, d; targets of client and server
    (30, 10**6, 64, 0, 6, 30),
    (30, 10**3, 32, 0, 10, 500),
    (10, 10**5, 64, 0, 5, 50),
    (30, 10**6, 32, 3, 6, 40),
)
MOST_UP: Final = 0.51  # of the peer's bytes, at n = 30, L = 10^6, 32 bits
LATER: Final = 0.6  # of a conversation's CPU: a later round of a session
SETUP_KIB: Final = 45.0  # up, for 20 rounds of 30 cities
SIZES: Final = (43, 85, 171, 341)


@dataclass(frozen=True)
class Cost:
    """CPU seconds of one city on average and of the coordinator; bytes up of one city."""

    client_s: float
    server_s: float
    up: float


class Timed(Sitting):
    """A conversation that knows whose CPU time it takes: `cities_s` in the cities, `coordinator_s` in the coordinator with its log of what
    came. What carries messages between them is neither's, as on the peer's side. No copy is kept of what went over the wire.
    """

    cities_s: float = 0.0
    coordinator_s: float = 0.0
    up: int = 0

    def start(self) -> messages.Outgoing:
        began = time.process_time()
        sent = super().start()
        self.coordinator_s += time.process_time() - began
        return sent

    def reply(self, city: int, content: bytes) -> messages.Outgoing:
        began = time.process_time()
        sent = super().reply(city, content)
        self.coordinator_s += time.process_time() - began
        return sent

    def exchange(self, requests: messages.Outgoing, lost: Sequence[int] = ()) -> messages.Outgoing:
        before, following = self.state, messages.Outgoing()
        for city, content in requests:
            kind = messages.peek(content).kind
            if city in lost and kind in (Kind.DELIVER, Kind.SURVIVORS, Kind.CONFIRMS, Kind.RECEIPT):
                continue
            began = time.process_time()
            replies = self.seats[city].on(content, self.now)
            self.cities_s += time.process_time() - began
            for _, reply in replies:
                self.up += len(reply)
                following += self.reply(city, reply)
        self.wire.clear()
        self.now += 1
        if not following and type(self.state) is type(before):
            assert self.state is not None  # noqa: S101 started
            began = time.process_time()
            self.state, following = self.world.wait_over(self.state, self.stamp())
            self.coordinator_s += time.process_time() - began
        return following


class Drawn(dict[int, Vector]):
    """Tables that are drawn when they are asked for, and not kept: `cells` whole numbers per city."""

    def __init__(self, cells: int) -> None:
        super().__init__()
        self.cells = cells

    def __missing__(self, city: int) -> Vector:
        return (np.arange(self.cells, dtype=np.int64) * (2 * city + 1) + city) % 1000


def conversation(n: int, cells: int, bits: int, dropouts: int, tables: dict[int, Vector], rounds: int = 1) -> Timed:
    """n cities before the first message; one of them may collude."""
    made = seated(
        World(),
        seeded("bench", n, cells),
        n,
        cells=cells,
        bits=bits,
        colluders=1,
        dropouts=dropouts,
        rounds=rounds,
        tables=tables,
    )
    return Timed(**vars(made))


def played(n: int, cells: int, bits: int, dropouts: int, lost: Sequence[int], tables: dict[int, Vector]) -> Cost:
    """One conversation from Open to the receipts, `lost` gone before they upload. The sum is checked."""
    table = conversation(n, cells, bits, dropouts, tables)
    state = table.finish(table.start(), lost)
    assert isinstance(state, collector.Summed)  # noqa: S101 enough came
    assert np.array_equal(state.total, table.plain([city for city in table.ids if city not in lost]))  # noqa: S101 it is right
    return Cost(table.cities_s / n, table.coordinator_s, table.up / (n - len(lost)))


@dataclass(frozen=True)
class Arithmetic:
    """CPU seconds of ours without messages: keys, shares, boxes, masks; sums, recovery, unmasking."""

    client_s: float
    server_s: float


def arithmetic(n: int, cells: int, bits: int, k: int, lost: Sequence[int], tables: dict[int, Vector]) -> Arithmetic:
    """The same functions as in a conversation, called one after the other: no envelope, no signature, no digest of a message."""
    draw, rctx, clients = seeded("arithmetic", n, cells), bytes(32), 0.0
    cities = range(1, n + 1)
    came = [city for city in cities if city not in lost]
    began = time.process_time()
    secrets = {city: (draw(32), draw(32), draw(32)) for city in cities}  # c, s, b
    private = {city: tuple(map(X25519PrivateKey.from_private_bytes, held[:2])) for city, held in secrets.items()}
    public = {city: tuple(key.public_key().public_bytes_raw() for key in held) for city, held in private.items()}
    boxes, shares, agreed = {}, {}, {}
    for city in cities:
        polynomials = [sharing.polynomial(secret, k, draw) for secret in secrets[city][1:]]
        for other in cities:
            shares[city, other] = tuple(sharing.share(each, other) for each in polynomials)
            if other != city:
                agreed[city, other] = keys.agree(private[city][0], public[other][0])
                content = b"".join(shares[city, other])
                boxes[city, other] = keys.seal_box(agreed[city, other], rctx, city, other, 1, content)
    for city in cities:
        for other in cities:
            if other != city:
                keys.open_box(agreed[city, other], rctx, other, city, 1, boxes[other, city])
    ys = {}
    for city in came:
        y = ring.residues(tables[city], bits)
        masks = [(keys.self_key(secrets[city][2], rctx, city), 1)]
        for other in cities:
            if other != city:
                shared = keys.agree(private[city][1], public[other][1])
                masks.append((keys.pair_key(shared, rctx, city, other), pair_sign(city, other)))
        add_masks(y, masks)
        ys[city] = y
    clients = time.process_time() - began
    began = time.process_time()
    total = ring.zeros(cells, bits)
    for y in ys.values():
        total += y
    masks = []
    points = sharing.Points(came)
    weights = points.weights(came[:k])
    for city in cities:
        which = 0 if city in lost else 1
        values = {giver: int.from_bytes(shares[city, giver][which], "big") for giver in came[:k]}
        opened = sharing.secret(sharing.combine(weights, values))
        if city in lost:
            secret = X25519PrivateKey.from_private_bytes(opened)
            pairs = [(other, keys.agree(secret, public[other][1])) for other in came]
            masks += [(keys.pair_key(shared, rctx, city, other), pair_sign(city, other)) for other, shared in pairs]
        else:
            masks.append((keys.self_key(opened, rctx, city), -1))
    add_masks(total, masks)
    result = ring.centred(total)
    server = time.process_time() - began
    plain = np.zeros(cells, dtype=np.int64)
    for city in came:
        plain += tables[city]
    assert np.array_equal(result, plain)  # noqa: S101 it is right
    return Arithmetic(clients / n, server)


def lines(quick: bool) -> Iterator[Line]:
    """Whole against whole; what our arithmetic takes alone is in the note.

    The comparison needs the extra `flower`: `make bench` installs it.
    """
    if flower.available():
        for n, cells, bits, d, client, server in [(7, 20, 32, 1, 6.0, 30.0)] if quick else CASES:
            yield from _beside_flower(n, cells, bits, d, client, server)
    yield _later_round(7 if quick else 30, 20 if quick else 10**3)
    yield _setup(5 if quick else 30, 2 if quick else 20)


def _beside_flower(n: int, cells: int, bits: int, d: int, client: float, server: float) -> Iterator[Line]:
    threshold, lost = 2 * n // 3 + 1, tuple(range(2, 2 + d))
    tables = {city: Drawn(cells)[city] for city in range(1, n + 1)}
    ours: list[Cost] = []
    bare: list[Arithmetic] = []
    theirs: list[flower.Measured] = []
    for number in range(ROUNDS):
        theirs.append(flower.measured(n, cells, threshold, lost, number))
        bare.append(arithmetic(n, cells, bits, threshold, lost, tables))
        ours.append(played(n, cells, bits, n - threshold, lost, tables))
    what = f"secagg, n {n}, L 10^{round(math.log10(cells))}, d {d}, {bits}-bit"
    for side, target in (("client", client), ("server", server)):
        alone, one, other = (min(getattr(each, f"{side}_s") for each in some) for some in (bare, ours, theirs))
        note = f"for information: keys, shares, boxes, masks and sums alone {alone:.4g} CPU s, {alone / other:.3g}x; no target"
        yield line(f"{what}, {side}", "CPU s", one, other, PEER, 1 / target, "less", note)
    if (n, cells, bits) == (30, 10**6, 32):
        yield line(f"{what}, bytes up", "bytes", ours[0].up, theirs[0].up, PEER, MOST_UP, "less")


PEER: Final = "SecAgg+ of Flower 1.41"


def _later_round(n: int, cells: int) -> Line:
    """A member's CPU in a later round of a session, against a conversation of one round."""
    rounds = 4
    tables = {city: Drawn(cells)[city] for city in range(1, n + 1)}
    alone = min(played(n, cells, 32, n // 10, (), tables).client_s for _ in range(ROUNDS))
    table = conversation(n, cells, 32, n // 10, tables, rounds)
    state = table.finish(table.start())
    later = []
    for _ in range(1, rounds):
        assert isinstance(state, collector.Summed)  # noqa: S101 everyone came
        table.cities_s = 0.0
        state, sent = collector.ask(state, Question(cells, table.plan.layout, b"{}"), table.stamp())
        table.state = state
        state = table.finish(sent)
        later.append(table.cities_s / n)
    peer = "a conversation of one round"
    return line("secagg session, a later round, member", "CPU s", min(later), alone, peer, LATER, "less")


def _setup(n: int, rounds: int) -> Line:
    """Bytes up of one city before the first round of a session."""
    table = conversation(n, 10, 32, n // 10, Drawn(10), rounds)
    sent = table.exchange(table.start())
    table.exchange(sent)
    return line(
        f"secagg session, set-up of {rounds} rounds", "KiB up", table.up / n / 1024, SETUP_KIB, "the limit", 1, "less"
    )


# --- growth


@dataclass(frozen=True)
class Grown:
    """One row of the growth table: CPU seconds, and the most memory in MiB that the process held."""

    n: int
    lost: int
    client_s: float
    server_s: float
    whole_s: float
    peak_mib: float


def grown(n: int, lost: int, cells: int = 10**5) -> Grown:
    """All n cities and their coordinator in this process, a tenth of them allowed to be lost, `lost` of them lost before they upload."""
    table = conversation(n, cells, 32, n // 10, Drawn(cells))
    _peak_anew()
    state = table.finish(table.start(), tuple(range(2, 2 + lost)))
    peak = _peak()
    assert isinstance(state, collector.Summed)  # noqa: S101 enough came
    assert np.array_equal(state.total, table.plain(state.u3))  # noqa: S101 it is right
    return Grown(n, lost, table.cities_s / n, table.coordinator_s, table.cities_s + table.coordinator_s, peak)


def scale(quick: bool) -> Iterator[Line]:
    """The growth table, row by row; then its exponents and limits."""
    sizes, cells = ((10, 14, 20, 28), 8) if quick else (SIZES, 10**5)
    rows = dict[tuple[int, int], Grown]()
    for n in sizes:
        for lost in (0, n // 10):
            row = rows[n, lost] = grown(n, lost, cells)
            for what, unit, value in (
                ("member", "CPU s", row.client_s),
                ("server", "CPU s", row.server_s),
                ("memory", "MiB", row.peak_mib),
            ):
                yield line(f"scale, n {n}, d {lost}, {what}", unit, value, value, "itself", 1, "less")
    for side, who, most in (("client_s", "member", 1.4), ("server_s", "server", 2.2)):
        for part, said in ((0, "0"), (10, "n/10")):
            found = _exponent([(n, getattr(rows[n, n // part if part else 0], side)) for n in sizes])
            yield line(f"scale, exponent, {who}, d {said}", "power of n", found, most, "the limit", 1, "less")
    last, before = (max((rows[n, d] for d in (0, n // 10)), key=lambda row: row.peak_mib) for n in sizes[:1:-1])
    longest = max(rows[sizes[-1], d].whole_s for d in (0, sizes[-1] // 10))
    for name, unit, value, most in (
        (f"scale, n {sizes[-1]}, peak memory", "MiB", last.peak_mib, 1024.0),
        (f"scale, memory from n {sizes[-2]}", "times", last.peak_mib / before.peak_mib, 2.6),
        (f"scale, n {sizes[-1]}, whole run", "CPU s", longest, 240.0),
    ):
        yield line(name, unit, value, most, "the limit", 1, "less")


def _exponent(points: Sequence[tuple[int, float]]) -> float:
    """Slope of the logarithms by least squares."""
    x, y = (np.log([point[at] for point in points]) for at in (0, 1))
    return float(np.polyfit(x, y, 1)[0])


STATUS: Final = Path("/proc/self/status")


def _peak_anew() -> None:
    """Forget the peak so far, where the system lets a process do so (Linux)."""
    import gc

    gc.collect()
    place = Path("/proc/self/clear_refs")
    if place.exists():
        place.write_text("5", encoding="ascii")


def _peak() -> float:
    """The most memory this process held, MiB: since `_peak_anew` on Linux, else since it began."""
    if STATUS.exists():
        (line,) = [line for line in STATUS.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM")]
        return int(line.split()[1]) / 1024
    import resource

    most: Any = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(most) / 1024
