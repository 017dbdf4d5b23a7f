"""SecAgg+ of Flower (flwr 1.41) in one process: its own client mod and its own server workflow, over a grid that is a function call.

Nothing of the peer is changed or left out: key pairs, sharing, sealing, quantisation, masks, unmasking. What is not counted on either side:
a network. `flwr` is an extra; without it `available` says no.
"""

import importlib.util
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

CLIPPING: Final = 8.0
QUIET: Final = {  # before the first import: nothing is reported, looked up or installed
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
}
Call = Callable[[int, Any], Any]


def available() -> bool:
    """Whether the extra `flower` is installed."""
    return importlib.util.find_spec("flwr") is not None


@dataclass
class Grid:
    """Carries messages to client mods and back by calling them.

    `clients_s`: CPU seconds in them; `line_s`: in what stands for the network (each client gets a copy of its message); `up`: bytes that
    each sent, by node.
    """

    call: Call
    lost: Callable[[int, str], bool]
    clients_s: float = 0.0
    line_s: float = 0.0
    up: dict[int, int] = field(default_factory=dict)

    def send_and_receive(self, messages: Iterable[Any], *, timeout: float | None = None) -> list[Any]:
        del timeout
        from flwr.app import ConfigRecord, Error, Message, RecordDict
        from flwr.common.secure_aggregation.secaggplus_constants import RECORD_KEY_CONFIGS, Key

        replies = []
        for message in messages:
            node, stage = message.metadata.dst_node_id, message.content.config_records[RECORD_KEY_CONFIGS][Key.STAGE]
            if self.lost(node, stage):
                replies.append(Message(Error(0, "lost"), reply_to=message))
                continue
            arrived = time.process_time()
            configs = ConfigRecord(dict(message.content.config_records[RECORD_KEY_CONFIGS]))
            message.content = RecordDict({**message.content, RECORD_KEY_CONFIGS: configs})
            began = time.process_time()
            reply = self.call(node, message)
            left = time.process_time()
            self.up[node] = self.up.get(node, 0) + _size(reply)
            self.clients_s += left - began
            self.line_s += time.process_time() - left + began - arrived
            replies.append(reply)
        return replies


def _size(reply: Any) -> int:
    """Bytes of the values that a client sends in the protocol's record."""
    from flwr.common.secure_aggregation.secaggplus_constants import RECORD_KEY_CONFIGS

    total = 0
    for value in reply.content.config_records[RECORD_KEY_CONFIGS].values():
        for each in value if isinstance(value, list) else [value]:
            total += len(each) if isinstance(each, bytes | str) else 8
    return total


@dataclass(frozen=True)
class Measured:
    """CPU seconds of one client on average and of the server; bytes up of one client; the largest error of the mean."""

    client_s: float
    server_s: float
    up: float
    error: float


def prepared() -> None:
    """To be called before anything of flwr is imported: it is quiet, and believes that it is one task of one run."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    import logging

    from flwr.supercore.task_identity import TaskIdentity

    logging.getLogger("flwr").setLevel(logging.CRITICAL)
    TaskIdentity.task_id = TaskIdentity.run_id = TaskIdentity.node_id = 1


def clients(n: int, vectors: Sequence[np.ndarray[Any, Any]]) -> Call:
    """n clients under `secaggplus_mod`, each with a float vector of weight 1. Node ids are 1 to n."""
    prepared()
    from flwr.app import Context, Message, RecordDict
    from flwr.client.mod import secaggplus_mod
    from flwr.common import Code, FitRes, Status, ndarrays_to_parameters
    from flwr.compat.common.recorddict_compat import fitres_to_recorddict

    contexts = {node: Context(1, node, {}, RecordDict(), {}) for node in range(1, n + 1)}

    def trained(message: Any, context: Any) -> Any:
        parameters = ndarrays_to_parameters([vectors[context.node_id - 1]])
        result = FitRes(Status(Code.OK, ""), parameters, num_examples=1, metrics={})
        return Message(fitres_to_recorddict(result, False), reply_to=message)

    def call(node: int, message: Any) -> Any:
        return secaggplus_mod(message, contexts[node], trained)

    return call


def measured(n: int, cells: int, threshold: int, lost: Sequence[int], seed: int) -> Measured:
    """One aggregation of n clients over `cells` floats, `lost` gone before they upload. The mean is checked."""
    prepared()
    from flwr.app import ConfigRecord, Context, RecordDict
    from flwr.common import FitIns, ndarrays_to_parameters
    from flwr.common.secure_aggregation.secaggplus_constants import Stage
    from flwr.compat.common.recorddict_compat import parameters_to_arrayrecord
    from flwr.server import LegacyContext
    from flwr.server.workflow import SecAggPlusWorkflow
    from flwr.server.workflow.constant import MAIN_CONFIGS_RECORD, MAIN_PARAMS_RECORD, Key

    generator = np.random.Generator(np.random.PCG64DXSM(seed))  # noqa: TID251 data of a benchmark
    vectors = [generator.uniform(-1, 1, cells).astype(np.float64) for _ in range(n)]
    start = ndarrays_to_parameters([np.zeros(1)])
    found: list[Any] = []

    class Strategy:
        """Everyone takes part; the result is kept."""

        def configure_fit(self, _round: int, _parameters: Any, _manager: Any) -> list[tuple[Any, Any]]:
            return [(Proxy(node), FitIns(start, {})) for node in range(1, n + 1)]

        def aggregate_fit(self, _round: int, results: list[Any], _failures: list[Any]) -> tuple[None, dict[str, Any]]:
            found.append(results[0][1].parameters)
            return None, {}

    @dataclass
    class Proxy:
        node_id: int

    grid = Grid(clients(n, vectors), lambda node, stage: node in lost and stage == Stage.COLLECT_MASKED_VECTORS)
    strategy: Any = Strategy()  # as much of one, and of a grid, as the workflow uses
    carries: Any = grid
    context = LegacyContext(Context(1, 0, {}, RecordDict(), {}), strategy=strategy)
    context.state.config_records[MAIN_CONFIGS_RECORD] = ConfigRecord({Key.CURRENT_ROUND: 1})
    context.state.array_records[MAIN_PARAMS_RECORD] = parameters_to_arrayrecord(start, True)
    workflow = SecAggPlusWorkflow(n, threshold, max_weight=1.0, clipping_range=CLIPPING)
    began = time.process_time()
    workflow(carries, context)
    total = time.process_time() - began
    from flwr.common import parameters_to_ndarrays

    (mean,) = parameters_to_ndarrays(found[0])
    came = [vector for node, vector in enumerate(vectors, 1) if node not in lost]
    error = float(np.abs(mean - np.mean(came, axis=0)).max())
    assert error < 0.01, error  # noqa: S101 a peer that gives a wrong sum is no peer
    up = sum(grid.up[node] for node in grid.up if node not in lost) / len(came)
    return Measured(grid.clients_s / n, total - grid.clients_s - grid.line_s, up, error)
