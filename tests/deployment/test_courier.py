"""A city that insists on a stock SuperNode: it fetches whatever bundle it is given, and what answers is the gate."""

import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from coordinator import link_flower
from coordinator.exchange import exchange
from coordinator.superlink import HOST, listens
from node.link import Way
from node.link_flower import courier
from node.serve import listening
from node.transport import KEY, claims, public, transport
from protocols.entropy import operating_system
from protocols.flower import environment
from protocols.logfile import silent
from simulations.children import Child, all_of, until
from simulations.federation import folder, free_port, own_environment
from tests.deployment.stage import TIME_S, Stage, hostile, now, told

CITY = "stock"


def test_a_stock_supernode_fetches_a_hostile_bundle_and_the_gate_answers_all_the_same(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through a gateway that lets it fetch. The bundle is nowhere unpacked, and its import would leave a file."""
    mark = tmp_path / "ran"
    monkeypatch.setattr(link_flower, "bundle", lambda: hostile(mark))
    made, keys, stopped = stage.federation, stage.federation.keys, threading.Event()
    gateway = replace(made.gateway, port=free_port(), courier=True, counted="")
    with folder() as home:
        keys[CITY] = public(transport(home, operating_system))
        here, port = home / "gate.sock", free_port()
        supernode = [
            str(Path(sys.executable).with_name("flower-supernode")),
            *("--superlink", f"{HOST}:{gateway.port}"),
            *("--root-certificates", str(made.superlink.ca)),
            *("--auth-supernode-private-key", str(home / KEY)),
            *("--isolation", "process"),
            *("--host", HOST),
            *("--port", str(port)),
            *("--superexec-auth-secret-file", str(claims(home, operating_system))),
        ]
        around = environment(own_environment(), str(home / "flwr"))
        way = Way(
            address="",
            ca="",
            key="",
            gate=str(here),
            node=str(home / "node"),
            active_s=0.2,
            supernode=f"{HOST}:{port}",
            secret=str(claims(home, operating_system)),
        )
        executor = threading.Thread(target=courier, args=(way, stopped, silent()))
        try:
            children = [Child(gateway.command(), around, home / "gateway.said")]
            with all_of(children), listening(here) as served:
                threading.Thread(target=served.answer, args=(told, now), daemon=True).start()
                assert until(listens(HOST, gateway.port), TIME_S)
                made.exchange.renew()
                children.append(Child(supernode, around, home / "supernode.said"))
                executor.start()
                assert until(lambda: CITY in stage.exchange.present(), TIME_S)
                assert exchange(stage.exchange, "ping", {CITY: b"asked"}, TIME_S) == {CITY: b"deksa"}
                assert (home / "heard").is_file()
        finally:
            stopped.set()
            executor.join(TIME_S)
            del keys[CITY]
            monkeypatch.undo()
            made.exchange.renew()
        assert not mark.exists()
        assert [path.name for path in home.rglob("*.py")] == []
