"""Parts that tables and pictures of models share: a list with its heads in words, rates in per cent, a picture with its table."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from coordinator.report.charts import Picture
from coordinator.report.grids import Grid, Group, letters
from coordinator.report.numbers import decimals, fixed
from coordinator.report.wording import Wording


@dataclass(frozen=True)
class Drawn:
    """One picture. `look`: also the end of its anchor."""

    look: str
    title: Markup
    sentence: Markup
    twin: Grid
    plan: Picture | None


def listed(wording: Wording, what: str, stubs: Sequence[str], heads: Sequence[str], groups: Sequence[Group]) -> Grid:
    made = tuple(groups)
    return Grid(
        "list", wording.say(what, confidence=wording.percent()), tuple(stubs), tuple(heads), made, letters(made)
    )


def headed(wording: Wording, *keys: str) -> list[str]:
    return [str(wording.say(key, confidence=wording.percent(), unit=wording.unit()).unescape()) for key in keys]


def per_cent(value: float) -> str:
    """A share as it stands in a column of per cent."""
    return fixed(100 * value, decimals("share", 100 * value))
