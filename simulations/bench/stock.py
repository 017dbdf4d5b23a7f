"""Flower as it comes (flwr 1.41), for the benchmark of exchanges: SuperLink, SuperNodes and apps as subprocesses, TLS, node authentication.

Nothing of the peer is changed or left out. Its server app sends eight int64 to every node with `send_and_receive` and waits for them
to come back, once for each file that tells it to.
"""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from coordinator.superlink import HOST, SuperLink, healthy
from node.transport import KEY, public, transport
from protocols.entropy import operating_system
from protocols.errors import ConfigError
from protocols.flower import environment
from simulations.children import Child, all_of, until
from simulations.federation import STARTS_S, folder, free_port, last_line, own_environment, served

FOLDER: Final = "HPFED_BENCH_FOLDER"  # where server app and benchmark find each other
ROUND_S: Final = 180.0
PROJECT: Final = """[project]
name = "stock"
version = "1.0.0"
license = "Apache-2.0"
dependencies = ["flwr==1.41.0"]

[tool.flwr.app]
publisher = "stock"

[tool.flwr.app.components]
serverapp = "stock_app:server"
clientapp = "stock_app:client"

[tool.flwr.app.config]
"""
APP: Final = f'''import json, os, time
from pathlib import Path
import numpy as np
from flwr.app import ArrayRecord, Message, MessageType, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import ServerApp

client = ClientApp()
server = ServerApp()


@client.query()
def query(message, context):
    return Message(message.content, reply_to=message)


@server.main()
def main(grid, context):
    folder, number = Path(os.environ["{FOLDER}"]), 0
    while not (folder / "end").exists():
        if not (folder / f"go{{number}}").exists():
            time.sleep(0.02)
            continue
        nodes = list(grid.get_node_ids())
        content = RecordDict({{"x": ArrayRecord([np.arange(8, dtype=np.int64)])}})
        began = time.perf_counter()
        sent = [Message(content, node, MessageType.QUERY) for node in nodes]
        came = [each for each in grid.send_and_receive(sent, timeout=120) if each.has_content()]
        told = {{"seconds": time.perf_counter() - began, "came": len(came)}}
        (folder / f"part{{number}}").write_text(json.dumps(told))
        (folder / f"part{{number}}").rename(folder / f"done{{number}}")
        number += 1
'''


@dataclass
class Stock:
    """A running federation of the peer. `nodes`: the SuperNodes."""

    run: Path
    nodes: tuple[Child, ...]
    superlink: Child
    number: int = 0

    def exchange(self) -> float:
        """Seconds of one exchange with every node, as the server app sees it. Errors: `ConfigError FLOWER_START` if not all replied."""
        done = self.run / f"done{self.number}"
        (self.run / f"go{self.number}").touch()
        self.number += 1
        if not until(done.exists, ROUND_S):
            raise ConfigError("FLOWER_START", name="stock", said=last_line(self.superlink.said))
        told = json.loads(done.read_text(encoding="utf-8"))
        if told["came"] != len(self.nodes):
            raise ConfigError("FLOWER_START", name="stock", said=str(told))
        return float(told["seconds"])


@contextmanager
def stock(nodes: int) -> Iterator[Stock]:
    """So many nodes, registered and online, and a run that waits."""
    with folder() as run, ExitStack() as stack:
        superlink, _ = served(run)
        around = {**environment(own_environment(), str(run / "flwr")), FOLDER: str(run)}
        around["PATH"] = (
            f"{Path(sys.executable).parent}:{around.get('PATH', '')}"  # where it looks for its own programs
        )
        linked = Child(_command(superlink), around, run / "superlink.said", again=False)
        stack.enter_context(all_of([linked]))
        if not until(healthy(superlink), STARTS_S):
            raise ConfigError("FLOWER_START", name="stock", said=last_line(linked.said))
        from flwr.cli.build import build_fab_from_disk
        from flwr.proto.control_pb2 import ListNodesRequest, StartRunRequest
        from flwr.proto.fab_pb2 import Fab

        from coordinator.link_flower import control_of, registered

        keys = {f"n{number}": public(transport(run / f"n{number}", operating_system)) for number in range(nodes)}
        with control_of(superlink) as control:
            registered(control, {name: (key,) for name, key in keys.items()})
            children = tuple(
                Child(_node(superlink, run / name), around, run / f"{name}.said", again=False) for name in keys
            )
            stack.enter_context(all_of(children))
            if not until(
                lambda: all(node.status == "online" for node in control.ListNodes(ListNodesRequest()).nodes_info),
                STARTS_S,
            ):
                raise ConfigError("FLOWER_START", name="stock", said=last_line(children[0].said))
            app = run / "app"
            app.mkdir()
            (app / "pyproject.toml").write_text(PROJECT, encoding="utf-8")
            (app / "stock_app.py").write_text(APP, encoding="utf-8")
            content = build_fab_from_disk(app)
            control.StartRun(StartRunRequest(fab=Fab(hash_str=sha256(content).hexdigest(), content=content)))
        try:
            yield Stock(run, children, linked)
        finally:
            (run / "end").touch()
            time.sleep(0.5)


def _command(superlink: SuperLink) -> list[str]:
    """As it comes, but for TLS, authentication, and no packages from a network."""
    return [
        str(Path(sys.executable).with_name("flower-superlink")),
        *("--host", HOST),
        *("--port", str(superlink.port)),
        "--enable-supernode-auth",
        "--disable-runtime-dependency-installation",
        *("--ssl-ca-certfile", str(superlink.ca)),
        *("--ssl-certfile", str(superlink.certificate)),
        *("--ssl-keyfile", str(superlink.key)),
    ]


def _node(superlink: SuperLink, own: Path) -> list[str]:
    return [
        str(Path(sys.executable).with_name("flower-supernode")),
        *("--superlink", superlink.address),
        *("--root-certificates", str(superlink.ca)),
        *("--auth-supernode-private-key", str(own / KEY)),
        *("--host", HOST),
        *("--port", str(free_port())),
    ]
