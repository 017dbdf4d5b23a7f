"""How long `study plan` computes for fifty questions, expected widths and marks of every row included."""

import statistics
import tempfile
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Final

from coordinator import beforehand, plan
from coordinator.beforehand import Beforehand
from protocols.study import Study, load
from simulations import cities, standins
from simulations.bench import Line, line, spent

LIMIT_S: Final = 2.0
QUESTIONS: Final = 50


def lines(quick: bool = False) -> Iterator[Line]:
    """Seconds of CPU from a study and what is known beforehand to the published plan, median of five. Target: 2 s."""
    study = fifty()
    with tempfile.TemporaryDirectory(prefix="hpfed-bench-") as place:
        folder = Path(place) / "cities"
        cities.write(folder, cities.ALL[:3] if quick else cities.ALL, 500 if quick else None)
        found = Beforehand(cities=standins.known(study, folder, 0), twin=standins.twin(study, folder))
    took = statistics.median(spent(lambda: computed(study, found))[1] for _ in range(1 if quick else 5))
    yield line("study plan, 50 questions, CPU", "s", took, LIMIT_S, "limit", 1.0, "less", "the twin's sums apart")


def fifty() -> Study:
    """The shipped study, and some of its questions again under other names."""
    shipped = resources.files("coordinator.studies") / "flexible-employment-profile.yaml"
    with resources.as_file(shipped) as path:
        study = load(path)
    asked = study.file.questions
    again = (each.model_copy(update={"id": f"{each.id}_again"}) for each in reversed(asked))
    more = tuple(question for question, _ in zip(again, range(QUESTIONS - len(asked)), strict=False))
    return Study(study.file.model_copy(update={"questions": (*asked, *more)}), study.dictionary)


def computed(study: Study, found: Beforehand) -> dict[str, object]:
    """The plan as machines get it."""
    return plan.published(
        plan.planned(study, found.cities, "folder", lambda names: beforehand.stand_ins(names, study, found)), []
    )
