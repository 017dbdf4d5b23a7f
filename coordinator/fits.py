"""What many-round questions came to, as files hold it: entries of results.json, and one file per model, `OUT/models/<id>.json`."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from coordinator.results import POOLED
from protocols.canonical import canonical
from protocols.models.evaluate_question import EvaluateQuestion
from protocols.models.interface import Result
from protocols.models.modelfile import ModelFile
from protocols.models.question import ManyRounds
from protocols.study import Study, months_later

CLUSTERS: Final = "hpf-clusters@1"
FOLDER: Final = "models"
LIFE_MONTHS: Final = 12  # after which a model is fitted anew


def entry(result: Result | None, cities: Mapping[int, str]) -> dict[str, Any]:
    """What an answer of many rounds adds to its question's entry in results.json; without a `result`, what holds for every one. `cities`:
    names of those that can answer it, by their place in the plan."""
    if result is None:
        return {"rows": [], "tests": [], "keys": []}
    told = {name: result.cities[place] for place, name in cities.items() if place in result.cities}
    scopes = {POOLED: (result.rows, result.tests), **told}
    return {
        "rows": [row.published(scope) for scope, (rows, _) in scopes.items() for row in rows],
        "tests": [
            {"name": test.name, **({} if scope == POOLED else {"scope": scope}), **test.values}
            for scope, (_, tests) in scopes.items()
            for test in tests
        ],
        "keys": list(dict.fromkeys(name for rows, _ in scopes.values() for row in rows for name in row.keys)),
        "coefficients": [dict(each) for each in result.coefficients],
        "fit": dict(result.fit),
    }


def files(study: Study, fits: Mapping[str, Result], cities: Mapping[str, tuple[str, ...]]) -> dict[str, bytes]:
    """The models that came out, by path under OUT. `cities`: of each question, those whose holders it is about."""
    with_scores = {
        name: replace(each, model={**each.model, **_reference(study, fits, name)}) for name, each in fits.items()
    }
    return {
        f"{FOLDER}/{question.id}.json": _model(study, question, with_scores[question.id], cities[question.id])
        for question in study.many
        if question.id in fits and fits[question.id].model
    }


def _reference(study: Study, fits: Mapping[str, Result], name: str) -> dict[str, Any]:
    """Of a model that its own study evaluates: the scores of the rows it was fitted on, which later scores are held against."""
    evaluations = [each for each in study.many if isinstance(each, EvaluateQuestion) and each.model == name]
    found = [fits[each.id].fit["reference"] for each in evaluations if "reference" in fits[each.id].fit]
    return {"reference": found[0]} if found and fits[name].model else {}


def _model(study: Study, question: ManyRounds, result: Result, cities: tuple[str, ...]) -> bytes:
    """What rows can be scored by is a model file; clusters are a file of their own format, which nothing scores by."""
    origin = {
        "id": question.id,
        "study": study.digest,
        "run": study.run - 1,
        "dictionary": study.dictionary.name,
        "dictionary_digest": study.dictionary.digest,
        "as_of": study.file.as_of.isoformat(),
        "expires": months_later(study.file.as_of, LIFE_MONTHS).isoformat(),
        "cities": list(cities),
    }
    if question.kind == "kmeans":
        return canonical({"format": CLUSTERS, **origin, **result.model})
    origin["rows"] = round(float(result.fit["n"]))
    return ModelFile.model_validate_json(json.dumps({**result.model, **origin}), strict=True).content
