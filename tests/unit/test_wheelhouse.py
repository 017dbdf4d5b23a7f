"""T40, the folder of wheels for a machine without an index: whose entries hold where, and that nothing needs more than glibc 2.28."""

import importlib.util
import platform
import subprocess
import sys
from itertools import product
from pathlib import Path
from types import ModuleType

import pytest
from packaging.tags import Tag, parse_tag
from packaging.utils import parse_wheel_filename

from tests.architecture.source import ROOT
from tests.architecture.test_requirements import pinned


def loaded() -> ModuleType:
    """The program, which is in no package."""
    spec = importlib.util.spec_from_file_location("wheelhouse", ROOT / "requirements" / "wheelhouse.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


wheelhouse = loaded()


@pytest.mark.parametrize(
    ("tag", "minor"),
    [
        ("cp311-cp311-manylinux_2_28_x86_64", 28),
        ("cp311-abi3-manylinux_2_34_aarch64", 34),
        ("cp37-abi3-manylinux2014_x86_64", 17),
        ("cp311-cp311-manylinux1_x86_64", 5),
        ("py3-none-any", 0),
        ("cp311-cp311-musllinux_1_2_x86_64", None),
        ("cp311-cp311-win_amd64", None),
    ],
)
def test_what_a_tag_needs_of_a_machine(tag: str, minor: int | None) -> None:
    (found,) = parse_tag(tag)
    assert wheelhouse.needs(found) == minor


def test_a_machine_takes_every_tag_up_to_its_glibc_and_none_beyond() -> None:
    for arch in wheelhouse.ARCHES:
        needed = [wheelhouse.needs(Tag("cp311", "cp311", each)) for each in wheelhouse.platforms(arch)]
        assert max(needed) == wheelhouse.GLIBC == 28
        assert set(range(5, 29)) <= set(needed)


def test_a_wheel_that_is_too_new_or_of_another_system_is_found(tmp_path: Path) -> None:
    for name in (
        "a-1-cp311-cp311-manylinux_2_34_x86_64.whl",
        "b-1-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        "c-1-cp311-cp311-macosx_11_0_arm64.whl",
        "d-1-py3-none-any.whl",
    ):
        (tmp_path / name).touch()
    assert [name[0] for name in wheelhouse.too_new(tmp_path)] == ["a", "c"]


@pytest.mark.parametrize("party", wheelhouse.PARTIES)
@pytest.mark.parametrize("arch", wheelhouse.ARCHES)
@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_of_every_distribution_one_version_holds_for_a_machine(party: str, arch: str, python: str) -> None:
    text = (ROOT / "requirements" / f"{party}.txt").read_text(encoding="utf-8")
    listed = [line.split(" ")[0] for line in wheelhouse.wanted(text, python, arch)]
    names = [each.split("==")[0] for each in listed]
    assert len(names) == len(set(names))
    assert {"flwr", "cryptography", "numpy", "duckdb", "pydantic", "greenlet"} <= set(names)
    assert not {"colorama", "pywin32"} & set(names)
    assert {name for name, marker in pinned(party) if not marker} <= set(names)
    assert all(" --hash=sha256:" in line for line in wheelhouse.wanted(text, python, arch))


def test_a_line_that_is_no_pinned_entry_stops_it() -> None:
    with pytest.raises(ValueError, match="numpy"):
        list(wheelhouse.wanted("numpy>=2\n", "3.11", "x86_64"))


def test_every_pinned_wheel_is_there_for_both_architectures_and_needs_no_more_than_glibc_2_28() -> None:
    """By the names and hashes that `requirements/wheels.txt` notes: a wheel is that of a pin if its hash is one of the pin's."""
    text = (ROOT / "requirements" / "wheels.txt").read_text(encoding="ascii")
    names = dict(line.split("  ") for line in text.splitlines())
    used = set()
    for party, arch in product(wheelhouse.PARTIES, wheelhouse.ARCHES):
        pins = (ROOT / "requirements" / f"{party}.txt").read_text(encoding="utf-8")
        for pin in wheelhouse.wanted(pins, "3.11", arch):
            hashes = {each.removeprefix("--hash=sha256:") for each in pin.split()[1:]}
            tags = {digest: parse_wheel_filename(names[digest])[3] for digest in hashes & names.keys()}
            fitting = {digest for digest, each in tags.items() if any(fits(tag, arch) for tag in each)}
            assert fitting, (
                f"{pin.split()[0]} for {arch}: write requirements/wheels.txt again (requirements/wheelhouse.py --list)"
            )
            used |= fitting
    assert used == names.keys()


def fits(tag: Tag, arch: str) -> bool:
    """Whether a machine of this kind with glibc 2.28 takes the tag."""
    return tag.platform in ("any", *wheelhouse.platforms(arch)) and wheelhouse.needs(tag) <= wheelhouse.GLIBC


@pytest.mark.slow  # 350 MB come from the index that pip is configured with; a minute and a half
def test_all_wheels_are_there_for_both_architectures_and_install_without_an_index(tmp_path: Path) -> None:
    def run(*words: object) -> None:
        subprocess.run([str(each) for each in words], check=True, stdout=subprocess.DEVNULL)  # noqa: S603 our own words

    out = tmp_path / "wheels"
    assert wheelhouse.main([str(out)]) == 0
    assert wheelhouse.too_new(out) == []
    number = f"cp3{sys.version_info.minor}"
    assert {path.name for path in out.glob("*.txt")} == {
        f"{party}-{number}-{arch}.txt" for party in wheelhouse.PARTIES for arch in wheelhouse.ARCHES
    }
    sums = (out / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    assert {line.split("  ")[1] for line in sums} == {path.name for path in out.iterdir()} - {"SHA256SUMS"}
    venv = tmp_path / "venv"
    run(sys.executable, "-m", "venv", venv)
    offline = ("--isolated", "install", "--no-index", "--find-links", out, "--require-hashes")
    run(venv / "bin" / "pip", *offline, "-r", out / f"node-{number}-{platform.machine()}.txt")
    run(venv / "bin" / "pip", "check")
    run(venv / "bin" / "hpfed-node", "--help")
