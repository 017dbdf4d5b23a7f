"""The benchmarks run, at sizes at which their figures say nothing; and what they compare is the same work."""

import json
from dataclasses import fields
from pathlib import Path

import duckdb
import numpy as np
import pytest

from node.gate import encoded
from protocols.errors import ConfigError
from protocols.statistics.layout import Measure
from simulations import bench
from simulations.bench import encoding, group_by

CONTRACT = ("name", "ours", "peer", "peer_name", "unit", "ratio", "target", "reached")


@pytest.mark.slow  # a minute and more: whole demos, conversations and processes of their own, at small sizes
def test_every_benchmark_runs_and_writes_the_lines_of_the_contract(tmp_path: Path) -> None:
    said: list[str] = []
    found = bench.run([], tmp_path, said.append, quick=True)
    written = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert {name.split(",")[0].split(" ")[0] for name in (line.name for line in found)} == {
        *(
            "audit",
            "coordinator",
            "coverage",
            "demo",
            "encoding",
            "exchange",
            "generator",
            "ingest",
            "ledger",
            "link",
            "links",
            "mask",
            "models",
            "release",
            "sampler",
            "scale",
            "secagg",
            "study",
        ),
        "utility",
    }
    assert tuple(field.name for field in fields(bench.Line))[:8] == CONTRACT
    assert [line["name"] for line in written] == [line.name for line in found]
    assert len(said) == 1 + len(found)
    for line, text in zip(written, said[1:], strict=True):
        assert line["ours"] > 0
        assert line["peer"] > 0
        assert line["ratio"] == pytest.approx(line["ours"] / line["peer"])
        assert line["reached"] == (
            line["ratio"] >= line["target"] if line["better"] == "more" else line["ratio"] <= line["target"]
        )
        assert text.startswith(line["name"])
        assert ("NOT REACHED" in text) != line["reached"]


def test_benchmarks_that_are_named_run_and_are_written(tmp_path: Path) -> None:
    said: list[str] = []
    found = bench.run(["masks", "sampler"], tmp_path, said.append, quick=True)
    written = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert [line["name"] for line in written] == [line.name for line in found]
    assert all(set(CONTRACT) <= set(line) for line in written)
    assert len(said) == 1 + len(found)


def test_a_benchmark_that_nobody_knows_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as fault:
        bench.run(["speed"], tmp_path, print)
    assert fault.value.code == "BENCH_UNKNOWN"
    assert not list(tmp_path.iterdir())


def test_the_queries_beside_which_encoding_is_measured_count_the_same_cells(tmp_path: Path) -> None:
    """Counts are equal. Of amounts in coarser units each holder's is rounded here, and may differ by half a unit."""
    asked, layout = encoding.flagship()
    folder, holders = encoding.ingested(tmp_path, 2_000), 2_000
    with duckdb.connect() as database:
        source = f"read_parquet('{folder / 'main.parquet'}')"
        theirs = group_by.vector(layout, asked, source, lambda query: database.execute(query).fetchall())
    ours = encoded(asked, layout, encoding.held(folder))
    for block in layout.blocks:
        exact = block.measure is Measure.ONE or (block.measure is Measure.AMOUNT and block.shift == 0)
        apart = np.abs(ours - theirs)[layout.span(block)].max()
        assert apart <= (0 if exact else holders / 2), block.name
    assert ours.any()
