"""Noise that a study states: found once, approved with the study, checked by every city, refused where it costs more than it says."""

import json
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest

from coordinator import output, split, verify
from protocols import messages, pld
from protocols.errors import ConfigError, PeerError, Refusal
from protocols.plan import agree
from protocols.stated import Noise
from protocols.study import Study, from_wire, load
from simulations import world
from tests import gates
from tests.conversations.table import roster_of
from tests.gates import Rig
from tests.unit.test_gate import refused

CITIES: Final = (1, 2, 3, 4, 5, 6)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    gates.write(tmp_path / "cities")
    return tmp_path / "cities"


@pytest.fixture
def asked(folder: Path) -> Study:
    return split.stated(load(folder / "study.yaml"))


@pytest.fixture
def tiny(folder: Path, asked: Study) -> Iterator[Rig]:
    with gates.rig(folder, study=asked) as open_rig:
        yield open_rig


def noise_of(study: Study) -> Noise:
    noise = study.file.privacy.noise
    assert noise is not None
    return noise


def too_dear(study: Study) -> Study:
    """The same with two parts in a hundred less noise than it may have, as only a dishonest coordinator writes it."""
    noise = noise_of(study)
    less = noise.model_copy(update={"scale": (noise.scale or 0) * 98 // 100})
    privacy = study.file.privacy.model_copy(update={"noise": less})
    return replace(study, file=study.file.model_copy(update={"privacy": privacy}))


def test_a_study_of_counts_is_accounted_by_loss_distributions_and_needs_less_noise(folder: Path, asked: Study) -> None:
    plain = load(folder / "study.yaml")
    assert (plain.accounting, asked.accounting) == ("rdp", "pld")
    assert plain.digest != asked.digest
    by_orders, agreement = (agree(study, CITIES, roster_of(CITIES)) for study in (plain, asked))
    assert sum(agreement.v20) < 0.95 * sum(by_orders.v20)
    noise = json.loads(agreement.noise)
    assert (noise["accounting"], noise["epsilon"]) == ("pld", asked.file.privacy.epsilon)
    cost = pld.epsilon_of(agreement.events, asked.delta)
    assert Decimal("0.999") * asked.epsilon <= cost <= asked.epsilon * pld.BELOW
    assert agreement.epsilon == asked.epsilon, "what every party found it to cost at most: no float is attested"
    assert (
        agreement.cost.curve > by_orders.cost.curve
    )  # what the ledger adds are the Rényi orders of the noise that there is
    assert 2 * agreement.epsilon < agreement.epsilon_in_two_cities < Decimal("2.5") * agreement.epsilon


def test_every_party_reads_the_same_noise_from_the_bytes_that_are_approved(asked: Study) -> None:
    read = from_wire(asked.content, asked.dictionary.content)
    assert (read.digest, read.variances, read.shares) == (asked.digest, asked.variances, asked.shares)
    assert split.stated(read) is read


def test_a_city_refuses_noise_that_costs_more_than_the_study_says(tiny: Rig) -> None:
    dear = too_dear(tiny.study)
    with pytest.raises(Refusal) as caught:
        from_wire(dear.content, dear.dictionary.content)
    assert caught.value.code == "PLAN_COSTS_MORE"
    body = messages.Offer(dear.content, tiny.present.signed, dear.dictionary.content)
    assert refused(tiny, tiny.sealed(body, tiny.matter())) == ("PLAN_COSTS_MORE",)


def test_the_last_digits_of_floats_do_not_part_cities_from_their_coordinator(asked: Study) -> None:
    """A coordinator aims a millionth below; what machines differ by is far less, and a little more noise is never refused."""
    noise = noise_of(asked)
    needs = asked.needs(asked.workload.layout, asked.workload.own)
    cost = pld.cost(needs, noise.scale or 0, asked.delta)
    assert cost * (1 + Decimal("9e-7")) <= asked.epsilon
    assert asked.with_noise(noise.model_copy(update={"scale": (noise.scale or 0) + 1})).variances >= asked.variances


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"shares": (1,)}, "1 shares for"),
        ({"scale": None}, "scale belongs to pld"),
        ({"accounting": "rdp"}, "scale belongs to pld"),
    ],
)
def test_noise_that_does_not_fit_the_study_is_an_error_of_the_file(
    asked: Study, changed: dict[str, Any], said: str
) -> None:
    noise = noise_of(asked).model_copy(update=changed)
    with pytest.raises(ConfigError, match=said) as caught:
        asked.with_noise(noise)
    assert caught.value.code == "STUDY_NOISE"
    privacy = asked.file.privacy.model_copy(update={"noise": noise})
    wrong = replace(asked, file=asked.file.model_copy(update={"privacy": privacy}))
    with pytest.raises(PeerError) as peer:
        from_wire(wrong.content, wrong.dictionary.content)
    assert peer.value.code == "STUDY_INVALID"


def test_noise_written_into_a_file_is_read_and_checked(folder: Path, asked: Study) -> None:
    path = folder / "study.yaml"
    noise = noise_of(asked)
    written = f"noise: {{accounting: rdp, shares: {list(noise.shares)}}}"
    text = path.read_text(encoding="utf-8").replace("privacy: {", f"privacy: {{{written}, ")
    path.write_text(text, encoding="utf-8")
    assert noise_of(load(path)) == Noise(accounting="rdp", shares=noise.shares)
    path.write_text(text.replace("shares: [", "shares: [1, "), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert caught.value.code == "STUDY_NOISE"


def test_amounts_are_accounted_by_orders_and_exact_sums_have_no_noise(tmp_path: Path) -> None:
    gates.write(tmp_path / "cities", study=gates.STUDY + "  - {id: age_mean, kind: mean, of: age}\n")
    mixed = split.stated(load(tmp_path / "cities" / "study.yaml"))
    assert mixed.accounting == "rdp"
    exact = mixed.in_exact_mode()
    assert split.stated(exact) is exact
    assert (exact.accounting, exact.file.privacy.noise) == ("none", None)
    assert exact.digest == load(tmp_path / "cities" / "study.yaml").in_exact_mode().digest
    if (noise := mixed.file.privacy.noise) is None:
        noise = Noise(accounting="rdp", shares=(1,) * len(mixed.shares))
    with pytest.raises(ConfigError, match="nothing but counts"):
        mixed.with_noise(noise.model_copy(update={"accounting": "pld", "scale": 1 << 30}))


def test_results_say_how_it_was_accounted_and_their_bundle_verifies(asked: Study, folder: Path, tmp_path: Path) -> None:
    outcome = world.run(asked, folder, tmp_path / "homes", seed=1)
    out = tmp_path / "out"
    output.write(out, outcome.results, outcome.events, outcome.sealer)
    privacy = json.loads(outcome.results)["privacy"]
    assert privacy["accounting"] == "pld"
    assert privacy["noise"] == noise_of(asked).model_dump(mode="json")
    assert privacy["spent"][0]["epsilon"] == float(asked.epsilon)
    assert all(step.holds for step in verify.verify(out))
