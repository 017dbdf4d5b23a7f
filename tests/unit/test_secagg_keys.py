"""The key schedule: every label once, published values of every primitive, and digests against plain code."""

import ast
from collections import Counter
from pathlib import Path

import cryptography_vectors
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import PeerError
from protocols.secagg import keys
from protocols.secagg.keys import Label
from tests.conversations.bad import low_order
from tests.oracles import secagg_plain as plain

SOURCE = ast.parse(Path(keys.__file__).read_text(encoding="utf-8"))
h = bytes.fromhex


def test_every_label_is_used_in_one_place_of_one_file() -> None:
    functions = [node for node in SOURCE.body if isinstance(node, ast.FunctionDef)]
    used = Counter(
        node.attr
        for function in functions
        for node in ast.walk(function)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Label"
    )
    assert set(used) == {label.name for label in Label}
    assert set(used.values()) == {1}
    assert len({label.value for label in Label}) == len(Label)
    folder = Path(keys.__file__).parents[2]
    for package in ("protocols", "node", "coordinator", "simulations"):
        for path in (folder / package).rglob("*.py"):
            if path != Path(keys.__file__):
                assert "Label." not in path.read_text(encoding="utf-8"), path
                assert "hpf-secagg/1" not in path.read_text(encoding="utf-8").replace("`hpf-secagg/1`", ""), path


def test_digests_are_those_of_the_plain_protocol() -> None:
    a, b, c, key = (bytes([n]) * 32 for n in range(4))
    i = 4_294_967_295
    assert keys.plan_digest(b"plan") == plain.d("plan", b"plan")
    assert keys.ctx(a, [b"x", b"yz"]) == plain.d("ctx", a, plain.d("u1", b"x", b"yz"))
    assert keys.u2_digest([1, 2, i]) == plain.d("u2", plain.u32(1), plain.u32(2), plain.u32(i))
    assert keys.ask_digest(b"ask") == plain.d("ask", b"ask")
    assert keys.rctx(a, b, 5, c) == plain.d("round", a, b, plain.u16(5), c)
    assert keys.u3_digest(a, [2]) == plain.d("u3", a, plain.u32(2))
    assert keys.b_commit(a, i, 3, b) == plain.d("b-commit", a, plain.u32(i), plain.u16(3), b)
    assert keys.y_digest(a, 1, b) == plain.d("y", a, plain.u32(1), b)
    assert keys.input_commit(a, b, c, key) == plain.d("input", a, b, c, key)
    assert keys.sum_digest(a, b, [b"r"], b"s") == plain.d("sum", a, b, plain.d("reveals", b"r"), b"s")
    assert keys.receipt_digest(b"r") == plain.d("receipt", b"r")
    assert keys.transcript_digest(iter([b"a", b"b"])) == plain.d("transcript", b"a", b"b")
    assert keys.pair_key(a, b, i, 1) == plain.hkdf(a, b, plain.lp(b"pair") + plain.u32(1) + plain.u32(i))
    assert keys.self_key(a, b, i) == plain.hkdf(a, b, plain.lp(b"self") + plain.u32(i))


@given(st.binary(max_size=300), st.integers(1, 2**32 - 1), st.integers(1, 2**32 - 1), st.integers(1, 64))
def test_a_box_is_what_plain_chacha_gives_and_opens_only_as_it_was_sealed(
    content: bytes, i: int, j: int, r: int
) -> None:
    shared, ctx = b"s" * 32, b"c" * 32
    box = keys.seal_box(shared, ctx, i, j, r, content)
    key = plain.hkdf(shared, ctx, plain.lp(b"box") + plain.u32(i) + plain.u32(j))
    aad = plain.d("box-aad", ctx, plain.u32(i), plain.u32(j), plain.u16(r))
    assert box == plain.chacha20poly1305(key, bytes(12), content, aad)
    assert keys.open_box(shared, ctx, i, j, r, box) == content
    for other in ((b"t" * 32, ctx, i, j, r), (shared, b"d" * 32, i, j, r), (shared, ctx, i, j, r + 1)):
        assert keys.open_box(*other, box) == b""
    if i != j:
        assert keys.open_box(shared, ctx, j, i, r, box) == b""


def published(path: str, *fields: str) -> list[list[str]]:
    """Values of the named fields, record by record, of a vector file of PyPI `cryptography-vectors`."""
    text = (Path(cryptography_vectors.__file__).parent / path).read_text(encoding="utf-8")
    records: list[list[str]] = []
    for line in text.splitlines():
        name, _, value = line.partition("=")
        if name.strip() == fields[0]:
            records.append([])
        if name.strip() in fields and records:
            records[-1].append(value.strip())
    return [record for record in records if len(record) == len(fields)]


def test_x25519_gives_the_values_of_rfc_7748() -> None:
    for scalar, u, out in published("asymmetric/X25519/rfc7748.txt", "INPUT_SCALAR", "INPUT_U", "OUTPUT_U"):  # 5.2
        assert (
            keys.agree(X25519PrivateKey.from_private_bytes(h(scalar)), h(u)) == h(out) == plain.x25519(h(scalar), h(u))
        )
    alice = h("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")  # 6.1
    bob = h("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
    a = h("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a")
    b = h("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f")
    shared = h("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742")
    assert (plain.public(alice), plain.public(bob)) == (a, b)
    assert keys.agree(X25519PrivateKey.from_private_bytes(alice), b) == shared == plain.x25519(bob, a)


def test_hkdf_gives_the_values_of_rfc_5869() -> None:
    found = published("KDF/rfc-5869-HKDF-SHA256.txt", "IKM", "salt", "info", "L", "OKM")
    assert len(found) >= 3
    for ikm, salt, info, length, okm in found:
        assert plain.hkdf(h(ikm), h(salt), h(info), int(length)) == h(okm)


def test_chacha20_poly1305_gives_the_values_of_rfc_8439_2_8_2() -> None:
    key, nonce, aad = bytes(range(0x80, 0xA0)), h("070000004041424344454647"), h("50515253c0c1c2c3c4c5c6c7")
    text = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it."
    sealed = plain.chacha20poly1305(key, nonce, text, aad)
    assert sealed[:16] == h("d31a8d34648e60db7b86afbc53ef7ec2")
    assert sealed[-16:] == h("1ae10b594f09e26a7e902ecbd0600691")
    assert ChaCha20Poly1305(key).encrypt(nonce, text, aad) == sealed


def test_ed25519_gives_the_values_of_rfc_8032_7_1() -> None:
    for secret, public, message, signature in (
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
    ):
        key = Ed25519PrivateKey.from_private_bytes(h(secret))
        assert key.public_key().public_bytes_raw() == h(public)
        assert key.sign(h(message)) == h(signature)


def test_keys_of_low_order_are_refused_and_others_are_not() -> None:
    for u in low_order():
        assert keys.of_low_order(u)
        with pytest.raises(PeerError, match="low order"):
            keys.agree(X25519PrivateKey.from_private_bytes(b"k" * 32), u)
    assert not keys.of_low_order(plain.public(b"k" * 32))


def test_two_spellings_of_a_key_are_one_point() -> None:
    key = plain.public(b"k" * 32)
    other = key[:31] + bytes([key[31] ^ 128])
    assert keys.point(key) == keys.point(other)
    assert keys.point((2**255 - 19 + 2).to_bytes(32, "little")) == 2
    secret = X25519PrivateKey.from_private_bytes(b"j" * 32)
    assert keys.agree(secret, key) == keys.agree(secret, other)
