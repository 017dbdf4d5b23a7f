"""The exchange by files, for cities without a network path: envelopes in folders that people carry.

    DIR/out/<city>/<about>-<round>-<kind>-<city>.hpfe     requests to a city, until it has answered them
    DIR/in/<any name>.hpfe                                replies, as they were carried here

One file is one envelope. A name only says to people what is in the file; what counts is the signature and the request that it answers.
A file is written beside its place and renamed. Whatever else lies in DIR/in is left alone and listed.

`Folders.each` is an `Exchange`. What it needs to be asked again later, in another process, is in a `Journal`: a run of a study is played
from its start each time, over the requests, replies and times that were written down, and stops where a reply is awaited (`Waiting`). So a
request has the same bytes however often it is written, and a reply counts once.
"""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from coordinator.exchange import City, Failure
from coordinator.store import write
from protocols.errors import PeerError, Place
from protocols.files import ENDING, file_name
from protocols.messages import LARGEST, Kind, open_kept, peek
from protocols.roster import Roster

WAIT_S: Final = 7 * 86_400  # for what has no longer wait of its own


@dataclass(frozen=True)
class Record:
    """One thing that happened. `at`: Unix s; `content`: the envelope of a reply."""

    what: str
    at: int
    facts: Mapping[str, Any] = field(default_factory=dict)
    content: bytes = b""


class Journal:
    """What happened in a run, one file each, in order: `<number>`; a line of JSON and, of a reply, its envelope."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        names = sorted(path for path in folder.glob("[0-9]*") if path.suffix == "")
        self.records = [_read(path) for path in names]

    def add(self, record: Record) -> None:
        """On disk when this returns."""
        line = json.dumps({"what": record.what, "at": record.at, "facts": dict(record.facts)}).encode()
        write(self.folder, {f"{len(self.records):06d}": line + b"\n" + record.content})
        self.records.append(record)

    def remove(self) -> None:
        """The run is over: what matters of it is kept elsewhere."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _read(path: Path) -> Record:
    line, _, content = path.read_bytes().partition(b"\n")
    try:
        told = json.loads(line)
        return Record(told["what"], told["at"], told["facts"], content)
    except (ValueError, KeyError, TypeError):
        raise PeerError("LOG_DAMAGED", at=Place(str(path)), byte=0) from None


class Waiting(Exception):
    """Replies are awaited, and nothing more can be done before they are here."""

    def __init__(self, kind: str, cities: tuple[City, ...], since: int, until: int) -> None:
        super().__init__(kind)
        self.kind, self.cities, self.since, self.until = kind, cities, since, until
        self.so_far: Any = None  # an answer that waits for signatures alone


@dataclass(frozen=True)
class Boxes:
    """The folders of an exchange, and who may lay a reply into them."""

    place: Path
    roster: Roster

    def came(self, left: Mapping[City, bytes]) -> Iterator[tuple[City, bytes]]:
        """Replies in DIR/in to these requests, each by the city that was asked, whose signature holds."""
        awaited = {sha256(content).hexdigest(): city for city, content in left.items()}
        ids = {city.name: city.id for city in self.roster.entries.cities}
        for path in envelopes(self.place / "in"):
            city = awaited.get(answers(content := path.read_bytes()))
            if city is None or not _by(content, ids[city], self.roster):
                continue
            awaited = {digest: name for digest, name in awaited.items() if name != city}
            yield city, content

    def put(self, requests: Mapping[City, bytes]) -> None:
        """What is to be carried, whole or not at all."""
        for city, content in requests.items():
            folder, name = self.place / "out" / city, file_name(content, city)
            if not (folder / name).is_file() or (folder / name).read_bytes() != content:
                write(folder, {name: content})

    def clear(self, requests: Mapping[City, bytes]) -> None:
        """What is answered, or given up, need not be carried any more."""
        for city, content in requests.items():
            path = self.place / "out" / city / file_name(content, city)
            if path.is_file() and path.read_bytes() == content:
                path.unlink()


@dataclass
class Folders:
    """The exchange over `place`. `now`: of this pass; `without`: cities that are given up where they are awaited now; `revoked`: on the
    newest roster: what they send counts no more, and nobody waits for it."""

    place: Path
    roster: Roster
    journal: Journal
    now: int
    without: frozenset[City] = frozenset()
    revoked: frozenset[City] = frozenset()
    at: int = 0  # time of what happened last
    known: set[bytes] = field(default_factory=set)  # digests of all requests so far
    _next: int = 1  # of the journal; its first record is of the caller

    def clock(self) -> int:
        """The time of what happened last: the same in every pass."""
        return self.at

    @property
    def _boxes(self) -> Boxes:
        return Boxes(self.place, self.roster)

    def each(
        self, kind: str, requests: Mapping[City, bytes], timeout_s: float
    ) -> Iterator[tuple[City, bytes | Failure]]:
        """Replies that were taken before, then those that are there now. Errors: `Waiting`; `PeerError LOG_DIVERGED` where the requests
        are not those of the last pass."""
        asked = {city: sha256(content).digest() for city, content in requests.items()}
        self.known |= set(asked.values())
        sent = self._replayed("sent") or self._happened(
            Record("sent", self.now, {"kind": kind, "requests": {city: digest.hex() for city, digest in asked.items()}})
        )
        if sent.facts["requests"] != {city: digest.hex() for city, digest in asked.items()}:
            raise PeerError("LOG_DIVERGED", at=Place(str(self.journal.folder)))
        self.at, left = sent.at, dict(requests)
        while (taken := self._replayed("reply")) is not None:
            self.at = taken.at
            left.pop(taken.facts["city"])
            yield taken.facts["city"], taken.content
        if (over := self._replayed("over")) is None:
            for city, content in list(
                self._boxes.came({city: left[city] for city in left if city not in self.revoked})
            ):
                taken = self._happened(Record("reply", self.now, {"city": city}, content))
                self.at = taken.at
                self._boxes.clear({city: left.pop(city)})
                yield city, content
            until = sent.at + int(max(timeout_s, WAIT_S))
            lost = [city for city in left if self.now >= until or city in self.without | self.revoked]
            if kind == Kind.ABORT.value:  # nobody answers it in a way that counts
                self._boxes.put(left)
                lost = list(left)
            if len(lost) < len(left):
                self._boxes.put({city: content for city, content in left.items() if city not in lost})
                raise Waiting(kind, tuple(city for city in left if city not in lost), sent.at, until)
            over = self._happened(Record("over", self.now, {"lost": sorted(lost)}))
        self.at = over.at
        self._boxes.clear(requests if kind != Kind.ABORT.value else {})
        for city in left:
            yield city, Failure("timed_out")

    def once(self, what: str, found: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
        """What only the home knows, and may be otherwise in the next pass: as it was found when it was first looked for."""
        return (self._replayed(what) or self._happened(Record(what, self.at, found()))).facts

    def close(self) -> None:
        """Nothing is open."""

    def _replayed(self, what: str) -> Record | None:
        """The next record, if it is such a one."""
        if self._next < len(self.journal.records) and self.journal.records[self._next].what == what:
            self._next += 1
            return self.journal.records[self._next - 1]
        return None

    def _happened(self, record: Record) -> Record:
        self.journal.add(record)
        self._next += 1
        return record


def envelopes(folder: Path) -> list[Path]:
    """Files that may hold an envelope: no links, nothing else, nothing too large."""
    found = sorted(folder.glob(f"*{ENDING}"))
    return [path for path in found if path.is_file() and not path.is_symlink() and path.stat().st_size <= LARGEST]


def others(folder: Path) -> list[str]:
    """Names of what lies there and is no such file."""
    fit = set(envelopes(folder))
    return sorted(path.name for path in folder.iterdir() if path not in fit) if folder.is_dir() else []


def answers(content: bytes) -> str:
    """The digest of the request that an envelope says it answers; empty where it says none or is no envelope."""
    try:
        return peek(content).in_reply_to or ""
    except PeerError:
        return ""


def _by(content: bytes, city: int, roster: Roster) -> bool:
    try:
        open_kept(content, sender=city, roster=roster)
    except PeerError:
        return False
    return True
