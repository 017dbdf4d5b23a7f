"""T25: boosted trees that grow until a leaf holds a few holders: its weight is what became of them."""

from dataclasses import replace
from typing import Final

import numpy as np

from protocols.canonical import digest
from protocols.columns import Column
from protocols.dictionary import Dictionary
from protocols.entropy import Entropy, exactly
from protocols.models import gbdt
from protocols.models.gbdt import Gbdt
from protocols.models.interface import Done
from protocols.models.scoring import leaves_of, missing_places, places_of
from simulations.attacks.doubles import any_leaf
from simulations.attacks.outcome import Outcome
from simulations.attacks.parties import Weaken, World

THREAT: Final = "T25"
WHAT: Final = {"zh": "只有几个人的叶子", "en": "a leaf that a few holders stand in"}
HOLDS: Final = {"zh": "精确模型的公布树", "en": "the published trees of an exact model"}
WEAKENED: Final[tuple[Weaken, ...]] = (lambda world: replace(world, fits=any_leaf),)
CITIES, ROWS, JOBS, LEAST = 3, 400, 40, 10
QUESTION: Final = Gbdt.model_validate(
    {"outcome": "left", "features": ("job", "sex"), "trees": 3, "depth": 6, "lambda": 0.0, "min_child_weight": 0.0}
)
DICTIONARY: Final = Dictionary.model_validate(
    {
        "dictionary": "leaves",
        "version": 1,
        "variables": {
            "job": {"type": "category", "codes": {f"j{at}": {} for at in range(JOBS)}},
            "sex": {"type": "category", "codes": {"male": {}, "female": {}}},
            "left": {"type": "boolean"},
        },
    },
    strict=False,
)
Holders = dict[str, Column]


def run(world: World, entropy: Entropy) -> Outcome:
    """Holders in leaves of fewer than ten, over the trees of three cities that are grown as deep as they go."""
    with world.fits():
        model = gbdt.plan(QUESTION, DICTIONARY, CITIES, ROWS, digest(b"leaves"))
        cities = [holders(entropy) for _ in range(CITIES)]
        state = model.start()
        while not isinstance(ask := model.ask(state), Done):
            vectors = [model.encode(ask, model.measure(ask, city.__getitem__, ROWS)) for city in cities]
            state = model.tell(state, ask, np.sum(vectors, axis=0))
    fit = model.finalize(state).fit
    assert fit.trees  # noqa: S101 trees that never grow would prove nothing
    missing, alone = missing_places(fit.features), np.zeros(CITIES * ROWS, bool)
    places = np.concatenate([places_of(fit.features, DICTIONARY, city.__getitem__) for city in cities], axis=1)
    for tree in fit.trees:
        leaf = leaves_of(tree, places, missing)
        alone |= np.bincount(leaf)[leaf] < LEAST
    return Outcome(int(alone.sum()), 0, "holders")


def holders(entropy: Entropy) -> Holders:
    """One city's: jobs, some of which few have, and who left, which goes with the job."""
    drawn = np.frombuffer(exactly(entropy, 3 * ROWS), np.uint8).reshape(3, ROWS).astype(np.int64)
    job, known = (drawn[0] ** 2 // 1_626).astype(np.int16), np.ones(ROWS, bool)
    left = drawn[1] < 40 + 150 * (job % 3 == 0)
    return {
        "job": Column(job, known),
        "sex": Column((drawn[2] % 2).astype(np.int16), known),
        "left": Column(left, known),
    }
