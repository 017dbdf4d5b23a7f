"""R2, closed wire: every field of every message is on `docs/what-leaves.md`, and from a city comes no float and no free text."""

import subprocess
import sys
from dataclasses import dataclass
from importlib import util
from types import ModuleType
from typing import Final

import pytest
from pydantic import BaseModel

from protocols import approval, attestation, messages
from protocols.statistics import EXAMPLE_DOMAIN, REGISTER
from tests.architecture.source import ROOT

LEAVES: Final = (ROOT / "docs" / "what-leaves.md").read_text(encoding="utf-8")
RECORDS: Final[tuple[type[BaseModel], ...]] = (
    messages.Header,
    messages.Reasons,
    approval.Approval,
    approval.OfficerYes,
    attestation.Attestation,
    attestation.Noise,
    attestation.Sent,
    attestation.Asked,
    attestation.Charged,
)


def loaded() -> ModuleType:
    spec = util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generate: Final = loaded()
BODIES: Final = [
    body for body in messages.Body.__subclasses__() if body.__module__ == messages.__name__
]  # not those of other tests


def test_the_generated_pages_are_those_of_this_code() -> None:
    program = [sys.executable, str(ROOT / "docs" / "generate.py"), "--check"]
    ran = subprocess.run(program, capture_output=True, text=True, check=False)  # noqa: S603 our own program
    assert (ran.returncode, ran.stderr) == (0, "")


def test_every_kind_every_body_and_every_field_is_on_the_page() -> None:
    for kind in messages.Kind:
        assert f"\n**{kind.value}** " in LEAVES or f"\n**{kind.value}**\n" in LEAVES
    for body in BODIES:
        listed = [name for name, _, _ in generate.fields(body)]
        assert listed == list(body.__dataclass_fields__)
        assert all(f"\n| `{name}` | " in LEAVES for name in listed)
    for record in RECORDS:
        assert [name for name, _, _ in generate.fields(record)] == list(record.model_fields)


def test_every_block_of_every_kind_is_on_the_page_with_what_one_holder_changes() -> None:
    for kind in REGISTER:
        section = LEAVES.split(f"\n### {kind.model_fields['kind'].default}\n")[1].split("\n### ")[0]
        for name, block in kind.example().blocks(EXAMPLE_DOMAIN).items():
            (row,) = [line for line in section.splitlines() if line.startswith(f"| `{name}` |")]
            cells = [cell.strip() for cell in row.strip("| ").split(" | ")]
            assert cells[3:] == [
                str(each)
                for each in (block.cells, block.unit, block.low, block.high, block.touches, block.l1, block.l2sq)
            ]


# Texts that a city can send. Each is one of a closed list, or was public before the study: no field is for a city to write in.
WORDS_FROM_A_CITY: Final = {
    "approval.city": "its name on the roster",
    "attestation.city": "its name on the roster",
    "approval.cannot": "names of the dictionary",
    "approval.unused": "names and codes of the dictionary, and nothing else: `read_approval`",
    "officeryes.signature": "128 hex digits",
    "reasons.codes": "codes of protocols/errors.py",
    "reasons.limits": "names of limits, and whole numbers",
    "header.consortium": "as on the roster",
    "header.conversation": "hexadecimal digits",
}


def test_no_body_holds_a_float_or_a_text() -> None:
    remarked = {
        "advert.pairs",
        "plan.waits",
        "plan.cannot",
    }  # lists of whole numbers or of digests, as their remarks say
    for body in BODIES:
        for name, form, _ in generate.fields(body):
            place = f"{body.__name__.lower()}.{name}"
            assert form in generate.FORMS or place in remarked, place
            assert "float" not in form
            assert "str" not in form


def test_the_texts_that_a_city_can_send_are_few_and_known() -> None:
    found = set()
    for record in RECORDS:
        for name, form, _ in generate.fields(record):
            if "str" in form.replace("Literal", ""):
                found.add(f"{record.__name__.lower()}.{name}")
            assert (
                "float" not in form or name == "poll_s"
            )  # from the coordinator only: `messages.open_envelope` refuses it from a city
    assert found == set(WORDS_FROM_A_CITY)


def test_the_page_lists_every_record_that_a_city_signs() -> None:
    assert set(generate.RECORDS.values()) == set(RECORDS)
    for record in RECORDS:
        for name in record.model_fields:
            shown = record.model_fields[name].alias or name
            assert f"\n| `{shown}` | " in LEAVES


def test_an_unknown_field_is_refused() -> None:
    for record in RECORDS:
        assert record.model_config.get("extra") == "forbid"
        assert record.model_config.get("strict") is True


@dataclass(frozen=True)
class Planted:
    """Not a message: it shows that a field is found with its form and remark."""

    known: messages.Digest  # of something
    income: "float"


def test_a_field_is_found_with_its_form_and_remark() -> None:
    assert list(generate.fields(Planted)) == [("known", "messages.Digest", "of something"), ("income", "'float'", "")]


def test_the_page_of_attacks_is_made_anew_from_the_marker_on() -> None:
    page = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")
    assert generate.threats(page) == page
    assert generate.threats(page + "| T43 by hand | a lie |\n") == page
    assert "`tests/disclosure/test_yaml_bomb.py`" in page.split(generate.GENERATED)[1]


def test_a_reviewer_reads_the_exit_the_messages_the_measures_and_the_decisions_first(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert generate.main(["--audit"]) == 0
    first, rest = (part.splitlines() for part in capsys.readouterr().out.split("# what they rest on"))
    assert [line.split()[2] for line in first[1:]] == list(generate.READ_FIRST)
    assert any(line.endswith("protocols/secagg/member.py") for line in rest)
    assert not any(line.endswith(("coordinator/release.py", "simulations/world.py")) for line in rest)
    for line in [*first[1:], *rest[1:]]:
        count, digest, name = line.split()
        assert len((ROOT / name).read_text(encoding="utf-8").splitlines()) == int(count)
        assert len(digest) == 64


def test_an_argument_that_is_not_known_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert generate.main(["--chekc"]) == 2
    assert "--check" in capsys.readouterr().err
