"""Rows made up from released sums: codes are codes, and what a fit with noise says of a rare event is that of the rows themselves."""

from typing import Final

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.dictionary import Column
from protocols.models import likeness
from protocols.models.design import Columns, Design
from tests.models.data import Frame, dictionary
from tests.models.noised import Noised, question

RARE: Final = dictionary(
    {
        "c": {"type": "category", "codes": {"a": {}, "b": {}, "d": {}}},
        "u": {"type": "boolean"},
        "x": {"type": "number", "range": ("-6", "6")},
        "y": {"type": "boolean"},
    }
)
SLOPES: Final = np.array([-5.2, 1.2, 1.75, 0.7, -0.3])  # one in 45 rows; one in 200 of code a
ROWS: Final = 30_000


def rare(seed: int) -> tuple[Frame, np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)  # noqa: TID251 a test's own rows
    c = draw.choice(3, ROWS, p=[0.27, 0.32, 0.41])
    u, x = draw.random(ROWS) < 0.55 + 0.1 * (c == 2), np.clip(draw.normal(size=ROWS), -6, 6)
    matrix = np.column_stack([np.ones(ROWS), c == 1, c == 2, u, x])
    y, known = draw.random(ROWS) < 1 / (1 + np.exp(-matrix @ SLOPES)), np.ones(ROWS, bool)
    columns = {"c": c.astype(np.int16), "u": u.astype(np.int8), "x": x, "y": y.astype(np.int8)}
    return Frame(RARE, {name: Column(each, known) for name, each in columns.items()}, ROWS), matrix, y


def test_of_a_rare_event_that_codes_differ_in_the_schedule_ends_in_the_pooled_fit_and_its_errors() -> None:
    """With rows of the same mean and covariance that are normal, the code stands two of its errors away, and its error is two thirds."""
    frame, matrix, y = rare(0)
    pooled = sm.Logit(y.astype(float), matrix).fit(disp=0)
    found, _ = Noised(frame, question("binomial", ["c", "u", "x"]), None).fitted()
    estimates, errors = (np.array([each[key] for each in found.coefficients]) for key in ("estimate", "std_error"))
    assert np.abs((estimates - pooled.params) / pooled.bse).max() < 0.35
    assert np.abs(errors / pooled.bse - 1).max() < 0.08


def test_with_noise_the_interval_holds_the_pooled_fit() -> None:
    frame, matrix, y = rare(1)
    pooled = sm.Logit(y.astype(float), matrix).fit(disp=0)
    found, _ = Noised(frame, question("binomial", ["c", "u", "x"]), "3").fitted()
    for each, estimate in zip(found.coefficients, pooled.params, strict=True):
        assert abs(each["estimate"] - estimate) < 3.5 * each["se_noise"]


@given(
    shares=st.lists(st.floats(-0.2, 1.2), min_size=3, max_size=3),
    centre=st.floats(-3, 3),
    seed=st.integers(0, 99),
)
@settings(max_examples=20)
def test_codes_are_codes_and_products_are_products(shares: list[float], centre: float, seed: int) -> None:
    design = Design.of(["c", "u", "x", "c:u", "u:x"], RARE)
    normal = np.random.default_rng(seed).normal(size=(1000, len(design.pieces)))  # noqa: TID251 any numbers do
    middles = (*shares, centre, 0.1, 0.1, 0.0)
    columns = Columns(groups=tuple((at,) for at in range(7)), centre=middles, scale=(1.0,) * 7)
    made = likeness.shaped(design, columns, np.zeros(7), {}, normal)
    assert made.shape == normal.shape
    assert np.allclose(made.mean(axis=0), 0 if made is not normal else normal.mean(axis=0))
    if made is normal:  # collinear
        return
    assert np.allclose(made.std(axis=0), 1)
    assert [len(np.unique(made[:, at].round(9))) for at in (0, 1, 2, 4, 5)] == [2] * 5
    on = made > 0
    assert not (on[:, 0] & on[:, 1]).any(), "nobody has two codes"
    assert (on[:, 4] == (on[:, 0] & on[:, 2])).all()


@pytest.mark.parametrize("parts", [(0.5, 0.3, 0.2), (0.98, 0.01, 0.01)])
def test_a_number_of_few_values_takes_these_as_often_as_was_released(parts: tuple[float, ...]) -> None:
    design = Design.of(["x"], RARE)
    normal = np.random.default_rng(3).normal(size=(1000, 1))  # noqa: TID251 any numbers do
    columns = Columns(groups=((0,),), centre=(0.0,), scale=(1.0,))
    values = np.array([-0.4, 0.1, 2.0])
    made = likeness.shaped(design, columns, np.zeros(1), {"x": (values, np.array(parts))}, normal)
    _, counts = np.unique(made.round(9), return_counts=True)
    assert counts.tolist() == [round(1000 * each) for each in parts]
