"""Do intervals of a change hold it as often as they say? Two results of two populations, noised and drawn apart, again and again."""

from collections import defaultdict
from itertools import cycle
from typing import Any

import numpy as np
import pytest

from coordinator import change
from coordinator.results import Question, Row
from protocols import entropy
from protocols.dictionary import MISSING
from protocols.statistics.estimates import Floats
from simulations.bench.coverage import MEASURES, Runs, answers, of_truth, truth, variance
from simulations.bench.coverage import WORKLOAD as OF_STUDY
from simulations.bench.coverage import pooled as part


def later() -> Floats:
    """The population a year on: fewer lump sums, more of the young, more owners."""
    moved = truth() * np.array([0.8, 1.2, 1.0, 1.0])[:, None, None] * np.array([1, 1, 0.95, 1.1, 1.3, 1])[None, :, None]
    moved = moved * np.array([1.0, 1.1, 1.0])[None, None, :]
    return np.asarray(moved / moved.sum())


def simulated(n: int, cities: int, noise: float, runs: int, seed: str) -> tuple[Runs, Runs]:
    """Of every row of a change, in which runs the interval held what changed; unmarked and marked rows apart."""
    chances, streams = (
        (truth(), later()),
        [entropy.public_stream("coverage of a change", f"{n} {cities} {at}", seed) for at in (1, 2)],
    )
    sides = [answers(n, cities, noise, runs, stream, each) for stream, each in zip(streams, chances, strict=True)]
    found: tuple[Runs, Runs] = (defaultdict(list), defaultdict(list))
    for (first, before), (second, after) in zip(*sides, strict=True):
        for (question, one), (_, other) in zip(before, after, strict=True):
            keys = {row.measure: tuple(row.keys) for row in one.rows}
            for was, row in zip(one.rows, other.rows, strict=True):
                if was.estimate is None or row.estimate is None or MISSING in row.keys.values():
                    continue
                by = change.between(
                    Row.model_validate(was.published("pooled")),
                    Row.model_validate(row.published("pooled")),
                    asked(keys[row.measure]),
                )
                if by.ci_low is None or by.ci_high is None:
                    continue
                was_true, is_true = of_truth(was, first, chances[0]), of_truth(row, second, chances[1])
                true = is_true / was_true if by.scale == "quotient" else is_true - was_true
                key = (question.id, row.measure, row.contrast, *row.keys.items())
                found["u" in by.obs_status][key].append(by.ci_low <= true <= by.ci_high)
    return found


def asked(keys: tuple[str, ...]) -> Question:
    return Question(kind="any", cities=("one",), keys=keys)


def test_intervals_of_a_change_hold_it_about_as_often_as_they_say() -> None:
    unmarked, _ = simulated(n=26_606, cities=6, noise=90.0, runs=25, seed="fast")
    for measure in MEASURES:
        assert 0.92 <= part(unmarked, measure) <= 0.98, measure


def test_intervals_that_forget_one_side_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: the same check fails where the error of the earlier result is left out."""
    arms, sides = change._arms, cycle((0.0, 1.0))

    def forgetful(row: Row, onto: Any, width: float) -> Any:
        kept, found = next(sides), arms(row, onto, width)
        return found and tuple(kept * arm for arm in found)

    monkeypatch.setattr(change, "_arms", forgetful)
    unmarked, _ = simulated(n=26_606, cities=6, noise=90.0, runs=10, seed="fast")
    assert part(unmarked, "share") < 0.90
    assert part(unmarked, "count") < 0.90


@pytest.mark.slow  # 500 pairs of each design
@pytest.mark.parametrize("cities", [3, 20])
@pytest.mark.parametrize("n", [3_000, 26_606, 1_000_000])
def test_intervals_of_a_change_hold_it_as_often_as_they_say(n: int, cities: int) -> None:
    """At the noise of the study's own blocks under epsilon 1. Single cells are judged over all runs, whatever their mark."""
    noise = variance(len(OF_STUDY.layout.blocks), cities)
    unmarked, marked = simulated(n, cities, noise, runs=500, seed="slow")
    for measure in MEASURES:
        assert 0.93 <= part(unmarked, measure) <= 0.97, measure
    for key in {**unmarked, **marked}:
        runs = [*unmarked.get(key, []), *marked.get(key, [])]
        assert len(runs) < 100 or np.mean(runs) >= 0.90, key
