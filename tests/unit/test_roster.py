"""The roster: what is accepted, and that anything else leaves the stored one in place."""

from typing import Any, Final

import pytest

from protocols.canonical import canonical
from protocols.errors import PeerError
from protocols.roster import COORDINATOR, Asker, Entries, Key, Roster, accept, read, sign_roster
from protocols.signed import FileType, sign
from tests.conversations.table import NOW, ROOT, ROOT_KEY, entries_of, hex_of, key_of, roster_of, valid

IDS: Final = (1, 2, 3)
FIRST: Final = roster_of(IDS)
DAY: Final = 86_400


def after(stored: Roster, *signers: Any, **changes: Any) -> bytes:
    """The next roster's file, with changes."""
    update = {"version": stored.entries.version + 1, "previous": "sha256:" + stored.sha256.hex(), **changes}
    return sign_roster(stored.entries.model_copy(update=update), *(signers or (ROOT,))).file


def city(number: int, **changes: Any) -> Any:
    return entries_of((number,)).cities[0].model_copy(update=changes)


def test_the_first_roster_is_taken_from_the_pinned_root() -> None:
    held = accept([FIRST.file], root=ROOT_KEY, stored=None, now=NOW)
    assert held.entries == FIRST.entries
    assert held.sha256 == FIRST.sha256
    assert held.name(2) == "city-2"
    assert held.name(COORDINATOR) == "coordinator"
    assert held.name(99) == "#99"
    assert held.active(2)
    assert not held.active(99)
    assert held.keys(99) == ()
    assert held.keys_at(2, NOW) == (bytes.fromhex(hex_of(2)),)
    assert held.keys_at(2, NOW - 1001) == ()
    assert held.keys_at(0, NOW + 10**7) == ()


def test_a_newer_roster_that_chains_to_the_stored_one_is_taken() -> None:
    second = accept([after(FIRST)], root=ROOT_KEY, stored=FIRST, now=NOW)
    assert second.entries.version == 2
    assert accept([FIRST.file], root=ROOT_KEY, stored=FIRST, now=NOW) == FIRST  # the same file is no change


def test_a_roster_may_carry_every_link_between() -> None:
    second = read(after(FIRST), ROOT_KEY)
    third = after(second)
    assert accept([second.file, third], root=ROOT_KEY, stored=FIRST, now=NOW).entries.version == 3
    assert accept([FIRST.file, second.file, third], root=ROOT_KEY, stored=None, now=NOW).entries.version == 3
    assert accept([FIRST.file, second.file, third], root=ROOT_KEY, stored=FIRST, now=NOW).entries.version == 3


def test_a_city_is_revoked_and_stays_listed() -> None:
    gone = after(FIRST, cities=(city(1), city(2, state="revoked", reason="key stolen"), city(3)))
    second = accept([gone], root=ROOT_KEY, stored=FIRST, now=NOW)
    assert not second.active(2)
    assert second.keys(2)
    assert second.name(2) == "city-2"


def test_a_change_of_root_is_signed_by_the_old_and_the_new_one() -> None:
    new = key_of("new root")
    changed = after(FIRST, ROOT, new, root=hex_of("new root"))
    second = accept([changed], root=ROOT_KEY, stored=FIRST, now=NOW)
    pinned = bytes.fromhex(second.entries.root)
    third = accept([after(second, new)], root=pinned, stored=second, now=NOW)
    assert third.entries.version == 3
    assert accept([changed, third.file], root=ROOT_KEY, stored=FIRST, now=NOW).entries.version == 3
    for signers in ((ROOT,), (new,)):
        with pytest.raises(PeerError) as failed:
            accept([after(FIRST, *signers, root=hex_of("new root"))], root=ROOT_KEY, stored=FIRST, now=NOW)
        assert failed.value.code == "ROSTER_ROOT"


ASKER: Final = Asker(id="fund-lab", role="analyst", name="实验室", identity=hex_of("asker"), until=NOW + DAY)
SECOND: Final = read(after(FIRST), ROOT_KEY)
CITIES: Final = FIRST.entries.cities
SAME: Final = valid(1)
BAD: Final[dict[str, tuple[bytes, str]]] = {
    "another root": (after(FIRST, key_of("other root")), "ROSTER_ROOT"),
    "another root that names itself": (after(FIRST, key_of("other root"), root=hex_of("other root")), "ROSTER_ROOT"),
    "flipped": (after(FIRST)[:-9] + bytes([after(FIRST)[-9] ^ 1]) + after(FIRST)[-8:], "ROSTER_ROOT"),
    "the same version with other content": (after(FIRST, version=1), "ROSTER_VERSION"),
    "a gap": (after(FIRST, version=3), "ROSTER_VERSION"),
    "another chain": (after(FIRST, previous="sha256:" + "0" * 64), "ROSTER_CHAIN"),
    "no chain": (after(FIRST, previous=""), "ROSTER_CHAIN"),
    "another consortium": (after(FIRST, consortium="another"), "ROSTER_CHAIN"),
    "expired": (after(FIRST, valid_until=NOW), "ROSTER_EXPIRED"),
    "a city dropped": (after(FIRST, cities=CITIES[:2]), "ROSTER_REUSED"),
    "an id given to another city": (after(FIRST, cities=(city(1, name="city-x"), *CITIES[1:])), "ROSTER_REUSED"),
    "an id twice": (after(FIRST, cities=(*CITIES, city(4, id=1))), "ROSTER_TWICE"),
    "a name twice": (after(FIRST, cities=(*CITIES, city(4, name="city-1"))), "ROSTER_TWICE"),
    "a key of two cities": (after(FIRST, cities=(*CITIES, city(4, identity=(SAME,)))), "ROSTER_TWICE"),
    "the coordinator's key at a city": (after(FIRST, cities=(*CITIES, city(4, identity=(valid(0),)))), "ROSTER_TWICE"),
    "the root's key at a city": (after(FIRST, cities=(*CITIES, city(4, identity=(valid("root"),)))), "ROSTER_TWICE"),
    "a city's key at an asker": (
        after(FIRST, askers=(ASKER.model_copy(update={"identity": hex_of(1)}),)),
        "ROSTER_TWICE",
    ),
    "an asker twice": (
        after(FIRST, askers=(ASKER, ASKER.model_copy(update={"identity": hex_of("b")}))),
        "ROSTER_TWICE",
    ),
    "a transport key twice": (
        after(FIRST, cities=tuple(each.model_copy(update={"transport": ("key",)}) for each in CITIES)),
        "ROSTER_TWICE",
    ),
    "a size class that is no power of two": (after(FIRST, cities=(*CITIES, city(4, size_class=1000))), "ROSTER_SCHEMA"),
    "no identity": (after(FIRST, cities=(*CITIES, city(4, identity=()))), "ROSTER_SCHEMA"),
    "three identities": (after(FIRST, cities=(*CITIES, city(4, identity=(SAME, SAME, SAME)))), "ROSTER_SCHEMA"),
    "a key of small order": (
        after(FIRST, cities=(*CITIES, city(4, identity=(Key.model_construct(key="01" + "0" * 62, since=0, until=1),)))),
        "ROSTER_SCHEMA",
    ),
    "an unknown field": (
        sign(FileType.ROSTER, canonical({**FIRST.entries.model_dump(by_alias=True), "x": 1}), ROOT),
        "ROSTER_SCHEMA",
    ),
    "a manifest": (sign(FileType.MANIFEST, canonical(FIRST.entries.model_dump(by_alias=True)), ROOT), "SIGNED_TYPE"),
    "no roster": (b"{}", "SIGNED_SHAPE"),
}


@pytest.mark.parametrize("name", BAD)
def test_any_other_roster_is_refused_and_the_stored_one_stays(name: str) -> None:
    file, code = BAD[name]
    with pytest.raises(PeerError) as failed:
        accept([file], root=ROOT_KEY, stored=FIRST, now=NOW)
    assert failed.value.code == code
    assert failed.value.text("zh")


def test_an_older_roster_is_refused() -> None:
    with pytest.raises(PeerError) as failed:
        accept([FIRST.file], root=ROOT_KEY, stored=SECOND, now=NOW)
    assert failed.value.code == "ROSTER_VERSION"


def test_an_asker_is_never_dropped_or_given_a_second_name() -> None:
    listed = read(after(FIRST, askers=(ASKER,)), ROOT_KEY)
    assert listed.askers["fund-lab"] == ASKER
    renewed = ASKER.model_copy(update={"identity": hex_of("asker 2"), "until": NOW + 9 * DAY})
    assert accept([after(listed, askers=(renewed,))], root=ROOT_KEY, stored=listed, now=NOW)
    with pytest.raises(PeerError) as failed:
        accept([after(listed, askers=())], root=ROOT_KEY, stored=listed, now=NOW)
    assert failed.value.code == "ROSTER_REUSED"


def test_there_is_no_roster_where_none_was_given_or_the_stored_one_has_expired() -> None:
    for stored, now in ((None, NOW), (FIRST, FIRST.entries.valid_until)):
        with pytest.raises(PeerError) as failed:
            accept([], root=ROOT_KEY, stored=stored, now=now)
        assert failed.value.code == "ROSTER_EXPIRED"


def test_every_field_of_the_roster_is_bound_by_the_signature_of_the_root() -> None:
    entries = FIRST.entries
    other = Entries.model_validate_json(canonical(entries.model_dump(by_alias=True)), strict=True)
    assert other == entries
    assert sign_roster(other, ROOT).file == FIRST.file
