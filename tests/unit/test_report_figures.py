"""Which figures a report has, that each says what its table says, and what happens where none can be drawn."""

import copy
import re
import sys
from typing import Any

import pytest
import vl_convert
from hypothesis import given, settings

from coordinator import output
from coordinator.report import figures, html
from coordinator.report.figures import Figure
from coordinator.report.wording import LANGUAGES, Wording
from coordinator.results import Results
from protocols.canonical import canonical
from protocols.errors import Language
from tests.unit.pages import Element, parse, trees
from tests.unit.test_report_html import DP, EXACT, both, by_city, changed, page, text


def crossed(tree: dict[str, Any]) -> dict[str, Any]:
    """With the crosstab of product and education once more, the other way round."""
    made = copy.deepcopy(tree)
    question = made["questions"]["education_product"] = copy.deepcopy(made["questions"]["product_education"])
    other = {"row_share": "column_share", "column_share": "row_share"}
    question |= {"keys": question["keys"][::-1], "number": 50}
    for row in question["rows"]:
        row["measure"] = other.get(row["measure"], row["measure"])
    return made


def drawn(tree: dict[str, Any], language: Language = "zh") -> list[Figure]:
    results = Results.of(tree)
    return [
        each
        for part in figures.parts(Wording(language, results.content), dict(results.questions))
        for each in part.figures
    ]


def test_every_index_has_a_heat_map_and_every_split_variable_its_bars() -> None:
    assert [each.name for each in drawn(DP)] == ["fig-product", "fig-tgi_generation", "fig-tgi_education"]
    assert [each.number for each in drawn(DP)] == [1, 2, 3]
    assert drawn(DP)[0].sources == ("product", "product_withdrew", "product_education")
    assert [each.name for each in drawn(by_city())] == [
        "fig-product",
        "fig-tgi_generation-chongqing",
        "fig-tgi_generation-chengdu",
    ]
    alone = changed(DP, questions={"product": DP["questions"]["product"]})
    assert drawn(alone) == []  # one bar: its table says it better


def test_figures_of_other_variables_stand_in_a_part_of_their_own() -> None:
    tree = copy.deepcopy(DP)
    for name in ("tgi_generation", "product_withdrew"):
        question = tree["questions"][name]
        question["keys"][0] = "choice"
        question["rows"] = [
            {"choice" if key == "product" else key: value for key, value in row.items()} for row in question["rows"]
        ]
    parts = {
        part.name: [each.name for each in part.figures]
        for part in figures.parts(Wording("en", Results.of(tree).content), Results.of(tree).questions)
    }
    assert parts["further"] == ["fig-choice", "fig-tgi_generation"]
    assert "Further comparisons" in text(tree, "en")
    assert "Further comparisons" not in text(DP, "en")


@both
def test_parts_without_a_figure_are_named_on_one_line(language: Language) -> None:
    assert {
        "zh": "本研究没有询问可以作图的：渠道与银行、缴存基数与连续缴存、提取、异常与有房。",
        "en": "This study asked nothing that could be drawn about: Channels and banks, Contribution base and consecutive periods, "
        "Withdrawals, irregular accounts, owners.",
    }[language] in text(DP, language)


def numbered(root: Element, figure: Element) -> list[Element]:
    """The tables that hold the numbers of a figure: its own, or those of the questions that it points to."""
    own = list(figure.every("table"))
    to = {each.attributes["href"].removeprefix("#") for each in figure.every("a")}
    assert bool(own) != bool(to)
    there = [each for each in root.every("section") if each.attributes.get("id") in to]
    return own or [table for section in there for table in section.every("table")]


@both
def test_every_number_of_a_picture_stands_in_its_table(language: Language) -> None:
    """With the decimals of the picture: none in a heat map. The table is its own, or stands among the questions that it names: a number is
    printed once on the page."""
    for tree in (DP, EXACT, by_city(), crossed(DP)):
        root = parse(page(tree, language))
        for figure in root.every("figure"):
            tables = numbered(root, figure)
            assert tables
            said = {each.text for table in tables for each in table.every("td")}
            (svg,) = figure.every("svg")
            heat = "heatplate" in figure.attributes["class"]
            numbers = [each.text for each in svg.every("text") if re.fullmatch(r"[\d.,]+( [±\[].*)?", each.text)]
            assert numbers
            for number in numbers:
                value = number.split(" ")[0]
                if heat:
                    near = [float(found[0]) for each in said if (found := re.match(r"[\d.]+", each))]
                    assert any(abs(float(value) - each) <= 0.56 for each in near), number
                else:
                    assert value in said, number


@both
def test_the_sentence_of_a_figure_is_its_name_and_uses_no_marked_cell(language: Language) -> None:
    for figure in parse(page(DP, language)).every("figure"):
        (svg,) = figure.every("svg")
        (sentence,) = figure.of("sentence")
        assert sentence.text in svg.attributes["aria-label"]
        assert re.search(r"\d", sentence.text)
    tree = copy.deepcopy(DP)
    for question in tree["questions"].values():
        for row in question["rows"]:
            row["obs_status"] = row["obs_status"] or "u"
    for figure in parse(page(tree, language)).every("figure"):
        (sentence,) = figure.of("sentence")
        assert not re.search(r"\d", sentence.text.replace("100", ""))


def test_the_sentence_of_yes_and_no_is_the_share_of_yes_which_stands_first() -> None:
    tree = changed(
        DP,
        questions={
            "withdrew": copy.deepcopy(DP["questions"]["product"]),
            "by": copy.deepcopy(DP["questions"]["product_withdrew"]),
        },
    )
    names = {"free": "false", "monthly": "true", "lump_sum": "_outside"}
    tree["questions"]["withdrew"] |= {"keys": ["withdrew_24m"]}
    for row in tree["questions"]["withdrew"]["rows"]:
        row["withdrew_24m"] = names.get(row["product"], row["product"])
        del row["product"]
    tree["questions"]["by"]["kind"] = "crosstab"
    for row in tree["questions"]["by"]["rows"]:
        row["measure"] = "row_share" if row["measure"] == "share" else row["measure"]
    (figure,) = [each for each in drawn(tree, "en") if each.name == "fig-withdrew_24m"]
    assert figure.twin.heads == ("yes", "no")
    (share,) = [
        row
        for row in tree["questions"]["withdrew"]["rows"]
        if row["measure"] == "share" and row["withdrew_24m"] == "true"
    ]
    assert f"for {100 * share['estimate']:.1f}%" in figure.sentence


def test_a_sentence_says_that_nobody_leads_only_where_all_were_compared() -> None:
    def sentence(tree: dict[str, Any]) -> str:
        return str(next(each for each in drawn(tree, "en") if each.name == "fig-product").sentence)

    assert "is the largest" in sentence(DP)
    level = copy.deepcopy(DP)
    for row in level["questions"]["product"]["rows"]:
        row |= {"ci_low": 0.1, "ci_high": 0.6} if row["measure"] == "share" and row["estimate"] is not None else {}
    assert "No code is clearly ahead" in sentence(level)
    for row in level["questions"]["product"]["rows"]:
        row["obs_status"] = "u"
    for tree in (level, by_city()):
        assert "Shares and errors of the groups" in sentence(tree)


def test_shares_are_of_the_group_whichever_key_it_is() -> None:
    results = Results.of(crossed(DP))
    (figure,) = [each for each in drawn(crossed(DP)) if each.name == "fig-product"]
    blocks = {group.lines[0].cells[0].of: group for group in figure.twin.groups}
    measures = {
        name: {results.questions[name].rows[cell.ref].measure for line in group.lines for cell in line.cells}
        for name, group in blocks.items()
    }
    assert measures == {
        "product": {"share"},
        "product_withdrew": {"share"},
        "product_education": {"column_share"},
        "education_product": {"row_share"},
    }
    one, other = (
        [(line.heads, [cell.number for cell in line.cells]) for line in blocks[name].lines]
        for name in ("product_education", "education_product")
    )
    assert one == other


@both
def test_the_release_is_told_below_every_figure(language: Language) -> None:
    pooled, city = {
        "zh": ("合计：安全求和", "分市：各市自行加噪"),
        "en": ("Pooled: a secure sum", "By city: each city adds"),
    }[language]
    for figure in parse(page(DP, language)).every("figure"):
        assert figure.text.count(pooled) == 1
        assert city not in figure.text
    for figure in parse(page(by_city(), language)).every("figure"):
        assert figure.text.count(city) == 1
        assert pooled not in figure.text
    for figure in parse(page(EXACT, language)).every("figure"):
        (caption,) = figure.every("figcaption")
        assert "未加噪 · no noise" in caption.text


@both
def test_without_a_converter_the_tables_take_the_place_of_the_pictures(
    language: Language, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    whole = parse(page(DP, language))
    monkeypatch.setitem(sys.modules, "vl_convert", None)  # importing it fails
    made = parse(page(DP, language))
    assert not list(made.every("svg"))
    said = {"zh": "未能绘图", "en": "could not be drawn"}[language]
    for before, after in zip(whole.every("figure"), made.every("figure"), strict=True):
        assert not list(after.every("details"))
        beside = {each.text for table in numbered(whole, before) for each in table.every("td")}
        (plain,) = after.every("table")
        if "heatplate" not in before.attributes["class"]:  # the table below such a picture says more
            assert {each.text for each in plain.every("td")} <= beside
        assert said in after.text
        assert said not in before.text
    files = output.write(tmp_path, canonical(DP))  # and the run goes on
    assert tmp_path / f"report.{language}.html" in files


def test_a_converter_that_crashes_on_one_picture_costs_that_picture_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    convert = vl_convert.vegalite_to_svg

    def sometimes(spec: str, **options: Any) -> str:
        if '"#c9a227"' in spec:
            raise RuntimeError("panic")
        return str(convert(spec, **options))

    monkeypatch.setattr(vl_convert, "vegalite_to_svg", sometimes)
    assert [each.picture is not None for each in drawn(DP)] == [False, True, True]


def test_the_number_and_the_size_of_figures_have_a_limit() -> None:
    many = copy.deepcopy(DP)
    for number in range(40):
        many["questions"][f"again_{number}"] = {**DP["questions"]["tgi_generation"], "number": 20 + number}
    assert len(drawn(many)) == figures.MOST_FIGURES
    made = page(many)
    assert len(made.encode()) <= 1024 * 1024
    (last,) = [each for each in parse(made).every("section") if each.attributes.get("id") == "q-again_39"]
    assert not [each for each in last.every("details") if "TGI" in each.text]  # no figure: its table is not folded


@settings(max_examples=15, deadline=None)
@given(trees())
def test_figures_hold_the_same_in_both_languages(tree: dict[str, Any]) -> None:
    results = Results.of(tree)
    zh, en = (
        [
            [
                (cell.place, cell.number, cell.error)
                for group in each.twin.groups
                for line in group.lines
                for cell in line.cells
            ]
            for part in figures.parts(Wording(language, results.content), dict(results.questions))
            for each in part.figures
        ]
        for language in LANGUAGES
    )
    assert zh == en
    assert html.render(results, "en") == html.render(results, "en")
