"""The frozen transcript of a k-means: what a city sends, and what totals lead to, does not change by accident."""

import json
from typing import Any

import numpy as np
import pytest

from protocols.dictionary import Reading
from protocols.errors import PeerError
from protocols.models.interface import Ask
from protocols.models.kmeans import Clusters
from tests.laws.generated import AS_OF, SMALL
from tests.laws.generated import table as small_table
from tests.models.kmeans_vectors import FILE, made, model_of
from tests.models.test_vectors import alike

NOBODY = Reading(small_table([]), SMALL, AS_OF)
FROZEN: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))


def test_the_transcript_is_what_it_was() -> None:
    """Whole numbers are the same; others may differ in their last digits between machines."""
    assert alike(json.loads(json.dumps(made())), FROZEN)


@pytest.mark.parametrize("mode", ["dp", "exact"])
def test_what_is_bad_is_refused(mode: str) -> None:
    model, rounds = model_of(mode), FROZEN["modes"][mode]["rounds"]
    before = Clusters.model_validate_json(json.dumps(rounds[0]["state"]))
    ask = Ask.model_validate_json(json.dumps(rounds[1]["ask"]))
    total = np.array(rounds[1]["total"], np.int64)
    elsewhere = ask.model_copy(update={"point": (*ask.point[:-1], ask.point[-1] + 1e-6)})
    found = []
    for bad, length in ((ask, len(total) - 1), (elsewhere, len(total))):
        with pytest.raises(PeerError) as refused:
            model.tell(before, bad, total[:length])
        found.append(refused.value.code)
    with pytest.raises(PeerError) as refused:
        model.encode(ask.model_copy(update={"study": "sha256:" + "1" * 64}), model.measure(ask, NOBODY, 0))
    assert [*found, refused.value.code] == [each["code"] for each in FROZEN["bad"]]
