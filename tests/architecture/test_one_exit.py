"""R1, one exit: in a city only `node/gate.py` makes bytes for others. Rows, noise and outgoing messages meet nowhere else."""

import ast

import pytest

from tests.architecture.source import Module, belongs, broken, modules

GATE = "node.gate"
TRANSPORTS = (
    "socket",
    "ssl",
    "http",
    "urllib",
    "asyncio",
    "selectors",
    "socketserver",
    "smtplib",
    "ftplib",
    "xmlrpc",
    "multiprocessing",
    "requests",
    "httpx",
    "aiohttp",
    "grpc",
    "flwr",
    "coordinator.exchange",
)
CARRIERS = (
    "node.serve",
    "node.link_",
    "node.reach",
)  # around the gate: bytes in, bytes out, no data; `reach` asks a gateway for its time
KEEPER = "node.keeping"  # starts gate and link, and again: no transport, no data
SIMULATED = "node.simulated"  # starts the gates of a simulation, of which a city has none: no transport, no data
SHELL = "node.cli"
OUTGOING = (
    "protocols.messages.seal",
    "protocols.messages.Envelope",
    "protocols.secagg.member",
    "protocols.secagg.masks",
)
ROWS = ("node.snapshot", "node.ingest", "node.connectors", "protocols.statistics.measures.encode")


def one_exit(module: Module) -> list[str]:
    """What an exit beside the gate would need, and no other module of a city may touch."""
    if module.name == GATE:
        return []
    found = []
    for node, name in module.uses():
        if belongs(name, TRANSPORTS) and not module.name.startswith(CARRIERS):
            found.append(f"{module.at(node)} uses the transport {name}")
        if belongs(name, OUTGOING):
            found.append(f"{module.at(node)} makes outgoing messages: {name}")
        if belongs(name, ("protocols.noise.skellam",)):
            found.append(f"{module.at(node)} draws noise")
        if belongs(name, ROWS[-1:]):
            found.append(f"{module.at(node)} turns rows into cells")
        if module.name.startswith((*CARRIERS, KEEPER, SIMULATED)) and belongs(name, ROWS):
            found.append(f"{module.at(node)} carries bytes and reads rows: {name}")
    if module.name != SHELL:
        spoken = [
            node
            for node in module.calls()
            if module.dotted(node.func) in ("builtins.print", "sys.stdout.write", "sys.stderr.write")
        ]
        found += [f"{module.at(node)} prints" for node in spoken]
        found += [
            f"{module.name} logs" for name in sorted(module.imports) if belongs(name, ("logging", "syslog", "warnings"))
        ]
    found += [
        f"{module.name} runs programs or foreign code"
        for name in sorted(module.imports)
        if belongs(name, ("subprocess", "ctypes"))
        and (module.name, name) not in ((KEEPER, "subprocess"), (SIMULATED, "subprocess"))
    ]
    return found


def test_nothing_in_a_city_makes_or_carries_messages_beside_the_gate() -> None:
    assert broken(one_exit, "node") == []


def test_the_gate_itself_knows_no_transport() -> None:
    (gate,) = [module for module in modules("node") if module.name == GATE]
    assert [name for name in gate.imports if belongs(name, TRANSPORTS)] == []


@pytest.mark.parametrize(
    "text",
    [
        "import socket\nsocket.create_connection(('coordinator', 443))",
        "from urllib.request import urlopen",
        "def send(body):\n    from protocols.messages import seal\n    return seal(body)",
        "from protocols import messages\nsent = messages.seal",
        "from protocols.secagg import member\nstate, sent = member.mask(state, vector)",
        "from protocols.statistics.measures import encode",
        "from protocols.statistics import measures\nvector = measures.encode(layout, table, dictionary, as_of, None, True)",
        "from protocols.noise import skellam",
        "def show(rows):\n    print(rows)",
        "import logging",
        "import subprocess",
        "import flwr.client",
    ],
)
def test_a_second_exit_is_found(text: str) -> None:
    assert one_exit(Module("node.export", text))
    assert one_exit(Module("node.connectors.csv", text))


@pytest.mark.parametrize("text", ["import socket", "import ctypes", "from node import snapshot\nsnapshot.open_for"])
def test_what_starts_the_processes_of_a_city_carries_nothing_itself(text: str) -> None:
    assert one_exit(Module("node.keeping", text))
    assert not one_exit(Module("node.keeping", "import subprocess"))


def test_the_gate_returns_bytes_in_one_method_alone() -> None:
    """`answer` is the only public function of the gate whose result can be bytes; all else in it begins with an underscore."""
    (gate,) = [module for module in modules("node") if module.name == GATE]
    public = [
        node
        for node in gate.nodes
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_")
    ]
    assert [node.name for node in public if node.returns and "bytes" in ast.unparse(node.returns)] == ["answer"]
    assert all(node.returns is not None for node in public)


def test_a_world_speaks_to_a_city_through_its_gate() -> None:
    """Of the node, the modules that run a study in one process call `answer` and nothing that reads rows or makes messages."""
    world = [module for module in modules("simulations") if module.name == "simulations.world"]
    assert len(world) == 1
    assert [name for name in world[0].imports if belongs(name, (*OUTGOING, ROWS[-1], "protocols.noise"))] == []
