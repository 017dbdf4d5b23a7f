"""City folders whose snapshots were written down by hand (tests/vectors/ingest)."""

import json
import shutil
from datetime import date
from pathlib import Path
from typing import Any, Final

import pytest

from node import mapping, snapshot
from node.ingest import holder, holder_key
from protocols.entropy import seeded
from tests.unit.city_folder import Cell, cells, run

VECTORS: Final = Path(__file__).parents[1] / "vectors" / "ingest"
NAMES: Final = sorted(path.parent.name for path in VECTORS.glob("*/expected.json"))


def stored(meant: Any, name: str, value: Any) -> Any:
    """A value as it is written by hand, as it is stored."""
    kind = meant.variables[name].type
    if value is None or kind in ("integer", "money", "number"):
        return value
    if kind == "date":
        return date.fromisoformat(value).toordinal() - date(1970, 1, 1).toordinal()
    return meant.codes(name).index(value) if kind == "category" else int(value)


@pytest.mark.parametrize("name", NAMES)
def test_a_city_folder_becomes_the_snapshot_that_was_written_by_hand(tmp_path: Path, name: str) -> None:
    place = tmp_path / name
    shutil.copytree(VECTORS / name, place)
    expected = json.loads((place / "expected.json").read_text(encoding="utf-8"))
    done = run(place)
    meant = mapping.load(place).meant
    order = range(done.rows)
    if "key" in expected:
        secret = holder_key(place / ".hpfed", seeded())
        names = [holder(secret, key) for key in expected["key"]]
        order = sorted(range(len(names)), key=lambda number: names[number])  # type: ignore[assignment]  # an order of the same numbers
        held = snapshot.open_for(place / ".hpfed", mapping.load(place).snapshot)
        assert held.holders().tobytes() == b"".join(sorted(names))
    read = cells(place)
    assert set(read) == set(expected["cells"])
    for variable, written in expected["cells"].items():
        wanted: list[Cell] = [(stored(meant, variable, written[row][0]), written[row][1]) for row in order]
        assert read[variable] == wanted, variable
    counted = {
        variable: {key: count for key, count in counters.model_dump().items() if count}
        for variable, counters in done.counters.items()
    }
    assert counted == expected["counters"]
    for table, counts in expected.get("tables", {}).items():
        assert done.quality.tables[table].model_dump(exclude_none=True).items() >= counts.items()


def test_there_are_vectors() -> None:
    assert NAMES == ["rules", "two-tables"]
