"""T27: exact means and ratios of cities of whose amounts a few holders are most: what is withheld, everywhere the same."""

import json
import shutil
from pathlib import Path
from typing import Any, Final

from coordinator import output
from coordinator.verify import verify
from protocols import study as studies
from simulations import world
from tests.system.conftest import SMALL

ASKED: Final = (
    SMALL[: SMALL.index("  - {id: product")]
    .replace("{mode: dp, epsilon: 1.0,", "{mode: exact,")
    .replace("dropouts: 1", "dropouts: 0")
    + "  - {id: paid, kind: mean, of: paid_total, by: generation}\n"
    + "  - {id: drawn, kind: ratio, numerator: withdrawn_24m, denominator: paid_total, by: generation}\n"
)


def asked(folder: Path, made: Path, ingested: Path, exact: str) -> world.Outcome:
    """The study over six cities of which one has other thresholds."""
    cities, homes = folder / "cities", folder / "homes"
    shutil.copytree(made, cities)
    shutil.copytree(ingested, homes)
    policy = cities / "suzhou" / "policy.yaml"
    text = policy.read_text(encoding="utf-8")
    policy.write_text(text.replace("min_cell: 1", f"min_cell: {exact}"), encoding="utf-8")
    (folder / "study.yaml").write_text(ASKED, encoding="utf-8")
    return world.run(studies.load(folder / "study.yaml"), cities, homes, seed=7)


def rows(outcome: world.Outcome) -> list[dict[str, Any]]:
    return [row for each in json.loads(outcome.results)["questions"].values() for row in each["rows"]]


def test_sums_that_a_few_holders_dominate_in_one_city_are_withheld_with_all_that_is_made_of_them(
    made: Path, ingested: Path, tmp_path: Path
) -> None:
    """Holders born before 1970 are few in the city that asks for sums of which no holder is more than a fifteenth of the rest."""
    outcome = asked(tmp_path / "strict", made, ingested, "2\n  dominance: {p_percent: 1500}")
    whole = asked(tmp_path / "loose", made, ingested, "1\n  dominance: {p_percent: 1500}")
    found, known = rows(outcome), rows(whole)
    withheld = [row for row in found if row["conf_status"] == "C"]
    assert not any(row["conf_status"] for row in known), "where no policy withholds cells, nothing is"
    assert {"mean", "sd", "total", "total_share"} <= {row["measure"] for row in withheld}
    assert not any(row["measure"] == "count" and row["estimate"] is None for row in found), "the holders are many"
    assert any(row["measure"] == "total" and row["estimate"] is not None for row in found)
    for row, exact in zip(found, known, strict=True):
        if row["conf_status"]:
            assert not any(
                row.get(column) for column in ("estimate", "display", "se_sampling", "ci_low", "ci_high", "base")
            )
        else:
            assert row == exact
    shares = [row for row in found if row["measure"] == "total_share" and not row["obs_status"]]
    assert all(row["conf_status"] == "C" for row in shares), "one share would give the sum over all groups"
    out = tmp_path / "out"
    output.write(out, outcome.results, outcome.events, outcome.sealer)
    assert all(step.holds for step in verify(out, None, output.made))
