"""Officers, askers and a city's books from the command line: what the page for cities does not show."""

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from coordinator import askers
from coordinator import cli as coordinator
from node import cli as node
from node.held import ROSTER
from protocols import messages
from protocols.errors import ConfigError, PeerError
from protocols.roster import self_declared
from protocols.signed import FileType, sign
from protocols.study import load
from simulations import cli as simulate
from tests import gates
from tests.system.test_programs import called
from tests.unit.test_desk import key


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three tiny cities, and a study for which two officers are needed."""
    gates.write(tmp_path / "cities", study=gates.STUDY.replace("epsilon: 1.0", "epsilon: 2.1"))
    return tmp_path / "cities"


def run(folder: Path, *words: object) -> tuple[int, str]:
    done = called(simulate, "run", folder / "study.yaml", "--cities", folder, "--lang", "en", *words)
    return done.exit_code, done.stderr


def at(city: Path, *words: object) -> Any:
    """The data that a command of the node prints."""
    done = called(node, *words, "--folder", city, "--json")
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def says(city: Path, *words: object) -> tuple[int, str]:
    done = called(node, *words, "--folder", city, "--lang", "en")
    return done.exit_code, done.stderr + done.stdout


def test_an_officer_who_is_not_enrolled_signs_nothing(folder: Path, tmp_path: Path) -> None:
    run(folder, "--out", tmp_path / "out", "--by-hand")
    east = folder / "east"
    stranger, broken = tmp_path / "stranger", tmp_path / "broken"
    stranger.write_bytes(key("stranger").private_bytes_raw())
    broken.write_bytes(b"short")
    assert says(east, "approve", "tiny-study", "--key", stranger)[0] == 2
    code, text = says(east, "approve", "tiny-study", "--key", broken)
    assert (code, "officer's key file" in text) == (2, True)
    assert says(east, "approve", "no-such-study", "--key", stranger)[0] == 2
    assert says(east, "approve", "", "--key", stranger)[0] == 2
    at(east, "officer", "new", "stranger", "--key", stranger)
    assert says(east, "officer", "new", "stranger", "--key", stranger)[0] == 2
    assert says(east, "approve", "tiny-study", "--key", stranger)[0] == 0
    assert says(east, "officer", "remove", "stranger")[0] == 0
    assert at(east, "preview", "tiny-study")["officers"] == []
    assert at(east, "officer", "list") == []


def test_what_the_policy_refuses_no_officer_approves(folder: Path, tmp_path: Path) -> None:
    east, mine = folder / "east", tmp_path / "mine"
    run(folder, "--out", tmp_path / "out", "--by-hand")
    (east / "policy.yaml").write_text("policy: 1\nvariables: {deny: [sex]}\n", encoding="utf-8")
    at(east, "officer", "new", "mine", "--key", mine)
    code, text = says(east, "approve", "tiny-study", "--key", mine)
    assert (code, "variables.deny" in text) == (3, True)


def test_a_sheet_replaces_no_file(folder: Path, tmp_path: Path) -> None:
    run(folder, "--out", tmp_path / "out", "--by-hand")
    out = tmp_path / "sheet.html"
    assert says(folder / "east", "preview", "tiny-study", "--out", out)[0] == 0
    assert "数据研究审批单" in out.read_text(encoding="utf-8")
    assert says(folder / "east", "preview", "tiny-study", "--out", out)[0] == 2


def test_nothing_left_for_a_study_that_nobody_asked(folder: Path, tmp_path: Path) -> None:
    run(folder, "--out", tmp_path / "out", "--by-hand")
    for name in ("tiny-study", "7f3a", ""):
        code, text = says(folder / "east", "outbox", name)
        assert (code, "nothing left" in text) == (3, True)
    (waiting,) = at(folder / "east", "requests")
    assert (waiting["state"], waiting["study"], waiting["epsilon"]) == ("pending", "tiny-study", "2.1")


def test_a_cap_that_is_raised_holds_once_two_officers_signed_for_it(folder: Path, tmp_path: Path) -> None:
    east = folder / "east"
    assert run(folder, "--out", tmp_path / "first")[0] == 0
    (east / "policy.yaml").write_text("policy: 1\ndp: {caps: {total: {epsilon: 20}}}\n", encoding="utf-8")
    total = at(east, "budget")[-1]
    assert (total["epsilon"], total["waiting"]) == ("16", True)
    again = folder / "study.yaml"
    for number, name in enumerate(("one", "two"), 2):
        at(east, "officer", "new", name, "--key", tmp_path / name)
        signed = at(east, "policy", "sign", "--key", tmp_path / name)
        assert len(signed["signed"]) == number - 1
        again.write_text(
            again.read_text(encoding="utf-8").replace("as_of:", f"revision: {number}\nas_of:", 1)
            if number == 2
            else again.read_text(encoding="utf-8").replace("revision: 2", "revision: 3"),
            encoding="utf-8",
        )
        assert run(folder, "--out", tmp_path / f"out{number}")[0] == 0
        total = at(east, "budget")[-1]
        assert total["epsilon"] == ("16" if number == 2 else "20")
    assert total["waiting"] is False
    assert says(east, "outbox", "tiny-study")[0] == 0
    first, *_ = at(east, "releases")
    assert at(east, "outbox", first["conversation"][:8]) == [first]
    assert at(east, "outbox", first["study"]) == [first]
    assert at(east, "requests") == []


def test_messages_over_which_the_city_left_are_listed_with_their_files(folder: Path, tmp_path: Path) -> None:
    with gates.rig(folder, homes=tmp_path / "homes") as rig:
        _, agreement = rig.approved()
        plan = replace(rig.plan(agreement), threshold=2)
        content = rig.sealed(messages.Open(plan.encode(), b""), rig.about(plan))
        assert rig.gate.answer(content, rig.now) is not None
        home = rig.gate.station.home
    (one,) = at(folder / "east", "audit", "evidence", "--home", home)
    assert (one["message"], one["codes"]) == ("open", ["SECAGG_THRESHOLD"])
    assert Path(one["file"]).read_bytes() == content
    assert one["digest"] == "sha256:" + sha256(content).hexdigest()
    Path(one["file"]).unlink()
    assert "has made room" in says(folder / "east", "audit", "evidence", "--home", home)[1]


def test_by_hand_and_a_seed_do_not_go_together(folder: Path, tmp_path: Path) -> None:
    code, text = run(folder, "--out", tmp_path / "out", "--by-hand", "--seed", 7)
    assert (code, "--by-hand" in text) == (2, True)


# --- askers


def test_a_study_of_an_asker_with_a_key_of_its_own_needs_its_signature(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    home = tmp_path / "asker"
    made = called(coordinator, "asker", "new", "analyst", "--role", "regulator", "--home", home, "--json")
    identity = json.loads(made.stdout)["identity"]
    code, text = run(folder, "--out", tmp_path / "out")
    assert (code, "did not sign" in text) == (3, True)
    assert called(coordinator, "study", "sign", "study.yaml", "--home", tmp_path, "--lang", "en").exit_code == 2
    assert called(coordinator, "study", "sign", "study.yaml", "--home", home).exit_code == 0
    assert run(folder, "--out", tmp_path / "out")[0] == 0
    results = json.loads((tmp_path / "out" / "results.json").read_bytes())
    assert results["study"]["asker"] == {"id": "analyst", "role": "regulator", "name": "analyst"}
    roster = self_declared((folder / "east" / ".hpfed" / ROSTER).read_bytes())
    assert roster.askers["analyst"].identity == identity
    assert run(folder, "--out", tmp_path / "again")[0] == 0, "the stored answer is for the same asker"
    Path("study.yaml").write_text(
        Path("study.yaml").read_text(encoding="utf-8").replace("Tiny", "Renamed"), encoding="utf-8"
    )
    assert run(folder, "--out", tmp_path / "other")[0] == 3, "another study needs another signature"
    Path("study.sig.json").unlink()
    assert called(coordinator, "study", "sign", "study.yaml", "--exact", "--home", home).exit_code == 0
    signed = Path("study.sig.json").read_bytes()
    assert signed == askers.signature(home, load(Path("study.yaml")).in_exact_mode())


def test_an_asker_is_made_once_and_under_a_name_that_a_roster_can_hold(tmp_path: Path) -> None:
    seed = lambda _size: bytes(32)  # noqa: E731 the entropy of one key
    askers.new(tmp_path, "fund-lab", "analyst", "", seed)
    for asker, role, code in (
        ("fund-lab", "analyst", "FILE_EXISTS"),
        ("Lab", "analyst", "ASKER_NAME"),
        ("lab", "x", "ASKER_NAME"),
    ):
        with pytest.raises(ConfigError) as no:
            askers.new(tmp_path, asker, role, "", seed)
        assert no.value.code == code


def test_an_enrolment_that_its_key_did_not_sign_is_none(tmp_path: Path) -> None:
    words, file = askers.new(tmp_path, "fund-lab", "analyst", "", lambda _size: b"k" * 32)
    assert askers.enrolment(file) == words
    for other in (
        sign(FileType.ENROLMENT, words.model_dump_json().encode(), key("other")),
        sign(FileType.ENROLMENT, b"{}", key("other")),
    ):
        with pytest.raises(PeerError):
            askers.enrolment(other)
