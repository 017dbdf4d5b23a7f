"""The processes of a party as a service manager starts them: systemd units and a compose file, written from one description of each.

Every process runs alone: as a user of its own, on a file system that it cannot write but for what is named, without capabilities, with the
network that it needs and no other.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import yaml

from protocols.flower import QUIET

Network = Literal["none", "loopback", "outbound", "listens"]
IMAGE: Final = "${HPFED_IMAGE:-hpfed:latest}"  # whoever builds one names it
FAMILIES: Final[Mapping[Network, str]] = {
    "none": "AF_UNIX",
    "loopback": "AF_UNIX AF_INET AF_INET6",
    "outbound": "AF_UNIX AF_INET AF_INET6",
    "listens": "AF_UNIX AF_INET AF_INET6",
}


@dataclass(frozen=True)
class Service:
    """One process. `says`: what it is. `network`: none at all, loopback alone, `allow` alone, or whoever comes to the port it `publishes`.

    `writes`, `hidden`, `shown`: paths that it may write, that it must not see, and that it reads; with `-` before it, one that may not be
    there. `credential`: a file that only the service manager can read, and hands on. `logs`: a folder under /var/log, where the process has
    none to write in its home. `flower`: its own folder, where it imports flwr. In a compose file: `mounts`, further paths, with `:ro` those
    that are only read, and `beside`, the service whose loopback it shares.
    """

    name: str
    says: str
    user: str
    group: str
    command: Sequence[str]
    network: Network
    allow: Sequence[str] = ()
    after: Sequence[str] = ()
    writes: Sequence[str] = ()
    hidden: Sequence[str] = ()
    shown: Sequence[str] = ()
    credential: str = ""
    logs: str = ""
    flower: str = ""
    once: bool = False
    publishes: int = 0
    beside: str = ""
    mounts: Sequence[str] = field(default=())

    @property
    def environment(self) -> dict[str, str]:
        """Set over whatever a process inherits; the same that the programs set for their children."""
        return {**QUIET, **({"FLWR_HOME": self.flower} if self.flower else {})}


def unit(service: Service) -> str:
    """A systemd unit."""
    online = () if service.network == "none" else ("network-online.target",)
    after = [*online, *(f"{each}.service" for each in service.after)]
    lines = ["[Unit]", f"Description={service.says}"]
    lines += [f"After={' '.join(after)}"] if after else []
    lines += [f"Wants={' '.join(online)}"] if online else []
    lines += ["", "[Service]", f"Type={'oneshot' if service.once else 'exec'}"]
    lines += [f"User={service.user}", f"Group={service.group}", f"ExecStart={' '.join(service.command)}"]
    lines += [f"Environment={name}={value}" for name, value in service.environment.items()]
    if not service.once:
        lines += ["Restart=on-failure", "RestartSec=2", "TimeoutStopSec=90"]
    else:
        lines += ["Restart=on-failure", "RestartSec=60"]
    lines += (
        [f"LoadCredential={service.credential.rpartition('/')[2]}:{service.credential}"] if service.credential else []
    )
    lines += [
        "",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "ProtectHome=yes",
        "PrivateTmp=yes",
        "PrivateDevices=yes",
        "ProtectKernelTunables=yes",
        "ProtectKernelModules=yes",
        "ProtectControlGroups=yes",
        "ProtectClock=yes",
        "ProtectHostname=yes",
        "RestrictNamespaces=yes",
        "RestrictSUIDSGID=yes",
        "LockPersonality=yes",
        "SystemCallArchitectures=native",
        "CapabilityBoundingSet=",
        "UMask=0077",
        "LimitCORE=0",
    ]
    lines += [f"ReadWritePaths={' '.join(service.writes)}"] if service.writes else []
    lines += [f"InaccessiblePaths={' '.join(service.hidden)}"] if service.hidden else []
    lines += [f"ReadOnlyPaths={' '.join(service.shown)}"] if service.shown else []
    lines += [f"LogsDirectory={service.logs}", "LogsDirectoryMode=0700"] if service.logs else []
    lines += ["", *_network(service)]
    lines += [] if service.once else ["", "[Install]", "WantedBy=multi-user.target"]
    return "\n".join(lines) + "\n"


def _network(service: Service) -> list[str]:
    lines = [f"RestrictAddressFamilies={FAMILIES[service.network]}"]
    match service.network:
        case "none":
            return ["PrivateNetwork=yes", *lines, "IPAddressDeny=any"]
        case "listens":
            return lines
        case _:
            allowed = ("localhost",) if service.network == "loopback" else service.allow
            return [*lines, "IPAddressDeny=any", *(f"IPAddressAllow={each}" for each in allowed)]


def compose(name: str, services: Sequence[Service]) -> str:
    """A compose file with the same processes. `outside` is the only network; whoever shares a loopback begins after the one that has it."""
    sharing = {each.name: {other.name for other in services if other.beside == each.name} for each in services}
    value = {
        "name": name,
        "services": {each.name: _contained(each, sharing[each.name]) for each in services},
        "networks": {"outside": {}},
    }
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120)


def _contained(service: Service, sharing: Set[str]) -> dict[str, Any]:
    listed = [*service.mounts, *(f"{each}:ro" for each in service.shown if not each.startswith("-"))]
    mounts = [f"{each.removesuffix(':ro')}:{each}" for each in listed]
    found: dict[str, Any] = {
        "image": IMAGE,
        "command": list(service.command),
        "user": f"{service.user}:{service.group}",
        "environment": service.environment,
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "ulimits": {"core": 0},
        "tmpfs": ["/tmp"],  # noqa: S108 of the container alone
        "restart": "no" if service.once else "on-failure",
        "volumes": mounts,
    }
    if service.once:
        found["profiles"] = ["once"]  # started by hand: docker compose run
    if service.network == "none":
        found["network_mode"] = "none"
    elif service.beside:
        found["network_mode"] = f"service:{service.beside}"
    else:
        found["networks"] = ["outside"]
    if service.publishes:
        found["ports"] = [f"{service.publishes}:{service.publishes}"]
    before = [each for each in service.after if each not in sharing]
    if before:
        found["depends_on"] = before
    return found


def rendered(name: str, services: Sequence[Service], how: Literal["systemd", "compose"]) -> dict[str, str]:
    """The files: name to text."""
    if how == "compose":
        return {"compose.yaml": compose(name, services)}
    return {f"{each.name}.service": unit(each) for each in services}


def written(files: Mapping[str, str], out: Path | None) -> dict[str, str]:
    """Each file and where it is; its text, where there is no folder for them."""
    if out is None:
        return dict(files)
    out.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (out / name).write_text(text, encoding="utf-8")
    return {str(out / name): name for name in files}
