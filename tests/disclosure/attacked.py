"""Attacks as tests play them: once against the product, once against each world with one guard taken out."""

from functools import cache

from simulations import attacks
from simulations.attacks import Tried

SEED = 7


@cache
def tried(name: str) -> Tried:
    """The attack of `hpfed-simulate attack NAME`, played once for a file of tests."""
    return attacks.tried(name, SEED)


def words(name: str) -> set[str]:
    """The words with which the product refused."""
    return set(tried(name).outcome.codes)
