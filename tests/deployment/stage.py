"""One federation of real processes for a whole run of tests, and whatever gates a test puts behind its links."""

import io
import os
import socket
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from coordinator.exchange import Attended
from coordinator.superlink import HOST
from node.gate import Gate
from node.serve import Served, listening
from simulations.federation import Federation

CITIES: Final = ("east", "north", "south", "west")
TIME_S: Final = 40.0
LOOPBACK: Final = f"{int.from_bytes(socket.inet_aton(HOST), sys.byteorder):08X}"  # as /proc writes it
Answers = Callable[[bytes, int], bytes | None]


def now() -> int:
    """What gates of these tests are told."""
    return 0


@dataclass(frozen=True)
class Stage:
    """`sockets`: where each city's link looks for its gate."""

    federation: Federation
    sockets: Mapping[str, Path]

    @property
    def exchange(self) -> Attended:
        return self.federation.exchange

    @contextmanager
    def answering(self, answer: Answers) -> Iterator[Attended]:
        """The exchange, with a function of this process as the gate of every city."""
        with ExitStack() as stack:
            for path in self.sockets.values():
                served = stack.enter_context(listening(path))
                threading.Thread(target=served.answer, args=(answer, now), daemon=True).start()
            yield self.exchange

    @contextmanager
    def links(self, gates: Mapping[str, Path]) -> Iterator[Attended]:
        """The exchange, with gates that listen elsewhere behind its links."""
        for city, path in gates.items():
            self.sockets[city].symlink_to(path)
        try:
            yield self.exchange
        finally:
            for city in gates:
                self.sockets[city].unlink()


@contextmanager
def in_thread(
    opens: Callable[[], AbstractContextManager[Gate]],
    path: Path,
    clock: Callable[[], int],
    around: Callable[[Answers], Answers] = lambda answer: answer,
) -> Iterator[None]:
    """A gate that listens at `path`, in a thread: its books want to be asked by the one that opened them."""
    ready, listens = threading.Event(), list[Served]()

    def serve() -> None:
        with opens() as gate, listening(path) as served:
            listens.append(served)
            ready.set()
            served.answer(around(gate.answer), clock)

    answers = threading.Thread(target=serve)
    answers.start()
    assert ready.wait(TIME_S)
    try:
        yield
    finally:
        listens[0].stop()
        answers.join()


def told(content: bytes, _now: int) -> bytes | None:
    """What most gates of these tests say."""
    return content[::-1]


def control(stage: Stage) -> Any:
    """The control API, straight at loopback."""
    from coordinator.link_flower import control_of

    return control_of(stage.federation.superlink)


def known(stage: Stage) -> tuple[set[int], set[int]]:
    """Nodes and runs of the SuperLink."""
    from flwr.proto.control_pb2 import ListNodesRequest, ListRunsRequest

    with control(stage) as client:
        nodes = {node.node_id for node in client.ListNodes(ListNodesRequest()).nodes_info}
        return nodes, set(client.ListRuns(ListRunsRequest()).run_dict)


def hostile(mark: Path) -> bytes:
    """A bundle whose import writes a file."""
    code = f"open({str(mark)!r}, 'w').write('ran')\nfrom flwr.clientapp import ClientApp\napp = ClientApp()\n"
    pyproject = (
        '[project]\nname = "evil"\nversion = "1.0.0"\nlicense = "Apache-2.0"\ndependencies = ["flwr==1.41.0"]\n\n'
        '[tool.flwr.app]\npublisher = "evil"\n\n'
        '[tool.flwr.app.components]\nserverapp = "evil:app"\nclientapp = "evil:app"\n\n[tool.flwr.app.config]\n'
    )
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as zipped:
        zipped.writestr("evil.py", code)
        zipped.writestr("pyproject.toml", pyproject)
    return content.getvalue()


def peers(pid: int) -> set[tuple[str, int]]:
    """Where the TCP connections of a process go: hexadecimal address and port; (`-`, 0) for a socket that listens."""
    inodes = set()
    for each in Path(f"/proc/{pid}/fd").iterdir():
        target = os.readlink(each) if each.exists() or each.is_symlink() else ""
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    found = set()
    for name in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{name}").read_text(encoding="ascii").splitlines()[1:]:
            fields = line.split()
            if fields[9] in inodes:
                address, port = fields[2].split(":")
                found.add((address, int(port, 16)) if int(port, 16) else ("-", 0))
    return found
