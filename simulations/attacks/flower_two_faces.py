"""The both-lists attack on SecAgg+ of Flower (flwr 1.41), whose own client code answers it: a control that is no double of ours.

A client of that protocol is told by the server which nodes are alive and which are dead, and returns a share of the private mask of each
that is alive and of the key of each that is dead. Nothing says that no node may be both.
"""

from typing import Any, Final

import numpy as np

from protocols.entropy import Entropy, exactly
from simulations.attacks.outcome import Outcome
from simulations.bench import flower

N, CELLS, TARGET, THRESHOLD = 6, 64, 6, 5
STEP: Final = 2 * flower.CLIPPING / 2**22  # of the peer's quantisation


def run(entropy: Entropy) -> Outcome:
    """Cells of the target's vector that the server works out. Needs the extra `flower`."""
    vectors = [np.frombuffer(exactly(entropy, 4 * CELLS), "<u4") / 2**32 for _ in range(N)]
    call = flower.clients(N, vectors)
    left = read(call)
    return Outcome(int(np.count_nonzero(np.abs(left - vectors[TARGET - 1]) <= STEP)), 0, "cells")


def read(call: flower.Call) -> np.ndarray[Any, Any]:
    """The target's vector, from what clients under `secaggplus_mod` send a server that follows the protocol but for the two lists."""
    flower.prepared()
    from flwr.app import ConfigRecord, Message, RecordDict
    from flwr.common import bytes_to_ndarray
    from flwr.common.secure_aggregation.crypto.shamir import combine_shares
    from flwr.common.secure_aggregation.crypto.symmetric_encryption import generate_shared_key as shared
    from flwr.common.secure_aggregation.ndarrays_arithmetic import factor_extract
    from flwr.common.secure_aggregation.quantization import dequantize
    from flwr.common.secure_aggregation.secaggplus_constants import RECORD_KEY_CONFIGS, Key, Stage
    from flwr.common.secure_aggregation.secaggplus_utils import pseudo_rand_gen
    from flwr.supercore.primitives.asymmetric import bytes_to_private_key, bytes_to_public_key

    nodes = range(1, N + 1)

    def asked(node: int, stage: str, said: dict[str, Any]) -> Any:
        configs = ConfigRecord({Key.STAGE: stage, **said})
        message = Message(RecordDict({RECORD_KEY_CONFIGS: configs}), node, "train")
        return call(node, message).content.config_records[RECORD_KEY_CONFIGS]

    setting = {
        Key.SAMPLE_NUMBER: N, Key.SHARE_NUMBER: N, Key.THRESHOLD: THRESHOLD, Key.CLIPPING_RANGE: flower.CLIPPING,
        Key.TARGET_RANGE: 2**22, Key.MOD_RANGE: 2**32, Key.MAX_WEIGHT: 1.0,
    }  # fmt: skip
    public = {}
    for node in nodes:
        reply = asked(node, Stage.SETUP, setting)
        public[node] = [reply[Key.PUBLIC_KEY_1], reply[Key.PUBLIC_KEY_2]]
    boxes: dict[int, dict[int, bytes]] = {node: {} for node in nodes}
    for node in nodes:
        reply = asked(node, Stage.SHARE_KEYS, {str(each): public[each] for each in nodes})
        for to, box in zip(reply[Key.DESTINATION_LIST], reply[Key.CIPHERTEXT_LIST], strict=True):
            boxes[to][node] = box
    masked = {}
    for node in nodes:
        said = {Key.CIPHERTEXT_LIST: list(boxes[node].values()), Key.SOURCE_LIST: list(boxes[node])}
        reply = asked(node, Stage.COLLECT_MASKED_VECTORS, said)
        masked[node] = [bytes_to_ndarray(each) for each in reply[Key.MASKED_PARAMETERS]]
    alive: list[bytes] = []
    dead: list[bytes] = []
    for node in nodes:
        lists = {Key.ACTIVE_NODE_ID_LIST: list(nodes), Key.DEAD_NODE_ID_LIST: [TARGET]}  # the attack
        reply = asked(node, Stage.UNMASK, lists)
        given = list(zip(reply[Key.NODE_ID_LIST], reply[Key.SHARE_LIST], strict=True))
        alive.append(next(share for owner, share in given if owner == TARGET))
        dead.append(given[-1][1])
    left = masked[TARGET]
    shapes = [each.shape for each in left]
    secret = bytes_to_private_key(combine_shares(dead[:THRESHOLD]))
    masks = [(1, pseudo_rand_gen(combine_shares(alive[:THRESHOLD]), 2**32, shapes))]
    for node in nodes:
        if node != TARGET:
            seed = shared(secret, bytes_to_public_key(public[node][0]))
            masks.append((1 if node < TARGET else -1, pseudo_rand_gen(seed, 2**32, shapes)))
    for sign, mask in masks:
        left = [(a - sign * b) % 2**32 for a, b in zip(left, mask, strict=True)]
    weight, plain = factor_extract(left)
    (found,) = dequantize(plain, flower.CLIPPING, 2**22)
    del weight
    return found
