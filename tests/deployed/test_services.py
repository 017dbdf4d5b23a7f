"""Units and compose files: what each must contain, commands that our own programs take, and examples that do not drift.

The examples of `docs/deploy` are written by `python -m tests.deployed.test_services`.
"""

import shlex
import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path
from typing import Any, Final

import click
import pytest
import typer
import yaml

from coordinator import cli as coordinator
from coordinator import service as host
from node import cli as node
from node import service as city
from protocols.flower import QUIET
from protocols.services import Service, rendered
from tests.architecture.source import ROOT
from tests.deployed.test_enrolment import at
from tests.gates import write
from tests.system.test_programs import called

HOME: Final = Path("/srv/hpfed")
PROGRAMS: Final = Path("/opt/hpfed/bin")
ADDRESS: Final = "203.0.113.7"  # RFC 5737
CITY: Final = city.services(HOME, HOME / ".hpfed", PROGRAMS, (ADDRESS,), ())
HOST: Final = host.services(HOME, PROGRAMS, 8443)
EXAMPLES: Final = {"city": ("hpfed-node", CITY), "coordinator": ("hpfed-coordinator", HOST)}
PROGRAM: Final = {"hpfed-node": node.app, "hpfed-coordinator": coordinator.app}
DEPLOY: Final = ROOT / "docs" / "deploy"
ALL: Final = {
    "Restart": "on-failure",
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "CapabilityBoundingSet": "",
    "UMask": "0077",
    "LimitCORE": "0",
}
OWN: Final[dict[str, dict[str, str]]] = {
    "hpfed-node-gate": {
        "User": "hpfed-gate",
        "PrivateNetwork": "yes",
        "RestrictAddressFamilies": "AF_UNIX",
        "ReadWritePaths": "/srv/hpfed/.hpfed",
        "LoadCredential": "ed25519.key:/srv/hpfed/.hpfed/identity/ed25519.key",
    },
    "hpfed-node-link": {
        "User": "hpfed-link",
        "IPAddressDeny": "any",
        "After": "network-online.target hpfed-node-gate.service",
    },
    "hpfed-node-ingest": {"Type": "oneshot", "User": "hpfed-gate", "PrivateNetwork": "yes"},
    "hpfed-superlink": {"IPAddressDeny": "any", "IPAddressAllow": "localhost"},
    "hpfed-gateway": {
        "User": "hpfed-gateway",
        "ReadOnlyPaths": "/srv/hpfed/coordinator.yaml /srv/hpfed/tls",
        "After": "network-online.target hpfed-superlink.service",
    },
    "hpfed-engine": {"IPAddressDeny": "any", "IPAddressAllow": "localhost"},
}
HIDDEN: Final = (
    "data",
    ".hpfed/ledger.sqlite",
    ".hpfed/identity",
    ".hpfed/snapshots",
    ".hpfed/audit",
    ".hpfed/secrets",
)


def examples() -> dict[Path, str]:
    """Every example file, by its path below `docs/deploy`."""
    return {
        Path(party, name): text
        for party, (program, services) in EXAMPLES.items()
        for files in (rendered(program, services, "systemd"), rendered(program, services, "compose"))
        for name, text in files.items()
    }


def sections(text: str) -> list[tuple[str, str]]:
    """Every directive of a unit, in order: a name may come more than once."""
    return [(name, value) for name, eq, value in (line.partition("=") for line in text.splitlines()) if eq]


def test_the_examples_are_what_the_programs_print() -> None:
    found = {
        path.relative_to(DEPLOY): path.read_text(encoding="utf-8")
        for path in DEPLOY.rglob("*.*")
        if path.suffix != ".md"
    }
    assert found == examples()


def test_print_fills_in_the_home_and_writes_what_it_prints(tmp_path: Path) -> None:
    words = ("--folder", tmp_path, "--home", tmp_path / "home", "--allow-gateway", ADDRESS)
    printed = at(node, "service", "print", *words)
    assert printed == rendered(
        "hpfed-node", city.services(tmp_path, tmp_path / "home", beside(), (ADDRESS,), ()), "systemd"
    )
    at(node, "service", "print", *words, "--out", tmp_path / "units")
    assert {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "units").iterdir()} == printed
    at(coordinator, "init", "--name", "provident", "--address", "hpf.example.cn:9443", "--home", tmp_path / "hub")
    plain = called(coordinator, "service", "print", "--format", "compose", "--home", tmp_path / "hub")
    assert yaml.safe_load(plain.stdout)["services"]["hpfed-gateway"]["ports"] == ["9443:9443"]
    assert missing(host.services(tmp_path / "hub", beside(), 9443), tmp_path / "hub") == []


def beside() -> Path:
    """Where the programs of this environment are."""
    return Path(sys.executable).parent


@pytest.mark.parametrize("name", OWN)
def test_a_unit_contains_what_keeps_it_in(name: str) -> None:
    text = next(text for path, text in examples().items() if path.name == f"{name}.service")
    ConfigParser(strict=False, interpolation=None, allow_no_value=True).read_string(text)
    found = dict(sections(text))
    assert found | ALL | OWN[name] == found
    if name == "hpfed-node-link":
        assert [value for key, value in sections(text) if key == "IPAddressAllow"] == [ADDRESS, "localhost"]
        assert {each.removeprefix("-") for each in found["InaccessiblePaths"].split()} >= {
            str(HOME / each) for each in HIDDEN
        }
    assert "Restart=always" not in text
    assert "--allow-runtime-dependency-installation" not in text


@pytest.mark.parametrize("service", [*CITY, *HOST], ids=lambda each: each.name)
def test_a_command_line_is_one_of_our_own_and_its_environment_is_quiet(service: Service) -> None:
    text = next(text for path, text in examples().items() if path.name == f"{service.name}.service")
    (line,) = [value for key, value in sections(text) if key == "ExecStart"]
    program, *words = shlex.split(line)
    assert Path(program).parent == PROGRAMS
    parses(PROGRAM[Path(program).name], words)
    found = dict(value.split("=", 1) for key, value in sections(text) if key == "Environment")
    flower = found.pop("FLWR_HOME", None)
    assert found == QUIET
    assert (flower is not None) == (service.name in ("hpfed-node-link", "hpfed-superlink", "hpfed-engine"))
    assert flower is None or Path(flower).is_relative_to(HOME)


def parses(app: typer.Typer, words: list[str]) -> None:
    """Follow a command line down to its command, and read its options; nothing is run."""
    command: Any = typer.main.get_command(app)
    context = None
    while isinstance(command, click.Group):
        name, *words = words
        command = command.get_command(click.Context(command, parent=context), name)
        assert command is not None, name
    command.make_context(command.name, list(words))


def test_only_the_gateway_is_reached_from_outside_and_gates_have_no_network() -> None:
    for party in EXAMPLES:
        told = yaml.safe_load(examples()[Path(party, "compose.yaml")])
        services = told["services"]
        assert list(told["networks"]) == ["outside"]
        published = {name: each["ports"] for name, each in services.items() if "ports" in each}
        assert published == ({"hpfed-gateway": ["8443:8443"]} if party == "coordinator" else {})
        outside = {name for name, each in services.items() if "networks" in each}
        assert outside == ({"hpfed-gateway"} if party == "coordinator" else {"hpfed-node-link"})
        for name, each in services.items():
            assert (each["read_only"], each["cap_drop"]) == (True, ["ALL"])
            unit = next(one for one in (*CITY, *HOST) if one.name == name)
            assert (each["command"], each["environment"]) == (list(unit.command), unit.environment)
            assert (each.get("network_mode") == "none") == (name in ("hpfed-node-gate", "hpfed-node-ingest"))


def test_every_path_of_a_city_is_there_once_it_has_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path)
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "east"
    at(node, "init", "--folder", folder, "--city", "east")
    made = city.services(folder, folder / ".hpfed", beside(), (ADDRESS,), ())
    assert missing(made, folder) == []


def missing(services: tuple[Service, ...], home: Path) -> list[str]:
    """Paths of units that have to exist and do not."""
    named = [path for each in services for path in (*each.writes, *each.shown, *each.hidden, each.credential) if path]
    assert all(Path(each.removeprefix("-")).is_relative_to(home) for each in named)
    return [each for each in named if not each.startswith("-") and not Path(each).exists()]


# No package of the index brings systemd; where there is none, the parser tests above read the same units.
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    for path, text in examples().items():
        if path.suffix == ".service":  # programs that are there: it looks for them
            (tmp_path / path.name).write_text(text.replace(str(PROGRAMS), str(beside())), encoding="utf-8")
    units = [str(path) for path in tmp_path.iterdir()]
    ran = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)  # noqa: S603, S607 its path is the system's
    assert ran.returncode == 0, ran.stderr


if __name__ == "__main__":
    for path, text in examples().items():
        (DEPLOY / path).parent.mkdir(parents=True, exist_ok=True)
        (DEPLOY / path).write_text(text, encoding="utf-8")
