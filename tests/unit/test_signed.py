"""Signed files: one shape, one type each, and nothing that is almost right."""

import base64
import json
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from protocols.canonical import canonical
from protocols.errors import PeerError
from protocols.signed import FileType, key_id, of_small_order, public_of, sign, unverified, verified
from tests.conversations.table import key_of

KEY, OTHER = key_of("signer"), key_of("other")
PUBLIC, OTHER_PUBLIC = public_of(KEY), public_of(OTHER)
PAYLOAD: Final = canonical({"study": "sha256:" + "0" * 64, "asker": "fund-lab"})
FILE: Final = sign(FileType.STUDY, PAYLOAD, KEY)


def altered(**fields: Any) -> bytes:
    return canonical({**json.loads(FILE), **fields})


def one(**fields: Any) -> bytes:
    """The file with its one signature altered."""
    return altered(signatures=[{**json.loads(FILE)["signatures"][0], **fields}])


def b64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def test_a_signed_file_is_the_dsse_shape() -> None:
    file = json.loads(FILE)
    assert set(file) == {"payload", "payloadType", "signatures"}
    assert file["payloadType"] == "application/vnd.hpfed.study+json"
    assert base64.b64decode(file["payload"]) == PAYLOAD
    (signature,) = file["signatures"]
    assert signature["keyid"] == key_id(PUBLIC)
    assert len(signature["keyid"]) == len("ed25519:") + 16
    media = b"application/vnd.hpfed.study+json"
    signed = b"DSSEv1 " + str(len(media)).encode() + b" " + media + b" " + str(len(PAYLOAD)).encode() + b" " + PAYLOAD
    KEY.public_key().verify(base64.b64decode(signature["sig"]), signed)


@given(
    st.sampled_from(FileType),
    st.dictionaries(st.text(st.characters(codec="ascii")), st.integers(-(2**53) + 1, 2**53 - 1)),
)
def test_what_was_signed_is_what_is_read(kind: FileType, value: dict[str, int]) -> None:
    file = sign(kind, canonical(value), KEY, OTHER)
    opened = verified(file, kind, [OTHER_PUBLIC, PUBLIC])
    assert opened.value == value
    assert opened.payload == canonical(value)
    assert opened.signers == (PUBLIC, OTHER_PUBLIC)
    assert unverified(file, kind) == value


@pytest.mark.parametrize("kind", [kind for kind in FileType if kind is not FileType.STUDY])
def test_a_type_signs_nothing_else(kind: FileType) -> None:
    with pytest.raises(PeerError) as failed:
        verified(FILE, kind, [PUBLIC])
    assert failed.value.code == "SIGNED_TYPE"
    with pytest.raises(PeerError) as failed:
        verified(altered(payloadType=kind.media), kind, [PUBLIC])
    assert failed.value.code == "SIGNED_SIGNATURE"


S: Final = base64.b64decode(json.loads(FILE)["signatures"][0]["sig"])
ORDER: Final = 2**252 + 27742317777372353535851937790883648493
BAD: Final[dict[str, tuple[bytes, str]]] = {
    "another payload": (altered(payload=b64(canonical({"asker": "x"}))), "SIGNED_SIGNATURE"),
    "no signature": (altered(signatures=[]), "SIGNED_SIGNATURE"),
    "the same signature twice": (altered(signatures=json.loads(FILE)["signatures"] * 2), "SIGNED_SIGNATURE"),
    "a stranger's signature": (sign(FileType.STUDY, PAYLOAD, OTHER), "SIGNED_SIGNATURE"),
    "a stranger beside the signer": (sign(FileType.STUDY, PAYLOAD, KEY, OTHER), "SIGNED_SIGNATURE"),
    "a stranger under the signer's name": (
        one(sig=json.loads(sign(FileType.STUDY, PAYLOAD, OTHER))["signatures"][0]["sig"]),
        "SIGNED_SIGNATURE",
    ),
    "signature flipped": (one(sig=b64(bytes([S[0] ^ 1]) + S[1:])), "SIGNED_SIGNATURE"),
    "signature cut": (one(sig=b64(S[:-1])), "SIGNED_SIGNATURE"),
    "signature with a non-canonical S": (
        one(sig=b64(S[:32] + (int.from_bytes(S[32:], "little") + ORDER).to_bytes(32, "little"))),
        "SIGNED_SIGNATURE",
    ),
    "base64 cut": (altered(payload=json.loads(FILE)["payload"][:-1]), "SIGNED_SHAPE"),
    "base64 with a line break": (
        altered(payload=json.loads(FILE)["payload"][:8] + "\n" + json.loads(FILE)["payload"][8:]),
        "SIGNED_SHAPE",
    ),
    "base64 with stray bits": (altered(payload="AB=="), "SIGNED_SHAPE"),
    "url-safe base64": (altered(payload="-_=="), "SIGNED_SHAPE"),
    "trailing byte": (FILE + b"\n", "SIGNED_SHAPE"),
    "white space": (FILE.replace(b'","payloadType', b'", "payloadType'), "SIGNED_SHAPE"),
    "a key twice": (FILE[:-1] + b',"payload":"' + json.loads(FILE)["payload"].encode() + b'"}', "SIGNED_SHAPE"),
    "a field too many": (altered(note="x"), "SIGNED_SHAPE"),
    "a field missing": (canonical({"payload": "", "payloadType": FileType.STUDY.media}), "SIGNED_SHAPE"),
    "no JSON": (b"\xff\xfe", "SIGNED_SHAPE"),
    "payload with a key twice": (sign(FileType.STUDY, b'{"a":1,"a":1}', KEY), "NOT_CANONICAL"),
    "payload with white space": (sign(FileType.STUDY, b'{"a": 1}', KEY), "NOT_CANONICAL"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_is_almost_right_does_not_open(name: str) -> None:
    file, code = BAD[name]
    assert file != FILE
    with pytest.raises(PeerError) as failed:
        verified(file, FileType.STUDY, [PUBLIC])
    assert failed.value.code == code
    assert failed.value.text("zh")


def test_flipping_any_byte_of_a_file_keeps_it_shut() -> None:
    for at in range(len(FILE)):
        with pytest.raises(PeerError):
            verified(FILE[:at] + bytes([FILE[at] ^ 1]) + FILE[at + 1 :], FileType.STUDY, [PUBLIC])


def small_order() -> list[bytes]:
    """Every encoding of a point whose order divides 8, found by doubling: three doublings give the neutral point."""
    p = 2**255 - 19
    d = -121_665 * pow(121_666, -1, p) % p

    def x_of(y: int) -> int | None:
        square = (y * y - 1) * pow(d * y * y + 1, -1, p) % p
        x = pow(square, (p + 3) // 8, p)
        x = x if x * x % p == square else x * pow(2, (p - 1) // 4, p) % p
        return x if x * x % p == square else None

    def double(x: int, y: int) -> tuple[int, int]:
        k = d * x * x * y * y % p
        return 2 * x * y * pow(1 + k, -1, p) % p, (y * y + x * x) * pow(1 - k, -1, p) % p

    torsion = (0, 1, p - 1)
    eight = int.from_bytes(bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little")
    found = []
    for y in (*torsion, eight, p - eight):
        x = x_of(y)
        assert x is not None
        point = (x, y)
        for _ in range(3):
            point = double(*point)
        assert point == (0, 1)
        for spelt in (y, y + p):
            found += [(spelt | sign << 255).to_bytes(32, "little") for sign in (0, 1) if spelt < 2**255]
    return found


def test_a_key_of_small_order_signs_nothing() -> None:
    """Under the neutral point the signature R = that point, S = 0 fits every text; under the others, one text in a few."""
    keys = small_order()
    assert len(keys) >= 14
    assert all(map(of_small_order, keys))
    assert not of_small_order(PUBLIC)
    neutral = (1).to_bytes(32, "little")
    forged = neutral + bytes(32)
    Ed25519PublicKey.from_public_bytes(neutral).verify(forged, b"any text")  # the library lets it pass
    file = canonical({**json.loads(FILE), "signatures": [{"keyid": key_id(neutral), "sig": b64(forged)}]})
    with pytest.raises(PeerError) as failed:
        verified(file, FileType.STUDY, [neutral])
    assert failed.value.code == "SIGNED_SIGNATURE"
