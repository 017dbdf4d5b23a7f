"""The laws of an exchange, over two folders and a journal that outlives the process."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from coordinator.exchange import Failure
from coordinator.link_files import WAIT_S, Folders, Journal, Record, Waiting, envelopes
from protocols import messages
from protocols.errors import PeerError
from protocols.files import file_name
from protocols.messages import Matter
from tests import gates

NOW = 1_800_000_000


@dataclass
class Post:
    """Requests to three real gates, and the folders between."""

    rig: gates.Rig
    place: Path
    requests: Mapping[str, bytes] = field(default_factory=dict)

    def link(self, now: int = NOW) -> Folders:
        """As the next process would open it."""
        journal = Journal(self.place / "journal")
        if not journal.records:
            journal.add(Record("begun", NOW))
        return Folders(self.place, self.rig.present.post.roster, journal, now, at=NOW)

    def asks(self, link: Folders) -> dict[str, bytes | Failure]:
        return dict(link.each("ping", self.requests, 60))

    def replies(self, *cities: str) -> None:
        back = self.place / "in"
        back.mkdir(exist_ok=True)
        for city in cities:
            reply = self.rig.gates[city].answer(self.requests[city], self.rig.now)
            assert reply is not None
            (back / file_name(reply, city)).write_bytes(reply)


@pytest.fixture
def post(tmp_path: Path) -> Iterator[Post]:
    gates.write(tmp_path / "cities")
    with gates.rig(tmp_path / "cities") as rig:
        ids = {city.name: city.id for city in rig.present.post.roster.entries.cities}
        pings = {
            city: rig.sealed(messages.Ping(bytes(32)), Matter(rig.now + 3600, b"s" * 32, 1), to=ids[city])
            for city in gates.CITIES
        }
        yield Post(rig, tmp_path, pings)


def test_the_cities_that_come_back_are_those_asked_each_once_with_their_bytes(post: Post) -> None:
    with pytest.raises(Waiting) as first:
        post.asks(post.link())
    assert (first.value.kind, first.value.cities) == ("ping", gates.CITIES)
    sent = {path.parent.name: path.read_bytes() for path in post.place.glob("out/*/*.hpfe")}
    assert sent == post.requests
    post.replies("west", "east")
    with pytest.raises(Waiting) as second:
        post.asks(post.link(NOW + 9))
    assert second.value.cities == ("north",)
    assert [path.parent.name for path in post.place.glob("out/*/*.hpfe")] == ["north"]
    post.replies("north")
    found = post.asks(link := post.link(NOW + 20))
    given = {
        city: path.read_bytes() for path in envelopes(post.place / "in") for city in gates.CITIES if city in path.name
    }
    assert found == given
    assert link.clock() == NOW + 20
    assert post.asks(post.link(NOW + 99)) == found  # in a later process, whatever lies in the folders by then
    assert not list(post.place.glob("out/*/*.hpfe"))


def test_a_wait_ends_and_what_comes_too_late_is_dropped(post: Post) -> None:
    post.replies("east")
    with pytest.raises(Waiting) as waits:
        post.asks(post.link())
    assert waits.value.until == NOW + WAIT_S
    late = post.asks(post.link(NOW + WAIT_S))
    assert [city for city, reply in late.items() if isinstance(reply, Failure)] == ["north", "west"]
    post.replies("north", "west")
    assert post.asks(post.link(NOW + WAIT_S + 1)) == late


def test_a_reply_answers_its_own_request_and_other_requests_are_not_sent(post: Post) -> None:
    with pytest.raises(Waiting):
        post.asks(post.link())
    post.replies(*gates.CITIES)
    post.requests = dict(zip(gates.CITIES, [post.requests[city] for city in ("north", "west", "east")], strict=True))
    with pytest.raises(PeerError) as diverged:
        post.asks(post.link())
    assert diverged.value.code == "LOG_DIVERGED"


def test_a_journal_that_was_torn_is_not_gone_on_with(post: Post) -> None:
    with pytest.raises(Waiting):
        post.asks(post.link())
    (post.place / "journal" / "000001").write_bytes(b'{"what": "se')
    with pytest.raises(PeerError) as torn:
        post.link()
    assert torn.value.code == "LOG_DAMAGED"
