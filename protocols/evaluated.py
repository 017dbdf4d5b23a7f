"""Model files that a study evaluates: `model: models/stops.json`, a path beside the study.

They become a part of the study, whole, so that the digest which cities approve names every number that is evaluated, and so that a city
needs no file of its own. A file is named by a path that ends in `.json`; anything else is the id of a question.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from math import ceil
from pathlib import Path
from typing import Any, Final

from protocols.dictionary import Dictionary
from protocols.errors import Both, ConfigError, HpfedError, Place, joined
from protocols.models import modelfile
from protocols.models.evaluate_question import EvaluateQuestion
from protocols.models.modelfile import ModelFile
from protocols.yamltext import Document, Tree

ENDING: Final = ".json"
KEYS: Final = ("model", "against")
FILES: Final = "files"  # the key of a question that they are put under; nobody writes it
MIB: Final = 1 << 20
MOST_BYTES: Final = 4 * MIB  # of one file: it travels in every offer
MOST_TOGETHER: Final = 12 * MIB  # of all that questions name, each time that one does: an offer has 16 MiB


def _named(tree: Tree) -> Iterator[tuple[int, str, str]]:
    """Place of the question, key, path."""
    questions = tree.get("questions") if isinstance(tree, dict) else None
    for number, question in enumerate(questions if isinstance(questions, list) else ()):
        if isinstance(question, dict) and question.get("kind") == "evaluate":
            for key in KEYS:
                path = question.get(key)
                if isinstance(path, str) and path.endswith(ENDING):
                    yield number, key, path


def paths(tree: Tree) -> tuple[str, ...]:
    """The files that a study names, each once, in its order."""
    return tuple(dict.fromkeys(path for _, _, path in _named(tree)))


def contents(named: Sequence[str], beside: Path) -> tuple[bytes, ...]:
    """Their bytes; of a file that is too large no more than tells so, of one that is not there none."""
    found = []
    for name in named:
        path = beside / name
        if not path.is_file():
            found.append(b"")
            continue
        with path.open("rb") as file:
            found.append(file.read(MOST_BYTES + 1))
    return tuple(found)


def expanded(document: Document, given: Sequence[bytes]) -> Tree:
    """The tree of a study with the files in it, in the order of `paths`.

    Errors: `ConfigError` FILE_MISSING, MODEL_FILE, STUDY_MODELS, SCHEMA_KEY, and those of their schema, each at the key that names
    the file.
    """
    named, faults = paths(document.tree), list[HpfedError](_written(document))
    sizes = dict(zip(named, map(len, given), strict=False))
    together = sum(sizes.get(path, 0) for _, _, path in _named(document.tree))
    if together > MOST_TOGETHER:
        at = document.at("questions")
        raise ConfigError("STUDY_MODELS", at, faults, size=ceil(together / MIB), limit=MOST_TOGETHER // MIB)
    read = dict[str, ModelFile]()
    first = {path: document.at("questions", number, key) for number, key, path in reversed(list(_named(document.tree)))}
    for number, path in enumerate(named):
        try:
            read[path] = _read(path, given[number] if number < len(given) else b"")
        except HpfedError as fault:
            faults += [_at(each, path, first[path]) for each in fault.every()]
    found = joined(faults)
    if found:
        raise found
    return _filled(document.tree, read)


def _written(document: Document) -> Iterator[ConfigError]:
    """A study in which somebody wrote the key that files are put under."""
    questions = document.tree.get("questions") if isinstance(document.tree, dict) else None
    for number, question in enumerate(questions if isinstance(questions, list) else ()):
        if isinstance(question, dict) and question.get("kind") == "evaluate" and FILES in question:
            at = document.at("questions", number, FILES)
            zh, en = "模型文件的路径写在 model 或 against 中", "The path of a model file stands in model or against"
            yield ConfigError("SCHEMA_KEY", at, key=FILES, near_zh=zh, near_en=en)


def _read(path: str, content: bytes) -> ModelFile:
    if not content:
        raise ConfigError("FILE_MISSING", Place(path))
    if len(content) > MOST_BYTES:
        raise ConfigError("MODEL_FILE", problem=Both("文件超过 4 MiB", "it is larger than 4 MiB"))
    return modelfile.read(content, path)


def _at(fault: HpfedError, path: str, place: Place) -> HpfedError:
    """A fault of a model file, said of the study that names it: what stands where in the file, at the key of the study."""
    inside = fault.at.key if fault.at is not None else ""
    shown = f"{path}: {inside}" if inside else path
    fault.at = Place(place.file, place.line, f"{place.key} ({shown})")
    return fault


def _filled(tree: Any, read: Mapping[str, ModelFile]) -> Tree:
    """Each question with its own."""
    if not read:
        found: Tree = tree
        return found
    questions = list(tree["questions"])
    for number, _, path in _named(tree):
        kept = {**questions[number].get(FILES, {}), path: read[path].model_dump(mode="json")}
        questions[number] = {**questions[number], FILES: kept}
    return {**tree, "questions": questions}


def faults(questions: Sequence[Any], dictionary: Dictionary, last: date, document: Document) -> Iterator[ConfigError]:
    """What is wrong with files of sound form: another dictionary than the study's, or one that no longer held on the date of its rows.

    last: that date, of the last run.
    """
    for number, question in enumerate(questions):
        if not isinstance(question, EvaluateQuestion):
            continue
        for key in KEYS:
            model = (question.files or {}).get(getattr(question, key) or "")
            at = document.at("questions", number, key)
            if model is None:
                continue
            if model.dictionary_digest != dictionary.digest:
                theirs, ours = (_words(*each) for each in _of(model, dictionary))
                yield ConfigError("MODEL_DICTIONARY", at, id=model.id, theirs=theirs, ours=ours)
            if last > model.expires:
                yield ConfigError("MODEL_EXPIRED", at, id=model.id, expires=model.expires.isoformat())
        strange = sorted((question.files or {}).keys() - {question.model, question.against})
        if strange:
            yield ConfigError("MODEL_ABSENT", document.at("questions", number), id=strange[0])


def _of(model: ModelFile, dictionary: Dictionary) -> tuple[tuple[str, str], tuple[str, str]]:
    return (model.dictionary, model.dictionary_digest), (dictionary.name, dictionary.digest)


def _words(name: str, digest: str) -> str:
    """`six@1 (6f3a91c2)`: the same name may have been given to other content."""
    return f"{name} ({digest.removeprefix('sha256:')[:8]})"
