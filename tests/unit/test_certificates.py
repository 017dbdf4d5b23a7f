"""The authority of a consortium and what it certifies, against the TLS of the standard library."""

import ssl
import time
from pathlib import Path

import pytest

from coordinator import certificates
from coordinator.certificates import authority, certificate
from protocols.entropy import seeded
from protocols.roster import DAY


def handshake(served: certificates.Certified, trusted: certificates.Certified, name: str, tmp_path: Path) -> None:
    """A TLS connection in memory. Errors: `ssl.SSLError`."""
    for each, content in (("cert", served.certificate), ("key", served.key)):
        (tmp_path / each).write_bytes(content)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.load_verify_locations(cadata=trusted.certificate.decode("ascii"))
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=name),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(4):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert ends[0].version() == "TLSv1.3"


def test_a_name_and_an_address_are_believed_under_their_own_authority_alone(tmp_path: Path) -> None:
    now = int(time.time())  # noqa: TID251 the standard library judges dates by the clock of this machine
    ours = authority("ours", 30, entropy=seeded("ours"), now=now)
    served = certificate(("hpf.example.cn", "127.0.0.1"), ours, 10, entropy=seeded("served"), now=now)
    handshake(served, ours, "hpf.example.cn", tmp_path)
    handshake(served, ours, "127.0.0.1", tmp_path)
    with pytest.raises(ssl.SSLError):
        handshake(served, ours, "other.example.cn", tmp_path)
    with pytest.raises(ssl.SSLError):
        handshake(served, authority("theirs", 30, entropy=seeded("theirs"), now=now), "127.0.0.1", tmp_path)
    late = certificate(("127.0.0.1",), ours, 10, entropy=seeded("late"), now=now - 40 * DAY)
    with pytest.raises(ssl.SSLError):
        handshake(late, ours, "127.0.0.1", tmp_path)


def test_entropy_alone_decides_a_key() -> None:
    one, same, other = (authority("x", 1, entropy=seeded(name), now=10**9) for name in ("a", "a", "b"))
    assert one.key == same.key != other.key
    assert certificates.CURVE.group_order == certificates.ORDER
    assert b"PRIVATE" not in repr(one).encode()
