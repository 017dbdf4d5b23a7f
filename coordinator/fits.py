"""What many-round questions came to, as files hold it: entries of results.json, and one file per model, `OUT/models/<id>.json`."""

import json
from collections.abc import Mapping
from typing import Any, Final

from coordinator import meaning
from protocols.canonical import canonical, digest
from protocols.models.interface import Result
from protocols.models.modelfile import ModelFile
from protocols.models.question import ManyRounds
from protocols.study import Study, months_later

CLUSTERS: Final = "hpf-clusters@1"
FOLDER: Final = "models"
LIFE_MONTHS: Final = 12  # after which a model is fitted anew


def entry(result: Result | None) -> dict[str, Any]:
    """What an answer of many rounds adds to its question's entry in results.json; without a `result`, what holds for every one."""
    if result is None:
        return {"rows": [], "tests": [], "keys": []}
    rows = [row.published("pooled") for row in result.rows]
    return {
        "rows": rows,
        "tests": [{"name": test.name, **test.values} for test in result.tests],
        "keys": list(dict.fromkeys(name for row in result.rows for name in row.keys)),
        "coefficients": [dict(each) for each in result.coefficients],
        "fit": dict(result.fit),
    }


def files(study: Study, fits: Mapping[str, Result], cities: Mapping[str, tuple[str, ...]]) -> dict[str, bytes]:
    """The models that came out, by path under OUT. `cities`: of each question, those whose holders it is about."""
    return {
        path_of(question.id): _model(study, question, fits[question.id], cities[question.id])
        for question in study.many
        if question.id in fits and fits[question.id].model
    }


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
    event = getattr(question, "event", None)
    means = meaning.of_event(study.dictionary, event) if event else meaning.meaning(study.meant, found.outcome)
    parent = {} if found.parent is None else {"parent": found.parent}
    return {
        "model": {
            "file": path,
            "digest": digest(content),
            "version": found.version,
            **parent,
            "as_of": found.as_of.isoformat(),
            "expires": found.expires.isoformat(),
            "outcome": event or found.outcome,
            "means": means,
            "reads": list(found.needs),
            "rows": found.rows,
        }
    }


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
