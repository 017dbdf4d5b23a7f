"""What the page says of a regression with noise: what the noise cost, what has no number, and what makes its coefficients doubtful."""

from typing import Any, Final

from coordinator.report import fits, grids
from coordinator.report.wording import Wording
from coordinator.results import Question, Results
from protocols.errors import Language
from tests.models.noised import Noised, names, population, question
from tests.unit.test_report_html import DP, both, changed

WORDS: Final[dict[str, Any]] = {"y": {"zh": "提取", "en": "Withdrew", "codes": {}}}


def shown(language: Language, **marks: Any) -> tuple[Wording, Question]:
    frame = population(2000, 1, 1, "binomial")
    found, _ = Noised(frame, question("binomial", names(frame))).fitted()
    rows = [dict(each) for each in found.coefficients]
    asked = {"family": "binomial", "outcome": "y"}
    head: dict[str, Any] = {"kind": "glm", "cities": [], "keys": [], "rows": [], "tests": [], "asked": asked}
    entry = {**head, "coefficients": rows, "fit": {**found.fit, **marks}}
    results = Results.of(changed(DP, questions={"one": entry}, words={"variables": WORDS}))
    return Wording(language, results.content), results.questions["one"]


@both
def test_the_price_of_noise_is_said_and_stands_in_the_table(language: Language) -> None:
    wording, asked = shown(language)
    price, unsaid = fits.notes(wording, asked)
    assert asked.fit is not None
    assert f"{asked.fit.further['widened']:.3g}"[:3] in price
    assert "AIC" in unsaid
    (grid,) = grids.grids(wording, asked.tabled)
    assert (
        grid.heads[-2:] == {"zh": ("其中噪声", "噪声占方差"), "en": ("Of noise", "Noise, part of variance")}[language]
    )
    first, *slopes = grid.groups[0].lines
    assert all(cell.number for line in slopes for cell in line.cells)
    assert [cell.number for cell in first.cells].count("") == 1, "a constant is no ratio of odds"


@both
def test_what_makes_it_doubtful_is_said(language: Language) -> None:
    wording, asked = shown(language, obs_status="u", hidden_directions=1, clipped=0.034, left_out=70)
    said = "".join(fits.notes(wording, asked))
    assert all(word in said for word in ("3.4", "70"))
    assert len(fits.notes(wording, asked)) == 5
    assert "{" not in said
