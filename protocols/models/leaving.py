"""How far a fit would move without one city, told by that city. Exact mode.

At the final point the scores g_c of the cities add up to 0, so that one step of Newton without city c changes the coefficients by

    db_c = -(H - H_c)^-1 g_c

with H the information of all and H_c that of c. The city knows H from the totals, and g_c and H_c from its rows. What leaves it is
max |db_c / SE|, to 0.1, in a cell that it alone fills, and whether it could tell: where H - H_c is not positive definite, what the other
cities have does not determine the coefficients. Nobody refits without a city and publishes both: the difference would be the city's sums.

Source: D. Pregibon, Logistic regression diagnostics, Annals of Statistics 9 (1981), the one-step estimate, for groups of rows.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np

from protocols.models.answer import Influence
from protocols.models.design import Numbers
from protocols.models.fixedpoint import Block, Reals

TENTHS: Final = 10
MOST: Final = 1000.0  # standard errors; what moves farther is as good as not determined
FLAT: Final = 1e-9  # least over largest eigenvalue of what is left
FLAGGED: Final = 2.0  # standard errors
TOLD: Final = 1.0
CANNOT: Final = 2.0


def blocks(cities: int) -> tuple[Block, ...]:
    """A cell for each city, and whether it could tell."""
    return (Block("influence", cities), Block("told", cities))


def cells(place: int, cities: int, moved: float | None) -> Mapping[str, Reals]:
    """Those of one city. moved: in standard errors; none where it cannot tell."""
    influence, said = np.zeros(cities), np.zeros(cities)
    said[place] = CANNOT if moved is None else TOLD
    influence[place] = 0.0 if moved is None else float(np.rint(TENTHS * moved))
    return {"influence": influence, "told": said}


def moved(whole: Reals, own: Reals, score: Reals, back: Reals, errors: Reals) -> float | None:
    """max |db_c / SE| of one city. whole, own: H and H_c of z; score: g_c; back: coefficients from those of z; errors: their SE."""
    rest = whole - own
    eigenvalues = np.linalg.eigvalsh(rest)
    if not eigenvalues[0] > FLAT * eigenvalues[-1]:
        return None
    change = back @ np.linalg.solve(rest, -score)
    return min(float(np.abs(change / errors).max()), MOST)


def told(final: Mapping[str, Numbers]) -> tuple[Influence, ...]:
    """What every city told."""
    found = []
    for place, (tenths, said) in enumerate(zip(final["influence"], final["told"], strict=True)):
        if said == TOLD:
            found.append(Influence(place, tenths / TENTHS, tenths / TENTHS > FLAGGED))
        elif said == CANNOT:
            found.append(Influence(place, None, True, "cannot_tell"))
        else:
            found.append(Influence(place, None, False, "no_rows"))
    return tuple(found)
