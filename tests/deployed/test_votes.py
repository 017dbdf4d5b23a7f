"""Cities look at a model at home and send a word; the coordinator signs what more than half of them said yes to."""

import json
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from coordinator import cli as coordinator
from coordinator import roster as books
from node import city as cities
from node import cli as node
from node import membership
from node.validate import Look, word
from protocols.enrolment import read_enrolment
from protocols.entropy import seeded
from protocols.signed import FileType, public_of, verified
from protocols.vote import Acceptance
from tests.unit.test_monitor import month
from tests.unit.test_scores import model

CITIES = ("east", "north", "south", "west")
DAY = "2022-01-31"


def at(app: Any, *words: str) -> Result:
    return CliRunner().invoke(app, [*words, "--json"])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four cities on a roster. In one of them the odds are a quarter of what the model says."""
    made = tmp_path_factory.mktemp("votes")
    hub = str(made / "hub")
    assert at(coordinator.app, "init", "--name", "provident", "--home", hub).exit_code == 0
    for name in CITIES:
        month(made / name, DAY, odds=0.25 if name == "west" else 1.0)
        for file in ("city.yaml", "mapping.yaml"):
            text = (made / name / file).read_text(encoding="utf-8").replace("test-city", name)
            (made / name / file).write_text(text, encoding="utf-8")
        file_ = membership.enrolment(cities.load(made / name), made / name / ".hpfed", seeded("votes", name))
        (made / f"{name}.json").write_bytes(file_)
        told = read_enrolment(file_).fingerprint
        added = at(coordinator.app, "roster", "add", str(made / f"{name}.json"), "--fingerprint", told, "--home", hub)
        assert added.exit_code == 0, added.output
    assert at(coordinator.app, "roster", "sign", "--home", hub).exit_code == 0
    return made


def voted(place: Path, file: Path, *names: str) -> tuple[str, ...]:
    found = []
    for name in names:
        out = place / f"{name}.vote.json"
        done = at(node.app, "validate", str(file), "--out", str(out), "--folder", str(place / name))
        assert done.exit_code == 0, done.output
        found.append(str(out))
    return tuple(found)


def accept(place: Path, file: Path, *votes: str) -> Result:
    return at(
        coordinator.app,
        "model",
        "accept",
        str(file),
        *votes,
        "--out",
        str(place / "accepted.json"),
        "--home",
        str(place / "hub"),
    )


def test_a_majority_signs_and_no_figure_of_a_city_is_in_its_vote(place: Path) -> None:
    file = model(place / "east")
    votes = voted(place, file, *CITIES)
    done = accept(place, file, *votes)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["votes"] == {"east": "yes", "north": "yes", "south": "yes", "west": "no"}
    key = public_of(books.key_of(place / "hub" / books.IDENTITY))
    signed = verified((place / "accepted.json").read_bytes(), FileType.ACCEPTANCE, [key])
    found = Acceptance.model_validate_json(signed.payload, strict=True)
    assert found.model == json.loads(done.stdout)["model"]
    payload = json.loads(signed.payload)
    assert set(payload) == {"contract", "id", "model", "version", "roster", "at", "votes"}


def test_half_is_no_majority_and_silence_is_no_yes(place: Path) -> None:
    file = model(place / "east")
    done = accept(place, file, *voted(place, file, "east", "north", "west"))
    assert done.exit_code == 3
    assert "VOTE_NO_MAJORITY" in done.stdout


def test_a_city_does_not_decide_about_a_model_that_it_made_alone(place: Path) -> None:
    file = model(place / "east", cities=("east",), parent="sha256:" + "1" * 64, version=2)
    votes = voted(place, file, "east", "north", "south")
    assert accept(place, file, *votes[1:]).exit_code == 0, "two of the three others"
    own = accept(place, file, *votes)
    assert own.exit_code == 5
    assert "VOTE_CITY" in own.stdout


def test_a_vote_that_does_not_hold_is_named(place: Path) -> None:
    file = model(place / "east")
    first, second = voted(place, file, "east", "north")
    assert "VOTE_TWICE" in accept(place, file, first, first, second).stdout
    forged = place / "forged.json"
    forged.write_bytes(Path(first).read_bytes()[:-60] + Path(second).read_bytes()[-60:])
    broken = accept(place, file, str(forged), second)
    assert broken.exit_code == 5
    other = model(place / "east", rows=101)
    assert "VOTE_OTHER" in accept(place, other, first, second).stdout


def test_the_word_follows_from_the_figures() -> None:
    good = Look(1000, 0.75, 1.0)
    assert word(good, None) == "yes"
    assert word(replace(good, ratio=1.4), None) == "no"
    assert word(replace(good, ratio=1.4), Look(1000, 0.75, 2.0)) == "yes", "nearer to 1 than the model in use"
    assert word(replace(good, auc=0.73), good) == "no", "it ranks worse"
    assert word(replace(good, auc=0.745), good) == "yes"
    assert word(Look(90, None, None), good) == "cannot_tell"


def test_an_expired_model_gets_no_vote(place: Path) -> None:
    file = model(place / "east", expires=date(2026, 2, 1))
    done = at(node.app, "validate", str(file), "--out", str(place / "no.json"), "--folder", str(place / "east"))
    assert done.exit_code == 2
    assert "MODEL_EXPIRED" in done.stdout
    assert not (place / "no.json").exists()
