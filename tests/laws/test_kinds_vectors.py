"""One vector per kind, from 12 holders in three cities to published rows; and sums that must be refused.

`python -m tests.laws.test_kinds_vectors` writes them anew; the test compares what is written with what the code gives now. Another
implementation can be held to the same files: numbers that are sums are exact, all others agree to 9 significant digits.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from coordinator.consistency import reconcile
from protocols import entropy
from protocols.errors import HpfedError
from protocols.statistics import KINDS, REGISTER
from protocols.statistics.example import Example
from protocols.statistics.layout import Layout
from protocols.statistics.question import Question
from tests.laws.generated import SMALL, Holder, encoded, finalized, layout_of, written

FOLDER: Final = Path(__file__).parents[1] / "vectors" / "statistics"
CITIES: Final[Mapping[str, Sequence[Mapping[str, str]]]] = {
    "a": [
        {"sex": "female", "birth_year": "1991", "product": "monthly", "owner": "false", "income": "620000"},
        {"sex": "male", "birth_year": "1988", "product": "free", "owner": "false", "income": "300000"},
        {"sex": "female", "birth_year": "1996", "product": "monthly", "owner": "true", "income": "1880050"},
        {"sex": "male", "birth_year": "1979", "product": "lump_sum"},
        {"sex": "unknown", "birth_year": "1993", "owner": "false"},
    ],
    "b": [  # cannot map owner
        {"sex": "male", "birth_year": "1985", "product": "free", "income": "415001"},
        {"sex": "male", "birth_year": "1999", "product": "monthly"},
        {"sex": "female", "product": "lump_sum"},
        {"sex": "female", "birth_year": "1990", "product": "lump_sum"},
    ],
    "c": [
        {"sex": "female", "birth_year": "2001", "product": "free", "owner": "true", "income": "20000000"},
        {"sex": "male", "birth_year": "1980", "product": "free", "owner": "false", "income": "0"},
        {"sex": "female", "birth_year": "1989", "product": "lump_sum", "owner": "false"},
    ],
}
# Event rows of the same holders in consecutive months up to May 2022: of city b, which cannot map them, there are none.
EVENTS: Final[Mapping[str, Sequence[Sequence[Mapping[str, str]]]]] = {
    "a": [
        [
            {"amount": "30000", "state": "normal", "active": "true"},
            {"amount": "30000", "state": "normal", "active": "true"},
            {"amount": "0", "state": "sealed", "active": "false"},
        ],
        [{"amount": "8000000", "state": "normal", "active": "true"}],
        [
            {"amount": "18000", "state": "sealed", "active": "true"},
            {"amount": "18050", "state": "normal"},
            {"state": "normal", "active": "true"},
            {"amount": "18000", "active": "true"},
        ],
        [],
        [],
    ],
    "b": [[], [], [], []],
    "c": [
        [],
        [{"amount": "50000", "state": "normal", "active": "true"} for _ in range(6)],
        [
            {"amount": "100", "state": "sealed", "active": "false"},
            {"amount": "200", "state": "normal", "active": "true"},
        ],
    ],
}
OPENED: Final = {"a": ["18990", "19120", "19000", "18000", ""], "b": ["18990"] * 4, "c": ["", "18970", "19090"]}
TIMES: Final = 40  # in mode dp every holder stands for so many
VARIANCE: Final = 9.0


def vector(question: Question) -> dict[str, Any]:
    layout = layout_of(question)
    cities = {name: encoded(layout, crowd(name)) for name in CITIES}
    exact = np.sum([*cities.values()], axis=0)
    draws = entropy.public_stream("vectors", question.id, "noise").normal(0, math.sqrt(VARIANCE), layout.length)
    noise = np.rint(draws).astype(np.int64)
    return {
        "question": dict(KINDS[question.kind].EXAMPLE.question),
        "dictionary": SMALL.digest,
        "holders": CITIES,
        "events": EVENTS,
        "opened": OPENED,
        "layout": [block.declared() for block in layout.blocks],
        "layout_digest": layout.digest,
        "vectors": {name: each.tolist() for name, each in cities.items()},
        "exact": {"sum": exact.tolist(), **published(question, exact, 0.0)},
        "dp": {
            "times": TIMES,
            "variance": VARIANCE,
            "noise": noise.tolist(),
            "sum": (TIMES * exact + noise).tolist(),
            **published(question, TIMES * exact + noise, VARIANCE),
        },
    }


def crowd(city: str) -> list[Holder]:
    every = zip(CITIES[city], OPENED[city], EVENTS[city], strict=True)
    return [
        written(Example({}, {**holder, **({"opened": opened} if opened else {})}, {"contributions": rows}))
        for holder, opened, rows in every
    ]


def published(question: Question, summed: Any, variance: float) -> dict[str, Any]:
    answer = finalized(question, summed, variance)
    return {
        "rows": [row.published("pooled") for row in answer.rows],
        "tests": [{"name": test.name, **test.values} for test in answer.tests],
    }


def bad() -> dict[str, dict[str, Any]]:
    """What must end in an error, and its code. `encode`: a holder in exact mode; `reconcile`: a sum and its variances."""
    question = dict(KINDS["frequency"].EXAMPLE.question)
    good = [1] * 12
    return {
        "bad_short_vector": {"question": question, "reconcile": [good[:-1], [9.0]], "code": "SUM_LENGTH"},
        "bad_overflow": {"question": question, "reconcile": [[1 << 41] * 12, [9.0]], "code": "SUM_BOUND"},
        "bad_variance_missing": {"question": question, "reconcile": [good, []], "code": "SUM_VARIANCE"},
        "bad_unknown_code": {
            "question": question, "encode": {"product": 3, "owner": 1}, "code": "SNAPSHOT_OUT_OF_DOMAIN", "dp": [*[0] * 7, 1, *[0] * 4],
        },
    }  # fmt: skip


def alike(now: Any, then: Any) -> bool:
    """Equal, but for floats that are no sums, whose last digits may differ between machines."""
    if isinstance(now, dict) and isinstance(then, dict):
        return now.keys() == then.keys() and all(
            now[key] == then[key]
            if key == "base" or (key == "estimate" and now.get("measure") in ("count", "total"))
            else alike(now[key], then[key])
            for key in now
        )
    if isinstance(now, list) and isinstance(then, list):
        return len(now) == len(then) and all(alike(one, other) for one, other in zip(now, then, strict=True))
    if isinstance(now, float) and isinstance(then, float | int):
        return math.isclose(now, then, rel_tol=1e-9, abs_tol=1e-12)
    return bool(now == then)


@pytest.mark.parametrize("kind", REGISTER, ids=lambda kind: str(kind.model_fields["kind"].default))
def test_every_kind_gives_what_its_vector_says(kind: type[Question]) -> None:
    path = FOLDER / f"{kind.example().kind}.json"
    assert path.is_file(), "a new kind needs its vector: python -m tests.laws.test_kinds_vectors"
    now = json.loads(json.dumps(vector(kind.example())))
    assert alike(now, json.loads(path.read_text()))


def test_a_changed_number_is_found() -> None:
    then = json.loads((FOLDER / "tgi.json").read_text())
    changed = json.loads((FOLDER / "tgi.json").read_text())
    changed["dp"]["rows"][0]["ci_low"] *= 1 + 1e-7
    assert not alike(changed, then)
    assert alike(then, then)


@pytest.mark.parametrize("name", sorted(bad()))
def test_what_cannot_be_is_refused(name: str) -> None:
    case = json.loads((FOLDER / f"{name}.json").read_text())
    assert case == json.loads(json.dumps(bad()[name]))
    layout = layout_of(KINDS[case["question"]["kind"]].model_validate(case["question"]))
    with pytest.raises(HpfedError) as caught:
        refused(case, layout)
    assert caught.value.code == case["code"]
    if "dp" in case:
        assert encoded(layout, [case["encode"]]).tolist() == case["dp"]


def refused(case: dict[str, Any], layout: Layout) -> None:
    if "encode" in case:
        encoded(layout, [case["encode"]], exact=True)
    else:
        summed, variances = case["reconcile"]
        reconcile(layout, np.array(summed, dtype=np.int64), variances)


def test_no_vector_is_left_over() -> None:
    assert {path.stem for path in FOLDER.glob("*.json")} == {*KINDS, *bad()}


if __name__ == "__main__":
    for kind in REGISTER:
        (FOLDER / f"{kind.example().kind}.json").write_text(json.dumps(vector(kind.example()), indent=1) + "\n")
    for name, case in bad().items():
        (FOLDER / f"{name}.json").write_text(json.dumps(case, indent=1) + "\n")
