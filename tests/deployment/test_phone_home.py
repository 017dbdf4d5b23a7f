"""T42: whatever a process of a federation looks up or connects to is the federation's own.

Seen from inside, by a hook that every child loads first; and from outside for those whose event loop is not Python's.
"""

import ast
from pathlib import Path

import pytest

from coordinator.exchange import exchange
from coordinator.superlink import HOST
from tests.deployment.stage import CITIES, LOOPBACK, TIME_S, Stage, peers, told


# Linux tells in /proc who is connected to whom; where there is none, the rest of the federation is tested all the same.
@pytest.mark.skipif(not Path("/proc/self/net/tcp").exists(), reason="needs /proc to look at connections")
def test_no_process_has_looked_up_or_reached_anything_but_its_own_federation(stage: Stage, spied: Path) -> None:
    federation = stage.federation
    with stage.answering(told) as link:
        assert exchange(link, "ping", dict.fromkeys(CITIES, b"ab"), TIME_S) == dict.fromkeys(CITIES, b"ba")
    ours = {federation.superlink.port, federation.gateway.port}
    seen = [ast.literal_eval(line) for line in spied.read_text(encoding="utf-8").splitlines()]
    reached = {address for event, address in seen if event == "socket.connect" and isinstance(address, tuple)}
    assert {address[0] for address in reached} == {HOST}
    assert {address[1] for address in reached} <= ours
    assert federation.gateway.port in {address[1] for address in reached}
    sockets = {address for event, address in seen if event == "socket.connect" and isinstance(address, str)}
    assert sockets
    assert all(Path(each).parent.name.startswith("hpfed-") for each in sockets)
    named = {name for event, name in seen if event not in ("socket.connect", "socket.sendto")}
    assert named <= {HOST, HOST.encode()}
    assert not [event for event, _ in seen if event == "socket.sendto"]
    for name in ("superlink", "gateway"):
        assert {address for address, port in peers(federation.children[name].pid) if port} <= {LOOPBACK}
