"""T36: look-alike study text (bidi, zero width) fools the reviewer. Text is in normal form C, hides nothing, and names are ASCII.

A title in other letters that look like Latin ones stays possible, as any false words are: what binds is the digest, and the reviewer is
shown variables and codes, which are ASCII and must be in the dictionary.
"""

from pathlib import Path
from typing import Any

import pytest

from protocols import study
from protocols.canonical import canonical, parse_canonical
from protocols.errors import ConfigError, PeerError
from protocols.study import Study

PLAIN = """
study: products
title: {zh: 缴存产品, en: Products}
purpose:
  zh: "看哪些产品有人用。"
asker: fund-lab
dictionary: hpf-flexible-employment@1
as_of: 2022-05-31
cohort: {variable: account_type, is: flexible}
privacy: {epsilon: 1.0}
questions:
  - {id: products, kind: frequency, of: product}
"""
HIDING = {
    "right-to-left override": "\u202e",
    "left-to-right isolate": "\u2066",
    "arabic letter mark": "\u061c",
    "zero width space": "\u200b",
    "zero width joiner": "\u200d",
    "word joiner": "\u2060",
    "byte order mark inside": "\ufeff",
    "soft hyphen": "\u00ad",
    "tag letter": "\U000e0041",
    "escape": "\x1b",
    "backspace": "\x08",
    "carriage return": "\r",
    "nul": "\x00",
    "next line": "\x85",
    "line separator": "\u2028",
    "hangul filler": "\u3164",
    "grapheme joiner": "\u034f",
    "private use": "\ue000",
    "lone surrogate": "\ud800",
}


def load(folder: Path, text: str) -> Study:
    (folder / "study.yaml").write_text(text, encoding="utf-8")
    return study.load(folder / "study.yaml")


def refused(folder: Path, text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load(folder, text)
    assert caught.value.at is not None
    assert caught.value.at.line > 0
    return caught.value


def arrives(found: Study, **changes: Any) -> Study:
    """The study as a city reads it from a message, with some keys replaced."""
    return study.from_wire(canonical({**parse_canonical(found.content, "study"), **changes}), found.dictionary.content)


@pytest.mark.parametrize("mark", HIDING.values(), ids=HIDING)
def test_a_title_that_hides_something_is_refused_in_a_file_and_in_a_message(mark: str, tmp_path: Path) -> None:
    escape = f"\\U{ord(mark):08x}"
    codes = (
        ("YAML_FORBIDDEN", "YAML_SYNTAX") if mark == "\ud800" else ("YAML_FORBIDDEN",)
    )  # the parser knows surrogates itself
    assert refused(tmp_path, PLAIN.replace("Products}", f'"Prod{escape}ucts"}}')).code in codes
    if mark not in "\r\ud800":  # those two cannot stand in a text file as they are
        assert refused(tmp_path, PLAIN.replace("Products}", f'"Prod{mark}ucts"}}')).code == "YAML_FORBIDDEN"
    if mark != "\ud800":  # nor that one in a message
        with pytest.raises(PeerError) as caught:
            arrives(load(tmp_path, PLAIN), title={"zh": f"缴存{mark}产品", "en": "Products"})
        assert caught.value.code == "STUDY_INVALID"


def test_the_nearest_plain_study_passes_both_doors_with_chinese_punctuation_and_line_ends(tmp_path: Path) -> None:
    found = load(tmp_path, PLAIN.replace("看哪些产品有人用。", "「产品」（2022）：\\n\\t一、趸缴；二、按月——café　ﬁn."))
    assert arrives(found) == found
    assert found.file.purpose.zh.startswith("「产品」（2022）：\n\t一、")


@pytest.mark.parametrize(
    ("plain", "lookalike"),
    [
        ("study: products", "study: pr\u043educts"),
        ("asker: fund-lab", "asker: fund\u2010lab"),
        ("id: products", "id: pr\u043educts"),
        ("of: product", "of: pr\u043educt"),
        ("is: flexible", "is: f\uff4cexible"),
        ("variable: account_type", "variable: account\u2017type"),
        ("kind: frequency", "kind: frequenc\u0443"),
        ("epsilon: 1.0", "epsilon: \uff11.0"),
        ("as_of: 2022-05-31", "as_of: \uff12022-05-31"),
        ("dictionary: hpf", "dictionary: \u04bbpf"),
    ],
)
def test_names_numbers_and_dates_are_ascii(plain: str, lookalike: str, tmp_path: Path) -> None:
    assert plain in PLAIN
    assert refused(tmp_path, PLAIN.replace(plain, lookalike)).exit_code == 2


def test_a_name_in_other_letters_is_refused_in_a_message_too(tmp_path: Path) -> None:
    found = load(tmp_path, PLAIN)
    changes: list[dict[str, Any]] = [
        {"study": "pr\u043educts"},
        {"asker": "fund\u2010lab"},
        {"privacy": {**parse_canonical(found.content, "study")["privacy"], "epsilon": "\uff11.0"}},
        {"as_of": "\uff12022-05-31"},
    ]
    for change in changes:
        with pytest.raises(PeerError) as caught:
            arrives(found, **change)
        assert caught.value.code == "STUDY_INVALID"


def test_two_spellings_of_one_text_are_one_study(tmp_path: Path) -> None:
    composed, decomposed = (
        load(tmp_path, PLAIN.replace("Products}", f"Caf{accent}s}}")) for accent in ("é", "e\u0301")
    )
    assert composed.digest == decomposed.digest
    with pytest.raises(PeerError):
        arrives(composed, title={"zh": "缴存产品", "en": "Cafe\u0301s"})


def test_words_of_a_dictionary_are_held_to_the_same(tmp_path: Path) -> None:
    tint = "{type: category, label: {zh: 颜色}, codes: {red: {zh: 红}, blue: {zh: 蓝}}}"
    described = f"dictionary: small\nversion: 1\nvariables:\n  tint: {tint}\n"
    (tmp_path / "small.yaml").write_text(described, encoding="utf-8")
    asked = PLAIN.replace("hpf-flexible-employment@1", "small.yaml").replace("of: product", "of: tint")
    asked = asked.replace("cohort: {variable: account_type, is: flexible}\n", "")
    sound = load(tmp_path, asked)
    for plain, hiding in (("zh: 红", 'zh: "红\\u202e"'), ("zh: 颜色", 'zh: "颜\\u200b色"'), ("red:", '"r\\u0435d":')):
        (tmp_path / "small.yaml").write_text(described.replace(plain, hiding), encoding="utf-8")
        assert refused(tmp_path, asked).exit_code == 2
    words = parse_canonical(sound.dictionary.content, "dictionary")
    words["variables"]["tint"]["codes"][0][1]["zh"] = "红\u202e"
    with pytest.raises(PeerError) as caught:
        study.from_wire(sound.content, canonical(words))
    assert caught.value.code == "STUDY_INVALID"
