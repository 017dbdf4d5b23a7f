"""R9, one envelope: `protocols/messages.py` alone signs or verifies a message, `protocols/signed.py` a file, each under one prefix."""

import ast

import pytest

from tests.architecture.source import Module, belongs, broken, modules

SIGNERS = {"protocols.messages": b"hpfed/envelope/1\x00", "protocols.signed": b"DSSEv1"}
AUTHORITY = "coordinator.certificates"  # of TLS: with a key of its own, of another kind


def signs(module: Module) -> list[str]:
    """Calls of `.sign()` and `.verify()` on a key, as far as text can tell: on anything that is not a module."""
    return [
        f"{module.at(call)} calls .{call.func.attr}()"
        for call in module.calls()
        if isinstance(call.func, ast.Attribute)
        and call.func.attr in ("sign", "verify")
        and not belongs(module.dotted(call.func.value), module.imports)
    ]


def test_only_the_envelope_and_the_signed_file_sign_and_verify() -> None:
    assert {sentence.split(":")[0] for sentence in broken(signs)} == {*SIGNERS, AUTHORITY}


def test_an_authority_signs_certificates_and_nothing_else() -> None:
    (module,) = [each for each in modules("coordinator") if each.name == AUTHORITY]
    assert [sentence.split(" calls ")[1] for sentence in signs(module)] == [".sign()"]
    assert not [name for name in module.imports if belongs(name, (*SIGNERS, "node.identity"))]


def test_each_signs_in_one_place_and_verifies_in_one() -> None:
    for name in SIGNERS:
        (module,) = [each for each in modules("protocols") if each.name == name]
        assert sorted(sentence.split(" calls ")[1] for sentence in signs(module)) == [".sign()", ".verify()"]


def test_a_prefix_that_is_signed_under_stands_in_one_module() -> None:
    for name, prefix in SIGNERS.items():
        where = [
            module.name
            for module in modules()
            if any(
                isinstance(node, ast.Constant) and isinstance(node.value, bytes) and prefix in node.value
                for node in module.nodes
            )
        ]
        assert where == [name]


@pytest.mark.parametrize(
    "text",
    [
        "def f(identity, text):\n    return identity.key.sign(text)",
        "from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey\n"
        "def f(raw, sig, text):\n    Ed25519PublicKey.from_public_bytes(raw).verify(sig, text)",
        "key.sign(b'')",
        "class A:\n    def f(self):\n        return self.sign(b'')",
    ],
)
def test_a_signature_made_elsewhere_is_found(text: str) -> None:
    assert signs(Module("node.anywhere", text))


def test_signs_of_numbers_and_functions_of_our_modules_are_no_signatures() -> None:
    assert (
        signs(
            Module(
                "node.anywhere",
                "import numpy as np\nfrom protocols import signed\nnp.sign(x)\nsigned.sign(kind, payload)\nsign(x)",
            )
        )
        == []
    )
