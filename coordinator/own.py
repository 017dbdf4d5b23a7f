"""What one city answers by itself: read from its signed message, when it arrives and whenever a bundle is verified."""

import numpy as np

from protocols.canonical import digest_bytes
from protocols.errors import PeerError
from protocols.messages import Counted, Envelope, Kind, largest_body
from protocols.plan import OWN_BYTES, Agreement
from protocols.ring import Vector
from protocols.roster import Roster
from protocols.statistics.layout import Measure
from protocols.statistics.own_tables import WITHHELD


def own_cells(message: Envelope, agreement: Agreement, roster: Roster) -> Vector:
    """The cells of a `counted` message that opened: int64, as long as the layout of own answers; in mode exact some counts may be WITHHELD.

    Errors: `PeerError` ENVELOPE_KIND, ENVELOPE_BODY, SECAGG_TOO_LONG; SECAGG_FOREIGN_QUESTION (another layout); SUM_LENGTH; SUM_BOUND for a
    cell that rows and noise of this city cannot give.
    """
    who, own = roster.name(message.header.sender), agreement.own
    if message.header.kind is not Kind.COUNTED:
        raise PeerError("ENVELOPE_KIND", who=who)
    said = Counted.decode(message.body, largest_body(Kind.COUNTED, own.length))
    if said.layout != digest_bytes(own.digest):
        raise PeerError("SECAGG_FOREIGN_QUESTION", who=who, step="counted")
    if len(said.cells) != own.length * OWN_BYTES:
        raise PeerError("SUM_LENGTH", cells=len(said.cells) // OWN_BYTES, expected=own.length)
    cells = np.frombuffer(said.cells, "<i8").astype(np.int64)
    bound = agreement.own_bound(roster.cities[message.header.sender].size_class)
    counts = all(block.measure is Measure.ONE for block in own.blocks)
    known = cells[cells != WITHHELD] if agreement.study.exact and counts else cells
    if known.min(initial=0) < -bound or known.max(initial=0) > bound:
        raise PeerError("SUM_BOUND", block=who, limit=bound)
    return cells
