"""The frozen vectors: made again they are the same, and the plain second implementation agrees with every one."""

import json
from functools import cache
from hashlib import sha256
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from protocols import messages
from protocols.errors import ABORT_NUMBERS
from protocols.secagg import collector, member
from tests.conversations import vectors
from tests.conversations.bad import before, cases, city_cases
from tests.conversations.table import NOW, answers, at_step, nobody, table_of
from tests.oracles import secagg_plain as plain

h = bytes.fromhex
NAMES = sorted(path.stem for path in vectors.FOLDER.glob("*.json"))
CONVERSATIONS = [name for name in NAMES if name.startswith(("conversation_", "exact_"))]
BAD = [name for name in NAMES if name.startswith("bad_")]


@cache
def stored(name: str) -> Any:
    return json.loads((vectors.FOLDER / f"{name}.json").read_text(encoding="utf-8"))


@cache
def made() -> dict[str, Any]:
    return vectors.built()


def test_the_files_are_those_that_are_made_and_no_others() -> None:
    assert set(NAMES) == set(made())
    assert len(CONVERSATIONS) == 12
    assert "session_5_rounds_4" in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_made_again_a_file_is_the_same(name: str) -> None:
    assert vectors.text_of(made()[name]) == (vectors.FOLDER / f"{name}.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_the_plain_protocol_sends_the_same_bytes_and_opens_the_same_sum(name: str) -> None:
    file = stored(name)
    again = plain.Conversation(file)
    for event, envelope in zip(file["events"], again.replay(), strict=True):
        if "envelope" in event:
            assert envelope.hex() == event["envelope"]
        assert sha256(envelope).hexdigest() == event.get("sha256", sha256(envelope).hexdigest())
    outcome = file["outcome"]
    if outcome["state"] == "Summed":
        assert again.total() == outcome["sum"]
        columns = zip(*(file["vectors"][str(city)] for city in outcome["u3"]), strict=True)
        assert outcome["sum"] == [sum(column) for column in columns]
    else:
        assert not [event for event in file["events"] if event["kind"] == "reveal"]


def test_the_plain_protocol_plays_the_session_and_opens_the_same_sums() -> None:
    """Four rounds: all; city 3 lost; city 3 back; two lost, which is one too many."""
    file = stored("session_5_rounds_4")
    again = plain.Conversation(file)
    for event, envelope in zip(file["events"], again.replay(), strict=True):
        assert sha256(envelope).hexdigest() == event["sha256"]
    summed = {number: each["sum"] for number, each in enumerate(file["outcomes"]) if each["state"] == "Summed"}
    assert again.totals == summed
    assert [each.get("u3") for each in file["outcomes"]] == [[1, 2, 3, 4, 5], [1, 2, 4, 5], [1, 2, 3, 4, 5], None]
    assert file["outcomes"][3]["state"] == "RoundLost"
    for number, total in summed.items():
        columns = zip(*(file["vectors"][str(i)][str(number)] for i in file["outcomes"][number]["u3"]), strict=True)
        assert total == [sum(column) for column in columns]


def test_the_outcomes_are_those_of_the_specification() -> None:
    for name in CONVERSATIONS:
        outcome = stored(name)["outcome"]
        summed = not name.startswith("exact_6_drop_") or name == "exact_6_drop_reveal"
        assert (outcome["state"] == "Summed") is summed, name


def test_digests_of_every_label_agree_with_the_plain_protocol() -> None:
    file = stored("digest")
    a, b, c, e = (h(file["parts"][name]) for name in "abcd")
    high, d, u32 = file["parts"]["high"], plain.d, plain.u32
    expected = {
        "plan(x)": d("plan", b"x"),
        "ctx(a, u1(x, yz))": d("ctx", a, d("u1", b"x", b"yz")),
        "u2(1, 2, high)": d("u2", u32(1), u32(2), u32(high)),
        "ask(x)": d("ask", b"x"),
        "round(a, b, 5, c)": d("round", a, b, plain.u16(5), c),
        "u3(a, 1, 2, high)": d("u3", a, u32(1), u32(2), u32(high)),
        "b-commit(a, high, 5, b)": d("b-commit", a, u32(high), plain.u16(5), b),
        "y(a, high, b)": d("y", a, u32(high), b),
        "input(a, b, c, d)": d("input", a, b, c, e),
        "sum(a, b, reveals(x, yz), c)": d("sum", a, b, d("reveals", b"x", b"yz"), c),
        "receipt(x)": d("receipt", b"x"),
        "transcript(x, yz)": d("transcript", b"x", b"yz"),
    }
    assert {name: value.hex() for name, value in expected.items()} == {k: v for k, v in file.items() if k != "parts"}


def test_keys_agree_with_the_plain_protocol() -> None:
    file = stored("keys")
    rctx, ctx, u32 = h(file["rctx"]), h(file["ctx"]), plain.u32
    for city, secret in file["secrets"].items():
        assert plain.public(h(secret)).hex() == file["public"][city]
        assert plain.hkdf(h(secret), rctx, plain.lp(b"self") + u32(int(city))).hex() == file["self"][city]
    for name in file["pair"]:
        i, j = map(int, name.split(">"))
        shared = plain.x25519(h(file["secrets"][str(i)]), h(file["public"][str(j)]))
        pair = plain.hkdf(shared, rctx, plain.lp(b"pair") + u32(min(i, j)) + u32(max(i, j)))
        assert pair.hex() == file["pair"][name] == file["pair"][f"{j}>{i}"]
        key = plain.hkdf(shared, ctx, plain.lp(b"box") + u32(i) + u32(j))
        aad = plain.d("box-aad", ctx, u32(i), u32(j), plain.u16(1))
        assert plain.chacha20poly1305(key, bytes(12), h(file["box_content"]), aad).hex() == file["box"][name]


def test_shares_agree_with_the_plain_protocol() -> None:
    file = stored("shamir")
    assert int(file["p"], 16) == plain.P
    for case in file["cases"]:
        stream = plain.aes_ctr(plain.d("test-entropy", plain.u32(case["entropy_of"]), h(file["seed"])), 1000)
        at = [0]

        def draw(size: int, stream: bytes = stream, at: list[int] = at) -> bytes:
            at[0] += size
            return stream[at[0] - size : at[0]]

        poly = plain.coefficients(h(case["secret"]), case["k"], draw)
        assert [hex(a)[2:] for a in poly] == case["polynomial"]
        shares = {int(city): int(share, 16) for city, share in case["shares"].items()}
        assert shares == {city: plain.evaluate(poly, city) for city in shares}
        chosen = dict(list(shares.items())[: case["k"]])
        assert plain.at_zero(chosen).to_bytes(32) == h(case["secret"])


def test_masked_vectors_agree_with_the_plain_protocol() -> None:
    for case in stored("masks")["cases"]:
        mod, cells = 2 ** case["bits"], case["cells"]
        total = [(7919 * i % 2003 - 1001) % mod for i in range(cells)]
        for key, sign in case["masks"]:
            drawn = plain.words(h(key), cells, case["bits"])
            total = [(x + sign * w) % mod for x, w in zip(total, drawn, strict=True)]
        y = b"".join(x.to_bytes(case["bits"] // 8, "little") for x in total)
        assert sha256(y).hexdigest() == case["y_sha256"]
        assert case.get("y", y.hex()) == y.hex()


def test_envelopes_are_their_header_body_and_signature() -> None:
    file = stored("envelope")
    for each in file["envelopes"].values():
        header = each["header"].encode()
        assert json.dumps(json.loads(header), sort_keys=True, separators=(",", ":")).encode() == header
        sender = str(json.loads(header)["from"])
        key = Ed25519PrivateKey.from_private_bytes(h(file["identities"][sender]))
        signed = key.sign(b"hpfed/envelope/1\0" + header)
        assert b"HPFE\1" + plain.lp(header) + h(each["body"]) + signed == h(each["envelope"])


def test_noise_plans_are_named_by_their_digest() -> None:
    for plan in stored("noise_plan").values():
        assert sha256(plan["json"].encode()).hexdigest() == plan["sha256"]


@pytest.mark.parametrize("name", [name for name in BAD if name not in ("bad_masked", "bad_reveal")])
def test_a_stored_bad_message_ends_in_its_code(name: str) -> None:
    """The message comes from the file, not from the code that made it; the conversation up to it is played from the file's setting."""
    settings = {case.name: case for case in cases()}
    for case_name, case in stored(name).items():
        if "message" not in case:
            continue  # over 64 KiB: by digest only
        known, setting = settings[case_name], case["setting"]
        table = table_of(setting["cities"], seed=h(setting["seed"]), terms=known.terms, **known.table)
        lost = {step: tuple(cities) for step, cities in setting["lost"].items()}
        honest = before(table, known.kind, case["party"], lost)
        assert sha256(honest).hexdigest() == case["honest_sha256"]
        seat = table.cities[case["party"]]
        ((_, abort),) = seat.on(h(case["message"]), NOW + 1)
        assert isinstance(seat.state, member.Refused)
        assert messages.Abort.decode(messages.body_of(abort)).code == ABORT_NUMBERS[case["code"]]


@pytest.mark.parametrize("name", ["bad_masked", "bad_reveal"])
def test_a_stored_bad_reply_is_named_with_its_code(name: str) -> None:
    for case in stored(name).values():
        table, out = at_step(case["step"], seed=h(case["setting"]["seed"]))
        replies = answers(table, out)
        assert sha256(replies[case["city"]]).hexdigest() == case["honest_sha256"]
        if case["beside_the_honest_one"]:
            table.reply(replies[case["city"]])
        replies[case["city"]] = h(case["message"])
        following: messages.Outgoing = ()
        for reply in replies.values():
            following += table.reply(reply)
        following = following or table.wait_over()
        while following:
            following = table.exchange(following, nobody)
        assert isinstance(table.state, collector.Summed)
        assert [(each.city, each.code) for each in table.state.talk.faults] == [(case["city"], case["code"])]


def test_every_bad_message_of_the_lists_is_stored() -> None:
    named = {case for name in BAD for case in stored(name)}
    assert named == {case.name for case in cases()} | {case.name for case in city_cases()}
