"""Who this city is, as its gate needs it: folder, home, keys, place on the roster, and what its mapping cannot give."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from node import mapping
from node.city import City
from node.identity import identity
from node.ingest import holder_key
from protocols.distribution import software
from protocols.entropy import Entropy
from protocols.errors import Refusal
from protocols.messages import Identity
from protocols.roster import Roster


@dataclass(frozen=True)
class Station:
    """`cannot`: dictionary variables that this city cannot map, ascending. `unused`: of those it can, the codes that no local text becomes.
    `dictionary`: digest of the one its mapping means.
    """

    city: City
    home: Path
    identity: Identity
    roster: Roster
    dictionary: str
    cannot: tuple[str, ...]
    unused: Mapping[str, tuple[str, ...]]
    holder_key: bytes = field(repr=False)

    @property
    def size_class(self) -> int:
        """Most rows, as declared on the roster."""
        return self.roster.cities[self.identity.id].size_class


def station(city: City, means: mapping.Mapping, home: Path, roster: Roster, entropy: Entropy) -> Station:
    """The station of a city that is on the roster under its own key. Errors: `Refusal ROSTER_STRANGER` if it is not."""
    key = identity(home, entropy)
    public = key.public_key().public_bytes_raw().hex()
    for entry in roster.entries.cities:
        if entry.name == city.city and any(each.key == public for each in entry.identity):
            who = Identity(entry.id, key, software())
            holders = holder_key(home, entropy)
            return Station(city, home, who, roster, means.meant.digest, means.cannot, means.unused, holders)
    raise Refusal("ROSTER_STRANGER", city=city.city)
