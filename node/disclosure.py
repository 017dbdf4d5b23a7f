"""Pure decisions of mode exact: is the cohort large enough, may this set of cities be summed, and what may another party hear of a no.

Sums without noise are seen by the coordinator before anything is suppressed, so these rules come before anything is sent. In
mode dp nothing here looks at rows: there the noise protects, for any overlap.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from node.policy import Exact
from protocols.attributes import possible
from protocols.errors import HpfedError, Refusal
from protocols.filters import Filter
from protocols.messages import Reasons
from protocols.study import Study

DECLINED: Final = "declined:disclosure"  # all that others hear where rows stand behind a no
TOLD: Final = frozenset(
    {"count", "limit", "got", "least", "most", "n", "found", "cost_millionths", "left_millionths", "renews_s"}
)
MILLION: Final = 10**6
PATTERNS: Final = 31  # cohorts at a time: their pattern, beside the number of one of 2^31 atoms, fits a whole number
Bools: TypeAlias = npt.NDArray[np.bool_]
LARGEST: Final = 2**53  # of an integer in JSON


def cohort(
    study: Study, rows: int, cannot: Collection[str], exact: Exact, *, by_city: bool = False, city: str = ""
) -> Refusal | None:
    """The cohort rule: own rows >= min_cohort. `rows`: of this city in the study's cohort; `cannot`: the variables that it cannot map;
    `city`: its name.

    A city that cannot map the cohort has nobody in it, as everybody knows from the plan, and is exempt; so is one that the cohort leaves
    out by an attribute of cities. The text holds no number of rows.
    """
    return None if _exempt(study, study.file.cohort, cannot, city) else _small(rows, exact, by_city)


def cohorts(
    study: Study,
    atoms: Mapping[int, int],
    cannot: Collection[str],
    exact: Exact,
    *,
    by_city: bool = False,
    city: str = "",
) -> Refusal | None:
    """The cohort rule for the study and for each cohort of a question; and what cohorts leave of each other is nobody or min_cohort rows.

    `atoms`: rows of this city in the study's cohort by the set of questions' cohorts that they are in, a bit for each of `study.cohorts`.
    """
    whole = cohort(study, sum(atoms.values()), cannot, exact, by_city=by_city, city=city)
    if whole is not None or _exempt(study, study.file.cohort, cannot, city):
        return whole
    for number, each in enumerate(study.cohorts):
        rows = sum(count for atom, count in atoms.items() if atom >> number & 1)
        small = None if _exempt(study, each, cannot, city) else _small(rows, exact, by_city)
        if small is not None:
            return small
    key, limit = _limit(exact, by_city)
    alike = study.cohorts and any(0 < count < limit for count in atoms.values())
    return Refusal("EXACT_COHORTS_ALIKE", limit=limit, key=f"exact.{key}") if alike else None


def _exempt(study: Study, condition: Filter | None, cannot: Collection[str], city: str) -> bool:
    outside = not possible(condition, study.meant, study.standing(city))
    return outside or bool(set(study.decides(condition)) & set(cannot))


def _small(rows: int, exact: Exact, by_city: bool) -> Refusal | None:
    key, limit = _limit(exact, by_city)
    return Refusal("EXACT_COHORT", limit=limit, key=f"exact.{key}") if rows < limit else None


def _limit(exact: Exact, by_city: bool) -> tuple[str, int]:
    return ("min_cohort_by_city", exact.min_cohort_by_city) if by_city else ("min_cohort", exact.min_cohort)


def city_set(new: Collection[int], earlier: Collection[frozenset[int]], least: int) -> Refusal | None:
    """Rule X1: may the cities `new` be summed exactly, after the sets `earlier` of the same cohort class that this city stood in?

    Cities that stood in the same of those sets form a class. The new set takes each class whole, or not at all, or leaves >= `least` cities
    on both sides; of cities not seen before, none or >= `least`. Then whatever sums and differences of such sums give covers >= `least`.
    """
    inside = frozenset(new)
    apart = [(len(group & inside), len(group - inside)) for group in classes(earlier)]
    fresh = len(inside.difference(*earlier))
    whole = all(taken == 0 or left == 0 or min(taken, left) >= least for taken, left in apart)
    return None if whole and (fresh == 0 or fresh >= least) else Refusal("SECAGG_COHORT_DIFFERENCE")


def classes(sets: Collection[frozenset[int]]) -> tuple[frozenset[int], ...]:
    """The cities of all sets, grouped by which of the sets they stand in."""
    groups: dict[tuple[bool, ...], set[int]] = {}
    for city in sorted(frozenset[int]().union(*sets)):
        groups.setdefault(tuple(city in each for each in sets), set()).add(city)
    return tuple(map(frozenset, groups.values()))


# --- differencing: what sums and differences of exact releases would tell of a few


def atoms(sets: Sequence[Bools]) -> npt.NDArray[np.int64]:
    """How many rows each non-empty atom of the Boolean algebra of some cohorts holds; who is in none of them is an atom too."""
    pattern: npt.NDArray[np.int64] = np.zeros(len(sets[0]), dtype=np.int64)
    for number, inside in enumerate(sets, 1):
        pattern = 2 * pattern + inside
        if number % PATTERNS == 0:
            pattern = np.unique(pattern, return_inverse=True)[1]
    return np.asarray(np.unique(pattern, return_counts=True)[1], dtype=np.int64)


def isolates(new: Bools, earlier: Sequence[Bools], least: int) -> int | None:
    """On one snapshot: which of the earlier cohorts, beside `new`, leave 1 .. least - 1 rows in an atom; None where none do.

    An equal cohort was released before and tells nothing new. Where it takes several of them, the latest is named. With none before, 0
    says that too few rows are left outside the new cohort: totals of all holders are known from elsewhere.
    """
    if any(np.array_equal(new, each) for each in earlier) or _apart([new, *earlier], least):
        return None
    alone = (at for at, each in enumerate(earlier) if not _apart([new, each], least))
    return next(alone, max(0, len(earlier) - 1))


@dataclass(frozen=True)
class Overlap:
    """Two snapshots by their holders: keyed hashes, rows x 16 bytes each, no rows where a snapshot has no key."""

    old: npt.NDArray[np.uint8]
    new: npt.NDArray[np.uint8]

    @property
    def places(self) -> npt.NDArray[np.int64]:
        """Of each new row, where its holder stands among the old ones; -1 where he does not."""
        old, new = (np.ascontiguousarray(each).view("S16").ravel() for each in (self.old, self.new))
        order = np.argsort(old, kind="stable")
        at = np.minimum(np.searchsorted(old, new, sorter=order), len(old) - 1)
        found = order[at]
        return np.where(old[found] == new, found, -1)


def between(
    new: Bools, earlier: Sequence[Bools], both: Overlap, least: int, beside: Sequence[Bools] = ()
) -> int | None:
    """The same for cohorts of another snapshot: atoms inside any of the cohorts, of all of them and of both snapshots.

    Who joined, left, or came to belong to a cohort in between, inside it, is nobody or at least `least`. Without keys none can be compared.
    `beside`: further cohorts of the new snapshot that are released with it.
    """
    if not (len(both.old) and len(both.new)):
        return 0
    places = both.places
    fresh = places < 0
    rows = len(both.old) + int(fresh.sum())
    at = np.where(fresh, len(both.old) + np.cumsum(fresh) - 1, places)

    def over_all(where: npt.NDArray[np.int64] | slice, inside: Bools) -> Bools:
        found = np.zeros(rows, dtype=bool)
        found[where] = inside
        return found

    before = slice(0, len(both.old))
    mine, others = [over_all(at, each) for each in (new, *beside)], [over_all(before, each) for each in earlier]
    snapshots = [over_all(at, np.ones_like(new)), over_all(before, np.ones(len(both.old), dtype=bool))]

    def apart(cohorts: Sequence[Bools]) -> bool:
        inside = np.logical_or.reduce(cohorts)
        return _apart([each[inside] for each in (*cohorts, *snapshots)], least)

    if apart([*mine, *others]):
        return None
    return next((number for number, each in enumerate(others) if not apart([mine[0], each])), len(others) - 1)


def _apart(sets: Sequence[Bools], least: int) -> bool:
    return int(atoms(sets).min(initial=least)) >= least


def outward(no: HpfedError, *, rows_read: bool) -> Reasons:
    """A no as others may hear it. Where rows were read before it was decided: always the same one word.

    Else every code, and of their values the numbers that come from the request, the policy or the ledger, named `code_value`; decimals in
    millionths.
    """
    if rows_read:
        return Reasons(codes=(DECLINED,))
    limits: dict[str, int] = {}
    for each in no.every():
        for name, value in each.values.items():
            told, number = name, value
            if isinstance(value, Decimal):
                told, number = f"{name}_millionths", int(value * MILLION)
            if name in TOLD and isinstance(number, int) and abs(number) <= LARGEST:
                limits.setdefault(f"{each.code.lower()}_{told}"[:40], number)
    return Reasons(
        codes=tuple(dict.fromkeys(each.code for each in no.every()))[:64], limits=dict(list(limits.items())[:64])
    )
