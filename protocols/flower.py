"""What both ends of a link over Flower agree on: how an envelope stands in a message, and what a process that imports flwr finds around it.

A message holds one record with one value, which costs a city nine requests; an envelope longer than `PART` is cut into parts of that
size, each in a record of its own with its place, so that no request is longer than the gateway lets through. Records have names in
Flower; nothing is read from them.

Flower's simulation engine gives nodes numbers that nobody else knows: a record without values asks which one a node has, and a simulated
node answers with it. Which city answers is decided by its signature all the same.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from protocols.messages import LARGEST

MESSAGE_TYPE: Final = "query.hpf"
RECORD: Final = "hpf"
VALUE: Final = "e"  # bytes: the envelope, or a part of it
AT: Final = "at"  # which part, from 0
OF: Final = "of"  # of how many
NUMBER: Final = "n"  # int: of a simulated node, from 0
PART: Final = 4 << 20
MOST_PARTS: Final = LARGEST // PART
Value = bytes | int

# Set over whatever a process inherited: it reports nothing, looks nothing up, installs nothing, and reads no package of a user's home.
QUIET: Final = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    "PYTHONNOUSERSITE": "1",
    "OMP_NUM_THREADS": "1",
}
# A proxy is what the configuration says; trust is the authority of the roster.
DROPPED: Final = (
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "ssl_cert_file",
    "ssl_cert_dir",
    "sslkeylogfile",
)


def records(content: bytes) -> dict[str, dict[str, Value]]:
    """Name and values of each record that an envelope travels in. Pre-condition: it is not longer than `LARGEST`."""
    parts = [content[at : at + PART] for at in range(0, len(content), PART)] or [b""]
    if len(parts) == 1:
        return {RECORD: {VALUE: parts[0]}}
    return {f"{RECORD}{at:02}": {VALUE: part, AT: at, OF: len(parts)} for at, part in enumerate(parts)}


def content_of(found: Sequence[Mapping[str, object]]) -> bytes | None:
    """The envelope in the records of a message, in whatever order they came; None for records that are not ours."""
    if len(found) == 1 and found[0].keys() == {VALUE}:
        value = found[0][VALUE]
        return value if isinstance(value, bytes) else None
    parts: dict[int, bytes] = {}
    for each in found:
        value, at = each.get(VALUE), each.get(AT)
        if each.keys() != {VALUE, AT, OF} or each[OF] != len(found) or type(at) is not int or type(value) is not bytes:
            return None
        parts[at] = value
    if not 1 < len(found) <= MOST_PARTS or parts.keys() != set(range(len(found))):
        return None
    whole = b"".join(parts[at] for at in range(len(found)))
    return whole if len(whole) <= LARGEST else None


def environment(inherited: Mapping[str, str], home: str) -> dict[str, str]:
    """What a child that imports flwr finds around it. `home`: a folder of its own that flwr may write into."""
    kept = {name: value for name, value in inherited.items() if name.lower() not in DROPPED and "FLWR" not in name}
    return {**kept, **QUIET, "FLWR_HOME": home}
