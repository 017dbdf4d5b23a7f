"""Checks what many-round questions came to against the record of their session: `bundle/session.json`.

    1 every city that answered attests, for every round, the digest of what it was asked; the record gives the same digests, and what was
      asked in a round holds the sums of all rounds before it (in mode dp a city may have missed some)
    2 the digest of the last sum is the one that every city signed
    3 every ask follows from the sums before it, and the answers in results.json from all of them

Where cities' data are neither synthetic nor public, the record stays with the coordinator: its sums hold counts below what their policies
publish. Whoever is given it checks it in the same way.
"""

from collections.abc import Iterator, Mapping
from math import isclose
from typing import Any, Final

from coordinator.release import Opened
from protocols import manifest
from protocols.attestation import Attestation
from protocols.errors import HpfedError, PeerError, Place
from protocols.models.interface import Result
from protocols.session import Session, last_sum, named, read_held

CLOSE: Final = 1e-9  # how far numbers may differ that another machine computed from the same sums


def open_to_all(opened: Opened) -> bool:
    """Whether the record of its session goes into the bundle: sums with noise do."""
    if not opened.agreement.study.exact:
        return True
    approvals = [opened.approvals[city] for city in opened.survivors]
    return all(each.synthetic or each.open_data for each in approvals)


def replayed(opened: Opened, content: bytes, attested: Mapping[str, Attestation]) -> dict[str, Result]:
    """What every many-round question comes to by the record `content`. `attested`: by city.

    Errors: `PeerError` SESSION_INVALID, NOT_CANONICAL, MODEL_ASK_FOREIGN, MODEL_NOT_REPLAYABLE, SESSION_ATTESTED (the city that was asked
    otherwise).
    """
    held, session = read_held(content), Session(opened.agreement)
    asked = named(session, held)  # 1
    for city, said in attested.items():
        sent = {(each.id, each.round): each for each in said.conversations if each.kind == "session"}
        for each, rctx in zip(held.rounds, asked, strict=True):
            found = sent.get((each.conversation, each.round))
            if found is None and not opened.agreement.study.exact:
                continue  # it missed this round; what was asked later names its sum
            if found is None or found.asked != "sha256:" + rctx.hex():
                raise PeerError("SESSION_ATTESTED", who=city, round=each.round)
        last = sent.get((held.rounds[-1].conversation, held.rounds[-1].round))
        if last is not None and last.sum and last.sum != "sha256:" + last_sum(held, asked[-1]).hex():  # 2
            raise PeerError("SESSION_ATTESTED", who=city, round=last.round)
    at = session.models.again(held.told)  # 3
    if not at.over:
        raise PeerError("MODEL_NOT_REPLAYABLE", round=at.round)
    return session.models.results(at)


def unlike(name: str, found: Mapping[str, Any], expected: Mapping[str, Any]) -> Iterator[HpfedError]:
    """What an entry of results.json says otherwise than study and record give. Without the record: otherwise than the study gives."""
    file = manifest.RESULTS
    for part in ("kind", "number", "release", "cities", "asked"):
        if found.get(part) != expected[part]:
            yield PeerError("BUNDLE_ROWS", at=Place(file), question=name, row=0, what=part)
    for part in ("keys", "rows", "tests", "coefficients", "fit"):
        if "fit" in expected and not near(found.get(part), expected[part]):
            yield PeerError("BUNDLE_NUMBERS", at=Place(file), question=f"{name}.{part}")
    if "fit" in expected and not near(_of_model(found), _of_model(expected)):
        yield PeerError("BUNDLE_NUMBERS", at=Place(file), question=f"{name}.model")


def _of_model(entry: Mapping[str, Any]) -> Any:
    """Without the digest: the last digits of a model are those of the machine that wrote its file."""
    part = entry.get("model")
    return {key: each for key, each in part.items() if key != "digest"} if isinstance(part, dict) else part


def near(one: Any, other: Any) -> bool:
    """The same, but for the last digits of numbers."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(near(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(near(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, int | float) and isinstance(other, int | float) and not isinstance(one, bool):
        return isclose(one, other, rel_tol=CLOSE, abs_tol=CLOSE)
    return bool(one == other)
