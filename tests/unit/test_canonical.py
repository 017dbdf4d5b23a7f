"""One byte string for one value: RFC 8785, and bytes that are refused because they are another spelling of it."""

import json
import unicodedata
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from protocols.canonical import canonical, digest, digest_bytes, parse_canonical
from protocols.errors import PeerError

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda deeper: st.lists(deeper, max_size=3) | st.dictionaries(st.text(max_size=4), deeper, max_size=3),
    max_leaves=10,
)


@pytest.mark.parametrize(
    ("number", "text"),
    [  # RFC 8785, appendix B
        (0.0, "0"),
        (-0.0, "0"),
        (5e-324, "5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (9007199254740992.0, "9007199254740992"),
        (295147905179352830000.0, "295147905179352830000"),
        (9.999999999999997e22, "9.999999999999997e+22"),
        (1e23, "1e+23"),
        (999999999999999900000.0, "999999999999999900000"),
        (1e21, "1e+21"),
        (333333333.3333332, "333333333.3333332"),
        (0.000001, "0.000001"),
        (1e-7, "1e-7"),
    ],
)
def test_numbers_are_written_as_the_rfc_says(number: float, text: str) -> None:
    assert canonical(number) == text.encode()


def test_a_large_float_that_is_written_like_an_integer_is_read_back() -> None:
    for number in (2.0**53, 1e16, 123456789012345680000.0):
        read = parse_canonical(canonical(number), "value")
        assert (read, type(read)) == (number, float)
    read = parse_canonical(b"9007199254740991", "value")
    assert (read, type(read)) == (2**53 - 1, int)


def test_keys_are_sorted_by_utf_16_units() -> None:
    """The example of RFC 8785, section 3.2.3: U+1F600 (a surrogate pair from D83D) stands before U+FB33."""
    keys = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"]
    written = canonical({key: position for position, key in enumerate(keys)})
    assert list(json.loads(written)) == ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]


@given(VALUES)
def test_what_is_written_is_read_back_and_written_the_same(value: Any) -> None:
    content = canonical(value)
    assert canonical(parse_canonical(content, "value")) == content


@given(VALUES, st.sampled_from([" ", "\n", "\t"]))
def test_white_space_is_another_spelling_and_refused(value: Any, space: str) -> None:
    for content in (canonical(value) + space.encode(), space.encode() + canonical(value)):
        with pytest.raises(PeerError):
            parse_canonical(content, "value")


@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_canonical_or_refused(content: bytes) -> None:
    try:
        value = parse_canonical(content, "value")
    except PeerError as fault:
        refused = fault.code
    else:
        refused = ""
        assert canonical(value) == content
    assert refused in ("", "NOT_CANONICAL")


@pytest.mark.parametrize(
    "content",
    [
        b'{"a":1,"a":1}',
        b'{"b":1,"a":1}',
        b'{"a": 1}',
        b"1.0",
        b"1e3",
        b"-0",
        b"01",
        b"+1",
        b"NaN",
        b"Infinity",
        b"1e400",
        b"9007199254740993",
        b'"\\u0061"',
        b'"\\/"',
        b'"\\ud800"',
        b'"\xff"',
        b"\xef\xbb\xbf1",
        b"",
        b"[1,]",
        b"'a'",
    ],
)
def test_other_spellings_are_refused(content: bytes) -> None:
    with pytest.raises(PeerError) as caught:
        parse_canonical(content, "the study")
    assert caught.value.code == "NOT_CANONICAL"
    assert "the study" in caught.value.text("zh")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**53, "\ud800", {1: 2}, object(), {1, 2}])
def test_a_value_without_canonical_bytes_is_a_bug_of_ours_and_says_so(value: Any) -> None:
    with pytest.raises((rfc8785.CanonicalizationError, UnicodeEncodeError)):
        canonical(value)


def test_text_is_not_normalised_here_so_two_spellings_have_two_digests() -> None:
    composed = "é"
    assert canonical(composed) != canonical(unicodedata.normalize("NFD", composed))


def test_digests_have_a_name_and_thirty_two_bytes() -> None:
    """SHA-256 of the empty text (FIPS 180-4 examples)."""
    name = digest(b"")
    assert name == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert digest_bytes(name).hex() == name.removeprefix("sha256:")
