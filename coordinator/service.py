"""The processes of a coordinator's host as a service manager starts them."""

from pathlib import Path
from typing import Final

from coordinator.port import COUNTED
from protocols.services import Service

USER: Final = "hpfed"  # owns the home
GATEWAY: Final = "hpfed-gateway"
TLS: Final = Path("tls")
RUN: Final = Path("run")


def services(home: Path, programs: Path, port: int) -> tuple[Service, ...]:
    """SuperLink, gateway and engine. `home`, `programs`: absolute. `port`: where cities reach the gateway."""
    program, own = str(programs / "hpfed-coordinator"), ("--home", str(home))
    flower, shown = str(home / RUN / "flwr"), (str(home / "coordinator.yaml"), str(home / TLS))
    superlink = Service(
        "hpfed-superlink",
        "hpfed: the SuperLink of Flower, on loopback",
        USER,
        USER,
        (program, "start", "--only", "superlink", *own),
        "loopback",
        writes=(str(home),),
        flower=flower,
        beside="hpfed-gateway",
        mounts=(str(home),),
    )
    gateway = Service(
        "hpfed-gateway",
        "hpfed: the gateway, all that a city can reach",
        GATEWAY,
        GATEWAY,
        (program, "start", "--only", "gateway", *own),
        "listens",
        after=(superlink.name,),
        shown=shown,
        writes=(f"-{home / COUNTED.parent}",),
        logs=GATEWAY,
        publishes=port,
        mounts=(str(home / COUNTED.parent),),
    )
    engine = Service(
        "hpfed-engine",
        "hpfed: the engine that asks studies",
        USER,
        USER,
        (program, "start", "--only", "engine", *own),
        "loopback",
        after=(superlink.name,),
        writes=(str(home),),
        flower=flower,
        beside="hpfed-gateway",
        mounts=(str(home),),
    )
    return superlink, gateway, engine
