"""Ratios and correlations through the real gates: one study in both modes, held against the pooled rows, its bundle verified."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from protocols import study as studies
from protocols.study import Study
from simulations.cities import ALL
from tests.system.conftest import SMALL, Ask
from tests.system.test_releases import holds
from tests.system.test_world import flexible

FIGURES: Final = {city: 1000 + 500 * at for at, city in enumerate(ALL)}
PUBLISHED: Final = ", ".join(f"{city}: {figure}" for city, figure in FIGURES.items())
ASKED: Final = (
    SMALL[: SMALL.index("  - {id: product")].replace("epsilon: 1.0", "epsilon: 4.0")
    + "  - {id: drawn, kind: ratio, numerator: withdrawn_24m, denominator: paid_total, release: both, band: [0.02, 0.06]}\n"
    + f"  - {{id: covered, kind: ratio, numerator: withdrew_24m, denominator: {{public: {{{PUBLISHED}}}}}}}\n"
    + "  - {id: together, kind: moments, of: [age, consecutive_periods, withdrew_24m]}\n"
)


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], Study]:
    def load(text: str) -> Study:
        path = tmp_path / "asked.yaml"
        path.write_text(text, encoding="utf-8")
        return studies.load(path)

    return load


def test_both_modes_answer_and_their_bundles_hold(
    ask: Ask, written: Callable[[str], Study], made: Path, tmp_path: Path
) -> None:
    rows = flexible(made)
    study = written(ASKED)
    found: dict[str, Any] = {}
    for name, asked in (("dp", study), ("exact", study.in_exact_mode())):
        outcome = ask(asked)
        assert not holds(outcome, tmp_path / f"out-{name}")
        found[name] = json.loads(outcome.results)["questions"]
    one = {key: {(row["scope"], row.get("a", ""), row.get("b", "")): row for row in each["rows"]
                 if row["measure"] in ("ratio", "correlation")} for key, each in found["exact"].items()}  # fmt: skip
    both = rows.dropna(subset=["withdrawn_24m", "paid_total"])
    drawn = both["withdrawn_24m"].astype(float).sum() / both["paid_total"].astype(float).sum()
    assert one["drawn"]["pooled", "", ""]["estimate"] == pytest.approx(drawn, rel=1e-9)
    assert one["covered"]["pooled", "", ""]["estimate"] == pytest.approx(
        rows["withdrew_24m"].sum() / sum(FIGURES.values())
    )
    assert set(one["drawn"]) == {("pooled", "", ""), *((city, "", "") for city in FIGURES)}
    of = rows[["consecutive_periods", "withdrew_24m"]].astype(float).dropna()
    r = np.corrcoef(of.to_numpy(), rowvar=False)[0, 1]
    assert one["together"]["pooled", "consecutive_periods", "withdrew_24m"]["estimate"] == pytest.approx(r, abs=1e-9)
    for key, rows_ in found["dp"].items():
        for row in rows_["rows"]:
            if row["scope"] == "pooled" and row["measure"] in ("ratio", "correlation") and row["estimate"] is not None:
                truth = one[key]["pooled", row.get("a", ""), row.get("b", "")]["estimate"]
                spread = row["se_noise"] or 1e-9
                assert abs(row["estimate"] - truth) < 5 * spread, (key, row)
