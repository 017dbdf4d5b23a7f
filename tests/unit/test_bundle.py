"""What is written into a bundle, and what is read back of it."""

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from coordinator import bundle, output, verify
from protocols import attestation, manifest
from protocols import study as studies
from protocols.attestation import Attestation
from protocols.errors import ConfigError, PeerError
from protocols.manifest import Kept, Manifest, Unattested
from protocols.study import Written, from_files
from simulations import world
from tests import bundles, gates
from tests.bundles import Sealed

LOADED = """
import sys
from pathlib import Path
from coordinator import verify
assert all(step.holds for step in verify.verify(Path(sys.argv[1])))
print(" ".join(sorted({name.split(".")[0] for name in sys.modules})))
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Sealed:
    return bundles.make(tmp_path_factory.mktemp("sealed"))


@pytest.fixture(scope="module")
def exact(tmp_path_factory: pytest.TempPathFactory) -> Sealed:
    return bundles.make(tmp_path_factory.mktemp("sealed_exact"), exact=True)


def test_a_bundle_holds_what_was_signed_and_what_was_written(made: Sealed) -> None:
    (kept,) = made.manifest.transcripts
    inside = {path for path in made.files if path.startswith("bundle/")}
    assert inside == {
        *(path for path in manifest.NEEDED if path != manifest.RESULTS),
        *(manifest.approval_of(city) for city in gates.CITIES),
        *(manifest.attestation_of(city) for city in gates.CITIES),
        manifest.transcript_of(kept.conversation),
    }
    assert made.read(manifest.STUDY) == gates.STUDY.encode()
    assert made.read(manifest.DICTIONARY) == gates.DICTIONARY.encode()
    listed = {each.path for each in made.manifest.files}
    assert listed == set(made.files) - {manifest.MANIFEST, manifest.SIGNATURE}
    derived = {each.path for each in made.manifest.files if each.derived}
    assert derived == {"report.zh.html", "report.en.html", "tables/all.csv", "tables/product.csv"}


def test_the_same_seed_gives_the_same_bundle(made: Sealed, tmp_path: Path) -> None:
    again = bundles.make(tmp_path)
    assert {path: made.read(path) for path in made.files} == {path: again.read(path) for path in again.files}


def test_mode_exact_keeps_the_record_of_its_sum_with_the_coordinator(exact: Sealed) -> None:
    (kept,) = exact.manifest.transcripts
    assert not kept.included
    assert not [path for path in exact.files if "secagg" in path]
    (own,) = (exact.homes / "coordinator" / "answers").rglob("*.bin")
    assert own.stem == kept.conversation
    assert [note.key for step in verify.verify(exact.out) for note in step.notes] == [
        "self_declared",
        "sum_attested",
        "word",
        "sum_exact",
        "not_rebuilt",
        "unchecked",
    ]


def test_a_transcript_that_is_too_large_stays_with_the_coordinator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest, "LARGEST_TRANSCRIPT", 1000)
    sealed = bundles.make(tmp_path)
    assert not sealed.manifest.transcripts[0].included
    assert len(list((sealed.homes / "coordinator" / "answers").rglob("*.bin"))) == 1
    assert bundles.failing(sealed) == {}
    assert "sum_large" in [note.key for step in verify.verify(sealed.out) for note in step.notes]


def test_what_is_stored_of_a_bundle_is_read_back_as_it_was() -> None:
    kept = Kept(conversation="0" * 32, sha256="1" * 64, included=True)
    before = bundle.Unsealed(
        "sha256:" + "2" * 64, 0, {"bundle/x": b"x"}, (kept,), (Unattested(city="ab", reason="BUSY"),)
    )
    assert bundle.kept(before.record, before.files) == before
    after = before.attested({"ab": b"file"}, {"cd": "unreachable", "bc": "timed_out"})
    assert after.files == {"bundle/x": b"x", manifest.attestation_of("ab"): b"file"}
    assert [each.city for each in after.unattested] == ["bc", "cd"]


def test_files_of_an_earlier_result_do_not_stay_beside_a_later_one(made: Sealed, tmp_path: Path) -> None:
    out = bundles.copied(made, tmp_path / "copy").out
    (out / "tables" / "old.csv").write_text("old", encoding="utf-8")
    (out / "bundle" / "attestations" / "paris.json").write_text("old", encoding="utf-8")
    (out / "tables" / "note.txt").write_text("mine", encoding="utf-8")
    output.write(out, made.read("results.json"))
    assert not (out / "bundle").exists()
    assert {path.name for path in (out / "tables").iterdir()} == {"all.csv", "product.csv", "note.txt"}


def test_verifying_loads_neither_pages_nor_engines(made: Sealed) -> None:
    ran = subprocess.run(  # noqa: S603 our own text
        [sys.executable, "-c", LOADED, str(made.out)], capture_output=True, text=True, check=True
    )
    assert not set(ran.stdout.split()) & {
        "pandas",
        "duckdb",
        "jinja2",
        "flwr",
        "statsmodels",
        "typer",
        "node",
        "sqlite3",
    }


def test_an_attestation_holds_no_number_of_rows_and_no_code_of_the_city(tmp_path: Path) -> None:
    """Two worlds whose cities hold other rows, and more of them: the same words but for digests and names under a key."""
    shown = []
    for rows in (12, 57):
        folder = tmp_path / str(rows)
        gates.write(folder / "cities", rows)
        outcome = world.run(studies.load(folder / "cities" / "study.yaml"), folder / "cities", folder / "homes", seed=5)
        output.write(folder / "out", outcome.results, outcome.events, outcome.sealer)
        sealed = Sealed(folder / "out", folder / "homes")
        tree = payload(sealed, "east")
        for hidden in ("snapshot", "audit_head"):
            tree.pop(hidden)
        for sent in tree["conversations"]:
            sent.pop("sha256")
            sent.pop("sum")
        shown.append(tree)
    assert shown[0] == shown[1]


def payload(sealed: Sealed, city: str) -> dict[str, Any]:
    file = json.loads(sealed.read(manifest.attestation_of(city)))
    found: dict[str, Any] = json.loads(base64.b64decode(file["payload"]))
    return found


def test_the_schemas_are_closed(made: Sealed) -> None:
    said = payload(made, "east")
    Attestation.model_validate_json(json.dumps(said))
    further: tuple[dict[str, Any], ...] = ({"rows": 5}, {"contract": 2}, {"conversations": []}, {"release": "city"})
    for extra in further:
        with pytest.raises(ValidationError):
            Attestation.model_validate_json(json.dumps({**said, **extra}))
    listed = made.manifest.model_dump(mode="json")
    twice = [listed["files"][0], *listed["files"]]
    for changed in ({"files": twice}, {"files": listed["files"][::-1]}, {"contract": 2}, {"note": ""}):
        with pytest.raises(ValidationError):
            Manifest.model_validate_json(json.dumps({**listed, **changed}))


def test_an_attestation_is_read_under_the_key_of_its_city_alone(made: Sealed) -> None:
    file, ids = made.read(manifest.attestation_of("east")), {city.name: n for n, city in made.roster.cities.items()}
    assert attestation.read_attestation(file, ids["east"], made.roster).city == "east"
    for other in (ids["north"], 99):
        with pytest.raises(PeerError) as fault:
            attestation.read_attestation(file, other, made.roster)
        assert fault.value.code == "SIGNED_SIGNATURE"


def test_a_study_is_read_from_the_bytes_of_its_files_under_whatever_name(tmp_path: Path) -> None:
    gates.write(tmp_path)
    asked = studies.load(tmp_path / "study.yaml")
    assert asked.written == Written(gates.STUDY.encode(), gates.DICTIONARY.encode())
    assert asked.in_exact_mode().written == asked.written
    assert from_files(asked.written).digest == asked.digest
    renamed = gates.STUDY.replace("dictionary.yaml", "somewhere/else@7")
    assert from_files(Written(renamed.encode(), gates.DICTIONARY.encode())).digest == asked.digest


def test_a_study_that_was_never_a_file_makes_no_bundle(tmp_path: Path) -> None:
    gates.write(tmp_path / "cities")
    asked = studies.load(tmp_path / "cities" / "study.yaml")
    bare = studies.from_wire(asked.content, asked.dictionary.content)
    with pytest.raises(ConfigError):
        world.run(bare, tmp_path / "cities", tmp_path / "homes", seed=5)
    assert not (tmp_path / "homes").exists()  # nobody was asked
