"""Risk models on the page: every number is that of the results, every figure has its table, and words follow their rules."""

import csv
import io
from functools import cache
from math import exp, log
from typing import Any, Final

import pytest
import python_calamine
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator import modelcard
from coordinator.report import evaluations, figures, fits, grids, modelled, panels, risk, scorecards, sheets, xlsx
from coordinator.report.charts import WIDTH
from coordinator.report.numbers import fixed, significant
from coordinator.report.wording import KINDS, LANGUAGES, Wording, strings
from coordinator.results import POOLED, Question, Results
from protocols.errors import Language
from tests.unit.pages import numbers, parse
from tests.unit.test_report_html import both, changed, page
from tests.vectors.report import risk as made

TREE: Final = made.risk()
NOISY: Final = made.noisy()
RESULTS: Final = Results.of(TREE)


def worded(language: Language = "en", tree: dict[str, Any] = TREE) -> tuple[Wording, dict[str, Question]]:
    results = Results.of(tree)
    return Wording(language, results.content), dict(results.questions)


@cache
def shown(language: Language) -> str:
    """The page of the invented run."""
    return page(TREE, language)


def lines(grid: grids.Grid) -> dict[str, list[str]]:
    """Of each line, by its head, what its cells print."""
    return {line.heads[0][0]: [cell.number for cell in line.cells] for group in grid.groups for line in group.lines}


# --- tables


def test_a_scorecard_has_a_line_per_bin_and_says_what_follows_from_its_counts() -> None:
    wording, questions = worded()
    first, second = risk.tables(wording, questions["card"], list(enumerate(questions["card"].rows)))
    for group, (name, bins) in zip(first.groups, made.BINS.items(), strict=True):
        told = [
            (events, others, points) for _, events, others, points in bins if events is not None and others is not None
        ]
        whole = sum(events + others for events, others, _ in told)
        neutral = sum((events + others) * points for events, others, points in told) / whole
        assert group.title is not None
        assert f"IV {significant(made.values()[name])}" in group.title
        assert f"neutral points {fixed(neutral, 1)}" in group.title
        for line, (_, events, others, points) in zip(group.lines, bins, strict=True):
            shown = [cell.number for cell in line.cells]
            assert shown[-1] == str(points)
            if events is None or others is None:
                assert shown[:4] == ["", "", "", ""]
                assert line.cells[2].marks == ("c",)
                continue
            holders = events + others
            assert shown[:3] == [fixed(holders, 0), fixed(100 * holders / whole, 1), fixed(events, 0)]
            assert abs(float(shown[3]) - 100 * events / holders) <= 0.05
            assert abs(float(shown[4].replace("\u2212", "-")) - made.woe(events, others)) < 0.005
    assert [line.heads[0][0] for line in first.groups[1].lines] == [
        "below 30",
        "30 to under 45",
        "45 or more",
        "missing or not available",
    ]
    said = lines(second)
    assert said["Sex"][-1] == strings()["left_out_bins"]["en"]
    assert said["Education"][-1] == strings()["left_out_value"]["en"]
    assert scorecards.strength(made.values()["product"]) == "strong"
    assert said["Product"][1] == strings()["strength_strong"]["en"]


def test_with_noise_a_rate_has_the_ends_that_its_counts_leave() -> None:
    wording, questions = worded(tree=NOISY)
    first, *_ = risk.tables(wording, questions["card"], list(enumerate(questions["card"].rows)))
    cells = first.groups[0].lines[0].cells
    low, high = (150 - 23) / (150 - 23 + 6450 + 23), (150 + 23) / (150 + 23 + 6450 - 23)
    assert cells[0].error == "±46"
    assert cells[3].error == f"[{fixed(100 * low, 2)}–{fixed(100 * high, 2)}]"
    assert cells[4].error == "(0.050)"
    assert any("8.3" in each for each in risk.notes(wording, questions["card"]))


def test_what_is_certain_is_printed_beside_what_is_likely() -> None:
    wording, questions = worded()
    whole, against, *_ = risk.tables(wording, questions["trees_good"], list(enumerate(questions["trees_good"].rows)))
    said = lines(whole)
    assert said["AUC"][:3] == ["0.702", "0.690–0.714", "0.695–0.709"]
    assert said["KS"][:3] == ["0.320", "", "0.320–0.339"], "the edges of bins are a lower end of KS"
    assert said["Observed rate %"][:2] == ["10.0", "9.6–10.4"]
    assert said["Hosmer–Lemeshow"][:2] == ["21.4", "p < 0.001"]
    assert lines(against)["Difference of AUC"] == ["0.00800", "", "< 0.001"]
    assert lines(against)["AUC"][:2] == ["0.702", "0.694"]


@both
def test_an_evaluation_with_noise_says_what_of_its_error_is_noise_and_what_it_does_not_say(language: Language) -> None:
    tree = changed(TREE)
    for row in tree["questions"]["trees_good"]["rows"]:
        row["se_noise"] = 0.0021 if row["measure"] in ("auc", "observed") else 0.0
    why = {"zh": "没有可证明的区间", "en": "there is no proven interval"}
    tree["questions"]["trees_good"]["fit"] |= {"bands": [], "unsaid": dict.fromkeys(("psi", "hosmer_lemeshow"), why)}
    wording, questions = worded(language, tree)
    whole, *_ = grids.grids(wording, questions["trees_good"])
    assert whole.heads[2] == strings()["head_of_noise"][language]
    assert lines(whole)["AUC"][2] == "0.0021"
    assert lines(whole)[{"zh": "实际发生率 %", "en": "Observed rate %"}[language]][2] == "0.21"
    (note,) = (each for each in risk.notes(wording, questions["trees_good"]) if why[language] in each)
    assert {"zh": "Hosmer–Lemeshow、稳定性指数 PSI", "en": "Hosmer–Lemeshow, Stability index (PSI)"}[language] in note
    assert [each.look for each in risk.drawings(wording, questions["trees_good"])] == ["roc"]


def test_groups_have_their_holders_and_a_small_one_is_withheld() -> None:
    wording, questions = worded()
    _, groups, flagged, _ = grids.grids(wording, questions["stops_good"])
    assert lines(groups)["male"] == ["12,600", "0.700", "0.310", "0.0850", "10.4", "10.8"]
    assert [cell.marks for cell in groups.groups[0].lines[2].cells] == [(), *[("c",)] * 5]
    assert flagged.heads[2] == "from the largest group, points"
    assert lines(flagged)["female"][:3] == ["11,300", "61.2", "3.10"]


def test_cities_stand_in_the_order_of_the_roster_under_all_with_a_word_for_drift() -> None:
    wording, questions = worded()
    *_, grid = grids.grids(wording, questions["stops_good"])
    assert list(lines(grid)) == ["All cities", *(wording.city(city) for city in made.CITIES)]
    verdicts = {line.heads[0][0]: line.cells[-1].number.partition(" · ")[2] for line in grid.groups[0].lines}
    assert verdicts["Shenzhen"] == "shifted"
    assert verdicts["Chongqing"] == "watch"
    assert verdicts["Suzhou"] == "stable"
    assert verdicts["Changzhou"] == "stable", "0.106 is below three times its noise floor"
    assert verdicts["Guangzhou"] == ""
    assert lines(grid)["Chongqing"][4] == "1.34"
    text = parse(shown("en")).text
    assert str(grid.what) in text
    assert strings()["notice_slots"]["en"] in text
    assert strings()["note_cities_csv"]["en"].partition("{")[0] not in text


@pytest.mark.parametrize(
    ("index", "low", "high", "floor", "word"),
    [
        (0.09, None, None, 0.001, "stable"),
        (0.1, None, None, 0.001, "watch"),
        (0.25, None, None, 0.001, "watch"),
        (0.26, None, None, 0.001, "shifted"),
        (0.26, 0.2, 0.32, 0.001, "unsure"),
        (0.17, 0.11, 0.24, 0.001, "watch"),
        (0.3, None, None, 0.11, "stable"),
        (None, None, None, None, "unsure"),
    ],
)
def test_the_word_for_stability(index: Any, low: Any, high: Any, floor: Any, word: str) -> None:
    assert evaluations.stability(index, low, high, floor) == word


@given(st.floats(0, 2), st.floats(0, 1))
def test_nothing_below_three_times_its_floor_is_ever_called_drift(index: float, floor: float) -> None:
    if index < 3 * floor:
        assert evaluations.stability(index, index / 2, index * 2, floor) == "stable"


def test_a_coefficient_is_read_as_what_it_is_the_logarithm_of() -> None:
    wording, questions = worded()
    (grid,) = grids.grids(wording, questions["stops"])
    assert grid.heads[3] == "Odds ratio"
    assert (
        lines(grid)["Product = free"][3]
        == f"{exp(1.42):.2f} [{exp(1.42 - 1.96 * 0.085):.2f}–{exp(1.42 + 1.96 * 0.085):.2f}]"
    )
    assert lines(grid)["constant"][3] == ""
    heads = {name: grids.grids(wording, questions[name])[0].heads[3] for name in ("times", "levels", "choices")}
    assert heads == {
        "times": "Hazard ratio",
        "levels": "Odds ratio (higher class)",
        "choices": "Odds ratio (against the first class)",
    }


@pytest.mark.parametrize(
    ("kind", "asked", "found"),
    [
        ("glm", {"family": "binomial"}, "odds"),
        ("glm", {"family": "binomial", "link": "probit"}, "plain"),
        ("glm", {"family": "poisson"}, "ratio"),
        ("glm", {"family": "gaussian"}, "difference"),
        ("hazard", {"link": "cloglog"}, "hazard"),
        ("hazard", {"link": "logit"}, "odds"),
    ],
)
def test_what_a_coefficient_is_follows_from_the_link(kind: str, asked: dict[str, Any], found: str) -> None:
    assert fits.effect(Question(kind=kind, cities=(), asked=asked)) == found


def test_with_noise_its_part_of_the_variance_stands_in_the_table() -> None:
    wording, questions = worded(tree=NOISY)
    (grid,) = grids.grids(wording, questions["stops"])
    assert grid.heads[-1] == strings()["head_noise_part"]["en"]
    assert {cells[-1] for cells in lines(grid).values()} == {"36%"}


@both
def test_every_traced_number_is_one_that_its_row_gives(language: Language) -> None:
    """As text, or as a quotient that is recomputed above: none stands beside a row that has no number at all."""
    for tree in (TREE, NOISY):
        found = Results.of(tree).questions
        seen = numbers(page(tree, language))
        assert len(seen) > 40
        for question, place, text, _ in seen:
            row = found[question].rows[int(place)]
            assert row.estimate is not None or text == "" or row.conf_status == "", (question, place, text)


def test_both_languages_show_the_same_numbers() -> None:
    words = {text for texts in strings().values() for text in texts.values()}
    zh, en = ([each for each in numbers(shown(language)) if each[2] not in words] for language in LANGUAGES)
    assert [each[:2] for each in zh] == [each[:2] for each in en]
    assert [each[2] for each in zh] == [each[2] for each in en]


# --- figures


@both
def test_every_figure_has_its_table_and_a_sentence_for_those_who_do_not_see_it(language: Language) -> None:
    wording, questions = worded(language)
    (part,) = (each for each in figures.parts(wording, questions) if each.name == "models")
    looks = [figure.look for figure in part.figures]
    forests = ["fit", "fit", "baseline", "fit", "fit", "fit"]
    pairs = ["roc", "calibration"]
    assert looks == [*forests, *pairs, "cities", *pairs, *pairs, "gain"]
    root = parse(shown(language))
    plates = {each.attributes["id"]: each for each in root.every("figure")}
    for figure in part.figures:
        assert figure.picture is not None, figure.name
        plate = plates[figure.name]
        (svg,) = (each for each in plate.every("svg"))
        assert figure.sentence.unescape() in svg.attributes["aria-label"]
        links = [each for each in plate.every("a") if each.attributes["href"].startswith("#q-")]
        assert list(plate.every("table")) or links, figure.name


def test_a_roc_curve_joins_the_released_corners_and_marks_where_both_are_farthest_apart() -> None:
    wording, questions = worded()
    roc = next(each for each in risk.drawings(wording, questions["stops_good"]) if each.look == "roc")
    assert "AUC 0.706 ±0.012" in roc.title
    assert "70.6%" in roc.sentence
    x, y = max(((x, y) for _, x, y in made.CURVE), key=lambda each: each[1] - each[0])
    assert roc.plan is not None
    layers = roc.plan.spec["layer"]
    (path,) = (
        value["shape"] for layer in layers if layer["mark"]["type"] == "point" for value in layer["data"]["values"]
    )
    assert path.count("L") == len(made.CURVE) - 1
    square = panels.Square(1.0, 48.0, 26.0)
    (upright,) = (
        value for layer in layers if layer["mark"].get("strokeWidth") == 1.2 for value in layer["data"]["values"]
    )
    assert (upright["x"], upright["y2"]) == tuple(round(each, 1) for each in square.at(x, y))
    flagged = lines(roc.twin)["≥ 20.0%"]
    assert flagged == ["46.0", "18.0", fixed(100 * (0.18 * 0.9 + 0.46 * 0.1), 1)]


def test_calibration_counts_the_bands_whose_prediction_is_outside_what_was_observed() -> None:
    wording, questions = worded()
    found = next(each for each in risk.drawings(wording, questions["stops_good"]) if each.look == "calibration")
    inside = [
        low <= band.predicted <= high
        for _, band in evaluations.bands(questions["stops_good"], 0.95)
        for low, high in [(band.low, band.high)]
    ]
    assert inside == [True, True, False, False]
    assert "in 2 of 4 bands" in found.sentence
    assert [cells[-1] for cells in lines(found.twin).values()] == ["yes", "yes", "no", "no"]


@given(st.floats(1, 1e7), st.floats(0, 1))
def test_the_interval_of_a_band_holds_its_share_and_stays_between_nothing_and_all(n: float, share: float) -> None:
    entry = {**TREE["questions"]["card_later"], "fit": made.fit(bands=[[n, 0.5, share]])}
    ((_, band),) = evaluations.bands(Question.model_validate(entry, strict=False), 0.95)
    assert 0 <= band.low <= share + 1e-12
    assert share - 1e-12 <= band.high <= 1


def test_the_released_interval_of_a_band_is_taken_where_there_is_one() -> None:
    entry = {**TREE["questions"]["card_later"], "fit": made.fit(bands=[[100, 0.1, 0.2, 0.05, 0.4]])}
    ((_, band),) = evaluations.bands(Question.model_validate(entry, strict=False), 0.95)
    assert (band.low, band.high) == (0.05, 0.4)


def test_a_forest_names_what_codes_are_read_against_and_stands_on_one_axis() -> None:
    wording, questions = worded()
    drawing = fits.drawing(wording, questions["stops"])
    assert drawing is not None
    assert drawing.plan is not None
    texts = [
        value["text"]
        for layer in drawing.plan.spec["layer"]
        if layer["mark"]["type"] == "text"
        for value in layer["data"]["values"]
    ]
    assert "Product (against: lump sum)" in texts
    assert "Age (years)" in texts
    assert "Odds ratio, log axis; line at 1: no difference" in texts
    assert 'against "lump sum"' in drawing.sentence.unescape()
    classes = fits.drawing(wording, questions["choices"])
    assert classes is not None
    assert classes.plan is not None
    heads = str(classes.plan.spec)
    assert "Product = monthly (against: lump sum)" in heads


def test_of_thin_codes_that_have_joined_others_no_reference_is_named() -> None:
    terms = [made.coefficient("channel[other]", 0.5, 0.1), made.coefficient("channel[bank]", 0.4, 0.1)]
    wording, questions = worded(tree=changed(TREE, questions__stops__coefficients=terms))
    assert fits.placed(wording, questions["stops"], "channel[bank]").reference == ""
    assert "against the others" in fits.sentence(wording, questions["stops"])


@settings(max_examples=25, deadline=None)
@given(st.floats(-800, 800), st.floats(0.001, 100))
def test_any_coefficient_can_be_drawn_and_printed(estimate: float, error: float) -> None:
    terms = [made.coefficient("age", estimate, error)]
    wording, questions = worded(tree=changed(TREE, questions__stops__coefficients=terms))
    drawing = fits.drawing(wording, questions["stops"])
    assert drawing is not None
    assert drawing.plan is not None
    for layer in drawing.plan.spec["layer"]:
        for value in layer["data"]["values"]:
            assert all(-1 <= value[key] <= WIDTH + 1 for key in ("x", "x2") if key in value)


@given(st.lists(st.floats(-2.2, 2.2), min_size=3, max_size=3))
def test_ratios_of_one_size_share_their_decimals(values: list[float]) -> None:
    shown = fits.together(*values)
    assert len({len(each.partition(".")[2]) for each in shown}) == 1
    assert all(abs(float(text) - exp(value)) <= 0.0051 for text, value in zip(shown, values, strict=True))


@both
def test_the_hazard_of_each_month_is_drawn_and_its_constants_are_no_terms(language: Language) -> None:
    wording, questions = worded(language)
    question = questions["leaving"]
    found, forest = fits.baseline(wording, question), fits.drawing(wording, question)
    assert found is not None
    assert forest is not None
    assert {line: cells for line, (cells,) in lines(found.twin).items()} == {
        **{month: f"{100 * value:.2f}" for month, value in made.HAZARDS.items()},
        "2022-05": "",
    }
    assert all(word in found.sentence for word in ("2022-03", "2.62%", "2022-04", "1.87%"))
    assert "2022-03" not in str(forest.plan)
    terms, months = grids.grids(wording, question)
    assert len(lines(terms)) == 3
    assert lines(months) == lines(found.twin)
    said = next(each.text for each in modelled.sentences(wording, questions) if each.question == "leaving")
    assert all(word in said for word in ("61,000", "11,400", "1,310"))
    one = Question.model_validate({**TREE["questions"]["leaving"], "rows": []}, strict=False).tabled
    assert fits.baseline(wording, one) is None


def test_months_since_an_account_was_opened_are_said_as_numbers() -> None:
    tree = changed(TREE)
    for place, row in enumerate(tree["questions"]["leaving"]["rows"]):
        row["since"] = str(place)
        del row["month"]
    tree["questions"]["leaving"]["keys"] = ["since"]
    wording, questions = worded(tree=tree)
    found = fits.baseline(wording, questions["leaving"])
    assert found is not None
    assert "highest in month 1" in found.sentence


@pytest.mark.parametrize("kind", list(fits.TITLES))
def test_every_kind_of_model_has_a_title_and_a_method(kind: str) -> None:
    assert {f"question_{kind}", f"method_{kind}"} <= set(strings())
    assert kind in KINDS


# --- sentences


@both
def test_the_first_page_says_what_was_modelled_and_how_good_it_is(language: Language) -> None:
    wording, questions = worded(language)
    said = {each.question: "" for each in modelled.sentences(wording, questions)}
    for each in modelled.sentences(wording, questions):
        said[each.question] += each.text.striptags()
    assert list(said)[:2] == ["stops", "stops_good"]
    assert all(word in said["stops"] for word in ("24,000", f"{exp(1.42):.2f}"))
    assert all(word in said["stops_good"] for word in ("0.706", "0.694–0.718", "0.412", "0.320", "10.0%"))
    assert all(word in said["card"] for word in ("2.27%", "15.0%"))
    assert "73.7%" in said["trees"]
    assert "2,400" in said["times"]
    assert "nothing" not in said
    rebuilt = {"en": "recalibrate, do not re-rank", "zh": "应重新校准，不必重排"}
    assert rebuilt[language] in said["stops_good"]
    assert {"en": "not credit reporting", "zh": "不是征信"}[language] in shown(language)


def test_where_the_order_is_off_too_nobody_is_told_to_recalibrate_alone() -> None:
    tree = changed(TREE)
    for row in tree["questions"]["stops_good"]["rows"]:
        if (row["scope"], row["measure"]) == ("shenzhen", "auc"):
            row |= {"estimate": 0.6, "ci_low": 0.58, "ci_high": 0.62}
    wording, questions = worded(tree=tree)
    said = evaluations.in_cities(wording, questions["stops_good"])
    assert said is not None
    assert "look before it is used" in said
    for row in tree["questions"]["stops_good"]["rows"]:
        if row["measure"] == "observed_expected" and row["scope"] != POOLED and row["estimate"] is not None:
            row |= {"estimate": 1.0, "ci_low": 0.9, "ci_high": 1.1}
    assert "none needs" in str(evaluations.in_cities(*_of(tree)))


def _of(tree: dict[str, Any]) -> tuple[Wording, Question]:
    wording, questions = worded(tree=tree)
    return wording, questions["stops_good"]


def test_a_marked_fit_and_a_marked_auc_carry_no_sentence() -> None:
    tree = changed(TREE, questions__stops__fit=made.fit(obs_status="u"))
    for row in tree["questions"]["stops_good"]["rows"]:
        if row["measure"] == "auc":
            row["obs_status"] = "u"
    wording, questions = worded(tree=tree)
    assert not {"stops", "stops_good"} & {each.question for each in modelled.sentences(wording, questions)}


def test_what_noise_cost_is_said() -> None:
    wording, questions = worded(tree=NOISY)
    first = next(modelled.sentences(wording, questions)).text
    assert "1.25 times as wide" in first
    assert "36%" in first


# --- cards, sheets, files


@both
def test_a_card_stands_on_the_page_with_every_figure_of_the_results(language: Language) -> None:
    root = parse(shown(language))
    (section,) = (each for each in root.every("section") if each.attributes.get("id") == "cards")
    found = {each.attributes["id"]: each for each in section.every("details")}
    assert list(found) == ["card-stops", "card-card", "card-trees"]
    for card in modelcard.of(RESULTS):
        text = found[f"card-{card.id}"].text
        assert card.digest in text
        assert all(each.text(language) in text for each in (*card.limits, *card.doubts, *card.uses, card.rows))
        assert all(each.role.text(language) in text for each in card.signatures)
        for metric in card.metrics or ():
            if metric.group is None and metric.estimate is not None:
                assert significant(metric.estimate, 4) in text or abs(metric.estimate) < 1e-6
    assert not [each for each in section.every("dd") if not each.text]


def test_a_study_without_models_has_neither_their_styles_nor_their_sections() -> None:
    plain = changed(TREE, questions={"accounts": TREE["questions"]["accounts"]})
    for language in LANGUAGES:
        shown = page(plain, language)
        assert "rocplate" not in shown
        assert 'id="cards"' not in shown
        assert strings()["cannot_scores"][language] not in shown


def test_the_card_of_a_scorecard_is_a_table_and_a_sheet_with_the_same_numbers() -> None:
    (name,) = sheets.carded(RESULTS)
    told = list(csv.DictReader(io.StringIO(sheets.table(RESULTS, name).decode("utf-8-sig"))))
    flat = [(feature, *entry) for feature, bins in made.BINS.items() for entry in bins]
    assert [(each["characteristic"], each["bin"]) for each in told] == [(feature, label) for feature, label, *_ in flat]
    for each, (_, _, events, others, points) in zip(told, flat, strict=True):
        assert float(each["points"]) == points
        if events is None or others is None:
            assert (each["events"], each["holders"], each["event_rate"], each["conf_status"]) == ("", "", "", "C")
            continue
        assert (float(each["events"]), float(each["nonevents"]), float(each["holders"])) == (
            events,
            others,
            events + others,
        )
        assert float(each["event_rate"]) == pytest.approx(events / (events + others), rel=1e-11)
        assert float(each["woe"]) == pytest.approx(made.woe(events, others), rel=1e-11)
    assert told[0]["bin_en"] == "lump sum"
    book = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(xlsx.workbook(RESULTS)))
    assert "card card" in book.sheet_names
    heads, *rows = book.get_sheet_by_name("card card").to_python()
    assert tuple(heads) == sheets.COLUMNS
    at = heads.index("points")
    assert [row[at] for row in rows] == [points for *_, points in flat]


def test_names_of_cards_and_of_questions_never_meet() -> None:
    named = xlsx.sheet_names(("a" * 40, "a" * 39, "b"), xlsx.CARD)
    assert len(set(named.values())) == 3
    assert all(len(each) <= 31 and each.endswith(xlsx.CARD) for each in named.values())


def test_a_card_of_a_later_shape_is_shown_as_a_plain_list() -> None:
    tree = changed(TREE)
    for row in tree["questions"]["card"]["rows"]:
        row["segment"] = "all"
    tree["questions"]["card"]["keys"] = ["feature", "bin", "segment"]
    wording, questions = worded(tree=tree)
    assert not risk.shaped(questions["card"])
    assert grids.grids(wording, questions["card"])[0].what == strings()["what_generic"]["en"]
    assert Results.of(tree)
    assert page(tree)


def test_the_information_value_of_a_card_is_what_its_bins_say() -> None:
    """The invented run is sound: what is printed of it can be recomputed by hand."""
    for name, value in made.values().items():
        bins = [(e, o) for _, e, o, _ in made.BINS[name] if e is not None and o is not None]
        by_hand = sum((o / 21_600 - e / 2_400) * log((o / 21_600) / (e / 2_400)) for e, o in bins)
        assert value == pytest.approx(by_hand)


@pytest.mark.parametrize(
    ("coefficients", "fit", "said"),
    [
        ([made.coefficient("age", 0.1, 0.4)], made.fit(), "every term holds 0"),
        ([made.coefficient("age", 4.0, 0.1)], made.fit(obs_status="u"), "low reliability"),
        (
            [{"term": "age", "estimate": 0.2}, {"term": "sex[female]", "estimate": 0.0}],
            made.fit(),
            "1 of 2 terms were chosen",
        ),
    ],
)
def test_where_no_term_is_spoken_of_the_reason_is_said(coefficients: Any, fit: Any, said: str) -> None:
    tree = changed(TREE, questions__stops__coefficients=coefficients, questions__stops__fit=fit)
    wording, questions = worded(tree=tree)
    assert said in fits.sentence(wording, questions["stops"])


def test_how_much_coefficients_differ_between_cities_is_a_table() -> None:
    differs = {"term": "age", "cities": 6, "q": 14.2, "p_value": 0.0144, "i2": 0.648, "tau2": 0.00031}
    wording, questions = worded(tree=changed(TREE, questions__stops__fit=made.fit(heterogeneity=[differs])))
    _, grid = grids.grids(wording, questions["stops"])
    assert lines(grid) == {"Age": ["6", "14.2", "0.014", "65%", "0.000310"]}


def test_with_noise_a_scorecard_is_spoken_of_by_bins_that_noise_leaves_apart() -> None:
    wording, questions = worded(tree=NOISY)
    (said,) = (each.text.striptags() for each in modelled.sentences(wording, questions) if each.question == "card")
    assert "about 24,000 holders" in said
    assert "2.27% (1.92%–2.62%)" in said
    tree = changed(NOISY)
    for row in tree["questions"]["card"]["rows"]:
        if row["measure"] == "events" and row["estimate"] is not None:
            row |= {"ci_low": 0.0, "ci_high": 20_000.0}
    wording, questions = worded(tree=tree)
    assert "card" not in {each.question for each in modelled.sentences(wording, questions)}


def test_a_model_without_an_answer_says_why_and_names_nothing_that_is_not_there() -> None:
    wording, questions = worded()
    assert [str(each) for each in risk.notes(wording, questions["nothing"])] == [
        "No answer is given: no feature is left."
    ]
