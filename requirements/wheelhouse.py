"""Fetches every pinned wheel of a party that runs without an index, for both architectures, into one folder with its SHA-256 list.

    .venv/bin/python requirements/wheelhouse.py build/wheelhouse [--python 3.11 --python 3.12] [--arch x86_64]

In the folder: the wheels, hpfed's own among them; for each party, Python and architecture `node-cp311-x86_64.txt` and so on, with the
hashes of what it needs; `SHA256SUMS` over all of it. No wheel needs more than glibc 2.28. On the other machine:

    sha256sum --check SHA256SUMS
    python3 -m venv /opt/hpfed
    /opt/hpfed/bin/pip install --no-index --find-links . --require-hashes -r node-cp311-x86_64.txt

Markers are judged for the machine that the wheels are for, whatever this one is. `--list requirements/wheels.txt` also notes which wheels
those are, so that a test can read their names without an index: after a change of the requirements, write it again.
"""

import argparse
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import Final

from packaging.markers import Marker
from packaging.tags import Tag
from packaging.utils import parse_wheel_filename

HERE: Final = Path(__file__).parent
PACKAGES: Final = ("coordinator", "node", "protocols", "simulations")
PARTIES: Final = ("node", "coordinator")
ARCHES: Final = ("x86_64", "aarch64")
GLIBC: Final = 28  # glibc 2.28
LEGACY: Final = {"manylinux1": 5, "manylinux2010": 12, "manylinux2014": 17}  # PEP 513, 571, 599
ENTRY: Final = re.compile(
    r"(?P<pin>[a-z0-9][a-z0-9.-]*==[^ ;]+)(?: ; (?P<marker>[^-]+?))?(?P<hashes>(?: --hash=sha256:[0-9a-f]{64})+) *"
)


def platforms(arch: str) -> list[str]:
    """Every platform tag that a machine of this kind with glibc 2.28 takes, newest first."""
    return [f"manylinux_2_{minor}_{arch}" for minor in range(GLIBC, 4, -1)] + [
        f"{name}_{arch}" for name in reversed(LEGACY)
    ]


def needs(tag: Tag) -> int | None:
    """The minor version of glibc 2 that a wheel with this tag needs: 0 for one that needs none, None for one of another system."""
    found = re.fullmatch(r"(?:manylinux_2_([0-9]+)|(manylinux(?:1|2010|2014)))_.+", tag.platform)
    if found is not None:
        return int(found[1]) if found[1] else LEGACY[found[2]]
    return 0 if tag.platform == "any" else None


def wanted(requirements: str, python: str, arch: str) -> Iterator[str]:
    """The entries of a requirements file that hold for a machine, each with its hashes and without its marker."""
    machine = {
        "implementation_name": "cpython",
        "os_name": "posix",
        "platform_machine": arch,
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": f"{python}.0",
        "python_version": python,
        "sys_platform": "linux",
    }
    for line in re.sub(r" *\\\n *", " ", requirements).splitlines():
        entry = ENTRY.fullmatch(line)
        if entry is None:
            if line.strip():
                raise ValueError(line)
            continue
        if entry["marker"] is None or Marker(entry["marker"]).evaluate(machine):
            yield entry["pin"] + entry["hashes"]


def fetch(out: Path, requirements: Path, python: str, arch: str) -> None:
    """Every wheel that a file names. pip checks their hashes."""
    number = python.replace(".", "")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "download"]
    target = ["--python-version", python, "--implementation", "cp"]
    target += [word for abi in (f"cp{number}", "abi3", "none") for word in ("--abi", abi)]
    target += [word for each in platforms(arch) for word in ("--platform", each)]
    only = ["--only-binary", ":all:", "--no-deps", "--require-hashes"]
    subprocess.run([*pip, *only, *target, "--dest", str(out), "--requirement", str(requirements)], check=True)


def built(out: Path) -> Path:
    """hpfed's own wheel, made from a copy: nothing is left beside the sources that would pass for an installation."""
    with tempfile.TemporaryDirectory() as place:
        copy = Path(place)
        for name in ("pyproject.toml", "README.md"):
            shutil.copy(HERE.parent / name, copy)
        for name in PACKAGES:
            shutil.copytree(HERE.parent / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        itself = ["--no-deps", "--no-build-isolation", "--wheel-dir", str(out), str(copy)]
        subprocess.run(
            [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "wheel", *itself], check=True
        )
    (wheel,) = out.glob("hpfed-*.whl")
    return wheel


def too_new(out: Path) -> list[str]:
    """Wheels that need more than glibc 2.28, or another system."""
    found = []
    for path in sorted(out.glob("*.whl")):
        tags = parse_wheel_filename(path.name)[3]
        if not any(needs(tag) is not None and (needs(tag) or 0) <= GLIBC for tag in tags):
            found.append(path.name)
    return found


def main(arguments: list[str]) -> int:
    reads = argparse.ArgumentParser(prog="wheelhouse")
    reads.add_argument("out", type=Path)
    reads.add_argument("--python", action="append", help="3.11, 3.12 …; that of this interpreter if none is given")
    reads.add_argument("--arch", action="append", choices=ARCHES)
    reads.add_argument("--list", type=Path, help="a file that notes the wheels of others, with their hashes")
    told = reads.parse_args(arguments)
    pythons = told.python or [".".join(platform.python_version_tuple()[:2])]
    out: Path = told.out
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    own = built(out)
    itself = f"hpfed=={own.name.split('-')[1]} --hash=sha256:{sha256(own.read_bytes()).hexdigest()}"
    for arch, party, python in product(told.arch or ARCHES, PARTIES, pythons):
        text = (HERE / f"{party}.txt").read_text(encoding="utf-8")
        listed = out / f"{party}-cp{python.replace('.', '')}-{arch}.txt"
        entries = list(wanted(text, python, arch))
        listed.write_text("\n".join(entries) + "\n", encoding="utf-8")
        fetch(out, listed, python, arch)
        listed.write_text("\n".join([*entries, itself]) + "\n", encoding="utf-8")
    sums = [f"{sha256(path.read_bytes()).hexdigest()}  {path.name}" for path in sorted(out.iterdir())]
    (out / "SHA256SUMS").write_text("\n".join(sums) + "\n", encoding="utf-8")
    if told.list:
        told.list.write_text(
            "".join(f"{each}\n" for each in sums if ".whl" in each and own.name not in each), encoding="ascii"
        )
    wheels = list(out.glob("*.whl"))
    print(f"{len(wheels)} wheels, {sum(path.stat().st_size for path in wheels) / 1e6:.0f} MB, in {out}")
    for name in too_new(out):
        print(f"needs more than glibc 2.{GLIBC}: {name}", file=sys.stderr)
    return 1 if too_new(out) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
