"""The four families, and what each code says in two languages."""

import string
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import CODES, ConfigError, HpfedError, IncompleteError, PeerError, Place, Refusal, escaped, joined

LANGUAGES: tuple[Literal["zh"], Literal["en"]] = ("zh", "en")


def placeholders(code: str, language: Literal["zh", "en"]) -> set[str]:
    """Names that a text shows. `what_zh` and `what_en`, or `zh` and `en`, are one thing in two languages; `near` may be left out."""
    shown = {name for part in CODES[code][language] for _, name, _, _ in string.Formatter().parse(part) if name}
    return {"_".join(part for part in name.split("_") if part != language) for name in shown} - {"near"}


@pytest.mark.parametrize("code", CODES)
def test_a_code_is_a_stable_word_with_texts_in_both_languages(code: str) -> None:
    assert code.isascii()
    assert code == code.upper()
    assert set(CODES[code]) == {"zh", "en"}
    for language in LANGUAGES:
        what, following = CODES[code][language]
        assert what.strip() == what != ""
        assert following.strip() == following != ""
        assert not any(part.endswith((".", "。", ",", "，")) for part in (what, following)), (
            "the sentence is closed by `text`"
        )
    assert any("\u4e00" <= mark <= "\u9fff" for mark in CODES[code]["zh"][0]) or CODES[code]["zh"][0] == "{zh}"


@pytest.mark.parametrize("code", CODES)
def test_both_languages_show_the_same_values(code: str) -> None:
    assert placeholders(code, "zh") == placeholders(code, "en")


@pytest.mark.parametrize("code", CODES)
def test_every_text_can_be_written_and_reads_as_sentences(code: str) -> None:
    values: dict[str, Any] = {
        name: "V"
        for parts in CODES[code].values()
        for part in parts
        for _, name, _, _ in string.Formatter().parse(part)
        if name
    }
    fault = HpfedError(code, Place("f.yaml", 3, "a.b"), **values)
    for language, stop in (("zh", "。"), ("en", ".")):
        text = fault.text(language)  # type: ignore[arg-type]  # the two literals above
        assert text.startswith("f.yaml:3: a.b: ")
        assert text.endswith((stop, "？", "?"))
        assert not any(twice in text for twice in ("..", "。。", "  "))


@pytest.mark.parametrize(
    ("family", "exit_code"), [(ConfigError, 2), (Refusal, 3), (PeerError, 1), (IncompleteError, 1)]
)
def test_a_family_says_whose_fault_and_how_a_program_ends(family: type[HpfedError], exit_code: int) -> None:
    fault = family("STUDY_EPSILON")
    assert isinstance(fault, HpfedError)
    assert fault.exit_code == exit_code
    assert str(fault) == fault.text("en")
    assert fault.code == "STUDY_EPSILON"


def test_an_unknown_code_is_a_bug_and_not_an_error_of_the_user() -> None:
    with pytest.raises(KeyError):
        ConfigError("NO_SUCH_CODE")


def test_a_peer_is_named() -> None:
    assert PeerError("SECAGG_TOO_LONG", "suzhou", step="masked").who == "suzhou"
    assert "suzhou" in PeerError("SECAGG_TOO_LONG", "suzhou", step="masked").text("zh")
    assert PeerError("NOT_CANONICAL", what="x").who == ""


@pytest.mark.parametrize(
    ("place", "text"),
    [(Place("f"), "f"), (Place("f", 3), "f:3"), (Place("f", 3, "a[0].b"), "f:3: a[0].b"), (Place("f", 0, "a"), "f: a")],
)
def test_a_place_is_written_as_editors_read_it(place: Place, text: str) -> None:
    assert str(place) == text


def test_several_faults_are_carried_by_the_first() -> None:
    assert joined([]) is None
    deep = ConfigError("STUDY_EMPTY", also=[ConfigError("FILE_MISSING")])
    first = joined([ConfigError("STUDY_EPSILON"), deep, ConfigError("STUDY_TWICE", name="x")])
    assert first is not None
    assert [each.code for each in first.every()] == ["STUDY_EPSILON", "STUDY_EMPTY", "FILE_MISSING", "STUDY_TWICE"]


def test_the_nearest_name_is_asked_for_only_where_there_is_one() -> None:
    near, far = (ConfigError("STUDY_VARIABLE", name="sx", near=name) for name in ("sex", ""))
    assert near.text("en") == "the dictionary has no variable 'sx'; did you mean 'sex'? The dictionary lists the names."
    assert near.text("zh") == "词典中没有变量 'sx'，是否想写 'sex'？变量名见词典。"
    assert far.text("en") == "the dictionary has no variable 'sx'. The dictionary lists the names."
    assert ConfigError("STUDY_VARIABLE", name="sx").text("zh") == "词典中没有变量 'sx'。变量名见词典。"


def test_a_value_with_braces_is_shown_and_not_expanded() -> None:
    assert "{name}" in ConfigError("DICTIONARY_UNKNOWN", name="{name}", known="{0}").text("en")


@given(st.text(max_size=20))
def test_escaped_text_is_printable_and_plain_text_is_left_alone(text: str) -> None:
    shown = escaped(text)
    assert all(mark.isprintable() or mark in "\u3000\xa0" or mark.isspace() for mark in shown)
    assert not set(shown) & set("\x1b\r\n\x00\u202e\u200b\u2028\ud800")
    assert escaped(shown) == shown
    if text.isprintable():
        assert shown == text
