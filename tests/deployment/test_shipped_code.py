"""T30: a party that owns the SuperLink ships code to every node. Nothing is fetched, unpacked or imported; a constant no comes back."""

from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from coordinator.exchange import exchange
from tests.deployment.stage import CITIES, TIME_S, Stage, hostile


def pushed(grid: Any, message: Any) -> list[str]:
    """Push until it is taken: a link that is quick says no before the last object of a message is there, and the SuperLink forgets it."""
    from flwr.supercore.inflatable.inflatable_utils import ObjectPushError

    for _ in range(9):
        with suppress(ObjectPushError):
            return list(grid.push_messages([message]))
    raise AssertionError


def test_a_hostile_bundle_is_never_fetched_and_its_messages_get_a_constant_no(stage: Stage, tmp_path: Path) -> None:
    """He starts a run of his own on loopback, with the secret of the SuperLink, and sends every node what a training round would."""
    from flwr.app import ArrayRecord, ConfigRecord, Message, Metadata, RecordDict
    from flwr.app.message import make_message
    from flwr.supercore.date import now as flower_now

    from coordinator import link_flower

    mark, content = tmp_path / "ran", hostile(tmp_path / "ran")
    asked: list[bytes] = []

    def answer(content: bytes, _now: int) -> bytes | None:
        asked.append(content)
        return content

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(link_flower, "bundle", lambda: content)
        listed = {city: (key,) for city, key in stage.federation.keys.items()}
        run = link_flower.courier_run(stage.federation.superlink, listed)
    sent = {
        "train": RecordDict({"weights": ArrayRecord(), "config": ConfigRecord({"lr": 0.1, "__import__": "os"})}),
        "query.hpf": RecordDict({"hpf": ConfigRecord({"e": b"x", "more": 1})}),
    }
    with stage.answering(answer), closing(run):
        names: list[str] = []
        for (node,), (kind, said) in zip(run.nodes.values(), [*sent.items()] * 2, strict=True):
            about = Metadata(
                run.run_id, "", 1, node, "", "", flower_now().timestamp(), TIME_S, kind, src_task_id=run.task_id
            )
            names += pushed(run.grid, make_message(about, said))
        came: list[Message] = []
        while len(came) < len(names):
            answered = {each.metadata.reply_to_message_id for each in came}
            came += run.grid.pull_messages([name for name in names if name not in answered])
        assert [each.error.reason for each in came if each.has_error()] == ["gate"] * len(names)
        assert exchange(stage.exchange, "ping", dict.fromkeys(CITIES, b"fine"), TIME_S) == dict.fromkeys(
            CITIES, b"fine"
        )
    assert asked == [b"fine"] * len(CITIES)
    assert not mark.exists()
