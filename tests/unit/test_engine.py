"""What `--engine flower` refuses before anything is started."""

import importlib.util
from pathlib import Path

import pytest
from typer.testing import CliRunner

from protocols.errors import ConfigError
from simulations import cli, federation


def test_without_flower_the_command_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "flwr" else pytest.fail(name))
    done = CliRunner().invoke(cli.app, ["demo", "--out", str(tmp_path / "out"), "--engine", "flower", "--lang", "en"])
    assert done.exit_code == 2
    assert "pip install 'hpfed[flower]'" in done.output
    assert not (tmp_path / "out").exists()


def test_more_cities_than_one_machine_carries_are_refused(tmp_path: Path) -> None:
    place = federation.Place(tmp_path, None, tmp_path, b"", None, None, False)
    places = {f"c{number}": place for number in range(federation.MOST_CITIES + 1)}
    with pytest.raises(ConfigError) as caught, federation.gates(places):
        pass
    assert (caught.value.code, caught.value.values["most"]) == ("FLOWER_CITIES", federation.MOST_CITIES)
