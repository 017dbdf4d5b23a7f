"""Model files in a study: fitted in one study, evaluated in another, held against another model, checked from the bundle."""

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from coordinator import change, modelcard, output, rounds
from coordinator.cli import app
from coordinator.results import Results
from coordinator.verify import verify
from node import ledger, policy, sheet
from protocols import evaluated, manifest
from protocols.canonical import canonical
from protocols.errors import ConfigError, PeerError
from protocols.models.modelfile import load, read
from protocols.study import from_wire
from simulations import world
from tests.six import Six, results, rows_of, unsound

FITS = """  - {id: stops, kind: glm, family: binomial, outcome: withdrew, terms: [age, sex, product]}
  - {id: fewer, kind: glm, family: binomial, outcome: withdrew, terms: [age]}
  - {id: how_good, kind: evaluate, model: stops}
  - {id: mean_age, kind: glm, family: gaussian, outcome: age, terms: [sex]}
"""
ASKS = """  - {id: again, kind: evaluate, model: models/stops.json, against: models/fewer.json, release: both}
  - {id: small, kind: glm, family: binomial, outcome: withdrew, terms: [sex]}
  - {id: champion, kind: evaluate, model: small, against: models/stops.json}
  - {id: put_right, kind: evaluate, model: models/too_high.json, recalibrate: intercept}
  - {id: now_right, kind: evaluate, model: put_right}
  - {id: straight, kind: evaluate, model: put_right, recalibrate: slope}
"""


@pytest.fixture(scope="module")
def fitted(six: Six, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The models of a first study, beside where the second one is written."""
    outcome, out = six.ask(six.study(FITS, "", "exact"), tmp_path_factory.mktemp("fits")), six.folder
    assert outcome.sealer is not None
    for path, content in outcome.sealer.unsealed.files.items():
        if path.startswith("models/"):
            (out / path).parent.mkdir(exist_ok=True)
            (out / path).write_bytes(content)
    high = json.loads((out / "models" / "fewer.json").read_bytes())
    high["fit"]["weights"][0]["estimate"] += 0.5
    (out / "models" / "too_high.json").write_text(json.dumps(high), encoding="utf-8")
    return out / "models"


@pytest.fixture(scope="module")
def outcome(six: Six, fitted: Path, tmp_path_factory: pytest.TempPathFactory) -> world.Outcome:
    assert fitted.is_dir()
    return six.ask(six.study(ASKS, "", "exact"), tmp_path_factory.mktemp("again"))


@pytest.fixture(scope="module")
def out(outcome: world.Outcome, tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("again") / "out"
    assert unsound(outcome, found) == {}
    return found


def test_a_file_is_evaluated_as_it_was_when_cities_approved_it(fitted: Path, outcome: world.Outcome, out: Path) -> None:
    held = load((fitted / "stops.json").read_bytes(), "stops", date(2022, 6, 1))
    assert held.reference is not None, "its own study evaluated it, so that later scores can be held against it"
    entry = results(outcome)["questions"]["again"]
    assert (entry["fit"]["evaluated"]["digest"], entry["fit"]["against"]["id"]) == (held.digest, "fewer")
    assert entry["fit"]["in_sample"], "rows of the day that the model was made on may be its own"
    assert "files" not in entry["asked"]
    assert json.loads((out / manifest.evaluated_of(1)).read_bytes()) == json.loads(held.content)
    assert change.side(out).study.digest == results(outcome)["study"]["digest"]
    asked = change.side(out).study
    again = from_wire(asked.content, asked.dictionary.content)
    assert again.digest == asked.digest
    other = asked.content.replace(b'"rows":%d' % held.rows, b'"rows":%d' % (held.rows + 1))
    assert from_wire(other, asked.dictionary.content).digest != asked.digest, "another model is another study"


def test_the_bundle_holds_exactly_the_models_that_were_evaluated(out: Path) -> None:
    path = out / manifest.evaluated_of(1)
    content = path.read_bytes()
    path.write_bytes(content.replace(b'"rows":', b'"rows": '))
    steps = {
        step.name: [fault.code for fault in step.faults] for step in verify(out, None, output.made) if not step.holds
    }
    path.write_bytes(content)
    assert steps["files"] == ["BUNDLE_HASH"]


def test_two_models_are_held_against_each_other_on_the_pooled_rows(outcome: world.Outcome) -> None:
    rows = {row["measure"]: row for row in results(outcome)["questions"]["again"]["rows"] if row["scope"] == "pooled"}
    assert rows["auc_difference"]["estimate"] == pytest.approx(
        rows["auc"]["estimate"] - rows["against_auc"]["estimate"]
    )
    assert rows["auc_difference"]["ci_low"] < rows["auc_difference"]["estimate"] < rows["auc_difference"]["ci_high"]
    assert 0 <= rows["auc_difference"]["p_value"] <= 1
    assert rows["psi"]["base"] > 0
    ((found,),) = [rows_of(outcome, "champion", "auc_difference")]
    assert found["se_sampling"] > 0


def test_a_model_that_promises_too_much_is_put_right_by_all_cities_together(
    fitted: Path, outcome: world.Outcome, out: Path
) -> None:
    found = results(outcome)["questions"]
    high = read((fitted / "too_high.json").read_bytes(), "too_high")
    new = load((out / "models" / "put_right.json").read_bytes(), "put_right", date(2022, 6, 1))
    assert (new.version, new.parent) == (2, high.digest)
    held = {
        name: {row["measure"]: row["estimate"] for row in found[name]["rows"]} for name in ("put_right", "now_right")
    }
    assert held["put_right"]["observed_expected"] < 0.95
    assert held["put_right"]["calibration_intercept"] == pytest.approx(-0.5, abs=1e-6)
    assert "calibration_slope" not in held["put_right"]
    assert held["now_right"]["observed_expected"] == pytest.approx(1.0, abs=1e-9)
    off = held["put_right"]["auc_bound"] + held["now_right"]["auc_bound"]  # the same ranking, in other bins
    assert abs(held["now_right"]["auc"] - held["put_right"]["auc"]) <= off
    cards = {card.id: card for card in modelcard.of(Results.load(out))}
    assert high.digest in cards["put_right"].parent.en
    assert cards["put_right"].kind == "glm"
    assert {each.question for each in cards["put_right"].metrics or ()} == {"now_right", "straight"}
    again = load((out / "models" / "straight.json").read_bytes(), "straight", date(2022, 6, 1))
    assert (again.version, again.parent) == (3, new.digest)


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (
            "recalibrate: intercept}\n  - {id: more, kind: evaluate, model: again, by: sex}\n  - {id: plain, kind: evaluate, model: more",
            "MODEL_ABSENT",
        ),
        ("recalibrate: intercept, slope: true", "MODEL_TOGETHER"),
        ("recalibrate: slope, release: by_city", "MODEL_TOGETHER"),
        ("recalibrate: both", "SCHEMA_VALUE"),
    ],
)
def test_a_recalibration_that_says_two_things_is_refused(six: Six, fitted: Path, asked: str, code: str) -> None:
    assert fitted.is_dir()
    with pytest.raises(ConfigError) as caught:
        six.study(f"  - {{id: again, kind: evaluate, model: models/stops.json, {asked}}}\n", "", "exact")
    assert caught.value.code == code


def test_a_model_made_to_tell_holders_apart_publishes_no_part_of_fewer_than_ten(
    six: Six, fitted: Path, tmp_path: Path
) -> None:
    """Its score is a number of its own for every age, sex and product: a table of some three hundred cells, asked for as a curve."""
    tree = json.loads((fitted / "stops.json").read_bytes())
    for weight in tree["fit"]["weights"]:
        name = weight["term"]
        weight["estimate"] = {"intercept": -2.5, "age": 0.06}.get(name, 0.02 if name.startswith("sex") else 0.035)
    tree["reference"] = {"grid": 10_000, "cuts": [9_998], "counts": [990, 10]}
    (fitted / "apart.json").write_text(json.dumps(tree), encoding="utf-8")
    asked = "  - {id: apart, kind: evaluate, model: models/apart.json, bins: 10000, release: both}\n"
    outcome = six.ask(six.study(asked, "", "exact"), tmp_path)
    entry = results(outcome)["questions"]["apart"]
    rows, (rate,) = entry["fit"]["n"], rows_of(outcome, "apart", "observed")
    corners = np.array(entry["fit"]["curve"])
    steps = np.diff(corners[:, 1:], axis=0) @ [rows * (1 - rate["estimate"]), rows * rate["estimate"]]
    assert len(steps) > 50
    assert steps.min() >= 10 - 1e-6
    assert min(band[0] for band in entry["fit"]["bands"]) >= 10
    psi = [row for row in entry["rows"] if row["measure"] == "psi" and row["estimate"] is not None]
    assert {row["obs_status"] for row in psi} == {"u"}, "whether nobody has such a score, or one holder, is not told"
    assert len({row["scope"] for row in psi}) > 2, "cities by themselves too"


def test_models_that_recalibrate_each_other_are_refused(six: Six) -> None:
    ring = "  - {{id: {0}, kind: evaluate, model: {1}, recalibrate: slope}}\n"
    with pytest.raises(ConfigError) as caught:
        six.study("".join(ring.format(*each) for each in ("ab", "bc", "ca")), "", "exact")
    assert caught.value.code == "MODEL_ABSENT"


def changed(fitted: Path, how: Callable[[dict[str, Any]], Any]) -> bytes:
    tree = json.loads((fitted / "stops.json").read_bytes())
    made = how(tree)
    return made if isinstance(made, bytes) else json.dumps(tree if made is None else made).encode()


BROKEN: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "unknown field": (lambda tree: tree.update(colour="red"), "SCHEMA_KEY"),
    "NaN": (lambda tree: json.dumps(tree).replace('"error_bound": ', '"error_bound": NaN, "x": ').encode(), "SCHEMA_VALUE"),
    "not JSON": (lambda _: b"{", "MODEL_FILE"),
    "twice the same key": (lambda tree: b'{"id": "a",' + json.dumps(tree).encode()[1:], "MODEL_FILE"),
    "too large": (lambda _: b" " * (evaluated.MOST_BYTES + 1), "MODEL_FILE"),
    "expired": (lambda tree: tree.update(as_of="2020-01-01", expires="2021-01-01"), "MODEL_EXPIRED"),
    "other dictionary": (lambda tree: tree.update(dictionary="five@1", dictionary_digest="sha256:" + "1" * 64), "MODEL_DICTIONARY"),
    "no covariance": (lambda tree: tree["fit"].pop("covariance") and None, "SCHEMA_MISSING"),
    "a variable of nobody": (
        lambda tree: json.loads(json.dumps(tree).replace('"age"', '"height"')), "MODEL_VARIABLES"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_is_not_sound_is_named_with_its_fault(six: Six, fitted: Path, name: str) -> None:
    how, code = BROKEN[name]
    (fitted / "broken.json").write_bytes(changed(fitted, how))
    with pytest.raises(ConfigError) as no:
        six.study("  - {id: bad, kind: evaluate, model: models/broken.json}\n", "", "exact")
    found = {each.code: each for each in no.value.every()}
    assert code in found
    assert found[code].at is not None
    assert "questions[0].model" in str(found[code].at)


@pytest.mark.parametrize(
    ("question", "code", "key"),
    [
        ("model: models/nowhere.json", "FILE_MISSING", "model"),
        ("model: models/mean_age.json", "MODEL_NOT_BINARY", "model"),
        ("model: models/stops.json, against: models/mean_age.json", "MODEL_NOT_BINARY", "against"),
        ("model: models/stops.json, against: nobody", "MODEL_ABSENT", "against"),
        ("model: models/stops.json, against: models/stops.json", "MODEL_TOGETHER", "against"),
        ("model: models/stops.json, files: {}", "SCHEMA_KEY", "files"),
        ("model: models/stops.json, bins: 9", "SCHEMA_VALUE", "bins"),
    ],
)
def test_what_an_evaluation_cannot_do_is_said_at_its_key(
    six: Six, fitted: Path, question: str, code: str, key: str
) -> None:
    assert fitted.is_dir()
    with pytest.raises(ConfigError) as no:
        six.study(f"  - {{id: bad, kind: evaluate, {question}}}\n", "", "exact")
    assert [(each.code, f"questions[0].{key}" in str(each.at)) for each in no.value.every()] == [(code, True)]


def test_no_study_carries_more_than_fits_an_offer(six: Six, fitted: Path) -> None:
    content = (fitted / "stops.json").read_bytes()
    (fitted / "wide.json").write_bytes(content + b" " * (evaluated.MOST_BYTES - len(content)))
    lines = "".join(f"  - {{id: q{number}, kind: evaluate, model: models/wide.json}}\n" for number in range(4))
    with pytest.raises(ConfigError, match="carries 16 MiB of model files; the limit is 12 MiB") as no:
        six.study(lines, "", "exact")
    assert no.value.code == "STUDY_MODELS"
    assert six.study(lines.replace("wide.json", "stops.json"), "", "exact").many


def test_no_city_is_offered_a_file_that_its_study_does_not_name(six: Six, fitted: Path) -> None:
    assert fitted.is_dir()
    found = six.study("  - {id: good, kind: evaluate, model: models/stops.json}\n", "", "exact")
    tree = json.loads(found.content)
    held = tree["questions"][0]["files"]
    for files in ({}, {**held, "more.json": next(iter(held.values()))}):
        tree["questions"][0]["files"] = files
        with pytest.raises(PeerError) as no:
            from_wire(canonical(tree), found.dictionary.content)
        assert no.value.code == "STUDY_INVALID"


def test_officers_see_which_file_they_are_asked_about_and_what_of_their_city_is_shown(
    six: Six, fitted: Path, tmp_path: Path
) -> None:
    held = load((fitted / "stops.json").read_bytes(), "stops", date(2022, 6, 1))
    study = six.study("  - {id: good, kind: evaluate, model: models/stops.json, release: both}\n", "", "exact")
    with six.gates(study, tmp_path) as present:
        rounds.offer(present.post, study, present.signed, present.ids)
        gate = present.link.gates["aa"]
        ((digest, request),) = gate.desk.requests().items()
        found = sheet.sheet(
            city=gate.station.city,
            digest=digest,
            request=request,
            policy=gate.policy,
            origins=policy.origin(six.folder / "aa", loose=True),
            view=ledger.look(gate.station.home / ledger.FILE, now=present.post.clock()),
            roster=present.post.roster,
            cannot=(),
            opinions=(),
            now=present.post.clock(),
        )
    ((_, words, _, _),) = found.questions
    assert f"the model file stops {held.digest.removeprefix('sha256:')[:12]} (of 2022-05-31" in words[1]
    assert any("this city's own AUC" in sentence[1] for sentence in found.leaves)
    assert any("a cell may be one holder" in sentence[1] for sentence in found.leaves)


def test_a_study_of_a_broken_file_ends_with_exit_2(six: Six, fitted: Path) -> None:
    (fitted / "broken.json").write_bytes(changed(fitted, BROKEN["expired"][0]))
    with pytest.raises(ConfigError):
        six.study("  - {id: bad, kind: evaluate, model: models/broken.json}\n", "", "exact")
    said = CliRunner().invoke(app, ["study", "check", str(six.folder / "study.yaml")])
    assert said.exit_code == 2
    assert "questions[0].model" in said.output
