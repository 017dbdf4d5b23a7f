"""T50 `bundle-forgery`: whatever is changed in a result or its bundle, `report verify` says so and names the step and the file.

Two forgers: one without keys, who can only edit files; and the coordinator itself, which signs a new list of the files that it changed.
"""

import base64
import io
import json
import os
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from coordinator import output, verify
from coordinator.report import html
from coordinator.results import Results
from protocols import manifest
from protocols.attestation import Attestation
from protocols.canonical import canonical
from protocols.errors import ConfigError, PeerError
from protocols.manifest import sign_manifest
from protocols.roster import sign_roster
from protocols.secagg.transcript import Transcript
from protocols.signed import FileType, sign
from tests import bundles
from tests.bundles import Sealed, failing

EAST, NORTH = manifest.attestation_of("east"), manifest.attestation_of("north")
ORDER_OF_GROUP = 2**252 + 27742317777372353535851937790883648493


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Sealed:
    return bundles.make(tmp_path_factory.mktemp("sealed"))


@pytest.fixture(scope="module")
def made_exact(tmp_path_factory: pytest.TempPathFactory) -> Sealed:
    return bundles.make(tmp_path_factory.mktemp("sealed_exact"), exact=True)


@pytest.fixture
def sealed(made: Sealed, tmp_path: Path) -> Sealed:
    return bundles.copied(made, tmp_path / "dp")


@pytest.fixture
def exact(made_exact: Sealed, tmp_path: Path) -> Sealed:
    return bundles.copied(made_exact, tmp_path / "exact")


def files_of(found: dict[str, set[tuple[str, str]]]) -> set[str]:
    return {file for faults in found.values() for _, file in faults}


def first(found: dict[str, set[tuple[str, str]]]) -> str:
    return next(iter(found), "")


def test_an_untouched_result_holds_in_both_modes_also_when_sealed_again(sealed: Sealed, exact: Sealed) -> None:
    for each in (sealed, exact):
        assert failing(each, pages=True) == {}
        before = each.read(manifest.MANIFEST)
        each.resealed()
        assert each.read(manifest.MANIFEST) == before
        assert failing(each, pages=True, pinned=each.read(manifest.ROSTER)) == {}


# --- without keys


def test_one_bit_in_any_file_is_found_and_the_file_named(sealed: Sealed) -> None:
    for path in sealed.files:
        content = bytearray(sealed.read(path))
        for at in (0, len(content) // 2, len(content) - 1):
            content[at] ^= 1
            sealed.write(path, bytes(content))
            found = failing(sealed)
            content[at] ^= 1
            named = manifest.SIGNATURE if path == manifest.MANIFEST else path
            assert named in files_of(found), (path, at)
            assert first(found) == {manifest.ROSTER: "roster", manifest.SIGNATURE: "manifest"}.get(named, "files")
        sealed.write(path, bytes(content))
    assert failing(sealed) == {}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (EAST, NORTH),
        (manifest.approval_of("east"), manifest.approval_of("north")),
        (manifest.approval_of("east"), EAST),
        ("report.zh.html", "report.en.html"),
        ("tables/all.csv", "tables/product.csv"),
        (manifest.MANIFEST, manifest.SIGNATURE),
    ],
)
def test_two_files_in_each_others_place_are_found(sealed: Sealed, one: str, other: str) -> None:
    first_, second = sealed.read(one), sealed.read(other)
    sealed.write(one, second)
    sealed.write(other, first_)
    assert {one, other} & files_of(failing(sealed))


@pytest.mark.parametrize("path", ["evil.html", "tables/x.csv", "bundle/note.txt", "bundle/approvals/paris.json"])
def test_a_file_that_nobody_listed_is_found(sealed: Sealed, path: str) -> None:
    sealed.write(path, b"trust me")
    assert ("BUNDLE_EXTRA", path) in failing(sealed)["files"]


def test_a_file_that_is_gone_is_found(sealed: Sealed) -> None:
    for path in sealed.files:
        content = sealed.read(path)
        (sealed.out / path).unlink()
        assert path in files_of(failing(sealed))
        sealed.write(path, content)


def test_links_and_devices_are_no_files(sealed: Sealed, tmp_path: Path) -> None:
    place = sealed.out / "results.json"
    place.rename(tmp_path / "elsewhere.json")
    place.symlink_to(tmp_path / "elsewhere.json")
    assert ("BUNDLE_FILE", "results.json") in failing(sealed)["layout"]
    place.unlink()
    (tmp_path / "elsewhere.json").rename(place)
    (sealed.out / "bundle" / "approvals").rename(tmp_path / "approvals")
    (sealed.out / "bundle" / "approvals").symlink_to(tmp_path / "approvals")
    assert ("BUNDLE_FILE", "bundle/approvals") in failing(sealed)["layout"]
    (sealed.out / "bundle" / "approvals").unlink()
    (tmp_path / "approvals").rename(sealed.out / "bundle" / "approvals")
    os.mkfifo(sealed.out / "tables" / "pipe.csv")
    assert failing(sealed) == {"layout": {("BUNDLE_FILE", "tables/pipe.csv")}}


def test_a_file_beyond_every_size_is_not_read(sealed: Sealed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("protocols.manifest.LARGEST_FILE", 1000)
    monkeypatch.setattr("protocols.manifest.LARGEST_BUNDLE", 1000)
    monkeypatch.setattr("coordinator.verify.MOST_FILES", 2)
    found = failing(sealed)
    assert {("BUNDLE_SIZE", "results.json"), ("BUNDLE_SIZE", "bundle")} < found["layout"]
    assert found["results"] == {("BUNDLE_SIZE", "results.json")}


def test_a_folder_without_a_bundle_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as fault:
        failing(Sealed(tmp_path, tmp_path))
    assert (fault.value.code, fault.value.exit_code) == ("BUNDLE_NONE", 2)


def test_folders_of_other_things_are_named_and_left_alone(sealed: Sealed) -> None:
    sealed.write("cities/east/data.csv", b"")
    sealed.write(".hpfed/keys", b"")
    assert failing(sealed) == {}


# --- keys that are not the right ones


def test_a_manifest_signed_by_a_stranger_or_as_something_else_is_found(sealed: Sealed) -> None:
    content, stranger = sealed.read(manifest.MANIFEST), Ed25519PrivateKey.from_private_bytes(b"s" * 32)
    own = sealed.key("coordinator")
    forged = {
        "stranger": sign_manifest(sealed.manifest, stranger)[manifest.SIGNATURE],
        "city": sign_manifest(sealed.manifest, sealed.key("east"))[manifest.SIGNATURE],
        "two": sign(FileType.MANIFEST, content, own, stranger),
        "twice": sign(FileType.MANIFEST, content, own, own),
        "nobody": sign(FileType.MANIFEST, content),
        "another": sign(FileType.MANIFEST, canonical({"contract": 1}), own),
    }
    for signature in forged.values():
        sealed.write(manifest.SIGNATURE, signature)
        assert failing(sealed)["manifest"] == {("SIGNED_SIGNATURE", manifest.SIGNATURE)}
    sealed.write(manifest.SIGNATURE, sign(FileType.ATTESTATION, content, own))
    assert failing(sealed)["manifest"] == {("SIGNED_TYPE", manifest.SIGNATURE)}


def written_over(sealed: Sealed, path: str, change: Callable[[dict[str, Any]], None]) -> None:
    """A signed file with something in its outer shape changed."""
    tree = json.loads(sealed.read(path))
    change(tree)
    sealed.write(path, canonical(tree))
    sealed.resealed()


def unsigned(tree: dict[str, Any]) -> None:
    tree["signatures"] = []


def cut(tree: dict[str, Any]) -> None:
    tree["payload"] = tree["payload"][:-3]


def other_s(tree: dict[str, Any]) -> None:
    """The same signature with S + L for S: many verifiers of old took both."""
    signature = base64.b64decode(tree["signatures"][0]["sig"])
    raised = int.from_bytes(signature[32:], "little") + ORDER_OF_GROUP
    tree["signatures"][0]["sig"] = base64.b64encode(signature[:32] + raised.to_bytes(32, "little")).decode()


def other_name(tree: dict[str, Any]) -> None:
    tree["signatures"][0]["keyid"] = "ed25519:" + "0" * 16


@pytest.mark.parametrize("change", [unsigned, cut, other_s, other_name])
@pytest.mark.parametrize(
    ("path", "step"),
    [(EAST, "attestations"), (manifest.approval_of("east"), "approvals"), (manifest.ASKED, "study"), (manifest.ROSTER, "roster")],
)  # fmt: skip
def test_a_signature_that_is_none_is_found_though_the_coordinator_lists_the_file(
    sealed: Sealed, path: str, step: str, change: Callable[[dict[str, Any]], None]
) -> None:
    written_over(sealed, path, change)
    assert path in {file for _, file in failing(sealed)[step]}


def test_a_roster_with_a_key_of_small_order_or_another_root_is_found(sealed: Sealed) -> None:
    roster, file = sealed.roster, sealed.read(manifest.ROSTER)
    root = sealed.key("coordinator", "root")
    tree = json.loads(base64.b64decode(json.loads(file)["payload"]))
    tree["cities"][0]["identity"][0]["key"] = "01" + "00" * 31
    sealed.write(manifest.ROSTER, sign(FileType.ROSTER, canonical(tree), root))
    assert failing(sealed)["roster"] == {("ROSTER_SCHEMA", manifest.ROSTER)}
    for payload in ({"root": 5}, {}, ["root"], {"root": "zz"}):
        sealed.write(manifest.ROSTER, sign(FileType.ROSTER, canonical(payload), root))
        assert failing(sealed)["roster"] == {("ROSTER_SCHEMA", manifest.ROSTER)}
    mine = Ed25519PrivateKey.from_private_bytes(b"r" * 32)
    entries = roster.entries.model_copy(update={"root": mine.public_key().public_bytes_raw().hex()})
    sealed.write(manifest.ROSTER, sign_roster(entries, mine).file)
    sealed.resealed()
    found = failing(sealed, pinned=file)
    assert found["roster"] == {("BUNDLE_ROSTER", manifest.ROSTER)}
    assert failing(sealed)["numbers"]  # without a pinned roster it is the transcript that names another one


# --- a coordinator that cheats: everything that it changes is on its list


def test_an_estimate_that_does_not_follow_from_the_sum_is_found(sealed: Sealed) -> None:
    tree = sealed.results()
    row = tree["questions"]["product"]["rows"][0]
    row["estimate"] = row["estimate"] + 1
    sealed.published(tree)
    assert failing(sealed)["numbers"] == {("BUNDLE_NUMBERS", manifest.RESULTS)}
    assert "tables/product.csv" in {file for _, file in failing(sealed, pages=True)["rebuilt"]}


@pytest.mark.parametrize(("measure", "by"), [("count", 0.5), ("share", 0.001)])
def test_estimates_are_held_against_the_sum_whatever_software_computed_them(
    sealed: Sealed, measure: str, by: float
) -> None:
    """Otherwise a coordinator would only have to name other software to print what it likes."""
    said = sealed.manifest.software.model_copy(update={"sha256": "0" * 64})
    sealed.resealed(software=said)
    assert failing(sealed, pages=True) == {}
    tree = sealed.results()
    row = next(each for each in tree["questions"]["product"]["rows"] if each["measure"] == measure and each["estimate"])
    for wrong in (row["estimate"] + by, None):
        row |= {"estimate": wrong, "obs_status": "x" if wrong is None else ""}
        sealed.write(manifest.RESULTS, canonical(tree))
        sealed.resealed(software=said)
        assert ("BUNDLE_NUMBERS", manifest.RESULTS) in failing(sealed)["numbers"]


def test_steps_that_could_not_look_at_everything_say_so(sealed: Sealed, exact: Sealed) -> None:
    def partial(each: Sealed) -> list[str]:
        return [step.name for step in verify.verify(each.out, None, output.made) if step.holds and not step.complete]

    assert partial(sealed) == []
    assert partial(exact) == ["numbers"]
    sealed.resealed(software=sealed.manifest.software.model_copy(update={"sha256": "0" * 64}))
    assert partial(sealed) == ["numbers", "rebuilt"]


def test_software_that_the_roster_does_not_admit_is_found(sealed: Sealed) -> None:
    admitted = sealed.manifest.software
    root = sealed.key("coordinator", "root")
    for listed, found in ((admitted, False), (admitted.model_copy(update={"sha256": "0" * 64}), True)):
        entries = sealed.roster.entries.model_copy(update={"software": (listed,)})
        sealed.write(manifest.ROSTER, sign_roster(entries, root).file)
        sealed.resealed()
        assert (("BUNDLE_DIFFERS", manifest.MANIFEST) in failing(sealed).get("results", ())) == found


def test_withheld_and_inapplicable_cells_hold_no_number(exact: Sealed) -> None:
    tree = exact.results()
    rows = tree["questions"]["product"]["rows"]
    empty = next(row for row in rows if row["obs_status"] == "z")
    empty |= {"estimate": 0.5}
    exact.published(tree)
    assert failing(exact)["numbers"] == {("BUNDLE_ROWS", manifest.RESULTS)}
    empty |= {"estimate": None}
    rows[0] |= {"conf_status": "C", "estimate": None, "display": None, "ci_low": None, "ci_high": None, "base": 3}
    exact.published(tree)
    assert failing(exact)["numbers"] == {("BUNDLE_ROWS", manifest.RESULTS)}
    rows[0] |= {"estimate": 3}
    exact.published(tree)
    assert failing(exact)["results"] == {("RESULTS_INVALID", manifest.RESULTS)}


def leaves(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(node, dict | list):
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from leaves(value, (*path, key))
    else:
        yield path


def put(tree: Any, path: tuple[Any, ...], value: Any) -> None:
    for part in path[:-1]:
        tree = tree[part]
    tree[path[-1]] = value


def word_of_the_coordinator(path: tuple[Any, ...]) -> bool:
    """What nothing in a bundle but the coordinator's signature speaks for."""
    return path[:2] in {("run", "at"), ("cities", "names"), ("cities", "missing"), ("privacy", "seeded")}


def test_every_value_of_the_results_matters_though_the_coordinator_signs_another(sealed: Sealed) -> None:
    """In mode dp. Mode exact keeps no record of its sum in the bundle: there the numbers are the coordinator's word."""
    original = sealed.results()
    everywhere = [path for path in leaves(original) if not word_of_the_coordinator(path)]
    assert len(everywhere) > 300
    held = []
    for path in everywhere[::7]:
        tree = json.loads(canonical(original))
        before = tree
        for part in path:
            before = before[part]
        after = (
            (not before)
            if isinstance(before, bool)
            else (before + 1)
            if isinstance(before, int | float)
            else f"{before or ''}b"
        )
        put(tree, path, after)
        sealed.write(manifest.RESULTS, canonical(tree))
        sealed.resealed()
        if not failing(sealed):
            held.append(path)
    assert held == []


@pytest.mark.parametrize("value", [None, [], {}, "x", -1, 1e300, "\u202e", [{}]])
def test_results_of_any_shape_are_refused_and_never_crash(sealed: Sealed, value: Any) -> None:
    original = sealed.results()
    paths: list[tuple[Any, ...]] = [(key,) for key in original] + [
        (key, inner) for key in original if isinstance(original[key], dict) for inner in original[key]
    ]
    paths += [("questions", "product", key) for key in original["questions"]["product"]]
    paths += [("questions", "product", "rows", 0, key) for key in original["questions"]["product"]["rows"][0]]
    for path in paths:
        if word_of_the_coordinator(path):
            continue
        tree = json.loads(canonical(original))
        put(tree, path, value)
        sealed.write(manifest.RESULTS, canonical(tree))
        sealed.resealed()
        found = failing(sealed)
        node = original
        for part in path:
            node = node[part]
        assert found or node == value, path


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b'{"contract":1,"contract":1}', b"\xff", b"[" * 100_000]
)
def test_results_that_are_no_results_are_refused(sealed: Sealed, content: bytes) -> None:
    sealed.write(manifest.RESULTS, content)
    sealed.resealed()
    assert {code for code, _ in failing(sealed)["results"]} <= {"NOT_CANONICAL", "RESULTS_CONTRACT", "RESULTS_INVALID"}


def test_another_spelling_of_the_same_results_and_trailing_bytes_are_refused(sealed: Sealed) -> None:
    content = sealed.read(manifest.RESULTS)
    twice = content.replace(b'{"cities":', b'{"contract":1,"cities":', 1)
    for other in (content + b"\n", json.dumps(json.loads(content)).encode(), twice):
        sealed.write(manifest.RESULTS, other)
        sealed.resealed()
        assert failing(sealed)["results"] == {("NOT_CANONICAL", manifest.RESULTS)}
    sealed.write(manifest.RESULTS, content)
    sealed.write(EAST, sealed.read(EAST) + b"\n")
    sealed.resealed()
    assert failing(sealed)["attestations"] == {("SIGNED_SHAPE", EAST)}


def test_a_payload_with_a_key_twice_is_refused(sealed: Sealed) -> None:
    payload = base64.b64decode(json.loads(sealed.read(EAST))["payload"])
    doubled = payload.replace(b'{"as_of":', b'{"as_of":"2022-05-31","as_of":', 1)
    sealed.write(EAST, sign(FileType.ATTESTATION, doubled, sealed.key("east")))
    sealed.resealed()
    assert failing(sealed)["attestations"] == {("NOT_CANONICAL", EAST)}


def test_an_epsilon_that_is_lower_than_what_was_spent_is_found(sealed: Sealed) -> None:
    tree = sealed.results()
    tree["privacy"]["epsilon"] = 0.1
    sealed.published(tree)
    assert failing(sealed)["attestations"] == {("BUNDLE_DIFFERS", manifest.RESULTS)}
    tree = sealed.results()
    tree["privacy"]["spent"][0]["epsilon"] = 0.1
    sealed.published(tree)
    assert failing(sealed)["attestations"] == {("BUNDLE_DIFFERS", manifest.RESULTS)}


def test_a_city_that_is_left_out_of_those_that_answered_is_found(sealed: Sealed) -> None:
    tree = sealed.results()
    tree["cities"]["answered"].remove("west")
    for part in ("snapshots", "names"):
        del tree["cities"][part]["west"]
    tree["privacy"]["spent"] = [each for each in tree["privacy"]["spent"] if each["city"] != "west"]
    for question in tree["questions"].values():
        question["cities"].remove("west")
    (sealed.out / manifest.attestation_of("west")).unlink()
    (sealed.out / manifest.approval_of("west")).unlink()
    sealed.published(tree)
    assert "approvals" in failing(sealed)


def test_a_missing_city_has_no_attestation_and_a_city_is_not_both(sealed: Sealed) -> None:
    tree = sealed.results()
    tree["cities"]["missing"] = [{"city": "west", "reason": "no_masked", "detail": ""}]
    sealed.published(tree)
    assert ("BUNDLE_DIFFERS", manifest.RESULTS) in failing(sealed)["cities"]


def test_an_attestation_that_is_gone_stands_in_for_another_or_is_of_another_type_is_found(sealed: Sealed) -> None:
    content = sealed.read(EAST)
    (sealed.out / EAST).unlink()
    sealed.resealed()
    assert ("BUNDLE_UNATTESTED", EAST) in failing(sealed)["attestations"]
    sealed.write(EAST, sealed.read(NORTH))
    sealed.resealed()
    assert failing(sealed)["attestations"] == {("SIGNED_SIGNATURE", EAST)}
    sealed.write(EAST, sealed.read(manifest.approval_of("east")))
    sealed.resealed()
    assert failing(sealed)["attestations"] == {("SIGNED_TYPE", EAST)}
    sealed.write(EAST, content)
    sealed.write(manifest.attestation_of("paris"), content)
    sealed.resealed()
    assert failing(sealed)["cities"] == {("BUNDLE_EXTRA", manifest.attestation_of("paris"))}


OTHER = "sha256:" + "1" * 64
LIES: dict[str, Callable[[Attestation], dict[str, Any]]] = {
    "study": lambda _: {"study": OTHER},
    "run": lambda _: {"run": 1},
    "as_of": lambda said: {"as_of": said.as_of.replace(year=2021)},
    "cannot": lambda _: {"cannot": ("sex",)},
    "mode": lambda _: {"mode": "exact"},
    "mechanism": lambda _: {"mechanism": "none"},
    "layout": lambda _: {"layout": OTHER},
    "share": lambda said: {"noise": said.noise.model_copy(update={"share": 3})},
    "dropouts": lambda said: {"noise": said.noise.model_copy(update={"assumed_dropouts": 1})},
    "colluders": lambda said: {"noise": said.noise.model_copy(update={"colluders": 0})},
    "epsilon": lambda said: {"ledger": said.ledger.model_copy(update={"epsilon": "0." + "5" * 20})},
    "delta": lambda said: {"ledger": said.ledger.model_copy(update={"delta": "1e-5"})},
    "questions": lambda said: {"questions": said.questions[:1]},
    "cells": lambda said: {"conversations": (said.conversations[0].model_copy(update={"cells": 1}),)},
    "bytes": lambda said: {"conversations": (said.conversations[0].model_copy(update={"bytes": 1}),)},
    "conversation": lambda said: {"conversations": (said.conversations[0].model_copy(update={"id": "0" * 32}),)},
}


@pytest.mark.parametrize("lie", LIES)
def test_an_attestation_of_something_else_is_found(sealed: Sealed, lie: str) -> None:
    sealed.attest("east", lambda said: said.model_copy(update=LIES[lie](said)))
    named = manifest.MANIFEST if lie == "conversation" else EAST
    assert named in {file for _, file in failing(sealed)["attestations"]}


@pytest.mark.parametrize("field", ["plan", "sha256"])
def test_a_city_attests_the_very_bytes_that_the_sum_was_made_of(sealed: Sealed, field: str) -> None:
    value = {"plan": OTHER, "sha256": "1" * 64}[field]
    sealed.attest(
        "east",
        lambda said: said.model_copy(
            update={"conversations": (said.conversations[0].model_copy(update={field: value}),)}
        ),
    )
    assert {code for code, _ in failing(sealed)["numbers"]} == {"BUNDLE_DIFFERS"}


def test_an_attestation_signed_by_another_or_before_its_key_was_in_force_is_found(sealed: Sealed) -> None:
    sealed.attest("east", lambda said: said, by="north")
    assert failing(sealed)["attestations"] == {("SIGNED_SIGNATURE", EAST)}
    sealed.attest("east", lambda said: said.model_copy(update={"at": 5}))
    assert failing(sealed)["attestations"] == {("SIGNED_SIGNATURE", EAST)}
    sealed.write(EAST, sign(FileType.ATTESTATION, canonical({"city": "east"}), sealed.key("east")))
    sealed.resealed()
    assert failing(sealed)["attestations"] == {("SIGNED_SHAPE", EAST)}


def test_a_study_that_another_signed_or_that_says_something_else_is_found(sealed: Sealed) -> None:
    asked = sealed.read(manifest.ASKED)
    payload = base64.b64decode(json.loads(asked)["payload"])
    sealed.write(manifest.ASKED, sign(FileType.STUDY, payload, sealed.key("east")))
    sealed.resealed()
    assert failing(sealed)["study"] == {("APPROVAL_ASKER", manifest.ASKED)}
    sealed.write(manifest.ASKED, asked)
    study = sealed.read(manifest.STUDY)
    for before, after, code in (
        (b"a test", b"a jest", "BUNDLE_DIFFERS"),
        (b"epsilon: 1.0", b"epsilon: x", "SCHEMA_VALUE"),
    ):
        sealed.write(manifest.STUDY, study.replace(before, after))
        sealed.resealed()
        assert {found for found, _ in failing(sealed)["study"]} == {code}
    sealed.write(manifest.STUDY, study)
    sealed.write(manifest.DICTIONARY, sealed.read(manifest.DICTIONARY).replace(b"80]", b"81]"))
    sealed.resealed()
    assert failing(sealed)["study"] == {("BUNDLE_DIFFERS", manifest.STUDY)}


def test_a_date_that_is_none_and_a_manifest_of_another_run_are_found(sealed: Sealed) -> None:
    tree = sealed.results()
    tree["run"]["at"] = "yesterday"
    sealed.published(tree)
    assert failing(sealed)["study"] == {("BUNDLE_DIFFERS", manifest.RESULTS)}
    sealed.resealed(study=OTHER, run=3)
    assert failing(sealed)["results"] == {("BUNDLE_DIFFERS", manifest.MANIFEST)}


def test_approvals_are_of_answering_cities_in_force_and_over_this_study(sealed: Sealed) -> None:
    path = manifest.approval_of("east")
    content = sealed.read(path)
    payload = json.loads(base64.b64decode(json.loads(content)["payload"]))
    for changed, code in (({"study": OTHER}, "APPROVAL_MISSING"), ({"expires": 5}, "APPROVAL_EXPIRED")):
        sealed.write(path, sign(FileType.APPROVAL, canonical({**payload, **changed}), sealed.key("east")))
        sealed.resealed()
        assert (code, path) in failing(sealed)["approvals"]
    sealed.write(path, sign(FileType.APPROVAL, canonical({**payload, "cannot": ["sex"]}), sealed.key("east")))
    sealed.resealed()
    assert EAST in {file for _, file in failing(sealed)["attestations"]}
    sealed.write(path, content)
    sealed.write(manifest.approval_of("paris"), content)
    sealed.resealed()
    assert failing(sealed)["approvals"] == {("BUNDLE_EXTRA", manifest.approval_of("paris"))}


def test_too_few_answering_cities_are_found(sealed: Sealed) -> None:
    tree = sealed.results()
    tree["cities"] |= {
        "answered": ["east"],
        "missing": [{"city": city, "reason": "no_masked", "detail": ""} for city in ("north", "west")],
    }
    for question in tree["questions"].values():
        question["cities"] = ["east"]
    sealed.published(tree)
    assert failing(sealed)["approvals"] == {("BUNDLE_DIFFERS", manifest.RESULTS)}


def test_names_that_hide_something_are_refused(sealed: Sealed) -> None:
    tree = sealed.results()
    tree["cities"]["names"]["east"]["en"] = "e\u202east"
    sealed.published(tree)
    assert ("BUNDLE_DIFFERS", manifest.RESULTS) in failing(sealed)["attestations"]


@pytest.mark.parametrize(
    "path", ["../evil", "/etc/passwd", "a//b", "bundle/../x", "bundle/manifest.json", ".hidden", "x/"]
)
def test_the_list_names_nothing_outside_and_not_itself(sealed: Sealed, path: str) -> None:
    said = sealed.manifest.model_dump(mode="json")
    said["files"] = sorted([*said["files"], said["files"][0] | {"path": path}], key=lambda each: each["path"])
    content = canonical(said)
    sealed.write(manifest.MANIFEST, content)
    sealed.write(manifest.SIGNATURE, sign(FileType.MANIFEST, content, sealed.key("coordinator")))
    assert failing(sealed)["manifest"] == {("SIGNED_SHAPE", manifest.SIGNATURE)}


# --- the record of the sum


def transcript(sealed: Sealed) -> str:
    (kept,) = sealed.manifest.transcripts
    return manifest.transcript_of(kept.conversation)


def test_a_transcript_that_was_changed_cut_or_taken_away_is_found(sealed: Sealed) -> None:
    path = transcript(sealed)
    content = sealed.read(path)
    for wrong in (b"", content[:-1], content + b"\0", bytes([content[0] ^ 1]) + content[1:]):
        sealed.write(path, wrong)
        sealed.resealed()
        assert path in {file for _, file in failing(sealed)["numbers"]}
    (sealed.out / path).unlink()
    sealed.resealed()
    assert failing(sealed)["numbers"] == {("BUNDLE_DIFFERS", manifest.MANIFEST)}
    kept = tuple(each.model_copy(update={"included": False}) for each in sealed.manifest.transcripts)
    sealed.resealed(transcripts=kept)
    assert failing(sealed)["numbers"] == {("BUNDLE_MISSING", "bundle/secagg")}
    sealed.resealed(transcripts=())
    assert "attestations" in failing(sealed)


def test_any_bit_of_a_transcript_is_found_though_the_list_names_the_new_digest(sealed: Sealed) -> None:
    path = transcript(sealed)
    content = sealed.read(path)
    for at in range(0, len(content), 97):
        wrong = bytearray(content)
        wrong[at] ^= 4
        sealed.write(path, bytes(wrong))
        try:
            named = Transcript.decode(bytes(wrong)).digest().hex()
        except PeerError:
            continue
        kept = tuple(each.model_copy(update={"sha256": named}) for each in sealed.manifest.transcripts)
        sealed.resealed(transcripts=kept)
        assert path in {file for _, file in failing(sealed)["numbers"]}, at


def test_a_bundle_of_mode_exact_that_holds_a_transcript_fails(exact: Sealed) -> None:
    (kept,) = exact.manifest.transcripts
    path = manifest.transcript_of(kept.conversation)
    stored = exact.homes / "coordinator" / "answers"
    (own,) = stored.rglob("*.bin")
    exact.write(path, own.read_bytes())
    exact.resealed(transcripts=(kept.model_copy(update={"included": True}),))
    assert failing(exact)["numbers"] == {("BUNDLE_EXACT", path)}


# --- pages


def test_a_page_that_was_edited_or_made_from_other_words_is_found_though_it_is_listed(sealed: Sealed) -> None:
    page = sealed.read("report.zh.html")
    sealed.write("report.zh.html", page.replace("住房公积金".encode(), "住房公基金".encode()) + b" ")
    sealed.resealed()
    assert failing(sealed) == {}  # nothing but making the page again can tell
    assert failing(sealed, pages=True) == {"rebuilt": {("BUNDLE_REBUILT", "report.zh.html")}}
    results = Results.load(sealed.out)
    sealed.write("report.zh.html", html.render(results, "en").encode())
    sealed.resealed()
    assert failing(sealed, pages=True) == {"rebuilt": {("BUNDLE_REBUILT", "report.zh.html")}}


def test_a_page_of_other_results_is_found_without_making_it_again(sealed: Sealed) -> None:
    tree = sealed.results()
    tree["study"]["digest"] = OTHER
    sealed.write("report.en.html", html.render(Results.of(tree), "en").encode())
    sealed.resealed()
    assert failing(sealed)["reports"] == {("BUNDLE_DIFFERS", "report.en.html")}


def rezipped(content: bytes, change: Callable[[str, bytes], bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A workbook of other parts, under its old names."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as before, zipfile.ZipFile(made, "w", method) as after:
        for name in before.namelist():
            after.writestr(name, change(name, before.read(name)))
    return made.getvalue()


def test_a_workbook_with_one_other_figure_is_found_though_it_is_listed(sealed: Sealed) -> None:
    """And one that another machine compressed is the same workbook."""
    book = sealed.read("results.xlsx")
    sealed.write("results.xlsx", rezipped(book, lambda _, part: part, zipfile.ZIP_STORED))
    sealed.resealed()
    assert failing(sealed, pages=True) == {}
    figure = re.compile(rb"<v>([0-9])")
    for changed in (
        rezipped(
            book,
            lambda name, part: figure.sub(lambda m: b"<v>%d" % (int(m[1]) ^ 1), part) if "sheet2" in name else part,
        ),
        book[:-30],
        b"MZ" + book,
        book + b"more",
        b"no workbook",
    ):
        assert changed != book
        sealed.write("results.xlsx", changed)
        sealed.resealed()
        assert failing(sealed, pages=True) == {"rebuilt": {("BUNDLE_REBUILT", "results.xlsx")}}


@pytest.mark.parametrize("path", ["tables/more.csv", "summary.html", "tables/product.html", "summary.pdf", "more.xlsx"])
def test_what_passes_for_a_part_of_the_result_is_found_though_it_is_listed(sealed: Sealed, path: str) -> None:
    sealed.write(path, b"trust me")
    sealed.resealed()
    assert failing(sealed, pages=True) == {"rebuilt": {("BUNDLE_REBUILT", path)}}


def test_what_only_the_coordinator_says_is_said_to_be_its_word(sealed: Sealed) -> None:
    tree = sealed.results()
    tree["cities"]["names"]["east"] = {"zh": "北市", "en": "North"}
    sealed.write("notes.txt", b"trust me")
    sealed.write(manifest.RESULTS, canonical(tree))
    sealed.resealed()
    notes = {note.key: note.values for step in verify.verify(sealed.out) for note in step.notes}
    assert "east = 北市 / North" in str(notes["word"]["names"])
    assert notes["unchecked"]["files"] == "notes.txt, run.jsonl"
