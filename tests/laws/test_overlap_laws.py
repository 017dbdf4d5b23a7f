"""T13, T19, laws of differencing: whatever cohorts a node accepts, no combination of them tells of fewer than the least cohort."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st

from node.cohorts import Cohort, Cohorts, Released
from node.disclosure import Bools, Overlap, atoms, between, isolates
from protocols.entropy import seeded

LEAST: Final = 5
KEY: Final = bytes(range(32))
FEW: Final = settings(max_examples=60, deadline=None)


def holders(people: Sequence[int]) -> npt.NDArray[np.uint8]:
    """Keyed hashes of some people, in no order that they have themselves."""
    hashes = [seeded("holder", person)(16) for person in people]
    return np.frombuffer(b"".join(hashes), np.uint8).reshape(-1, 16)


def cohort_of(people: Sequence[int], chosen: Collection[int]) -> Bools:
    return np.array([person in chosen for person in people], dtype=bool)


@st.composite
def histories(draw: st.DrawFn) -> tuple[int, list[frozenset[int]]]:
    """How many people there are, and cohorts that somebody asks for: ranges, so that many overlap by a few."""
    people = draw(st.integers(5, 60))
    edges = st.tuples(st.integers(0, people), st.integers(0, people))
    return people, [frozenset(range(min(edge), max(edge))) for edge in draw(st.lists(edges, max_size=8))]


def slow_atoms(people: Collection[int], cohorts: Sequence[Collection[int]]) -> Counter[tuple[bool, ...]]:
    """By hand: who stands in the same cohorts."""
    return Counter(tuple(person in each for each in cohorts) for person in people)


@FEW
@given(histories())
def test_atoms_of_accepted_cohorts_hold_the_least_cohort_or_nobody(history: tuple[int, list[frozenset[int]]]) -> None:
    people, asked = history
    accepted: list[frozenset[int]] = []
    for each in asked:
        new, earlier = (
            cohort_of(range(people), each),
            [cohort_of(range(people), other) for other in accepted],
        )
        found = isolates(new, earlier, LEAST)
        sizes = slow_atoms(range(people), [*accepted, each])
        assert (found is None) == (each in accepted or min(sizes.values()) >= LEAST)
        if found is None:
            accepted.append(each)
    sizes = slow_atoms(range(people), accepted)
    assert not accepted or min(sizes.values()) >= LEAST
    if accepted:
        fast = atoms([cohort_of(range(people), each) for each in accepted])
        assert sorted(fast.tolist()) == sorted(sizes.values())


@FEW
@given(histories(), st.data())
def test_who_joined_left_or_moved_between_snapshots_is_nobody_or_the_least_cohort(
    history: tuple[int, list[frozenset[int]]], data: Any
) -> None:
    people, asked = history
    old = range(people)
    new = [*range(data.draw(st.integers(0, 8)), people), *range(people, people + data.draw(st.integers(0, 8)))]
    if not asked or not new:
        return
    *earlier, last = asked
    both = Overlap(holders(old), holders(new))
    chosen = [cohort_of(old, each) for each in (earlier or [frozenset(old)])]
    found = between(cohort_of(new, last), chosen, both, LEAST)
    named = [*(earlier or [frozenset(old)]), last & frozenset(new)]
    sizes = slow_atoms(frozenset(old) | frozenset(new), [*named, frozenset(old), frozenset(new)])
    inside = {pattern: size for pattern, size in sizes.items() if any(pattern[: len(named)])}
    assert (found is None) == (min(inside.values(), default=LEAST) >= LEAST)


def test_more_cohorts_than_bits_of_a_number_are_told_apart() -> None:
    people = 1_000
    cohorts = [cohort_of(range(people), range(at, people)) for at in range(0, people, 7)]
    assert sorted(atoms(cohorts).tolist()) == sorted([7] * (people // 7) + [people % 7])


def kept(home: Path, people: Sequence[int], cohorts: Mapping[str, Collection[int]], snapshot: str) -> list[Released]:
    store = Cohorts(home, KEY)
    return [
        Released(study, snapshot, store.keep(Cohort(snapshot, cohort_of(people, each), holders(people))), False)
        for study, each in cohorts.items()
    ]


FIRST: Final = "sha256:" + "1" * 64
SECOND: Final = "sha256:" + "2" * 64


def test_a_cohort_is_read_as_it_was_kept_and_its_files_are_closed_to_others(tmp_path: Path) -> None:
    (release,) = kept(tmp_path, range(13), {"a": range(4)}, FIRST)
    (again,) = kept(tmp_path, range(13), {"a": range(4)}, FIRST)
    assert again == release
    (found,) = Cohorts(tmp_path, KEY).read(FIRST, [release])
    assert found is not None
    assert (found.atoms, found.inside.tolist()) == ({0: 4}, [True] * 4 + [False] * 9)
    files = sorted((tmp_path / "cohorts").iterdir())
    assert [path.suffix for path in files] == [".holders", ".rows"]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert (tmp_path / "cohorts").stat().st_mode & 0o777 == 0o700


def test_what_was_changed_or_is_gone_cannot_be_compared_and_is_refused(tmp_path: Path) -> None:
    earlier = kept(tmp_path, range(40), {"sha256:a": range(20)}, FIRST)
    store = Cohorts(tmp_path, KEY)
    new = Cohort(FIRST, cohort_of(range(40), range(20, 40)), holders(range(40)))
    assert store.differs(new, earlier, LEAST) is None
    rows = store.home / "cohorts" / f"{earlier[0].rows}.rows"
    content = rows.read_bytes()
    for damage in (content[:-1] + b"\xff", b"\xff" * 8 + content[8:], content[:9], b"", None):
        rows.unlink() if damage is None else rows.write_bytes(damage)
        no = store.differs(new, earlier, LEAST)
        assert no is not None
        assert (no.code, no.values) == ("EXACT_OVERLAP", {"study": "sha256:a"})
    assert store.differs(new, earlier, 1) is None, "where one holder may be told of, nothing is compared"


def test_the_earlier_study_is_named_and_no_number_is(tmp_path: Path) -> None:
    everyone = range(60)
    earlier = kept(tmp_path, everyone, {"sha256:a": range(30), "sha256:b": range(15, 45)}, FIRST)
    store = Cohorts(tmp_path, KEY)
    by_b = store.differs(Cohort(FIRST, cohort_of(everyone, range(15, 47)), holders(everyone)), earlier, LEAST)
    by_both = store.differs(Cohort(FIRST, cohort_of(everyone, range(48)), holders(everyone)), earlier, LEAST)
    assert [no.values["study"] if no else None for no in (by_b, by_both)] == ["sha256:b", "sha256:b"]
    outside = store.differs(Cohort(FIRST, cohort_of(everyone, range(58)), holders(everyone)), [], LEAST)
    assert outside is not None
    assert (outside.code, outside.values) == ("EXACT_OUTSIDE", {"limit": LEAST})


def test_snapshots_are_compared_by_their_holders_and_without_keys_not_at_all(tmp_path: Path) -> None:
    earlier = kept(tmp_path, range(40), {"sha256:a": range(20)}, FIRST)
    store, later = Cohorts(tmp_path, KEY), range(1, 41)
    moved = store.differs(Cohort(SECOND, cohort_of(later, range(1, 20)), holders(later)), earlier, LEAST)
    assert moved is not None
    many = range(6, 46)
    assert store.differs(Cohort(SECOND, cohort_of(many, range(6, 20)), holders(many)), earlier, LEAST) is None
    nameless = Cohort(SECOND, cohort_of(many, range(6, 20)), holders([]))
    assert store.differs(nameless, earlier, LEAST) is not None


def test_a_rule_answers_sixty_four_cohorts_of_one_snapshot(tmp_path: Path) -> None:
    store, everyone = Cohorts(tmp_path, KEY), range(400)
    new = Cohort(FIRST, cohort_of(everyone, range(100)), holders(everyone))
    others = [Released("sha256:a", FIRST, f"{at:064x}", False) for at in range(64)]
    assert store.one_too_many(new, others[:63]) is None
    no = store.one_too_many(new, others)
    assert no is not None
    assert (no.code, no.values) == ("EXACT_COHORTS", {"limit": 64})
    again = Released("sha256:b", FIRST, new.digest(KEY), False)
    assert store.one_too_many(new, [*others[:63], again]) is None


@FEW
@given(histories(), st.data())
def test_cohorts_of_questions_are_held_against_all_others_as_if_each_were_released_alone(
    history: tuple[int, list[frozenset[int]]], data: Any
) -> None:
    """The files of a release hold all of its cohorts: no combination of those, with any earlier ones, tells of fewer than the least."""
    people, asked = history
    everybody, number = range(people), data.draw(st.integers(0, len(asked)))
    studies = [(each, [each & other for other in asked[at + 1 : at + 1 + number]]) for at, each in enumerate(asked)]
    with TemporaryDirectory() as folder:
        store, accepted, known = Cohorts(Path(folder), KEY), list[Released](), list[frozenset[int]]()
        for at, (whole, questions) in enumerate(studies):
            sets = [cohort_of(everybody, each) for each in (whole, *questions)]
            new = Cohort(FIRST, sets[0], holders(everybody), tuple(sets[1:]))
            together = [*known, whole, *questions]
            told = min(slow_atoms(everybody, together).values()) < LEAST and not {whole, *questions} <= set(known)
            no = store.differs(new, accepted, LEAST)
            assert (no is not None) == told
            if no is None:
                accepted.append(Released(f"study-{at}", FIRST, store.keep(new), False))
                known = together
                (again,) = store.read(FIRST, [accepted[-1]])
                assert again is not None
                assert [each.tolist() for each in again.sets] == [each.tolist() for each in sets]
                both_ways = store.beside(Cohort(FIRST, sets[-1], holders(everybody)), accepted, by_city=True)
                assert both_ways is not None


def test_cohorts_of_questions_are_told_apart_across_snapshots_too(tmp_path: Path) -> None:
    """Whoever joined is in no cohort of an earlier snapshot: 8 of them may be told apart, and 3 of those 8 may not."""
    old, new = range(40), range(48)
    store = Cohorts(tmp_path, KEY)
    earlier = kept(tmp_path, old, {"first": old}, FIRST)

    def asked(question: Collection[int]) -> Cohort:
        return Cohort(SECOND, cohort_of(new, new), holders(new), (cohort_of(new, question),))

    assert store.differs(asked(range(20)), earlier, LEAST) is None
    no = store.differs(asked(range(43)), earlier, LEAST)
    assert no is not None
    assert (no.code, no.values["study"]) == ("EXACT_OVERLAP", "first")
