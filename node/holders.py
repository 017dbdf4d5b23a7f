"""A new holder key, on purpose. With it the same holder has another name: nothing can be held against what was answered before.

Snapshots keep the names that they were made with until the next `ingest`. Exact studies that would have to be compared with earlier ones
are declined from then on (`EXACT_OVERLAP`); what was spent stays spent.
"""

from pathlib import Path

from node import ledger
from node.audit import Audit, Event, Line
from node.ingest import HOLDER_KEY, fresh_holder_key
from protocols.entropy import Entropy
from protocols.errors import ConfigError, Place


def rotate(home: Path, *, now: int, entropy: Entropy) -> None:
    """Replace the holder key; the audit file says so. Errors: `ConfigError KEY_NONE`; `Refusal LEDGER_LOCKED` while a gate is open."""
    path = home / HOLDER_KEY
    if not path.is_file():
        raise ConfigError("KEY_NONE", Place(str(path)))
    with Audit.open(home / ledger.AUDIT, now=now, entropy=entropy) as audit:
        audit.append(Line(event=Event.ROTATED, at=now))
        fresh_holder_key(path, entropy)
