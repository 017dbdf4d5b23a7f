"""`hpfed-simulate attack`: its table in two languages, its JSON, its exit codes, and a suite that can fail."""

import json
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
from typer.testing import CliRunner

from protocols.entropy import Entropy
from protocols.errors import ConfigError
from simulations import attacks, cli
from simulations.attacks import Tried
from simulations.attacks.outcome import UNITS, Attack, Outcome, worst
from simulations.attacks.parties import World
from simulations.bench import secagg

QUICK = "curious-city"  # a tenth of a second


def told(*arguments: str) -> tuple[int, str]:
    found = CliRunner().invoke(cli.app, ["attack", *arguments])
    return found.exit_code, found.output


@pytest.mark.parametrize(
    ("lang", "head", "words"),
    [("zh", "攻击", ("守住", "已攻破", "格被读出")), ("en", "attack", ("yes", "broken", "cells read"))],
)
def test_the_table_in_two_languages(lang: str, head: str, words: tuple[str, ...]) -> None:
    code, output = told(QUICK, "--lang", lang)
    assert code == 0
    first, second, *others = output.splitlines()
    assert first.split()[0] == head
    assert len(first.split()) == 8
    assert second.split()[:2] == [QUICK, "T54"]
    assert all(word in second for word in words)
    assert not others  # the list of later releases belongs to the whole suite


def test_against_weak_shows_the_attack_winning() -> None:
    assert "≤ 0 cells read" in told(QUICK, "--lang", "en")[1]
    code, output = told(QUICK, "--lang", "en", "--against-weak")
    assert code == 0
    assert "64 cells read" in output
    assert " NO " in output


def test_json_has_the_fields_of_the_contract_and_the_same_seed_the_same_outcome() -> None:
    lists = []
    for seed in ("5", "5", "6"):
        found = CliRunner().invoke(cli.app, ["attack", QUICK, "--json", "--lang", "en", "--seed", seed])
        lists.append(json.loads(found.stdout))
    (record,) = lists[0]
    assert {"name", "threat", "what", "expected", "observed", "repelled", "control", "seconds"} <= set(record)
    assert (record["name"], record["threat"], record["repelled"], record["control"]) == (QUICK, "T54", True, "broken")
    assert [{**each[0], "seconds": 0} for each in lists[:1]] == [{**each[0], "seconds": 0} for each in lists[1:2]]


def test_an_unknown_name_is_answered_with_the_list_before_anything_is_played() -> None:
    code, output = told(QUICK, "nonsense", "--lang", "en")
    assert code == 2
    assert all(name in output for name in (*attacks.REGISTER, *attacks.LATER))
    assert "T54" not in output
    with pytest.raises(ConfigError):
        attacks.attack("outcome")  # a module of the folder that is no attack


def made(held: Callable[[World], bool]) -> Attack:
    """An attack that says of each world whether it is held."""

    def run(world: World, _entropy: Entropy) -> Outcome:
        return Outcome(0 if held(world) else 1, 0, "cells")

    words = {"zh": "一", "en": "one"}
    weaken = (lambda world: replace(world, step=cast(Any, None)),)
    return cast(Attack, SimpleNamespace(THREAT="T01", WHAT=words, HOLDS=words, WEAKENED=weaken, run=run))


@pytest.mark.parametrize(
    ("held", "repelled", "control"),
    [
        (lambda world: world.step is not None, True, "broken"),
        (lambda _world: True, True, "not broken"),
        (lambda _world: False, False, "broken"),
    ],
)
def test_the_suite_fails_where_an_attack_wins_and_where_a_control_does_not(
    monkeypatch: pytest.MonkeyPatch, held: Callable[[World], bool], repelled: bool, control: str
) -> None:
    monkeypatch.setattr(attacks, "attack", lambda _name: made(held))
    code, _ = told(QUICK)
    assert code == (0 if repelled and control == "broken" else 1)
    (one,) = attacks.run([QUICK], 1)
    (record,) = attacks.records([one], "zh")
    assert (record["repelled"], record["control"]) == (repelled, control)


def test_of_several_outcomes_the_worst_counts() -> None:
    low, high = Outcome(1, 2, "cells", codes=frozenset({"a"})), Outcome(3, 2, "cells", codes=frozenset({"b"}))
    assert worst([low, high]) == Outcome(3, 2, "cells", codes=frozenset({"a", "b"}))
    least, most = (replace(each, sense="≥") for each in (low, high))
    assert worst([most, least]).measured == 1
    assert (low.held, high.held, least.held, most.held) == (True, False, False, True)
    for unit in UNITS:
        for lang in ("zh", "en"):
            assert UNITS[unit][lang] in Outcome(1, 1, unit).observed(lang)


def test_long_lists_of_refusals_are_cut_in_the_table_and_whole_in_json() -> None:
    codes = frozenset(f"a_long_word_{at}" for at in range(9))
    one = Tried("x", made(lambda _world: True), Outcome(0, 0, "cells", codes=codes), (Outcome(1, 0, "cells"),), 0.1)
    assert " …" in attacks.line(one, "en")
    (record,) = attacks.records([one], "en")
    assert all(code in record["observed"] for code in codes)


# --- the benchmarks compute what they claim to time


@pytest.mark.parametrize("lost", [(), (2, 3)])
def test_the_benchmark_of_the_aggregation_sums_right_on_both_paths(lost: tuple[int, ...]) -> None:
    """Both check their sums themselves; a time came out."""
    tables = {city: secagg.Drawn(20)[city] for city in range(1, 8)}
    assert secagg.played(7, 20, 64, 2, lost, tables).up > 0
    assert secagg.arithmetic(7, 20, 64, 5, lost, tables).client_s >= 0
    grown = secagg.grown(10, min(len(lost), 1), 8)
    assert grown.peak_mib > 10
