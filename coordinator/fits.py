"""What many-round questions came to, as files hold it: entries of results.json, and one file per model, `OUT/models/<id>.json`."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from coordinator import meaning
from coordinator.results import POOLED
from protocols.canonical import canonical, digest
from protocols.models.evaluate_question import EvaluateQuestion
from protocols.models.interface import Result
from protocols.models.modelfile import ModelFile, Monthly
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
        "fit": {**result.fit, **_of_cities(result, cities)},
    }


def _of_cities(result: Result, cities: Mapping[int, str]) -> dict[str, Any]:
    """The influence of each city, under its name."""
    told = result.fit.get("influence", ())
    named = [
        {"city": cities[each["place"]]} | {key: value for key, value in each.items() if key != "place"}
        for each in told
        if each["place"] in cities
    ]
    return {"influence": named} if named else {}


def files(
    study: Study, fits: Mapping[str, Result], cities: Mapping[str, tuple[str, ...]], least: int
) -> dict[str, bytes]:
    """The models that came out, by path under OUT. `cities`: of each question, those whose holders it is about. `least`: rows of a band
    of scores that a file may tell."""
    with_scores = {
        name: replace(each, model={**each.model, **_reference(study, fits, name, least)}) for name, each in fits.items()
    }
    found: dict[str, bytes] = {}
    by = {each.id: each for each in study.many if each.id in fits and fits[each.id].model}
    for name in sorted(by, key=lambda each: len(_parents(by, each))):
        parent = _parent(by[name], found)
        found[path_of(name)] = _model(study, by[name], with_scores[name], cities[name], parent)
    return {path_of(name): found[path_of(name)] for name in by}


def _parents(by: Mapping[str, ManyRounds], name: str) -> tuple[str, ...]:
    """The questions whose models this one recalibrates, one after the other."""
    question = by.get(name)
    above = question.model if isinstance(question, EvaluateQuestion) else ""
    return (above, *_parents(by, above)) if above in by else ()


def _parent(question: ManyRounds, found: Mapping[str, bytes]) -> dict[str, Any]:
    """Version and parent of a model that recalibrates another: a file of the study, or one that it made just now."""
    if not isinstance(question, EvaluateQuestion):
        return {}
    file = (question.files or {}).get(question.model)
    if file is None:
        file = ModelFile.model_validate_json(found[path_of(question.model)], strict=True)
    return {"version": file.version + 1, "parent": file.digest}


def path_of(name: str) -> str:
    """Where the model of a question stands, under OUT."""
    return f"{FOLDER}/{name}.json"


def part(study: Study, question: ManyRounds, files_: Mapping[str, bytes]) -> dict[str, Any]:
    """What results.json says of the file of a model, if there is one that scores: which bytes it has, how long it holds, what it
    predicts and reads. The card of the model is made of this and the rest of results.json."""
    path = path_of(question.id)
    if path not in files_ or question.kind == "kmeans":
        return {}
    content = files_[path]
    found = ModelFile.model_validate_json(content, strict=True)
    if isinstance(found.fit, Monthly):
        months = found.fit.months
        means = meaning.of_event(study.dictionary, f"{months.table}.{months.event}", months.codes)
    else:
        means = meaning.meaning(study.meant, found.outcome)
    parent = {} if found.parent is None else {"parent": found.parent}
    return {
        "model": {
            "file": path,
            "kind": found.fit.kind if isinstance(question, EvaluateQuestion) else question.kind,
            "digest": digest(content),
            "version": found.version,
            **parent,
            "as_of": found.as_of.isoformat(),
            "expires": found.expires.isoformat(),
            "outcome": found.outcome,
            "means": means,
            "reads": list(found.needs),
            "rows": found.rows,
        }
    }


def _reference(study: Study, fits: Mapping[str, Result], name: str, least: int) -> dict[str, Any]:
    """Of a model that its own study evaluates: the scores of the rows it was fitted on, which later scores are held against."""
    evaluations = [each for each in study.many if isinstance(each, EvaluateQuestion) and each.model == name]
    found = [fits[each.id].fit["reference"] for each in evaluations if "reference" in fits[each.id].fit]
    told = [each for each in found if min(each["counts"]) >= least]
    return {"reference": told[0]} if told and fits[name].model else {}


def _model(
    study: Study, question: ManyRounds, result: Result, cities: tuple[str, ...], parent: Mapping[str, Any]
) -> bytes:
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
    filters = (study.file.cohort, question.cohort)
    origin["cohort"] = [each.model_dump(mode="json", by_alias=True, exclude_none=True) for each in filters if each]
    origin["rows"] = round(float(result.fit["n"]))
    return ModelFile.model_validate_json(json.dumps({**result.model, **origin, **parent}), strict=True).content
