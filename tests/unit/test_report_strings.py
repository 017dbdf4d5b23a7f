"""The strings file: both languages, equal placeholders, nothing unused, nothing missing, no markup."""

import ast
import re
import string
from pathlib import Path

import pytest

from coordinator import report
from coordinator.report.wording import KINDS as SHOWN
from coordinator.report.wording import UNITS, Wording, strings
from coordinator.results import Results
from protocols.statistics import KINDS
from tests.vectors.report.make import whole

PACKAGE = Path(report.__file__).parent
TEMPLATE = (PACKAGE / "templates" / "report.html.j2").read_text(encoding="utf-8")
WORD = re.compile(r"[a-z][a-z0-9_]*")


def names(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def mentioned() -> tuple[set[str], set[str]]:
    """Keys that the code writes out, and beginnings of keys that it completes by a word of the results."""
    whole_keys = set(re.findall(r'say\("([a-z0-9_]+)"[,)]', TEMPLATE))
    beginnings = set(re.findall(r'say\("([a-z0-9_]+_)" ~', TEMPLATE))
    for path in PACKAGE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.JoinedStr(values=[ast.Constant(value=str(first)), *_]):
                    beginnings.add(first)
                case ast.Constant(value=str(text)) if WORD.fullmatch(text):
                    whole_keys.add(text)
    return whole_keys, {each for each in beginnings if WORD.fullmatch(each) and ("_" in each or each == "code")}


def test_every_text_is_there_in_both_languages_with_the_same_placeholders() -> None:
    for key, texts in strings().items():
        assert set(texts) == {"zh", "en"}, key
        assert texts["zh"].strip(), key
        assert texts["en"].strip(), key
        assert names(texts["zh"]) == names(texts["en"]), key


def test_every_key_of_the_file_is_used_and_every_key_that_is_used_is_in_the_file() -> None:
    written, beginnings = mentioned()
    unused = [key for key in strings() if key not in written and not key.startswith(tuple(beginnings))]
    assert unused == []
    said = set(re.findall(r'say\("([a-z0-9_]+)"[,)]', TEMPLATE))
    for path in PACKAGE.glob("*.py"):
        said |= set(re.findall(r'\bsay\(\s*"([a-z0-9_]+)"', path.read_text(encoding="utf-8")))
    assert sorted(said - set(strings())) == []


def test_every_word_that_completes_a_key_has_its_text() -> None:
    families = {
        "mark": ["b", "u", "x", "z", "c", *(f"{letter}_why" for letter in "buxzc")],
        "unit": [*UNITS, "other"],
        "mode": ["dp", "exact"],
        "lead": ["dp", "exact", "by_city_dp", "by_city_exact"],
        "badge": ["pooled", "by_city", "both", "synthetic", "open_data", "seeded"],
        "role": ["analyst", "regulator", "other"],
        "preference": ["over", "under", "none"],
        "reason": ["no_advert", "no_shares", "no_masked", "equivocation", "declined", "other"],
        "detail": [
            "unreachable",
            "timed_out",
            "crashed",
            "incompatible",
            "invalid_reply",
            "oversize",
            "revoked",
            "not_enrolled",
        ],
        "cohort": ["is", "in", "at_least", "above", "at_most", "below", "between", "missing"],
        "code": ["missing", "outside", "true", "false"],
    }
    wanted = {f"{family}_{word}" for family, words in families.items() for word in words}
    assert sorted(wanted - set(strings())) == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_the_register_has_a_title_a_caption_and_a_method(kind: str) -> None:
    assert {f"question_{kind}", f"what_{kind}", f"method_{kind}"} <= set(strings())
    assert kind in SHOWN


def test_texts_hold_no_markup_and_chinese_has_full_width_punctuation() -> None:
    for key, texts in strings().items():
        for text in texts.values():
            assert not set("<>&") & set(text.replace(" & ", "")), key
        assert not re.search(r"[\u4e00-\u9fff][,;:?!()]|[,;:?!()][\u4e00-\u9fff]", texts["zh"]), key
        assert not re.search(r"[\u4e00-\u9fff，。；：（）]", texts["en"]) or "·" in texts["en"], key


def test_a_text_that_is_missing_stops_the_page() -> None:
    wording = Wording("zh", Results.of(whole(exact=False)).content)
    with pytest.raises(KeyError):
        wording.say("no_such_text")
    with pytest.raises(KeyError):
        wording.say("finding_see")  # a placeholder without its value
