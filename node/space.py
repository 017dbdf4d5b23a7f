"""Room on the disk of a home: for the books, and for the vectors of a conversation. Below it nothing new is reserved."""

import shutil
from pathlib import Path
from typing import Final

from protocols.messages import LARGEST

MIB: Final = 1 << 20
NEEDED: Final = (1 << 30) + 3 * LARGEST


def free(home: Path) -> int:
    """Bytes that are left where a home is, or will be."""
    there = next(each for each in (home, *home.absolute().parents) if each.exists())
    return shutil.disk_usage(there).free


def room(home: Path) -> bool:
    """Whether there is enough."""
    return free(home) >= NEEDED
