"""Invented respondents of the survey of platform workers: what is planted is found again, from clean rows and through the template."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from typer.testing import CliRunner

from coordinator import split, templates
from protocols import study as studies
from protocols.errors import CODES
from simulations import cities, world
from simulations import cli as simulate
from simulations.cities import respondents
from simulations.cities.streams import Streams

SEED: Final = 20220531
Truth = dict[str, dict[str, float]]


@pytest.fixture(scope="module")
def truth() -> Truth:
    return respondents.planted()


@pytest.fixture(scope="module")
def clean(truth: Truth) -> pd.DataFrame:
    """The rows of all parties, as the default seed draws them."""
    drawn = (respondents.drawn(truth, Streams(SEED, party), respondents.ROWS) for party in respondents.PARTIES)
    return pd.concat([pd.DataFrame(each) for each in drawn], ignore_index=True)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("survey") / "cities"
    done = CliRunner().invoke(simulate.app, ["cities", str(out), "--respondents", "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["as_of"] == "2025-12-31"
    return out


@pytest.mark.parametrize("outcome", ["flexible", "constrained"])
def test_a_pooled_fit_finds_the_slopes_of_the_report(outcome: str, clean: pd.DataFrame, truth: Truth) -> None:
    """Table 4 over everybody, Table 6 over those in flexible employment."""
    among = clean if outcome == "flexible" else clean[clean["flexible"] == 1]
    terms = [name for name in truth[outcome] if name != "intercept"]
    fit = sm.Logit(among[outcome], sm.add_constant(among[terms])).fit(disp=0)
    planted = np.array([truth[outcome]["intercept"], *(truth[outcome][name] for name in terms)])
    z = (fit.params.to_numpy() - planted) / fit.bse.to_numpy()
    assert len(terms) == 11
    assert np.abs(z).max() < 3.5, dict(zip(fit.params.index, z, strict=True))


def test_shares_are_those_of_the_report(clean: pd.DataFrame) -> None:
    n = len(clean)
    assert n == 4629
    flexible = clean["flexible"] == 1
    for found, printed, of in (
        (flexible.mean(), 2110 / 4629, n),
        (clean.loc[flexible, "constrained"].mean(), 0.69, flexible.sum()),
        (clean.loc[~flexible, "constrained"].mean(), 0.52, (~flexible).sum()),
        ((clean["insurance_code"] == 0).mean(), 0.2 * 0.456 + 0.07 * 0.544, n),
        ((clean["saving_code"] == 3).mean(), 0.49 * 0.456 + 0.70 * 0.544, n),
    ):
        assert found == pytest.approx(printed, abs=4 * np.sqrt(printed * (1 - printed) / of))


def test_the_same_seed_gives_the_same_files_and_says_that_they_are_invented(written: Path, tmp_path: Path) -> None:
    cities.write_respondents(tmp_path / "again")

    def digests(folder: Path) -> dict[str, str]:
        files = (path for path in folder.rglob("*") if path.is_file())
        return {str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest() for path in files}

    assert digests(written) == digests(tmp_path / "again")
    assert json.loads((written / "truth" / "truth.json").read_bytes())["planted"]["flexible"]["career_plan"] == -1.141
    for party in respondents.PARTIES:
        (path,) = (written / party / "data").iterdir()
        assert "synthetic" in path.name
        assert set(pd.read_csv(path, dtype=str)["数据来源"]) == {"合成数据"}
        assert "synthetic: true" in (written / party / "city.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "more", [["--events"], ["--broken", "gzip"], ["--dictionary", "hpf-core@1"], ["--heterogeneity", "0"]]
)
def test_options_of_other_cities_are_refused(more: list[str], tmp_path: Path) -> None:
    done = CliRunner().invoke(simulate.app, ["cities", str(tmp_path / "out"), "--respondents", *more, "--lang", "en"])
    assert done.exit_code == 2
    assert CODES["SIMULATE_OPTION"]["en"][1] in done.stderr
    assert not (tmp_path / "out").exists()


def test_the_template_finds_what_is_planted_between_flexible_and_stable(
    written: Path, clean: pd.DataFrame, tmp_path: Path
) -> None:
    file = tmp_path / "survey.yaml"
    templates.written(file, templates.content("platform-workers-survey"))
    asked = split.stated(studies.load(file))
    outcome = world.run(asked, written, tmp_path / "homes", seed=3)
    questions = json.loads(outcome.results)["questions"]
    rates = clean.groupby("flexible")["constrained"].mean()
    assert contrast(questions, "constrained", "true", rates[1] - rates[0]) > 0.1
    none = (clean["insurance_code"] == 0).groupby(clean["flexible"]).mean()
    contrast(questions, "commercial_insurance", "none", none[1] - none[0])
    shown = [row for each in questions.values() for row in each["rows"] if "_missing" not in row.values()]
    assert np.mean([row["obs_status"] == "" for row in shown]) > 0.8


def contrast(questions: Any, name: str, code: str, of_rows: float) -> float:
    """The difference of flexible and stable in a share, which noise alone may have moved from that of the rows."""
    rows = [row for row in questions[name]["rows"] if row.get("contrast") and code in row.values()]
    row = next(each for each in rows if "flexible" in each.values() or "stable" in each.values())
    sign = 1 if "flexible" in row.values() else -1
    assert abs(sign * row["estimate"] - of_rows) < 5 * row["se_noise"]
    assert row["q_value"] is not None
    return float(sign * row["estimate"])
