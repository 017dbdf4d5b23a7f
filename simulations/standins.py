"""City folders as they are before they are asked: what each policy would say, what is left of each cap, and the sums of public stand-ins.

The other side of `coordinator/beforehand.py`, in a process of its own. Of cities that are asked only `city.yaml`, `mapping.yaml`,
`policy.yaml` and the books are read, and nothing is written. Rows are read of a twin alone, whose cities must all say that they are
synthetic or open; they are taken in below a temporary folder, so that nothing is left in theirs.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from coordinator import plan
from coordinator.beforehand import Allowance, Beforehand, Known, Reason, StandIn, people, stand_ins
from node import city as cities
from node import gate, ingest, ledger, policy, snapshot
from protocols import facts, privacy
from protocols.entropy import Entropy, operating_system
from protocols.errors import ConfigError, HpfedError, Place, Refusal, joined
from protocols.study import Study
from simulations.world import Party, asker_role, home, parties


def known(study: Study, folder: Path, now: int) -> tuple[Known, ...]:
    """What the cities of a folder would say to a study, from their files alone. Errors: `ConfigError`, the faults of every city."""
    found = parties(folder, study)
    cannot = {party.city.city: _lacked(study, party) for party in found}
    role = asker_role(folder, study.file.asker)
    return tuple(_known(study, party, role, cannot, now) for party in found)


def _known(study: Study, party: Party, role: str, cannot: Mapping[str, tuple[str, ...]], now: int) -> Known:
    decision = policy.decide(study, role=role, cities=cannot, cannot=cannot, policy=party.policy)
    return Known(
        city=party.city.city,
        cannot=cannot[party.city.city],
        min_cell=party.policy.file.dp.min_cell,
        exact_cell=party.policy.file.exact.min_cell,
        exact_pooled=party.policy.file.exact.min_pooled,
        decide=decision.decide,
        rule=decision.rule,
        reasons=tuple(Reason(code=each.code, zh=each.text("zh"), en=each.text("en")) for each in decision.reasons),
        caps=() if study.exact else _caps(study, party, now),
    )


def _lacked(study: Study, party: Party) -> tuple[str, ...]:
    """Variables that a city cannot map, and what it lacks of the facts that a study asks for."""
    told = cities.told(party.city, party.means.meant, study.file.as_of)
    return (*party.means.cannot, *facts.lacked(study.facts, cities.said(told)))


def _caps(study: Study, party: Party, now: int) -> tuple[Allowance, ...]:
    """Caps as the books hold them; where nothing was asked under one yet, as the policy would write it down."""
    books = home(party.folder, None) / ledger.FILE
    rooms = ledger.look(books, now=now).rooms if books.is_file() else ()
    held = {room.scope: room for room in rooms if room.asker in ("", study.file.asker)}
    found = []
    for scope in policy.SCOPES:
        budget = getattr(party.policy.file.dp.caps, scope)
        room = held.get(scope)
        cap = room.cap if room else privacy.cap(budget.epsilon, budget.delta)
        found.append(
            Allowance(
                scope=scope,
                epsilon=f"{cap.epsilon:f}",
                delta=f"{cap.delta}",
                order=cap.order,
                room=cap.room,
                left=room.left if room else cap.room,
            )
        )
    return tuple(found)


def twin(study: Study, folder: Path, entropy: Entropy = operating_system) -> tuple[StandIn, ...]:
    """The sums that each stand-in of a folder gives, without noise.

    Errors: `ConfigError`, those of every city: TWIN_NOT_PUBLIC, TWIN_DICTIONARY, and those of their files.
    """
    anyone = Study(
        study.file.model_copy(update={"cities": study.file.cities.model_copy(update={"names": None})}), study.dictionary
    )
    found = parties(folder, anyone)
    fault = joined([*_not_public(found), *_other_dictionary(found, study)])
    if fault:
        raise fault
    with TemporaryDirectory() as base:
        return tuple(_made(study, party, Path(base), entropy) for party in found)


def refuse_noise(study: Study, found: Sequence[Party], homes: Path | None) -> None:
    """Whether a run is worth its cost, where every city is synthetic or open and so stands in for itself; nothing is read of others.

    Pre-condition: their snapshots are there. Errors: `ConfigError PLAN_NOISY`.
    """
    if study.exact or not all(map(public, found)):
        return
    cities = tuple(
        Known(city=party.city.city, cannot=_lacked(study, party), min_cell=party.policy.file.dp.min_cell)
        for party in found
    )
    try:
        twin_ = Beforehand(twin=tuple(_stand_in(study, home(each.folder, homes), each.city.city) for each in found))
        many = people(cities, twin_)
        plan.refuse_noise(plan.planned(study, cities, "folder", lambda names: stand_ins(names, study, twin_), many))
    except Refusal:  # a study that its cities will not answer: they say so themselves
        return


def _made(study: Study, party: Party, base: Path, entropy: Entropy) -> StandIn:
    own = base / party.city.city
    ingest.ingest(party.folder, own, entropy)
    return _stand_in(study, own, party.city.city)


def _stand_in(study: Study, own: Path, city: str) -> StandIn:
    return StandIn(city=city, sums=given(study, own, city), rows=_snapshot(study, own).rows)


def given(study: Study, own: Path, city: str) -> tuple[int, ...]:
    """The sums of a city's snapshot of the study's date, or of the newest one."""
    rows = _snapshot(study, own)
    return tuple(gate.encoded(study, study.workload.together, rows, city).tolist())


def _snapshot(study: Study, own: Path) -> snapshot.Snapshot:
    dates = snapshot.current(own).dates
    return snapshot.open_for(own, study.file.as_of if study.file.as_of in dates else max(dates))


def public(party: Party) -> bool:
    """Whether its rows are nobody's: invented, or published already."""
    return party.city.synthetic or party.city.open_data


def _not_public(found: Iterable[Party]) -> Iterable[HpfedError]:
    for party in found:
        if not public(party):
            yield ConfigError("TWIN_NOT_PUBLIC", Place(str(party.folder / cities.FILE)), name=party.city.city)


def _other_dictionary(found: Iterable[Party], study: Study) -> Iterable[HpfedError]:
    for party in found:
        if party.means.meant.digest != study.dictionary.digest:
            at = Place(str(party.folder / "mapping.yaml"))
            yield ConfigError("TWIN_DICTIONARY", at, name=party.city.city, dictionary=study.dictionary.name)
