"""A new holder key: on purpose, with a line in the audit file, and nothing is held against what was answered under the old one."""

import json
from pathlib import Path

import numpy as np
import pytest

from node import audit, ledger
from node import cli as node
from node.audit import Audit, Event
from node.cohorts import Cohort, Cohorts, Released
from node.holders import rotate
from node.ingest import HOLDER_KEY, holder_key
from protocols.entropy import seeded
from protocols.errors import ConfigError, Refusal
from tests.system.test_programs import called

NOW = 1_800_000_000
SNAPSHOT = "sha256:" + "1" * 64


def test_a_holder_key_is_replaced_on_purpose_alone_and_the_audit_file_says_so(tmp_path: Path) -> None:
    old, words = holder_key(tmp_path, seeded("old")), ("identity", "rotate-holder-key", "--home", tmp_path, "--json")
    refused = called(node, *words)
    assert (refused.exit_code, json.loads(refused.stdout)["error"]["code"]) == (2, "HOLDER_HISTORY")
    assert (tmp_path / HOLDER_KEY).read_bytes() == old
    with Audit.open(tmp_path / ledger.AUDIT, now=NOW, entropy=seeded("gate")):  # a gate is open
        assert called(node, *words, "--accept-history-loss").exit_code == 1
    assert (tmp_path / HOLDER_KEY).read_bytes() == old
    assert called(node, *words, "--accept-history-loss").exit_code == 0
    assert (tmp_path / HOLDER_KEY).read_bytes() != old
    assert [each.event for each in audit.lines(tmp_path / ledger.AUDIT)] == [Event.ROTATED]


def test_what_was_answered_under_another_holder_key_cannot_be_compared_and_is_refused(tmp_path: Path) -> None:
    old = Cohorts(tmp_path, holder_key(tmp_path, seeded("old")))
    holders = np.frombuffer(seeded("holders")(16 * 40), np.uint8).reshape(-1, 16)
    first = Cohort(SNAPSHOT, np.arange(40) < 20, holders)
    released = Released("sha256:" + "2" * 64, SNAPSHOT, old.keep(first), by_city=False)
    other = Cohort(SNAPSHOT, np.arange(40) < 30, holders)
    assert old.differs(other, [released], 5) is None
    rotate(tmp_path, now=NOW, entropy=seeded("new"))
    no = Cohorts(tmp_path, holder_key(tmp_path, seeded("never"))).differs(other, [released], 5)
    assert isinstance(no, Refusal)
    assert no.code == "EXACT_OVERLAP"


def test_where_there_is_no_holder_key_none_is_replaced(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as no:
        rotate(tmp_path, now=NOW, entropy=seeded("new"))
    assert (no.value.code, list(tmp_path.iterdir())) == ("KEY_NONE", [])
