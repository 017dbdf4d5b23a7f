"""The home of a coordinator that is reached over links: where it listens, its certificates, and what its processes leave in `run/`.

<home>/coordinator.yaml         where it listens; people change it
<home>/tls/ca.pem, ca.key       the private authority that cities verify against; it is on the roster
<home>/tls/gateway.pem, .key    the gateway's certificate, for the names of its addresses
<home>/tls/local…               the same between the processes of this host
<home>/run/                     of what runs now: not part of a backup
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Final

from cryptography import x509
from pydantic import Field

from coordinator.certificates import Certified, authority, certificate
from coordinator.port import COUNTED, PORT
from coordinator.store import write
from coordinator.superlink import HOST, SECRET_BYTES, Gateway, SuperLink
from protocols import yamltext
from protocols.entropy import Entropy, exactly
from protocols.errors import ConfigError, Place
from protocols.logfile import folder_of
from protocols.roster import DAY
from protocols.yamltext import Flag, Record, Whole

CONFIG: Final = Path("coordinator.yaml")
CA: Final = Path("tls") / "ca.pem"
CERTIFICATE: Final = Path("tls") / "gateway.pem"
RUN: Final = Path("run")
CA_DAYS: Final = 3650
DAYS: Final = 730
WARN_DAYS: Final = 30
SUPERLINK_PORT: Final = 8000
EVERYWHERE: Final = "0.0.0.0"  # noqa: S104 the gateway is what cities reach
FREE: Final = 1 << 30  # bytes that a disk has to have left, beside three times the vector

Port = Annotated[Whole, Field(ge=1, le=65_535)]


class GatewayConfig(Record):
    """Where the gateway listens, and what one address may ask of it."""

    host: str = EVERYWHERE
    port: Port
    rate: Annotated[Whole, Field(ge=1, le=100_000)] = 50
    connections: Annotated[Whole, Field(ge=1, le=65_536)] = 64
    courier: Flag = False


class SuperLinkConfig(Record):
    """Its port on loopback, and a file for its state; empty keeps it in memory."""

    port: Port = SUPERLINK_PORT
    database: str = ""


class EngineConfig(Record):
    """How many conversations go on at once, and the port of loopback with its figures, 0 for none."""

    conversations: Annotated[Whole, Field(ge=1, le=64)] = 8
    metrics: Annotated[Whole, Field(ge=0, le=65_535)] = PORT


class Config(Record):
    """`coordinator.yaml`. `addresses`: HOST:PORT as cities reach the gateway."""

    addresses: Annotated[tuple[str, ...], Field(min_length=1, max_length=16)]
    gateway: GatewayConfig
    superlink: SuperLinkConfig = SuperLinkConfig()
    engine: EngineConfig = EngineConfig()


@dataclass(frozen=True)
class Address:
    """Where cities reach a gateway."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False


def address(text: str) -> Address:
    """HOST:PORT. Errors: `ConfigError ADDRESS`."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or not 1 <= int(port) <= 65_535 or any(each.isspace() for each in host):
        raise ConfigError("ADDRESS", text=text)
    return Address(host, int(port))


def prepared(home: Path, addresses: Sequence[str], superlink: int, *, entropy: Entropy, now: int) -> str:
    """Write where a coordinator listens, and make its certificates: the authority in PEM, for the roster.

    On an address of loopback the gateway listens there alone. Authority and configuration that are there stay, but for the addresses.
    Errors: `ConfigError` ADDRESS, those of the file.
    """
    found = [address(each) for each in addresses]
    listens = found[0].host if all(each.loopback for each in found) else EVERYWHERE
    if (home / CONFIG).is_file():
        before = config(home)
        gateway = before.gateway.model_copy(update={"port": found[0].port, "host": listens})
        config_ = before.model_copy(update={"addresses": tuple(addresses), "gateway": gateway})
    else:
        config_ = Config(
            addresses=tuple(addresses),
            gateway=GatewayConfig(host=listens, port=found[0].port),
            superlink=SuperLinkConfig(port=superlink),
        )
    write(home, {CONFIG.name: _text(config_).encode()})
    if not (home / CA).is_file():
        ca = authority("hpfed", CA_DAYS, entropy=entropy, now=now)
        local = authority("hpfed, this host", CA_DAYS, entropy=entropy, now=now)
        served = certificate((HOST,), local, CA_DAYS, entropy=entropy, now=now)
        files = {"ca.pem": ca.certificate, "ca.key": ca.key, "local.ca.pem": local.certificate}
        files |= {"local.pem": served.certificate, "local.key": served.key}
        write(home / CA.parent, {**files, "superexec.secret": exactly(entropy, SECRET_BYTES)})
    renewed(home, entropy=entropy, now=now)
    return (home / CA).read_text(encoding="ascii")


def renewed(home: Path, *, entropy: Entropy, now: int) -> int:
    """A new certificate of the gateway, for the addresses of the configuration; until when it is good, Unix s.

    Errors: `ConfigError` of the configuration, KEY_NONE where the authority's key was moved away.
    """
    names = tuple(dict.fromkeys(address(each).host for each in config(home).addresses))
    key = home / CA.with_suffix(".key")
    if not key.is_file():
        raise ConfigError("KEY_NONE", Place(str(key)))
    ca = Certified((home / CA).read_bytes(), key.read_bytes())
    served = certificate(names, ca, DAYS, entropy=entropy, now=now)
    write(home / CERTIFICATE.parent, {"gateway.key": served.key, "gateway.pem": served.certificate})
    return now + DAYS * DAY


def config(home: Path) -> Config:
    """The configuration. Errors: `ConfigError` HOME_NO_ADDRESS, and those of the file."""
    path = home / CONFIG
    if not path.is_file():
        raise ConfigError("HOME_NO_ADDRESS", Place(str(home)))
    found = yamltext.fit(Config, yamltext.load(path))
    for each in found.addresses:
        address(each)
    return found


def superlink(home: Path, found: Config) -> SuperLink:
    """The SuperLink of this home."""
    tls = home.resolve() / "tls"
    files = (tls / "local.ca.pem", tls / "local.pem", tls / "local.key", tls / "superexec.secret")
    return SuperLink(found.superlink.port, *files, found.superlink.database)


def gateway(home: Path, found: Config) -> Gateway:
    """The gateway of this home."""
    tls, behind, own = home.resolve() / "tls", superlink(home, found), found.gateway
    shown = (tls / "gateway.pem", tls / "gateway.key")
    return Gateway(
        own.host,
        own.port,
        *shown,
        behind.address,
        behind.ca,
        own.rate,
        own.connections,
        own.courier,
        counted=str(home.resolve() / COUNTED),
        log=str(folder_of(home.resolve())),
    )


@dataclass(frozen=True)
class Shown:
    """The gateway's certificate. `until`: Unix s."""

    names: tuple[str, ...]
    until: int

    def days_left(self, now: int) -> int:
        return (self.until - now) // DAY


def shown(home: Path) -> Shown:
    """What the gateway shows to cities. Errors: `ConfigError CERTIFICATE_UNREADABLE`."""
    path = home / CERTIFICATE
    try:
        found = x509.load_pem_x509_certificate(path.read_bytes())
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, x509.ExtensionNotFound):
        raise ConfigError("CERTIFICATE_UNREADABLE", Place(str(path))) from None
    listed = (*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress)))
    return Shown(listed, int(found.not_valid_after_utc.timestamp()))


def sound(home: Path, now: int) -> Shown:
    """What cities will be shown, if they will believe it. Errors: `ConfigError` CERTIFICATE_EXPIRED, CERTIFICATE_NAMES."""
    found, path = shown(home), Place(str(home / CERTIFICATE))
    if now >= found.until:
        raise ConfigError("CERTIFICATE_EXPIRED", path, days=-found.days_left(now))
    other = [each for each in config(home).addresses if address(each).host not in found.names]
    if other:
        raise ConfigError("CERTIFICATE_NAMES", path, names=", ".join(found.names), address=other[0])
    return found


def room(home: Path, free: Callable[[Path], int], vector: int = 0) -> bool:
    """Whether the disk has room for a conversation over a vector of so many bytes. `free`: bytes that are left."""
    return free(home) >= FREE + 3 * vector


def _text(found: Config) -> str:
    """The file as people read it: what differs from the shipped value, and where everything listens."""
    own, behind = found.gateway, found.superlink
    lines = ["# Where this coordinator listens. Read again at the next start.", "addresses:"]
    lines += [f'  - "{each}"  # as cities reach the gateway' for each in found.addresses]
    lines += [
        f'gateway: {{host: "{own.host}", port: {own.port}, rate: {own.rate}, connections: {own.connections}, '
        f"courier: {str(own.courier).lower()}}}",
        f'superlink: {{port: {behind.port}, database: "{behind.database}"}}',
        f"engine: {{conversations: {found.engine.conversations}, metrics: {found.engine.metrics}}}",
    ]
    return "\n".join(lines) + "\n"
