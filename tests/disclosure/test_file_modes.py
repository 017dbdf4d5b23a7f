"""T39: other local user reads keys, ledger, snapshot. Files of the home are 0600 and its folders 0700, whatever the umask."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.identity import identity
from protocols.entropy import seeded
from tests.ledgers import NOW, claim, opened, rows, spend


@pytest.fixture(params=[0o000, 0o022])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def modes(home: Path) -> dict[str, int]:
    return {
        path.relative_to(home).as_posix(): stat.S_IMODE(path.stat().st_mode)
        for path in sorted([home, *home.rglob("*")])
    }


@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize("key_first", [True, False])
def test_ledger_audit_and_key_are_for_their_owner_alone(tmp_path: Path, key_first: bool) -> None:
    home = tmp_path / "home"
    if key_first:
        identity(home, seeded("key"))
    with opened(home) as ledger:
        identity(home, seeded("key"))
        ledger.reserve(claim(1), now=NOW)
        rows(ledger, 1)
        spend(ledger, 1)
        found = modes(home)
    assert {"ledger.sqlite", "audit/audit.jsonl", "identity/ed25519.key"} <= set(found)
    for name, mode in found.items():
        assert mode == (0o700 if (home / name).is_dir() else 0o600), name


@pytest.mark.usefixtures("umask")
def test_what_sqlite_writes_beside_the_ledger_is_as_closed_as_the_ledger(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with opened(home) as ledger:
        ledger._db.execute("BEGIN IMMEDIATE")
        ledger._db.execute("INSERT INTO numbers VALUES (9, 1)")
        beside = [name for name in modes(home) if name.startswith("ledger.sqlite-")]
        assert beside == ["ledger.sqlite-journal"]
        assert modes(home)[beside[0]] == 0o600
        ledger._db.execute("ROLLBACK")
