"""Scores of this city's own rows by a model file. They are written to a file of this machine and go nowhere else.

Rows stand in the order of the snapshot, one line each: `row` counts from 0, `holder` is the keyed hash by which the snapshot knows its
holder. A row that lacks what the model needs has no score, nor, of a hazard, has who is no longer at risk (`ahead.py`). The file is for
this city alone (mode 0600); nothing of it is logged.
"""

# ruff: noqa: S608 statements are made of names written here and bound values only (threat-model.md T46)

import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from node import mapping, snapshot
from node.engine import engine
from protocols.dictionary import Column, Dictionary, Read, Reading, Table
from protocols.errors import ConfigError
from protocols.models import ahead
from protocols.models.design import Flags
from protocols.models.modelfile import Card, Linear, ModelFile, Monthly, Taken
from protocols.models.scoring import REASONS, Adapted, adapted, points, scores

Language = Literal["zh", "en"]
BATCH: Final = 1 << 18
HEXADECIMAL: Final = "replace(((high::UHUGEINT * 18446744073709551616::UHUGEINT + low)::UUID)::VARCHAR, '-', '')"


@dataclass(frozen=True)
class Scored:
    """rows: of the snapshot; without: those that have no score. The rest: values that the model did not take as they are, by variable."""

    rows: int
    without: int
    missing: dict[str, int]
    unknown: dict[str, int]
    clipped: dict[str, int]


def score(model: ModelFile, folder: Path, home: Path, out: Path, language: Language) -> Scored:
    """Scores the newest snapshot of the date in mapping.yaml. `out`: CSV, or Parquet by its ending; replaced whole or not at all.

    Errors: `ConfigError` MODEL_SCORE_DICTIONARY, MODEL_SCORE_COLUMN and those of mapping and snapshot; `Refusal SNAPSHOT_DATE`.
    """
    means = mapping.load(folder)
    rows = snapshot.open_for(home, means.snapshot)
    of_dictionary(model, means)
    meant, wanted = _means(model, means.meant, frozenset(rows.cannot))
    tables = rows.batches(wanted, BATCH) if wanted else iter((Table(rows.rows, {}, {}),))
    hashes = rows.holders() if rows.manifest.keyed else None
    texts = [_reason(each, language) for each in model.variables if each.name in model.needs]
    counted: dict[str, Counter[str]] = {each: Counter() for each in ("missing", "unknown", "clipped")}
    first = without = 0
    with tempfile.TemporaryDirectory(dir=out.absolute().parent, prefix=".scores-") as made:
        work = Path(made)
        with engine(work=work) as connection:
            for table in tables:
                read, scored = _read(model, table, means)
                here = adapted(model, meant, read)
                lines, lacking = _lines(model, here, table.holders, scored)
                lines["row"] = np.arange(first, first + table.holders)
                if hashes is not None:
                    lines["high"], lines["low"] = hashes[first : first + table.holders].view(">u8").astype(np.uint64).T
                connection.register("batch", lines)
                verb = "INSERT INTO scored" if first else "CREATE TABLE scored AS"
                connection.execute(f"{verb} FROM batch")
                connection.unregister("batch")
                first, without = first + table.holders, without + lacking
                for name, found in counted.items():
                    found.update(getattr(here.odd, name))
            plain = "(FORMAT parquet, COMPRESSION uncompressed)"  # digits of hashes do not become fewer
            how = plain if out.suffix == ".parquet" else "(FORMAT csv, HEADER)"
            values = {"file": str(work / "scored")} | ({"texts": texts} if isinstance(model.fit, Card) else {})
            connection.execute(
                f"COPY (SELECT {_columns(model, hashes is not None)} FROM scored) TO $file {how}", values
            )
        (work / "scored").chmod(0o600)
        (work / "scored").replace(out)
    odd = {name: {each: number for each, number in sorted(found.items()) if number} for name, found in counted.items()}
    return Scored(first, without, **odd)


def _means(model: ModelFile, meant: Dictionary, cannot: frozenset[str]) -> tuple[Dictionary, list[str]]:
    """The dictionary that a model's variables are in, and what is read of the snapshot. Errors: `ConfigError MODEL_SCORE_COLUMN`."""
    if not isinstance(model.fit, Monthly):
        adapted(model, meant, unread, cannot)
        return meant, sorted({given for name in model.needs for given in meant.needs(name)})
    wider, wanted = ahead.dictionary_of(model.fit, model.domain, meant), ahead.needed(model, model.fit, meant)
    lacking = {name for name in wanted if name in cannot or not meant.named(name)}
    if lacking:
        raise ConfigError("MODEL_SCORE_COLUMN", names=", ".join(sorted(lacking)))
    adapted(model, wider, unread)
    return wider, sorted(wanted)


def _read(model: ModelFile, table: Table, means: mapping.Mapping) -> tuple[Read, Flags]:
    """Columns of a batch by name, and which of its rows can have a score."""
    if isinstance(model.fit, Monthly):
        return ahead.next_month(model, model.fit, table, means.meant, means.snapshot)
    return Reading(table, means.meant, means.snapshot), np.ones(table.holders, bool)


def of_dictionary(model: ModelFile, means: mapping.Mapping) -> None:
    """Errors: `ConfigError MODEL_SCORE_DICTIONARY` where the model is in the words of another dictionary than this city's, whatever their
    versions."""
    if means.meant.name.partition("@")[0] != model.dictionary.partition("@")[0]:
        raise ConfigError("MODEL_SCORE_DICTIONARY", model=model.dictionary, city=means.meant.name)


def unread(name: str) -> Column:
    """Of no rows."""
    raise KeyError(name)


def _reason(of: Taken, language: Language) -> str:
    label = of.zh if language == "zh" else of.en
    return f"{of.name} {label}" if label and label != of.name else of.name


def _columns(model: ModelFile, keyed: bool) -> str:
    """What is written of numbers. Names are ours. A hash is written as the digits of a UUID, which is the quickest way to hexadecimal."""
    expected = isinstance(model.fit, Linear | Monthly) and model.fit.family != "binomial"
    found = ["row", *([f"{HEXADECIMAL} AS holder"] if keyed else [])]
    found.append(f"mean AS {'expected' if expected else 'probability'}")
    if isinstance(model.fit, Card):
        found += ["points", *(f"$texts[reason_{place}] AS reason_{place}" for place in range(1, REASONS + 1))]
    return ", ".join(found)


def _lines(model: ModelFile, here: Adapted, rows: int, scored: Flags) -> tuple[dict[str, Any], int]:
    """Columns of a batch, and how many of its rows have no score. A reason is the place of its text, from 1; 0 is none."""
    found = scores(model, here, rows)
    known = found.known & scored
    lines: dict[str, Any] = {"mean": np.where(known, found.mean, np.nan)}
    if isinstance(model.fit, Card):
        names = [each.name for each in model.variables if each.name in model.needs]
        total, reasons = points(model.fit, model.domain, here, rows)
        places = np.array([0, *(1 + names.index(each.bins.name) for each in model.fit.features)])
        lines["points"] = total
        lines |= {f"reason_{place + 1}": places[reasons[:, place] + 1] for place in range(REASONS)}
    return lines, int(rows - known.sum())
