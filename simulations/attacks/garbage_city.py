"""T64: a city sends garbage, or a message that says it is ten gigabytes long: what that makes the coordinator take up."""

import json
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from protocols import messages
from protocols.entropy import Entropy, exactly
from protocols.errors import HpfedError
from protocols.messages import Kind
from protocols.secagg import collector
from simulations.attacks.doubles import generous
from simulations.attacks.outcome import Outcome
from simulations.attacks.parties import Sitting, Weaken, World, seated

THREAT: Final = "T64"
WHAT: Final = {"zh": "垃圾字节或号称 10 GB 的报文", "en": "garbage, or a message said to be 10 GB long"}
HOLDS: Final = {"zh": "一个城市的密钥", "en": "one city's key"}
WEAKENED: Final[tuple[Weaken, ...]] = (lambda world: replace(world, received=generous),)
MIB: Final = 1 << 20


def run(world: World, entropy: Entropy) -> Outcome:
    """Memory taken beyond the bytes that came, at most; without limit where something else than a typed error comes of it."""
    table = seated(world, entropy, 4, cells=64)
    table.until(Kind.SURVIVORS)
    state = table.state
    assert state is not None  # noqa: S101 started
    most, codes = 0.0, set[str]()
    tracemalloc.start()
    try:
        for content in garbage(table, entropy):
            tracemalloc.reset_peak()
            before, _ = tracemalloc.get_traced_memory()
            try:
                world.received(content, table.roster)
                most = float("inf")  # believed
            except HpfedError as fault:
                codes.add(fault.code.lower())
            following, sent = collector.step(state, content, table.stamp(), table.log.__getitem__)
            if following is not state or sent:
                most = float("inf")
            most = max(most, (tracemalloc.get_traced_memory()[1] - before) / MIB)
    finally:
        tracemalloc.stop()
    return Outcome(most, 1, "bytes", codes=frozenset(codes))


def garbage(table: Sitting, entropy: Entropy) -> Iterator[bytes]:
    """Random bytes; real messages cut short, drawn out and with one byte changed; lengths that lie, signed and not."""
    real = [table.sent(kind)[0] for kind in (Kind.ADVERT, Kind.SHARES, Kind.MASKED)]
    for size in (0, 1, 8, 9, 72, 73, 1000, 5000):
        yield exactly(entropy, size) if size else b""
        yield b"HPFE\x01" + exactly(entropy, size or 1)
    for content in real:
        for at in range(0, len(content) - 1, max(len(content) // 40, 1)):
            wrong = bytearray(content)
            wrong[at] ^= 1 + exactly(entropy, 1)[0] % 255
            yield bytes(wrong)
            yield content[:at]
        yield content + b"\0"
        yield content + content
        for size in (0, 4096, 4097, 1 << 30, 2**32 - 1):
            yield content[:5] + size.to_bytes(4, "big") + content[9:]
        yield said_to_hold(content, 10**10)
        yield said_to_hold(content, messages.LARGEST)


def said_to_hold(content: bytes, length: int) -> bytes:
    """The message with another length of its body in its header."""
    size = int.from_bytes(content[5:9], "big")
    header = json.loads(content[9 : 9 + size])
    header["body"]["length"] = length
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    return content[:5] + len(text).to_bytes(4, "big") + text + content[9 + size :]
