"""What cannot be asked of `moments`."""

from typing import Any, Final

import pytest

from protocols.errors import CODES
from protocols.statistics import KINDS
from tests.laws.generated import SMALL

FAULTS: Final[dict[str, tuple[dict[str, Any], str, str]]] = {
    "one variable": ({"of": ["income"]}, "of", "MOMENTS_COUNT"),
    "no such variable": ({"of": ["income", "age"]}, "of", "STUDY_VARIABLE"),
    "a category": ({"of": ["income", "sex"]}, "of", "STUDY_NOT_AN_AMOUNT"),
    "one variable twice": ({"of": ["income", "owner", "income"]}, "of", "STUDY_TWICE"),
    "bounds of a boolean": ({"of": ["income", "owner"], "clip": {"owner": ["0", "1"]}}, "clip", "STUDY_CLIP"),
    "bounds beyond the range": ({"of": ["income", "owner"], "clip": {"income": ["0", "3e5"]}}, "clip", "STUDY_BOUNDS"),
}


@pytest.mark.parametrize(("asked", "key", "code"), FAULTS.values(), ids=FAULTS.keys())
def test_what_cannot_be_asked_is_named(asked: dict[str, Any], key: str, code: str) -> None:
    found = list(KINDS["moments"].model_validate({"id": "q", "kind": "moments", **asked}).faults(SMALL))
    assert [(fault.key, fault.code) for fault in found] == [(key, code)]
    assert code in CODES
