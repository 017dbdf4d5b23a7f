"""The noise that a study states: apart from `study.py`, for whoever reads results and needs no kinds of questions."""

from typing import Annotated, Final, Literal

from pydantic import Field

from protocols.yamltext import Record, Whole

MOST_EXACT: Final = (1 << 53) - 1  # integers that every reader of JSON keeps


class Noise(Record):
    """How much noise every block gets, as the coordinator found it: a part of what is signed and approved, so that nobody finds another.

    `shares`: what each block of the sum, then of each city's own answer, pays of the whole cost, in parts of their sum. `scale`: lambda, in
    2^-20, of V = D2 lambda / share. It is said under `pld` alone, which everybody checks in floats; the Rényi orders of `rdp` find it in
    exact arithmetic. A study without this pays equally for every block, times its weight, by Rényi orders.
    """

    accounting: Literal["pld", "rdp"]
    shares: Annotated[tuple[Annotated[Whole, Field(ge=1, le=MOST_EXACT)], ...], Field(min_length=1)]
    scale: Annotated[Whole, Field(ge=1, le=MOST_EXACT)] | None = None
