"""The newest roster that this city has accepted, in its home. Reads and writes no more than that: the link process does too."""

import os
from pathlib import Path
from typing import Final

from protocols.roster import Roster, self_declared

ROSTER: Final = Path("roster.json")


def keep_roster(home: Path, roster: Roster) -> None:
    """Hold a roster, whole or not at all. The group may read it: a link that has a user of its own finds its coordinator there."""
    part = home / f"{ROSTER.name}.part"
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        os.fchmod(file.fileno(), 0o640)
        file.write(roster.file)
        file.flush()
        os.fsync(file.fileno())
    part.rename(home / ROSTER)


def held(home: Path) -> Roster | None:
    """The roster that this city has accepted. Errors: `PeerError` ROSTER_… where the file was changed."""
    path = home / ROSTER
    return self_declared(path.read_bytes()) if path.is_file() else None
