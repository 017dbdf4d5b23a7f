"""City folders as tests need them: a dictionary of every type, a mapping, files, and the snapshot that they become."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, Final

import duckdb
import pytest

from node import snapshot
from node.ingest import Ingested, ingest
from protocols.entropy import seeded
from protocols.errors import HpfedError

AS_OF: Final = date(2022, 5, 31)
DICTIONARY: Final = """dictionary: every-type
version: 1
variables:
  sex: {type: category, codes: {male: {zh: 男}, female: {zh: 女}, unknown: {zh: 未知}}}
  paid: {type: boolean}
  homes: {type: integer, range: [0, 20]}
  months: {type: integer, unit: month, range: [0, 600]}
  born: {type: integer, unit: year, range: [1930, 2030]}
  share: {type: number, range: [-1000, 1000]}
  rate: {type: number, unit: "%", range: [0, 100]}
  amount: {type: money, unit: CNY, range: [-1000, 1000000]}
  opened: {type: date, range: [1990-01-01, 2045-12-31]}
  worries: {type: set, codes: {illness: {zh: 疾病}, pension: {zh: 养老}}}
derived:
  age: {as_of_year_minus: born, range: [16, 80]}
"""
CITY: Final = 'city: test-city\nname: {zh: 测试市, en: Test}\ncode: "000000"\nsynthetic: true\n'
HEAD: Final = """mapping: 1
city: test-city
dictionary: dictionary.yaml
snapshot: 2022-05-31
"""
ONE_CSV: Final = "sources: {main: {kind: csv, encoding: utf-8, files: data/*.csv}}\n"
UNKEYED: Final = HEAD + ONE_CSV + "tables: {t: {source: main}}\n"
KEYED: Final = HEAD + ONE_CSV + "tables: {t: {source: main, key: 账号}}\n"


def folder(place: Path, mapping: str, files: Mapping[str, bytes | str], dictionary: str = DICTIONARY) -> Path:
    """A city folder at `place`. A text is written as UTF-8."""
    (place / "data").mkdir(parents=True, exist_ok=True)
    for name, text in {"city.yaml": CITY, "dictionary.yaml": dictionary, "mapping.yaml": mapping, **files}.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
    return place


def variables(**entries: str) -> str:
    """The last part of a mapping."""
    return "variables:\n" + "".join(f"  {name}: {{{entry}}}\n" for name, entry in entries.items())


def run(place: Path, home: Path | None = None) -> Ingested:
    return ingest(place, home or place / ".hpfed", seeded("test", "holder key"))


Cell = tuple[Any, int]


def cells(place: Path, home: Path | None = None) -> dict[str, list[Cell]]:
    """Every variable of the snapshot, row by row: the value, None where it is not known, and its status."""
    held = snapshot.open_for(home or place / ".hpfed", AS_OF)
    with duckdb.connect() as connection:
        main = connection.execute(
            "SELECT * FROM read_parquet($p)", {"p": str(held.folder / snapshot.MAIN)}
        ).fetchnumpy()
    names = [name for name in main if not name.endswith("__s")]
    return {
        name: [
            (None if status in (2, 3, 7) else value, status)
            for value, status in zip(main[name].tolist(), main[f"{name}__s"].tolist(), strict=True)
        ]
        for name in names
    }


def one(place: Path, entry: str, texts: list[str], **options: str) -> list[Cell]:
    """One variable over one column of texts. `options`: `variable` (default amount), `more` lines of the mapping."""
    name = options.get("variable", "amount")
    quoted = "".join('x,"' + text.replace('"', '""') + '"\n' for text in texts)
    folder(
        place,
        UNKEYED + options.get("more", "") + variables(**{name: f"from: t.c, {entry}"}),
        {"data/a.csv": f"z,c\n{quoted}"},
    )
    run(place)
    return cells(place)[name]


def fault(place: Path) -> HpfedError:
    """What ingest says no with; afterwards nothing is left at work, and the snapshots are what they were."""
    home = place / ".hpfed"
    before = contents(home / "snapshots")
    with pytest.raises(HpfedError) as raised:
        run(place)
    assert contents(home / "snapshots") == before
    assert not (home / "work").exists() or not list((home / "work").iterdir())
    return raised.value


def contents(place: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path): path.read_bytes() for path in sorted(place.rglob("*")) if path.is_file()}
