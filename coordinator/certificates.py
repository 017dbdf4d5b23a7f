"""A private authority, and certificates for names of this consortium. Cities verify against it and nothing else."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from protocols.entropy import Entropy, exactly
from protocols.roster import DAY

CURVE: Final = ec.SECP256R1()
ORDER: Final = int(
    "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551", 16
)  # of the group of P-256 (FIPS 186-5)
SLACK_S: Final = DAY  # clocks of cities may be behind


@dataclass(frozen=True)
class Certified:
    """A key and its certificate, in PEM."""

    certificate: bytes
    key: bytes = field(repr=False)


def authority(name: str, days: int, *, entropy: Entropy, now: int) -> Certified:
    """A new authority, valid `days` from `now` (Unix s)."""
    key = _key(entropy)
    build = _begun(_named(name), _named(name), key, days, entropy, now)
    build = build.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    build = build.add_extension(usage, critical=True)
    build = build.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    return _signed(build, key, key)


def certificate(names: tuple[str, ...], authority: Certified, days: int, *, entropy: Entropy, now: int) -> Certified:
    """A server certificate for host names and addresses, signed by the authority. Pre-condition: there is a name."""
    issuer = x509.load_pem_x509_certificate(authority.certificate)
    signer = _private(authority.key)
    key = _key(entropy)
    build = _begun(_named(names[0]), issuer.subject, key, days, entropy, now)
    build = build.add_extension(x509.SubjectAlternativeName([_alternative(name) for name in names]), critical=False)
    build = build.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    build = build.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    build = build.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    return _signed(build, key, signer)


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _key(entropy: Entropy) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(1 + int.from_bytes(exactly(entropy, 40), "big") % (ORDER - 1), CURVE)


def _private(pem: bytes) -> ec.EllipticCurvePrivateKey:
    key = load_pem_private_key(pem, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)  # noqa: S101 this module wrote it
    return key


def _begun(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, days: int, entropy: Entropy, now: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(1 + int.from_bytes(exactly(entropy, 16), "big"))
        .not_valid_before(datetime.fromtimestamp(now - SLACK_S, UTC))
        .not_valid_after(datetime.fromtimestamp(now + days * DAY, UTC))
    )


def _signed(
    build: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey, signer: ec.EllipticCurvePrivateKey
) -> Certified:
    made = build.sign(signer, SHA256())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Certified(made.public_bytes(Encoding.PEM), pem)
