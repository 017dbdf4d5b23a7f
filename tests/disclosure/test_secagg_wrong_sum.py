"""T11 `secagg-wrong-sum`: a wrong sum is announced; suppressed cells are tried out."""

from pathlib import Path

from typer.testing import CliRunner

from coordinator import cli
from tests import bundles
from tests.disclosure.attacked import tried, words

NAME = "secagg-wrong-sum"


def test_the_attack_stays_within_its_limit() -> None:
    assert tried(NAME).outcome.held, tried(NAME).outcome.observed("en")


def test_with_the_guard_taken_out_the_same_attack_succeeds() -> None:
    assert tried(NAME).broken, [each.observed("en") for each in tried(NAME).controls]


def test_it_is_refused_in_these_words() -> None:
    assert words(NAME) >= {"bad_signature", "too_few", "wrong_sum"}


def test_one_cell_more_is_found_by_report_verify_with_exit_5(tmp_path: Path) -> None:
    """The coordinator itself publishes other numbers, and lists and signs them."""
    sealed = bundles.make(tmp_path)
    tree = sealed.results()
    tree["questions"]["all"]["rows"][0]["estimate"] += 1
    sealed.published(tree)
    found = CliRunner().invoke(cli.app, ["report", "verify", str(sealed.out)])
    assert found.exit_code == 5
    assert "results.json" in found.output
