"""Forged numbers by city (`bundle-forgery`): what a city signed as its own answer is what the rows of that city are made of."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from coordinator import output
from coordinator.verify import verify
from protocols import manifest
from protocols.messages import body_of
from simulations import world
from tests import bundles, gates
from tests.bundles import Sealed, failing
from tests.system.test_releases import tiny

COUNTED = manifest.counted_of("east")


def make(folder: Path, release: str, *, exact: bool) -> Sealed:
    outcome = world.run(
        tiny(folder / "cities", release, exact=exact), folder / "cities", folder / "homes", seed=bundles.SEED
    )
    output.write(folder / "out", outcome.results, outcome.events, outcome.sealer)
    return Sealed(folder / "out", folder / "homes")


@pytest.fixture(
    scope="module",
    params=[("both", False), ("by_city", False), ("mixed", True)],
    ids=lambda each: f"{each[0]}-{each[1]}",
)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Sealed:
    release, exact = request.param
    return make(tmp_path_factory.mktemp("by_city"), release, exact=exact)


@pytest.fixture
def sealed(made: Sealed, tmp_path: Path) -> Sealed:
    return bundles.copied(made, tmp_path / "out")


def row_of(tree: dict[str, Any], scope: str) -> dict[str, Any]:
    return next(row for row in tree["questions"]["all"]["rows"] if row["scope"] == scope)


def test_an_untouched_result_holds(sealed: Sealed) -> None:
    assert failing(sealed, pages=True) == {}


def test_a_number_of_a_city_that_the_coordinator_changed_is_found(sealed: Sealed) -> None:
    tree = sealed.results()
    row_of(tree, "east")["estimate"] += 1
    sealed.published(tree)
    assert ("BUNDLE_NUMBERS", manifest.RESULTS) in failing(sealed)["numbers"]


def test_cells_that_the_city_did_not_sign_are_found(sealed: Sealed) -> None:
    content = bytearray(sealed.read(COUNTED))
    content[-65] ^= 1  # the last cell
    sealed.write(COUNTED, bytes(content))
    sealed.resealed()
    assert failing(sealed)["numbers"] == {("ENVELOPE_BODY", COUNTED)}


def test_the_answer_of_another_city_is_found(sealed: Sealed) -> None:
    sealed.write(COUNTED, sealed.read(manifest.counted_of("north")))
    sealed.resealed()
    assert failing(sealed)["numbers"] == {("ENVELOPE_FROM", COUNTED)}


def test_an_answer_to_another_study_of_the_same_shape_is_found(
    sealed: Sealed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = sealed.results()["questions"]["all"]["release"]
    exact = sealed.results()["privacy"]["mode"] == "exact"
    with monkeypatch.context() as patch:
        patch.setattr(gates, "STUDY", gates.STUDY.replace("Tiny", "Other"))  # another title, another study
        other = make(tmp_path / "other", "mixed" if exact else release, exact=exact)
    sealed.write(COUNTED, other.read(COUNTED))
    sealed.resealed()
    assert failing(sealed)["numbers"] & {("ENVELOPE_STUDY", COUNTED), ("ENVELOPE_ROSTER", COUNTED)}


def test_an_answer_that_is_not_the_attested_one_is_found(sealed: Sealed) -> None:
    def change(said: Any) -> Any:
        sent = tuple(
            each.model_copy(update={"sha256": "0" * 64}) if each.kind == "by_city" else each
            for each in said.conversations
        )
        return said.model_copy(update={"conversations": sent})

    sealed.attest("east", change)
    assert ("BUNDLE_DIFFERS", COUNTED) in failing(sealed)["numbers"]


@pytest.mark.parametrize("part", ["cells", "bytes", "plan", "kind"])
def test_an_attestation_of_another_own_answer_is_found(sealed: Sealed, part: str) -> None:
    changed: dict[str, Any] = {"cells": 999, "bytes": 999, "plan": "sha256:" + "0" * 64, "kind": "pooled"}

    def change(said: Any) -> Any:
        last = said.conversations[-1].model_copy(update={part: changed[part]})
        return said.model_copy(update={"conversations": (*said.conversations[:-1], last)})

    sealed.attest("east", change)
    assert ("BUNDLE_DIFFERS", manifest.attestation_of("east")) in failing(sealed)["attestations"]


def test_an_answer_that_is_left_out_or_of_nobody_is_found(sealed: Sealed) -> None:
    kept = sealed.read(COUNTED)
    (sealed.out / COUNTED).unlink()
    sealed.resealed()
    assert failing(sealed)["numbers"] == {("BUNDLE_MISSING", COUNTED)}
    sealed.write(COUNTED, kept)
    sealed.write(manifest.counted_of("paris"), kept)
    sealed.resealed()
    assert failing(sealed)["numbers"] == {("BUNDLE_EXTRA", manifest.counted_of("paris"))}


def test_a_city_whose_answer_is_said_to_be_lost_has_no_numbers(sealed: Sealed) -> None:
    """Leaving its message out and naming it as uncounted is not enough: its rows are then without numbers, and pooled ones others."""
    tree = sealed.results()
    tree["cities"]["uncounted"] = [{"city": "east", "reason": "no_counted", "detail": ""}]
    (sealed.out / COUNTED).unlink()
    sealed.published(tree)
    assert set(failing(sealed)) & {"numbers", "approvals"}
    tree["cities"]["uncounted"] = [{"city": "paris", "reason": "no_counted", "detail": ""}]
    sealed.published(tree)
    assert ("BUNDLE_DIFFERS", manifest.RESULTS) in failing(sealed)["approvals"]


def notes(sealed: Sealed) -> dict[str, Any]:
    return {note.key: note.values for step in verify(sealed.out) for note in step.notes}


def test_cities_sign_one_sum_and_one_that_signed_another_is_found(sealed: Sealed) -> None:
    """Also in mode exact, where nobody else can recompute it."""
    summed = "left_each_city" in sealed.results()["privacy"]
    exact = sealed.results()["privacy"]["mode"] == "exact"
    assert notes(sealed).get("sum_attested") == ({"count": 3} if exact else None), "else it is recomputed"
    if not summed:
        return

    def change(said: Any) -> Any:
        sent = tuple(
            each.model_copy(update={"sum": "sha256:" + "0" * 64}) if each.kind == "pooled" else each
            for each in said.conversations
        )
        return said.model_copy(update={"conversations": sent})

    sealed.attest("north", change)
    assert failing(sealed)["attestations"] == {("BUNDLE_DIFFERS", manifest.attestation_of("north"))}
    assert "sum_attested" not in notes(sealed)


def test_a_city_that_attests_an_answer_which_did_not_arrive_is_named(sealed: Sealed) -> None:
    """It was charged for it: a reader is told, and nothing is wrong."""
    tree = sealed.results()
    if tree["privacy"]["mode"] == "exact" or "left_each_city" not in tree["privacy"]:
        return
    assert "own_unused" not in notes(sealed)
    tree["cities"]["uncounted"] = [{"city": "east", "reason": "no_counted", "detail": "unreachable"}]
    (sealed.out / COUNTED).unlink()
    sealed.published(tree)
    assert notes(sealed)["own_unused"] == {"cities": "east"}
    assert "attestations" not in failing(sealed)


def test_the_bundle_of_mode_exact_shows_what_is_published_and_nothing_of_the_sum(sealed: Sealed) -> None:
    if sealed.results()["privacy"]["mode"] != "exact":
        return
    assert not [path for path in sealed.files if path.startswith("bundle/secagg/")]
    said = json.loads(base64.b64decode(json.loads(sealed.read(manifest.attestation_of("east")))["payload"]))
    assert [each["kind"] for each in said["conversations"]] == ["pooled", "by_city"]
    assert len(bytes(body_of(sealed.read(COUNTED)))) == 32 + said["conversations"][-1]["bytes"]
