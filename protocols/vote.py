"""A city's word on a model that it looked at on its own rows: yes, no, or that it cannot tell. No figure of the city is in it.

    vote          a signed file of type `vote`, by the city's identity key: which model, held against which, and the word
    acceptance    a signed file of type `acceptance`, by the coordinator: the words of all cities, more than half of which said yes

A model made by one city alone is judged by the others. Votes are told by cities about themselves: a majority that agrees on it passes a bad
model (docs/threat-model.md).
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Annotated, Literal, TypeAlias

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import Field, ValidationError

from protocols.canonical import canonical
from protocols.errors import PeerError, Refusal
from protocols.models.modelfile import ModelFile, Sha
from protocols.roster import Roster, Seconds
from protocols.signed import FileType, sign, unverified, verified
from protocols.yamltext import Record

Word: TypeAlias = Literal["yes", "no", "cannot_tell"]
CityName = Annotated[str, Field(pattern="^[a-z0-9-]{2,64}$")]


class Vote(Record):
    """against: the model that it was held against, if there was one. as_of: date of the city's rows; at: Unix s."""

    contract: Literal[1] = 1
    city: CityName
    model: Sha
    against: Sha | None = None
    as_of: date
    at: Seconds
    vote: Word


class Acceptance(Record):
    """votes: by city, `none` of who gave none. roster: digest of the one whose cities were asked."""

    contract: Literal[1] = 1
    id: str
    model: Sha
    version: Annotated[int, Field(ge=1)]
    roster: Sha
    at: Seconds
    votes: dict[CityName, Word | Literal["none"]]


def sign_vote(vote: Vote, key: Ed25519PrivateKey) -> bytes:
    return sign(FileType.VOTE, canonical(vote.model_dump(mode="json")), key)


def read_vote(file: bytes, roster: Roster) -> Vote:
    """The vote of an active city of the roster, under a key of it.

    Errors: `PeerError` SIGNED_SHAPE, SIGNED_TYPE, SIGNED_SIGNATURE, NOT_CANONICAL, VOTE_CITY where it takes no part.
    """
    try:
        found = Vote.model_validate_json(canonical(unverified(file, FileType.VOTE)), strict=True)
    except ValidationError:
        raise PeerError("SIGNED_SHAPE", kind=FileType.VOTE.value) from None
    party = next((each.id for each in roster.entries.cities if each.name == found.city), None)
    if party is None or not roster.active(party):
        raise PeerError("VOTE_CITY", who=found.city)
    verified(file, FileType.VOTE, [bytes.fromhex(each.key) for each in roster.keys(party)])
    return found


def voters(model: ModelFile, roster: Roster) -> tuple[str, ...]:
    """The cities whose word counts: all that take part, but for one that made the model alone."""
    alone = model.cities if len(model.cities) == 1 else ()
    return tuple(each.name for each in roster.entries.cities if roster.active(each.id) and each.name not in alone)


def accepted(model: ModelFile, votes: Sequence[Vote], roster: Roster, at: int) -> Acceptance:
    """What the coordinator signs.

    Errors: `PeerError` VOTE_OTHER (about another model), VOTE_TWICE, VOTE_CITY; `Refusal VOTE_NO_MAJORITY`.
    """
    names, said = voters(model, roster), dict[str, Word]()
    for each in votes:
        if each.model != model.digest:
            raise PeerError("VOTE_OTHER", who=each.city)
        if each.city in said:
            raise PeerError("VOTE_TWICE", who=each.city)
        if each.city not in names:
            raise PeerError("VOTE_CITY", who=each.city)
        said[each.city] = each.vote
    yes = sum(word == "yes" for word in said.values())
    if 2 * yes <= len(names):
        raise Refusal("VOTE_NO_MAJORITY", id=model.id, yes=yes, of=len(names))
    every: Mapping[str, Word | Literal["none"]] = {name: said.get(name, "none") for name in names}
    return Acceptance(
        id=model.id,
        model=model.digest,
        version=model.version,
        roster="sha256:" + roster.sha256.hex(),
        at=at,
        votes=dict(every),
    )


def sign_acceptance(found: Acceptance, key: Ed25519PrivateKey) -> bytes:
    return sign(FileType.ACCEPTANCE, canonical(found.model_dump(mode="json")), key)
