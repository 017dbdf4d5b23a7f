"""Who takes part, by the commands that people run: keys, fingerprints heard by telephone, rosters that follow each other."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from coordinator import cli as coordinator
from coordinator import roster as books
from node import cli as node
from node import membership
from node.held import ROSTER
from node.transport import transport
from protocols.canonical import canonical
from protocols.enrolment import fingerprint, read_enrolment, same_fingerprint, sign_enrolment
from protocols.entropy import seeded
from protocols.errors import PeerError
from protocols.roster import DAY, accept, self_declared
from protocols.signed import FileType, public_of, sign
from tests import gates
from tests.system.test_programs import called
from tests.unit.test_desk import key

NOW = 1_800_000_000


def at(program: object, *words: object) -> Any:
    """The data that a command prints."""
    done = called(program, *words, "--json")
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def code(program: object, *words: object) -> int:
    return called(program, *words).exit_code


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three tiny cities, and a coordinator that has begun a consortium."""
    monkeypatch.delenv("HPFED_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    gates.write(tmp_path / "cities")
    at(coordinator, "init", "--name", "provident", "--home", "hub")
    return tmp_path


def enrolled(city: str) -> tuple[Path, str]:
    """A city's enrolment, and the fingerprint that it reads out."""
    out = Path(f"{city}.enrol.json")
    return out, at(node, "init", "--folder", f"cities/{city}", "--city", city, "--out", out)["fingerprint"]


def added(*names: str) -> None:
    for name in names:
        file, told = enrolled(name)
        at(coordinator, "roster", "add", file, "--fingerprint", told, "--home", "hub")


def files(home: Path) -> dict[str, bytes]:
    return {str(path.relative_to(home)): path.read_bytes() for path in sorted(home.rglob("*")) if path.is_file()}


def test_cities_and_asker_come_to_the_roster_and_every_city_accepts_it(place: Path) -> None:
    root = at(coordinator, "identity", "show", "--home", "hub")["root"]
    added(*gates.CITIES)
    asker = at(coordinator, "asker", "new", "fund-lab", "--home", "lab")
    told = fingerprint(bytes.fromhex(asker["identity"]))
    at(coordinator, "roster", "add", asker["file"], "--fingerprint", told.upper().replace("-", " "), "--home", "hub")
    assert not at(coordinator, "roster", "show", "--home", "hub")["signed"]
    assert at(coordinator, "roster", "sign", "--home", "hub")["version"] == 1
    for city in gates.CITIES:
        assert at(node, "roster", "accept", "hub/roster.json", "--root", root, "--folder", f"cities/{city}")["listed"]
    shown = at(node, "roster", "show", "--folder", "cities/east")
    assert shown == at(coordinator, "roster", "show", "--home", "hub")
    mine = at(node, "identity", "show", "--folder", "cities/east")["fingerprint"]
    assert (shown["cities"][0]["city"], shown["cities"][0]["fingerprint"]) == ("east", mine)
    assert [each["asker"] for each in shown["askers"]] == ["fund-lab"]
    secrets = [place / "hub/root/ed25519.key", place / "hub/identity/ed25519.key"]
    secrets += [place / "cities/east/.hpfed" / each for each in ("identity/ed25519.key", "transport/ec384.key")]
    assert {stat.S_IMODE(path.stat().st_mode) for path in secrets} == {0o600}
    assert not list(place.rglob("*.part"))


def test_a_fingerprint_that_differs_ends_with_exit_5_and_nothing_is_written(place: Path) -> None:
    file, told = enrolled("east")
    wrong = told[:-1] + ("0" if told[-1] != "0" else "1")
    before = files(place / "hub")
    assert code(coordinator, "roster", "add", file, "--fingerprint", wrong, "--home", "hub") == 5
    assert code(coordinator, "roster", "add", file, "--fingerprint", told[:19], "--home", "hub") == 5
    assert files(place / "hub") == before
    at(coordinator, "roster", "add", file, "--fingerprint", told, "--home", "hub")
    at(coordinator, "roster", "sign", "--home", "hub")
    assert code(node, "roster", "accept", "hub/roster.json", "--folder", "cities/east") == 2
    assert code(node, "roster", "accept", "hub/roster.json", "--root", wrong, "--folder", "cities/east") == 5
    assert not (place / "cities/east/.hpfed" / ROSTER).exists()


def test_a_key_that_was_lost_is_revoked_first_and_the_city_keeps_its_line(place: Path) -> None:
    added(*gates.CITIES)
    at(coordinator, "roster", "sign", "--home", "hub")
    (place / "cities/north/.hpfed/identity/ed25519.key").unlink()
    file, told = enrolled("north")
    again = ("roster", "add", file, "--fingerprint", told, "--home", "hub")
    assert code(coordinator, *again) == 2
    at(coordinator, "roster", "revoke", "north", "--reason", "key lost", "--home", "hub")
    at(coordinator, "roster", "sign", "--home", "hub")
    assert code(coordinator, *again) == 2  # the transport key was listed: it comes back no more than the other
    (place / "cities/north/.hpfed/transport/ec384.key").unlink()
    file, told = enrolled("north")
    at(coordinator, *again[:3], "--fingerprint", told, "--home", "hub")
    at(coordinator, "roster", "sign", "--home", "hub")
    first, _, last = (self_declared((place / f"hub/rosters/{number}.json").read_bytes()) for number in (1, 2, 3))
    assert [city.id for city in last.entries.cities] == [city.id for city in first.entries.cities]
    assert last.cities[2].identity != first.cities[2].identity
    assert (
        accept(
            [(place / f"hub/rosters/{each}.json").read_bytes() for each in (2, 3)],
            root=bytes.fromhex(first.entries.root),
            stored=first,
            now=last.entries.issued,
        )
        == last
    )


def test_a_city_takes_no_roster_of_another_root_no_older_one_and_none_after_a_gap(place: Path) -> None:
    root = at(coordinator, "identity", "show", "--home", "hub")["root"]
    added(*gates.CITIES)
    for _ in range(3):
        at(coordinator, "roster", "sign", "--home", "hub")
    at(coordinator, "init", "--name", "provident", "--home", "stranger")
    at(coordinator, "roster", "sign", "--home", "stranger")
    accepts = ("roster", "accept", "--folder", "cities/east")
    at(node, *accepts, "hub/rosters/2.json", "--root", root)
    held = (place / "cities/east/.hpfed" / ROSTER).read_bytes()
    torn = place / "torn.json"
    torn.write_bytes(held[:-9])
    for file in ("hub/rosters/1.json", "stranger/roster.json", torn):
        assert code(node, *accepts, file) == 5
    added_next = place / "hub/rosters/4.json"
    at(coordinator, "roster", "sign", "--home", "hub")
    assert code(node, *accepts, added_next) == 5  # 3 is missing
    assert (place / "cities/east/.hpfed" / ROSTER).read_bytes() == held
    assert at(node, *accepts, "hub/rosters/3.json", added_next)["version"] == 4


def test_a_root_is_followed_by_another_only_under_both_signatures(place: Path) -> None:
    root = at(coordinator, "identity", "show", "--home", "hub")["root"]
    at(coordinator, "roster", "sign", "--home", "hub")
    accepts = ("roster", "accept", "--folder", "cities/east")
    at(node, *accepts, "hub/roster.json", "--root", root)
    fresh = place / "fresh.key"
    fresh.write_bytes(key("fresh").private_bytes_raw())
    assert code(coordinator, "roster", "sign", "--root-key", fresh, "--home", "hub") == 2
    at(coordinator, "roster", "sign", "--new-root-key", fresh, "--home", "hub")
    at(node, *accepts, "hub/roster.json")
    assert code(coordinator, "roster", "sign", "--home", "hub") == 2  # the old root signs no more
    at(coordinator, "roster", "sign", "--root-key", fresh, "--home", "hub")
    assert at(node, *accepts, "hub/roster.json")["version"] == 3


def test_an_enrolment_shows_that_its_city_has_both_keys(tmp_path: Path) -> None:
    own, other = key("own"), key("other")
    link, foreign = transport(tmp_path / "a", seeded("a")), transport(tmp_path / "b", seeded("b"))
    found = read_enrolment(file := sign_enrolment("east", "110000", own, link))
    assert same_fingerprint(found.fingerprint.replace("-", ""), found.fingerprint)
    said = found.model_dump(mode="json")
    theirs = read_enrolment(sign_enrolment("east", "110000", own, foreign))
    bad = {
        "another's transport key": sign(FileType.ENROLMENT, canonical({**said, "transport": theirs.transport}), own),
        "no signature of its own": sign(FileType.ENROLMENT, canonical(said), other),
        "other words": sign(FileType.ENROLMENT, canonical({**said, "city": "west"}), own),
        "no yes of the key before": sign(
            FileType.ENROLMENT, canonical({**said, "follows": public_of(other).hex()}), own
        ),
        "one more key": sign(FileType.ENROLMENT, canonical({**said, "officer": 1}), own),
    }
    for why, forged in bad.items():
        with pytest.raises(PeerError):
            assert read_enrolment(forged) is None, why
    assert read_enrolment(file) == found


def test_a_key_follows_another_and_officers_and_ledger_stay(place: Path) -> None:
    root = at(coordinator, "identity", "show", "--home", "hub")["root"]
    added("east")
    at(coordinator, "roster", "sign", "--home", "hub")
    city = ("--folder", "cities/east")
    at(node, "roster", "accept", "hub/roster.json", "--root", root, *city)
    at(node, "officer", "new", "risk-office", "--key", "risk.key", *city)
    officers, home = at(node, "officer", "list", *city), place / "cities/east/.hpfed"
    old = (home / "identity/ed25519.key").read_bytes()
    told = at(node, "identity", "rotate", "--out", "rotate.json", *city)["fingerprint"]
    assert at(node, "identity", "rotate", "--out", "again.json", *city)["fingerprint"] == told
    assert (home / "identity/ed25519.key").read_bytes() == old  # in use until a roster lists the new one
    adds = ("roster", "add", "rotate.json", "--fingerprint", told, "--home", "hub")
    at(coordinator, *adds)
    at(coordinator, "roster", "sign", "--home", "hub")
    (listed,) = books.signed(place / "hub").entries.cities
    before, after = listed.identity
    assert before.until < after.until
    assert before.until <= listed.since + 30 * DAY
    accepted = at(node, "roster", "accept", "hub/roster.json", *city)
    assert (accepted["listed"], accepted["new_key"]) == (True, True)
    assert (home / "identity/ed25519.key").read_bytes() != old
    assert not (home / "identity/next.key").exists()
    assert at(node, "officer", "list", *city) == officers
    assert at(node, "identity", "show", *city)["fingerprint"] == told
    assert code(coordinator, *adds) == 2  # once is once
    at(coordinator, "roster", "sign", "--home", "hub")
    assert not at(node, "roster", "accept", "hub/roster.json", *city)["new_key"]


def test_a_roster_that_expired_is_renewed_and_an_expired_one_is_not_accepted(place: Path) -> None:
    root = books.key_of(place / "hub/root/ed25519.key")
    first = books.sign(place / "hub", root, NOW)
    told = fingerprint(public_of(root))
    with pytest.raises(PeerError) as late:
        membership.accepted(place / "late", [first.file], told, NOW + 90 * DAY)
    assert (late.value.code, (place / "late").exists()) == ("ROSTER_EXPIRED", False)
    assert books.sign(place / "hub", root, NOW + 90 * DAY).in_force(NOW + 91 * DAY)


def test_the_next_roster_accepts_software_by_its_digest_and_drops_it_again(place: Path) -> None:
    words = ("roster", "software", "--home", "hub")
    own = at(node, "software")
    assert at(coordinator, *words) == {"own": own, "accepted": []}
    assert at(coordinator, *words, own["version"])["accepted"] == [own]
    other = {"version": "9.0.0", "sha256": "ab" * 32}
    assert at(coordinator, *words, "9.0.0", "--sha256", "sha256:" + "ab" * 32)["accepted"] == [own, other]
    at(coordinator, "roster", "sign", "--home", "hub")
    assert [each.model_dump() for each in books.signed(place / "hub").entries.software] == [own, other]
    assert at(coordinator, *words, "--drop", own["version"])["accepted"] == [other]
    assert code(coordinator, *words, "9.0.1") == 2  # nobody knows its digest
    assert code(coordinator, *words, "--drop", "8.0.0") == 2
    assert at(coordinator, *words)["accepted"] == [other]
    assert at(coordinator, *words, "--drop", "9.0.0")["accepted"] == []


def test_a_transport_key_follows_another_without_a_telephone_and_the_old_one_goes_after_a_month(place: Path) -> None:
    root = at(coordinator, "identity", "show", "--home", "hub")["root"]
    added("east")
    at(coordinator, "roster", "sign", "--home", "hub")
    city, home = ("--folder", "cities/east"), place / "cities/east/.hpfed"
    at(node, "roster", "accept", "hub/roster.json", "--root", root, *city)
    before = at(node, "identity", "show", *city)
    at(node, "identity", "rotate", "--transport", "--out", "rotate.json", *city)
    assert at(node, "identity", "show", *city) == before  # in use until a roster lists the new one
    adds = ("roster", "add", "rotate.json", "--home", "hub")
    assert at(coordinator, *adds)["kind"] == "transport"
    assert code(coordinator, *adds) == 2  # once is once
    at(coordinator, "roster", "sign", "--home", "hub")
    (listed,) = books.signed(place / "hub").entries.cities
    assert (len(listed.identity), listed.transport[0], len(listed.transport)) == (1, before["transport"], 2)
    assert at(node, "roster", "accept", "hub/roster.json", *city)["new_key"]
    after = at(node, "identity", "show", *city)
    assert (after["identity"], after["transport"]) == (before["identity"], listed.transport[1])
    assert not (home / "transport/next.key").exists()
    key = books.key_of(place / "hub/root/ed25519.key")
    kept = [
        len(books.sign(place / "hub", key, listed.since + days * DAY).entries.cities[0].transport) for days in (29, 30)
    ]
    assert kept == [2, 1]
    assert code(coordinator, *adds) == 2  # nor does a key come back later


def test_a_new_transport_key_is_taken_from_the_listed_identity_alone(place: Path) -> None:
    added("east")
    at(coordinator, "roster", "sign", "--home", "hub")
    other, link = key("thief"), transport(place / "other", seeded("b"))
    Path("stolen.json").write_bytes(sign_enrolment("east", "000000", other, link))
    told = read_enrolment(Path("stolen.json").read_bytes()).fingerprint
    assert code(coordinator, "roster", "add", "stolen.json", "--home", "hub") == 5  # nobody was telephoned
    assert code(coordinator, "roster", "add", "stolen.json", "--fingerprint", told, "--home", "hub") == 2
