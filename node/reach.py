"""One look at the gateway: does it answer, whose certificate does it show, and what time does it have.

The authority of the roster is the only one that is trusted, a proxy is the one of the settings, and nothing is read from the environment.
"""

import http.client
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final

from protocols.errors import Both, ConfigError, HpfedError, PeerError

PATIENCE_S: Final = 5.0
WARN_S: Final = 30
REFUSE_S: Final = 120  # the most that clocks of two parties may differ, as in the rules of an envelope
DAY: Final = 86_400

# What OpenSSL's verdicts mean here (X509_V_ERR_…).
EXPIRED: Final = (9, 10)
NAMES: Final = (62, 64)
WHY: Final = {
    "ended": Both("不在有效期内", "is not valid now: it has ended, or the clock of this host is wrong"),
    "name": Both("不是这个地址的", "is of another name"),
    "issuer": Both("不是本联合体 CA 签发的", "is of another authority than this consortium's"),
}


@dataclass(frozen=True)
class Reached:
    """A gateway that answered. `ends`: when its certificate does (Unix s). `skew_s`: how far ahead this clock is; None: it told no time."""

    address: str
    ends: int
    skew_s: int | None


def host_port(address: str) -> tuple[str, int]:
    """Errors: `ConfigError GATEWAY_ADDRESS`."""
    host, _, port = address.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 1 << 16:
        raise ConfigError("GATEWAY_ADDRESS", address=address)
    return host.strip("[]"), int(port)


def trusting(ca: str) -> ssl.SSLContext:
    """TLS 1.2 or newer, with one authority. Errors: `ConfigError GATEWAY_NONE` where it is none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(cadata=ca)
    except (ssl.SSLError, ValueError):
        raise ConfigError("GATEWAY_NONE") from None
    return context


def reach(address: str, ca: str, proxy: str, now: Callable[[], int], timeout_s: float = PATIENCE_S) -> Reached:
    """Ask a gateway for nothing, which it answers with 404 and its time. `ca`: PEM. `now`: Unix s.

    Errors: `PeerError GATEWAY_CERTIFICATE`; `HpfedError GATEWAY_AWAY`; `ConfigError` GATEWAY_ADDRESS, GATEWAY_NONE.
    """
    host, port = host_port(address)
    context = trusting(ca)
    if proxy:
        line = http.client.HTTPSConnection(
            *host_port(proxy.removeprefix("http://")), timeout=timeout_s, context=context
        )
        line.set_tunnel(host, port)
    else:
        line = http.client.HTTPSConnection(host, port, timeout=timeout_s, context=context)
    try:
        line.connect()
        assert isinstance(line.sock, ssl.SSLSocket)  # noqa: S101 an HTTPS connection has one
        ends = (line.sock.getpeercert() or {}).get("notAfter")
        before = now()
        line.request("GET", "/")
        date = _date(line.getresponse().getheader("Date"))
        here = (before + now()) // 2
    except ssl.SSLCertVerificationError as no:
        why = "ended" if no.verify_code in EXPIRED else "name" if no.verify_code in NAMES else "issuer"
        raise PeerError("GATEWAY_CERTIFICATE", address=address, why=WHY[why]) from None
    except (OSError, http.client.HTTPException):
        raise HpfedError("GATEWAY_AWAY", address=address) from None
    finally:
        line.close()
    return Reached(address, ssl.cert_time_to_seconds(str(ends)) if ends else 0, None if date is None else here - date)


def _date(header: str | None) -> int | None:
    try:
        return int(parsedate_to_datetime(header or "").timestamp())
    except ValueError:
        return None


def reach_any(addresses: Sequence[str], ca: str, proxy: str, now: Callable[[], int]) -> Reached:
    """The first gateway that answers. Errors: those of the first address, where none does."""
    first: HpfedError | None = None
    for address in addresses:
        try:
            return reach(address, ca, proxy, now)
        except HpfedError as no:
            first = first or no
    raise first or ConfigError("GATEWAY_NONE")


def clock(skew_s: int | None, limit: int) -> ConfigError | None:
    """What is wrong with this clock, if it differs from the coordinator's by more than `limit` seconds."""
    if skew_s is None or abs(skew_s) <= limit:
        return None
    which = Both("快", "ahead of") if skew_s > 0 else Both("慢", "behind")
    return ConfigError("CLOCK_OFF", which=which, seconds=abs(skew_s), limit=REFUSE_S)
