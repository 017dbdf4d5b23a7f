"""The processes of a city's node as a service manager starts them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from node.held import ROSTER
from node.identity import KEY
from node.transport import KEY as TRANSPORT
from protocols.services import Service

GATE: Final = "hpfed-gate"  # the user that owns the home
LINK: Final = "hpfed-link"  # the user, and the group that may ask the gate
SETTINGS: Final = Path("config.yaml")  # what this city sets for its link
ROWS: Final = ("data",)  # of the city folder
BOOKS: Final = ("identity", "secrets", "snapshots", "ledger.sqlite", "audit", "requests", "officers")  # of the home


def services(
    folder: Path, home: Path, programs: Path, gateway: Sequence[str], database: Sequence[str]
) -> tuple[Service, ...]:
    """Gate, link and ingest. `folder`, `home`, `programs`: absolute. `gateway`: addresses that the link may reach.

    `database`: addresses that ingest may reach; without one it has no network, as for files.
    """
    program, own = str(programs / "hpfed-node"), ("--folder", str(folder), "--home", str(home))
    kept = str(home / TRANSPORT.parent)
    hidden = [f"-{folder / each}" for each in ROWS] + [f"-{home / each}" for each in BOOKS]
    gate = Service(
        "hpfed-node-gate",
        "hpfed: the gate of this city, without network",
        GATE,
        LINK,
        (program, "start", "--only", "gate", *own),
        "none",
        writes=(str(home),),
        shown=(str(folder),),
        credential=str(home / KEY),
        mounts=(str(home),),
    )
    link = Service(
        "hpfed-node-link",
        "hpfed: the link of this city to the coordinator, without data",
        LINK,
        LINK,
        (program, "start", "--only", "link", *own),
        "outbound",
        allow=(*gateway, "localhost"),
        after=(gate.name,),
        writes=(kept,),
        hidden=hidden,
        shown=tuple(f"-{home / each}" for each in (ROSTER, SETTINGS)),
        logs=LINK,
        flower=str(home / TRANSPORT.parent / "flwr"),
        mounts=(kept, str(home / "run"), f"{home / ROSTER}:ro"),
    )
    ingest = Service(
        "hpfed-node-ingest",
        "hpfed: take in a snapshot of this city, once",
        GATE,
        LINK,
        (program, "ingest", *own),
        "outbound" if database else "none",
        allow=database,
        writes=(str(home),),
        shown=(str(folder),),
        once=True,
        mounts=(str(home),),
    )
    return gate, link, ingest
