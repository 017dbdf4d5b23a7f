"""Which files a source means, and what bytes they hold.

Security (threat-model.md T45): 1. a pattern is relative and never climbs; 2. no part of the path below the city folder is a link;
3. only ordinary files are read; 4. what is read resolves to a place inside the city folder.
"""

import hashlib
import stat
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Final

from protocols.errors import ConfigError, Place

# what may surround a text and is no part of it: spaces of every width, line ends, zero-width marks, the byte order mark
BLANKS: Final = (
    "\t\n\v\f\r \u0085\u00a0\u1680"
    + "".join(map(chr, range(0x2000, 0x200E)))
    + ("\u2028\u2029\u202f\u205f\u2060\u3000\ufeff")
)


def trimmed(text: str) -> str:
    """Without the blanks at both ends."""
    return text.strip(BLANKS)


def column_name(text: str) -> str:
    """A column name as names are compared: NFKC, trimmed, case kept."""
    return trimmed(unicodedata.normalize("NFKC", text))


@dataclass(frozen=True)
class Found:
    """A file of a source. `name`: inside the city folder, with `/`; `shown`: as the user types it; `state`: size, time and node."""

    name: str
    shown: str
    path: Path
    state: tuple[int, int, int]

    def same(self) -> bool:
        """The file is still the one that was found."""
        now = self.path.stat()
        return self.state == (now.st_size, now.st_mtime_ns, now.st_ino)


def find(folder: Path, patterns: Iterable[str], at: Place) -> tuple[Found, ...]:
    """The files that the patterns of a source match, each once, in the order of their names.

    Errors: `ConfigError SOURCE_OUTSIDE`, `SOURCE_LINK`, `SOURCE_NAME`, `SOURCE_NO_FILE`, at the place of the pattern.
    """
    found: dict[str, Found] = {}
    for pattern in patterns:
        parts = PurePosixPath(pattern).parts
        if not parts or ".." in parts or PurePosixPath(pattern).is_absolute() or PureWindowsPath(pattern).drive:  # 1
            raise ConfigError("SOURCE_OUTSIDE", at, pattern=pattern)
        plain = folder / pattern
        matches = [plain] if plain.is_file() or plain.is_symlink() else sorted(folder.glob(pattern))
        if not matches:
            raise ConfigError("SOURCE_NO_FILE", at, pattern=pattern)
        for path in matches:
            name = path.relative_to(folder).as_posix()
            found[name] = _ordinary(folder, name, at)
    return tuple(found[name] for name in sorted(found))


def _ordinary(folder: Path, name: str, at: Place) -> Found:
    step = folder
    for part in PurePosixPath(name).parts:
        step = step / part
        if step.is_symlink():  # 2
            raise ConfigError("SOURCE_LINK", at, name=name)
    state = step.stat()
    if not stat.S_ISREG(state.st_mode):  # 3
        raise ConfigError("SOURCE_LINK", at, name=name)
    real = step.resolve()
    if any(mark in str(real) for mark in "*?[]{}"):
        raise ConfigError("SOURCE_NAME", at, name=name)
    if not real.is_relative_to(folder.resolve()):  # 4
        raise ConfigError("SOURCE_OUTSIDE", at, pattern=name)
    return Found(name, str(folder / name), real, (state.st_size, state.st_mtime_ns, state.st_ino))


def fingerprint(found: Found) -> str:
    """SHA-256 of the file's bytes, in hex."""
    with found.path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
