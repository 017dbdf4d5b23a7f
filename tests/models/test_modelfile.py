"""A model file says all that a score needs, refuses what it is not, and gives the same score everywhere."""

import json
from collections.abc import Callable
from datetime import date
from typing import Any

import numpy as np
import pytest

from protocols.dictionary import Column
from protocols.entropy import public_stream
from protocols.errors import ConfigError
from protocols.models.binning import Bins
from protocols.models.glm import Glm, Limits
from protocols.models.modelfile import ModelFile, Tree, Trees, load
from protocols.models.saved import linear
from protocols.models.scoring import adapted, scores
from tests.models import federation
from tests.models.data import Frame, dictionary, germancredit
from tests.models.rounds import MADE, divided, filed
from tests.models.test_evaluate import logit, people

CREDITS = tuple(f"v{number}" for number in range(20))


def saved(frame: Frame, question: Glm, limits: Limits = federation.OPEN) -> ModelFile:
    """The file of a fit over six cities, written and read."""
    cities = divided(frame)
    planned = federation.planned(frame, question, cities, limits)
    _, log = federation.conversation(planned, cities)
    names = [*planned.design.variables, *((question.offset,) if question.offset else ())]
    file = filed(frame, linear(planned, log.states[-1]), question.outcome, names)
    return load(file.content, "model.json", MADE)


def test_a_file_is_one_byte_string_and_reads_back() -> None:
    model = logit()
    assert load(model.content, "model.json", MADE) == model
    assert load(model.content, "model.json", MADE).digest == model.digest


def stump(**changed: Any) -> dict[str, Any]:
    tree: dict[str, Any] = {
        "feature": [0, -1, -1],
        "bin": [1, 0, 0],
        "missing_left": [True, False, False],
        "left": [1, 0, 0],
        "right": [2, 0, 0],
        "value": [0.0, -0.5, 0.5],
        "gain": [3.0, 0.0, 0.0],
        "hessian": [9.0, 4.0, 5.0],
    }
    return tree | changed


def boosted() -> ModelFile:
    tree = Tree.model_validate_json(json.dumps(stump()))
    fit = Trees(features=(Bins(name="sex", codes=("male", "female", "rare")),), base=-0.5, trees=(tree,))
    return filed(people(10), fit, "stopped", ["sex"])


def changed(model: ModelFile, *path: Any) -> str:
    """The file with one value replaced: the last of `path`; `...` takes it out."""
    tree = json.loads(model.content)
    *keys, last, value = path
    at = tree
    for key in keys:
        at = at[key]
    if value is ...:
        del at[last]
    else:
        at[last] = value
    return json.dumps(tree)


FAULTS: dict[str, tuple[Callable[[], str], str]] = {
    "an unknown key": (lambda: changed(logit(), "colour", "red"), "colour"),
    "a key deep inside": (lambda: changed(logit(), "fit", "weights", 0, "se", 1.0), "se"),
    "not a number": (lambda: changed(logit(), "fit", "weights", 0, "estimate", float("nan")), "finite"),
    "an infinite one": (lambda: changed(logit(), "fit", "error_bound", float("inf")), "finite"),
    "a missing key": (lambda: changed(logit(), "outcome", ...), "outcome"),
    "another format": (lambda: changed(logit(), "model", "hpf-model@2"), "hpf-model@1"),
    "no JSON": (lambda: "model: hpf-model@1", "not JSON"),
    "a key twice": (lambda: '{"model": "hpf-model@1", "model": "hpf-model@1"}', "not JSON"),
    "a list": (lambda: "[]", "no mapping"),
    "far too deep": (lambda: "[" * 200_000, "not JSON"),
    "an expiry before its rows": (lambda: changed(logit(), "expires", "2020-01-01"), "expires"),
    "a covariance of another size": (lambda: changed(logit(), "fit", "covariance", [[1.0]]), "covariance"),
    "no constant": (lambda: changed(logit(), "fit", "weights", 0, "columns", ["x"]), "constant"),
    "a column that no term has": (lambda: changed(logit(), "fit", "weights", 1, "columns", ["y"]), "y"),
    "a term that makes no sense": (lambda: changed(logit(), "fit", "terms", ["exp(x)"]), "exp(x)"),
    "a term without a variable": (lambda: changed(logit(), "variables", []), "x"),
    "a link of another family": (lambda: changed(logit(), "fit", "link", "log"), "family"),
    "a range that falls": (lambda: changed(logit(), "variables", 0, "range", [6.0, -6.0]), "variables"),
    "a tree that goes in a circle": (lambda: changed(boosted(), "fit", "trees", 0, stump(left=[0, 0, 0])), "tree"),
    "a child before its parent": (
        lambda: changed(boosted(), "fit", "trees", 0, stump(feature=[-1, 0, -1], left=[0, 1, 0], right=[0, 2, 0])),
        "tree",
    ),
    "a split where there is no edge": (lambda: changed(boosted(), "fit", "trees", 0, stump(bin=[9, 0, 0])), "edge"),
    "codes of another dictionary": (lambda: changed(boosted(), "fit", "features", 0, "codes", ["a", "b"]), "sex"),
    "edges that fall": (lambda: changed(boosted(), "fit", "features", 0, {"name": "sex", "edges": [2.0, 1.0]}), "rise"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_named_and_ends_with_two(fault: str) -> None:
    made, named = FAULTS[fault]
    with pytest.raises(ConfigError) as refused:
        load(made().encode(), "model.json", MADE)
    assert refused.value.exit_code == 2
    assert any(named in each.text("en") for each in refused.value.every()), refused.value.text("en")
    assert refused.value.text("zh")


def test_an_expired_model_and_a_huge_file_are_refused() -> None:
    load(logit().content, "model.json", date(2027, 11, 1))
    with pytest.raises(ConfigError, match="valid until 2027-11-01"):
        load(logit().content, "model.json", date(2027, 11, 2))
    with pytest.raises(ConfigError, match="too large"):
        load(b" " * ((32 << 20) + 1), "model.json", MADE)


def test_a_score_is_the_pooled_prediction_of_statsmodels_and_the_plain_sum_of_the_file() -> None:
    import statsmodels.api as sm

    frame = germancredit()
    file = saved(frame, Glm(family="binomial", outcome="bad", terms=CREDITS))
    found = scores(file, adapted(file, frame.dictionary, frame.columns.__getitem__), frame.rows)
    x, y = frame.matrix(CREDITS), frame.values("bad")
    reference = sm.GLM(y, x, family=sm.families.Binomial()).fit(tol=1e-13)
    assert np.abs(found.mean - reference.predict(x)).max() < 1e-8
    written = json.loads(file.content)["fit"]["weights"]
    plain = x @ np.array([each["estimate"] for each in written])
    assert np.abs(found.margin - plain).max() <= 1e-12 * max(1.0, np.abs(plain).max())


def work() -> Frame:
    stream = public_stream("tests", "models", "file")
    rows, everyone = 900, np.ones(900, bool)
    kind = np.where(np.arange(rows) < 12, 3, stream.integers(0, 3, rows)).astype(np.int16)
    fee = stream.integers(100, 50_000, rows)
    columns = {
        "kind": Column(kind, everyone),
        "fee": Column(fee, stream.random(rows) > 0.1),
        "shift": Column(stream.normal(size=rows).clip(-4, 4), everyone),
        "count": Column(stream.poisson(np.exp(0.2 + 0.3 * (kind == 1))), everyone),
    }
    variables = {
        "kind": {"type": "category", "codes": {"a": {}, "other": {}, "b": {}, "rare": {}}},
        "fee": {"type": "money", "unit": "CNY", "range": ["0", "600.00"]},
        "shift": {"type": "number", "range": ["-4", "4"]},
        "count": {"type": "integer", "range": [0, 60]},
    }
    return Frame(dictionary(variables), columns, rows)


def test_joined_codes_offsets_and_missing_indicators_score_as_they_were_fitted() -> None:
    frame = work()
    question = Glm(
        family="poisson", outcome="count", terms=("kind", "log1p(fee)", "kind:fee"), missing="indicator", offset="shift"
    )
    file = saved(frame, question, Limits(column_rows=20, column_cities=1, events_per_column=1))
    written = {each.term: each for each in getattr(file.fit, "weights", ())}
    assert written["kind[other]"].columns == ("kind[other]", "kind[rare]"), (
        "a thin code has joined `other`, in the file too"
    )
    found = scores(file, adapted(file, frame.dictionary, frame.columns.__getitem__), frame.rows)
    kind, fee, knows = frame.values("kind"), frame.values("fee") / 100, frame.columns["fee"].known
    fee = np.where(knows, fee, 0)
    named = {
        "intercept": np.ones(frame.rows),
        "kind[other]": (kind == 1) | (kind == 3),
        "kind[b]": kind == 2,
        "log1p(fee)": np.log1p(fee),
        "kind[other]:fee": (kind == 1) * fee,
        "kind[b]:fee": (kind == 2) * fee,
        "kind[rare]:fee": (kind == 3) * fee,
        "fee[_missing]": ~knows,
    }
    assert set(written) == set(named)
    eta = sum(written[term].estimate * column for term, column in named.items()) + frame.values("shift")
    assert np.abs(found.margin - eta).max() < 1e-12 * np.abs(eta).max()
    assert found.mean == pytest.approx(np.exp(eta), rel=1e-12)
    assert found.known.all()


def test_values_that_a_model_does_not_know_are_put_right_and_counted() -> None:
    model = logit()
    other = dictionary({"x": {"type": "number", "range": ["-99", "99"]}})
    given = Column(np.array([0.5, 40.0, -40.0, 0.0]), np.array([True, True, True, False]))
    here = adapted(model, other, {"x": given}.__getitem__)
    found = scores(model, here, 4)
    assert found.margin[:3] == pytest.approx([-1.0 + 0.35, -1.0 + 0.7 * 6, -1.0 - 0.7 * 6], abs=1e-12)
    assert found.known.tolist() == [True, True, True, False]
    assert (here.odd.clipped, here.odd.missing, here.odd.unknown) == ({"x": 2}, {"x": 1}, {"x": 0})
    newer = dictionary({"sex": {"type": "category", "codes": {"female": {}, "other": {}, "male": {}}}})
    codes = Column(np.array([0, 1, 2, 0], np.int16), np.array([True, True, True, False]))
    sexes = adapted(boosted(), newer, {"sex": codes}.__getitem__)
    assert scores(boosted(), sexes, 4).margin == pytest.approx([0.0, -1.0, -1.0, -1.0]), "male and missing go left"
    assert (sexes.odd.unknown, sexes.odd.missing) == ({"sex": 1}, {"sex": 1})
    unknown = Bins(name="sex", codes=("male", "female", "unknown"))
    file = boosted()
    with_unknown = file.model_copy(
        update={
            "fit": file.fit.model_copy(update={"features": (unknown,)}),
            "variables": (file.variables[0].model_copy(update={"codes": unknown.codes}),),
        }
    )
    met = adapted(ModelFile.model_validate_json(with_unknown.model_dump_json()), newer, {"sex": codes}.__getitem__)
    assert met("sex").values[:3].tolist() == [1, 2, 0], (
        "a code that the model does not know is `unknown` where it knows that"
    )
    assert met("sex").known.tolist() == [True, True, True, False]


def test_every_column_that_lacks_is_named() -> None:
    file = saved(work(), Glm(family="poisson", outcome="count", terms=("kind", "fee"), offset="shift"))
    poor = dictionary({"kind": {"type": "boolean"}, "fee": {"type": "money", "unit": "CNY", "range": ["0", "1"]}})
    columns: dict[str, Column] = {}
    for cannot, names in ((frozenset[str](), "kind, shift"), (frozenset({"fee"}), "kind, fee, shift")):
        with pytest.raises(ConfigError) as refused:
            adapted(file, poor, columns.__getitem__, cannot)
        assert refused.value.exit_code == 2
        assert f"the model needs {names}," in refused.value.text("en")


def test_means_without_a_value_have_no_score() -> None:
    """The inverse link has a mean only where eta is above 0."""
    model = logit(slope=1.0, constant=0.0, family="gamma", link="inverse")
    given = Column(np.array([2.0, -2.0]), np.ones(2, bool))
    found = scores(model, adapted(model, people(1).dictionary, {"x": given}.__getitem__), 2)
    assert found.known.tolist() == [True, False]
    assert found.mean[0] == 0.5
