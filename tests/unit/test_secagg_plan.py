"""Which n, t, k, c and d go together: the examples of the specification, and the rules that they follow from."""

import json
from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import Refusal
from protocols.secagg.plan import EXACT, NoiseBlock, Thresholds, check, noise_plan, shares_to_open, thresholds
from tests.conversations.table import plan_of, roster_of
from tests.oracles import secagg_plain


@pytest.mark.parametrize(
    ("n", "c", "dropouts", "exact", "expected"),
    [
        (3, 1, 1, False, Thresholds(t=3, k=3, d=0)),  # no dropout possible
        (4, 1, 1, False, Thresholds(t=3, k=3, d=1)),
        (6, 1, 1, False, Thresholds(t=5, k=5, d=1)),
        (30, 2, 3, False, Thresholds(t=27, k=27, d=3)),
        (341, 10, 30, False, Thresholds(t=311, k=311, d=30)),
        (3, 1, 1, True, Thresholds(t=3, k=3, d=0)),
        (6, 1, 1, True, Thresholds(t=6, k=5, d=0)),
        (30, 2, 3, True, Thresholds(t=30, k=21, d=0)),
    ],
)
def test_the_examples_of_the_specification(n: int, c: int, dropouts: int, exact: bool, expected: Thresholds) -> None:
    assert thresholds(n, c, dropouts, 3, exact=exact) == expected


@given(st.integers(1, 40), st.integers(-1, 40), st.integers(0, 40), st.integers(3, 40), st.booleans())
def test_thresholds_are_the_most_tolerant_that_the_rules_allow(
    n: int, c: int, dropouts: int, least: int, exact: bool
) -> None:
    expected = secagg_plain.thresholds(n, c, dropouts, least, exact)
    if expected is None:
        with pytest.raises(Refusal):
            thresholds(n, c, dropouts, least, exact=exact)
    else:
        t, k, d = expected
        assert thresholds(n, c, dropouts, least, exact=exact) == Thresholds(t=t, k=k, d=d)
        assert 2 * t > n + c
        assert k > c


@given(st.integers(3, 12), st.integers(0, 12), st.integers(0, 12), st.integers(0, 12), st.booleans())
def test_a_plan_passes_exactly_if_its_numbers_keep_every_rule(n: int, c: int, d: int, least: int, exact: bool) -> None:
    plan = plan_of(roster_of(tuple(range(1, n + 1))), exact=exact, colluders=0)
    plan = replace(plan, colluders=c, dropouts=d, threshold=max(n - d, 0), least=least)
    t = n - d
    sound = 0 <= c <= n - 2 and c <= t - 2 and 2 * t > n + c and t >= max(least, 3) and not (exact and d)
    if sound:
        check(plan)
        assert shares_to_open(plan) == (max(2 * n // 3 + 1, c + 2) if exact else t)
    else:
        with pytest.raises(Refusal):
            check(plan)


def test_the_reasons_for_a_no_are_told_apart() -> None:
    for arguments, code in (
        ((2, 0, 0, 3), "SECAGG_COHORT_SIZE"),
        ((513, 0, 0, 3), "SECAGG_COHORT_SIZE"),
        ((3, 2, 0, 3), "SECAGG_COLLUDERS"),
        ((4, 1, 0, 5), "SECAGG_THRESHOLD"),
    ):
        with pytest.raises(Refusal) as refused:
            thresholds(*arguments, exact=False)
        assert refused.value.code == code
    with pytest.raises(Refusal, match="threshold"):
        thresholds(4, 1, 0, 5, exact=True)


def test_a_noise_plan_is_canonical_and_exact_mode_has_one_without_noise() -> None:
    blocks = [NoiseBlock("products.of", 4, 3, 2**70), NoiseBlock("tgi.by", 15, 0, 1)]
    dp = noise_plan(blocks, h=4, accounting="pld", epsilon="1.0", delta="1e-6")
    assert dp == (
        b'{"accounting":"pld","blocks":[{"block":"products.of","cells":4,"shift":3,"v20":"1180591620717411303424"},'
        b'{"block":"tgi.by","cells":15,"shift":0,"v20":"1"}],"delta":"1e-6","epsilon":"1.0","h":4}'
    )
    exact = json.loads(noise_plan([NoiseBlock("products.of", 4, 0, 0)], h=0))
    assert exact == {
        "accounting": "none",
        "blocks": [{"block": "products.of", "cells": 4, "shift": 0, "v20": "0"}],
        "delta": "0",
        "epsilon": "0",
        "h": 0,
    }


def test_the_tests_own_plans_are_sound() -> None:
    roster = roster_of((1, 2, 3))
    plan = plan_of(roster, exact=True)
    assert plan.mode == EXACT
    assert plan.noise == sha256(noise_plan([], h=0)).digest()
    check(plan)
