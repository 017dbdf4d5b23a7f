"""The vectors of `hpf-secagg/1` (tests/vectors/secagg): how they are made. `python -m tests.conversations.vectors` writes them.

Frozen once `tests/oracles/secagg_plain.py` agreed with every one; a test makes them again and compares.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, fields
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from protocols import messages, ring
from protocols.messages import Kind, Matter, Plan, seal
from protocols.roster import Roster
from protocols.secagg import collector, keys, sharing
from protocols.secagg.masks import add_masks, pair_sign
from protocols.secagg.plan import STEPS, NoiseBlock, noise_plan
from tests.conversations.bad import IDS, VICTIM, Case, CityCase, cases, city_cases
from tests.conversations.table import (
    NOW,
    QUESTION,
    SOFTWARE,
    Table,
    answers,
    at_step,
    identity,
    key_of,
    lost_at,
    question_of,
    roster_of,
    table_of,
    test_entropy,
)

FOLDER: Final = Path(__file__).parents[1] / "vectors" / "secagg"
SEED: Final = b"hpf-secagg vectors"
WHOLE: Final = (
    "conversation_3",
    "conversation_6_drop_masked",
    "exact_6",
)  # these hold every byte, the others every digest
THREE: Final = (1, 2, 4_294_967_295)


def shown(value: Any) -> Any:
    """Bytes as hex, tuples as lists."""
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    if isinstance(value, tuple | list):
        return [shown(each) for each in value]
    if isinstance(value, Mapping):
        return {str(key): shown(each) for key, each in value.items()}
    return value


def plan_shown(plan: Plan) -> dict[str, Any]:
    return {field.name: shown(getattr(plan, field.name)) for field in fields(plan)}


def conversation(name: str, losses: Mapping[str, Collection[int]], ids: tuple[int, ...], **plan: Any) -> dict[str, Any]:
    """Inputs, every envelope in order, and how it ended."""
    table = table_of(ids, seed=SEED, **plan)
    table.run(lost_at(losses))
    return {
        "what": f"{name}: lost {dict(losses) or 'nobody'}",
        **setting(table),
        "question": {"length": table.plan.length, "layout": table.plan.layout.hex(), "question": QUESTION.hex()},
        "vectors": {str(seat.id): seat.vectors[0].tolist() for seat in table.cities.values() if seat.vectors},
        "events": events_of(table, whole=name in WHOLE),
        "outcome": outcome(table),
    }


def session(name: str, ids: tuple[int, ...], lost: Mapping[int, Collection[int]]) -> dict[str, Any]:
    """A session of four rounds, each with its own length; `lost`: whose vectors do not come, by round."""

    def gone(city: int, kind: Kind, round_: int) -> bool:
        return kind is Kind.ASK and city in lost.get(round_, ())

    table = table_of(ids, seed=SEED, rounds=4)
    table.run(gone)
    outcomes, questions = [outcome(table)], [question_of(table.plan)]
    for length in (5, 1, 7):
        questions.append(question_of(table.plan, length))
        assert isinstance(table.state, collector.Summed | collector.RoundLost)
        table.state, out = collector.ask(table.state, questions[-1], table.stamp())
        while out:
            out = table.exchange(out, gone)
        outcomes.append(outcome(table))
    return {
        "what": f"{name}: lost {dict(lost)} by round",
        **setting(table),
        "questions": [{key: shown(value) for key, value in asdict(each).items()} for each in questions],
        "vectors": {
            str(seat.id): {str(round_): vector.tolist() for round_, vector in seat.vectors.items()}
            for seat in table.cities.values()
        },
        "events": events_of(table, whole=False, rounds=True),
        "outcomes": outcomes,
    }


def setting(table: Table) -> dict[str, Any]:
    """What a conversation begins with."""
    ids = table.plan.cities
    return {
        "seed": SEED.hex(),
        "consortium": table.roster.entries.consortium,
        "roster": table.roster.file.decode(),
        "roster_version": table.roster.entries.version,
        "software": SOFTWARE.model_dump(),
        "identities": {str(each): key_of(each).private_bytes_raw().hex() for each in (0, *ids)},
        "plan": plan_shown(table.plan),
        "snapshot": bytes(32).hex(),
        "noise_seed": bytes(32).hex(),
    }


def events_of(table: Table, *, whole: bool, rounds: bool = False) -> list[dict[str, Any]]:
    """Every envelope in order."""
    events = []
    for sender, to, content in table.wire:
        header = messages.peek(content)
        event: dict[str, Any] = {
            "from": sender,
            "to": to,
            "kind": header.kind.value,
            "issued": header.issued,
            "seq": header.seq,
            **({"round": header.round} if rounds else {}),
        }
        if header.kind is Kind.ACK:
            event["ledger_seq"] = messages.Ack.decode(messages.body_of(content)).ledger_seq
        if header.kind is Kind.ABORT:
            abort = messages.Abort.decode(messages.body_of(content))
            event |= {"code": abort.code, "about": abort.about}
        digest = {"sha256": sha256(content).hexdigest()}
        events.append(event | ({"envelope": content.hex()} if whole else digest))
    return events


def outcome(table: Table) -> dict[str, Any]:
    state = table.state
    assert isinstance(state, collector.Summed | collector.RoundLost | collector.Failed)
    missing = {str(city): reason for city, reason in collector.missing(state).items()}
    if isinstance(state, collector.Summed):
        return {
            "state": "Summed",
            "sum": state.total.tolist(),
            "u3": list(state.u3),
            "missing": missing,
            "sum_digest": state.receipt.sum_digest.hex(),
            "transcript": state.receipt.transcript.hex(),
        }
    return {
        "state": type(state).__name__,
        "step": state.step,
        "came": state.came,
        "needed": state.needed,
        "missing": missing,
    }


def conversations() -> dict[str, dict[str, Any]]:
    six = tuple(range(1, 7))
    lost: dict[str, Mapping[str, Collection[int]]] = {"": {}, **{f"_drop_{step}": {step: (4,)} for step in STEPS}}
    found = {"conversation_3": conversation("conversation_3", {}, THREE)}
    for suffix, losses in lost.items():
        if suffix:
            name = f"conversation_6{suffix}"
            found[name] = conversation(name, losses, six)
        name = f"exact_6{suffix}"
        found[name] = conversation(name, losses, six, exact=True, bits=64)
    five = (1, 2, 3, 4, 5)
    return found | {"session_5_rounds_4": session("session_5_rounds_4", five, {1: (3,), 3: (1, 3)})}


def digests() -> dict[str, Any]:
    """Every label once, over parts that are easy to remake."""
    a, b, c, d = (bytes([n]) * 32 for n in range(1, 5))
    high = THREE[-1]
    return {
        "parts": {
            "a": a.hex(),
            "b": b.hex(),
            "c": c.hex(),
            "d": d.hex(),
            "x": b"x".hex(),
            "yz": b"yz".hex(),
            "high": high,
        },
        "plan(x)": keys.plan_digest(b"x").hex(),
        "ctx(a, u1(x, yz))": keys.ctx(a, [b"x", b"yz"]).hex(),
        "u2(1, 2, high)": keys.u2_digest(THREE).hex(),
        "ask(x)": keys.ask_digest(b"x").hex(),
        "round(a, b, 5, c)": keys.rctx(a, b, 5, c).hex(),
        "u3(a, 1, 2, high)": keys.u3_digest(a, THREE).hex(),
        "b-commit(a, high, 5, b)": keys.b_commit(a, high, 5, b).hex(),
        "y(a, high, b)": keys.y_digest(a, high, b).hex(),
        "input(a, b, c, d)": keys.input_commit(a, b, c, d).hex(),
        "sum(a, b, reveals(x, yz), c)": keys.sum_digest(a, b, [b"x", b"yz"], c).hex(),
        "receipt(x)": keys.receipt_digest(b"x").hex(),
        "transcript(x, yz)": keys.transcript_digest([b"x", b"yz"]).hex(),
    }


def key_schedule() -> dict[str, Any]:
    """Secrets of three cities, and every key of two contexts."""
    rctx, ctx, content = b"r" * 32, b"c" * 32, bytes(range(66))
    secrets = {city: sha256(f"x25519-{city}".encode()).digest() for city in THREE}
    public = {
        city: X25519PrivateKey.from_private_bytes(s).public_key().public_bytes_raw() for city, s in secrets.items()
    }
    pairs, boxes = {}, {}
    for i in THREE:
        for j in THREE:
            if i != j:
                shared = keys.agree(X25519PrivateKey.from_private_bytes(secrets[i]), public[j])
                pairs[f"{i}>{j}"] = keys.pair_key(shared, rctx, i, j).hex()
                boxes[f"{i}>{j}"] = keys.seal_box(shared, ctx, i, j, 1, content).hex()
    return {
        "rctx": rctx.hex(),
        "ctx": ctx.hex(),
        "secrets": shown(secrets),
        "public": shown(public),
        "pair": pairs,
        "self": {str(city): keys.self_key(secrets[city], rctx, city).hex() for city in THREE},
        "box_content": content.hex(),
        "box": boxes,
    }


def shamir() -> dict[str, Any]:
    """Two secrets, dealt to cities at both ends of the ids."""
    found = []
    for k, secret in ((2, bytes(32)), (3, b"\xff" * 32)):
        poly = sharing.polynomial(secret, k, test_entropy(k, SEED))
        shares = {city: sharing.share(poly, city).hex() for city in THREE}
        found.append(
            {
                "k": k,
                "secret": secret.hex(),
                "entropy_of": k,
                "polynomial": [hex(a)[2:] for a in poly],
                "shares": shares,
            }
        )
    return {"p": hex(sharing.P)[2:], "seed": SEED.hex(), "cases": found}


def masks() -> dict[str, Any]:
    """y of the middle city among three: own mask, one pair mask of each sign."""
    found = []
    for bits in (32, 64):
        for cells in (1, 7, 16_387):
            vector = (np.arange(cells, dtype=np.int64) * 7919) % 2003 - 1001
            used = [(sha256(f"mask-{j}".encode()).digest(), 1 if j == 2 else pair_sign(2, j)) for j in THREE]
            words = ring.residues(vector, bits)
            add_masks(words, used)
            content = words.tobytes()
            found.append(
                {
                    "bits": bits,
                    "cells": cells,
                    "masks": [[key.hex(), sign] for key, sign in used],
                    "y_sha256": sha256(content).hexdigest(),
                    **({"y": content.hex()} if cells < 10 else {}),
                }
            )
    return {"vector": "x[i] = (7919 i) mod 2003 - 1001", "cases": found}


def noise() -> dict[str, Any]:
    blocks = [NoiseBlock("products.of", 4, 3, 2**70), NoiseBlock("tgi.by", 15, 0, 1)]
    dp = noise_plan(blocks, h=4, accounting="pld", epsilon="1.0", delta="1e-6")
    exact = noise_plan([NoiseBlock("products.of", 4, 0, 0)], h=0)
    return {
        name: {"json": plan.decode(), "sha256": sha256(plan).hexdigest()}
        for name, plan in (("dp", dp), ("exact", exact))
    }


def envelopes() -> dict[str, Any]:
    """A request with a hint, a reply, a message outside any conversation."""
    roster: Roster = roster_of((1, 2, 3))
    matter = Matter(NOW + 600, b"s" * 32, 3, b"c" * 16, 7)
    request = messages.Survivors(b"r" * 32, (1, 2, 3))
    reply = messages.Confirm(b"r" * 32, b"u" * 32)
    common: dict[str, Any] = {"roster": roster, "now": NOW}
    listed = {
        "request": seal(request, identity=identity(0), to=2, matter=matter, seq=5, poll_s=0.5, **common),
        "reply": seal(reply, identity=identity(2), to=0, matter=matter, seq=9, in_reply_to=b"q" * 32, **common),
        "outside": seal(
            messages.Ping(b"p" * 32), identity=identity(0), to=1, matter=Matter(NOW + 60), seq=2**52, **common
        ),
    }
    return {
        "identities": {str(each): key_of(each).private_bytes_raw().hex() for each in (0, 1, 2)},
        "envelopes": {
            name: {
                "header": content[9 : 9 + int.from_bytes(content[5:9])].decode(),
                "body": shown(messages.body_of(content)),
                "envelope": content.hex(),
            }
            for name, content in listed.items()
        },
    }


def bad(case: Case) -> dict[str, Any]:
    """One bad message: when it comes, who gets it, and the code of the Abort that answers it."""
    _, honest, content = case.setting()
    knows = case.terms(table_of(IDS, **case.table).cities[case.victim].terms)
    objections = {
        name: objection.code
        for name in ("history", "size", "snapshot", "able", "exact", "policy", "budget")
        if (objection := getattr(knows, name))
    }
    return {
        "instead_of": case.kind.value,
        "party": case.victim,
        "code": case.code,
        "setting": {
            "cities": list(IDS),
            "seed": b"seed".hex(),
            "exact": bool(case.table.get("exact")),
            "lost": shown(dict(case.lost)),
            **({"rounds": case.table["rounds"]} if "rounds" in case.table else {}),
        },
        "gate": {
            "objections": objections,
            "least": knows.least,
            "least_colluders": knows.least_colluders,
            "approved": knows.approved is not None,
        },
        **({"message": content.hex()} if len(content) < 1 << 16 else {}),
        "message_sha256": sha256(content).hexdigest(),
        "honest_sha256": sha256(honest).hexdigest(),
    }


FAMILIES: Final = ("plan", "advert", "adverts", "relay", "deliver", "box", "ask", "survivors", "confirms", "encoding")


def built() -> dict[str, Any]:
    """Every file by name."""
    files: dict[str, Any] = dict(conversations())
    files |= {
        "digest": digests(),
        "keys": key_schedule(),
        "shamir": shamir(),
        "masks": masks(),
        "noise_plan": noise(),
        "envelope": envelopes(),
    }
    for family in FAMILIES:
        listed = [case for case in cases() if case.name.split("_")[1] == family]
        files[f"bad_{family}"] = {case.name: bad(case) for case in listed}
    for family in ("masked", "reveal"):
        files[f"bad_{family}"] = {case.name: bad_of_city(case) for case in city_cases() if case.step == family}
    return files


def bad_of_city(case: CityCase) -> dict[str, Any]:
    """One bad reply: who sends it at which step, and under which code the coordinator names it in the end."""
    table, out = at_step(case.step, seed=SEED)
    honest = answers(table, out)[VICTIM]
    return {
        "step": case.step,
        "city": VICTIM,
        "code": case.code,
        "setting": {"cities": list(table.plan.cities), "seed": SEED.hex(), "exact": False, "lost": {}},
        "beside_the_honest_one": case.twice,
        "message": case.make(table, honest).hex(),
        "honest_sha256": sha256(honest).hexdigest(),
    }


def text_of(content: Any) -> str:
    return json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, content in built().items():
        (FOLDER / f"{name}.json").write_text(text_of(content), encoding="utf-8")


if __name__ == "__main__":
    main()
