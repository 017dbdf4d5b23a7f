"""The shipped study as it is written: its size, which questions are released both ways, and the two that wait for data."""

import re
from pathlib import Path
from typing import Final

from coordinator import release
from protocols import study as studies

FLAGSHIP: Final = Path(release.__file__).parent / "studies" / "flexible-employment-profile.yaml"
HEADLINES: Final = {"accounts", "product", "status", "withdrew", "abnormal", "owner", "base_mean", "retention"}
WAITING: Final = ["vintage", "worries"]


def test_its_headlines_are_released_both_ways_and_its_vectors_are_short() -> None:
    asked = studies.load(FLAGSHIP)
    assert len(asked.file.questions) <= 80
    assert {q.id for q in asked.file.questions if asked.release_of(q) == "both"} == HEADLINES
    assert {q.id for q in asked.file.questions if asked.release_of(q) == "by_city"} == {"cities", "cities_base"}
    assert asked.workload.layout.length <= 60_000
    assert asked.workload.own.length <= 4_000


def test_the_two_questions_that_wait_for_data_are_asked_by_taking_away_a_mark(tmp_path: Path) -> None:
    text, found = re.subn(r"^  # (- \{id: .*\})$", r"  \1", FLAGSHIP.read_text(encoding="utf-8"), flags=re.M)
    (tmp_path / "study.yaml").write_text(text, encoding="utf-8")
    asked = studies.load(tmp_path / "study.yaml")
    assert [question.id for question in asked.file.questions[-found:]] == WAITING
    assert asked.workload.layout.length <= 60_000
