"""YAML as text: what is written is what the schema sees, and every fault stands at its line."""

from pathlib import Path
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError, model_validator

from protocols import yamltext
from protocols.errors import Both, ConfigError
from protocols.yamltext import Document, Faults, Flag, Real, Record, Tree, Whole, dotted, fit, read


class Colour(Record):
    name: str
    shade: Literal["light", "dark"] = "light"
    weight: Annotated[Whole, Field(ge=1)] = 1


class Palette(Record):
    """A schema with everything that `fit` has to find its way through: lists, mappings, choices, aliases, checks of a whole."""

    title: str
    colours: tuple[Colour, ...] = ()
    by_room: dict[str, Colour] = Field(default_factory=dict)
    share: Real = 0.5
    glossy: Flag = False
    from_: str = Field("", alias="from")

    @model_validator(mode="after")
    def _no_grey(self) -> "Palette":
        grey = [number for number, colour in enumerate(self.colours) if colour.name == "grey"]
        if grey:
            raise Faults((("colours", number, "name"), Both("灰不是颜色", "grey is no colour")) for number in grey)
        if self.title == "none":
            raise ValueError("a palette has a title")
        return self


class Amount(Record):
    n: Whole


def faults_of(text: str) -> list[tuple[str, int, str]]:
    """(code, line, key) of every fault of a palette file."""
    with pytest.raises(ConfigError) as caught:
        fit(Palette, read(text.encode(), "palette.yaml"))
    found = caught.value.every()
    assert all(each.at is not None and each.at.file == "palette.yaml" for each in found)
    return [(each.code, each.at.line, each.at.key) for each in found if each.at]


def refused(content: bytes) -> tuple[str, int]:
    """(code, line) of the one fault that stops a file from being read."""
    with pytest.raises(ConfigError) as caught:
        read(content, "f.yaml")
    assert caught.value.at is not None
    assert caught.value.exit_code == 2
    return caught.value.code, caught.value.at.line


@pytest.mark.parametrize(
    "text", ["1e-6", "0123", "on", "null", "~", "yes", "1_000", "0x1F", "2022-05-31", "1:30", ".5"]
)
def test_a_scalar_stays_the_text_that_was_written(text: str) -> None:
    assert read(f"key: {text}\n".encode(), "f.yaml").tree == {"key": text}


def test_quoted_folded_and_literal_texts_lose_only_their_marks() -> None:
    content = b"a: 'x: y'\nb: \"tab\\tnewline\\n\"\nc: >\n  two\n  lines\nd: |\n  two\n  lines\n"
    assert read(content, "f.yaml").tree == {"a": "x: y", "b": "tab\tnewline\n", "c": "two lines\n", "d": "two\nlines\n"}


def test_an_empty_file_is_an_empty_mapping_and_its_faults_stand_at_line_one() -> None:
    assert read(b"", "f.yaml").tree == {}
    assert read(b"# nothing\n", "f.yaml").tree == {}
    assert faults_of("") == [("SCHEMA_MISSING", 1, "title")]


def test_byte_order_mark_and_windows_line_ends_are_no_content() -> None:
    document = read("\ufefftitle: 调色\r\nshare: 1\r\n".encode(), "f.yaml")
    assert document.tree == {"title": "调色", "share": "1"}
    assert document.at("share").line == 2


def test_text_arrives_in_normal_form_c_keys_too() -> None:
    decomposed = "e\u0301"
    assert read(f"{decomposed}: {decomposed}\n".encode(), "f.yaml").tree == {"é": "é"}


def test_lines_are_known_for_keys_items_and_nested_values() -> None:
    document = read(b"title: t\ncolours:\n  - name: red\n  -\n    name: blue\n", "f.yaml")
    lines = [document.at(*path).line for path in [("title",), ("colours",), ("colours", 0), ("colours", 1, "name")]]
    assert lines == [1, 2, 3, 5]
    assert str(document.at("colours", 1, "shade")) == "f.yaml:5: colours[1].shade"


def test_bytes_that_are_not_utf_8_are_refused_by_offset() -> None:
    with pytest.raises(ConfigError) as caught:
        read(b"title: " + "中".encode("gb18030"), "f.yaml")
    assert (caught.value.code, caught.value.values["offset"]) == ("FILE_ENCODING", 7)


@pytest.mark.parametrize(
    ("content", "code", "line"),
    [
        (b"a: 1\nb: [1, 2\n", "YAML_SYNTAX", 3),
        (b"a: 1\n b: 2\n", "YAML_SYNTAX", 2),
        (b"a: b: c\n", "YAML_SYNTAX", 1),
        (b'a: "open\n', "YAML_SYNTAX", 2),
        (b"a: 1\n---\nb: 2\n", "YAML_FORBIDDEN", 0),
        (b"a: 1\na: 2\n", "YAML_FORBIDDEN", 2),
        (b"? [x]\n: 1\n", "YAML_FORBIDDEN", 1),
        (b"x: 1\n? {y: 1}\n: 1\n", "YAML_FORBIDDEN", 2),
    ],
)
def test_what_cannot_be_read_is_refused_at_its_line(content: bytes, code: str, line: int) -> None:
    assert refused(content) == (code, line)


def test_a_merge_key_is_a_key_like_any_other() -> None:
    assert read(b"<<: {a: 1}\n", "f.yaml").tree == {"<<": {"a": "1"}}


def test_every_fault_of_a_file_is_told_at_once_with_line_and_key() -> None:
    text = "titel: t\nshare: many\nglossy: on\ncolours:\n  - {name: red, shade: pale}\n  - {weight: 0}\nby_room: {hall: {nam: x}}\n"
    assert faults_of(text) == [
        ("SCHEMA_MISSING", 1, "title"),
        ("SCHEMA_VALUE", 5, "colours[0].shade"),
        ("SCHEMA_MISSING", 6, "colours[1].name"),
        ("SCHEMA_VALUE", 6, "colours[1].weight"),
        ("SCHEMA_MISSING", 7, "by_room.hall.name"),
        ("SCHEMA_KEY", 7, "by_room.hall.nam"),
        ("SCHEMA_VALUE", 2, "share"),
        ("SCHEMA_VALUE", 3, "glossy"),
        ("SCHEMA_KEY", 1, "titel"),
    ]


def test_an_unknown_key_is_answered_by_the_nearest_known_one() -> None:
    with pytest.raises(ConfigError) as caught:
        fit(Palette, read(b"title: t\ncolors: []\nzzzz: 1\n", "f.yaml"))
    first, second = caught.value.every()
    assert first.text("en") == "f.yaml:2: colors: unknown key 'colors'. Did you mean 'colours'?"
    assert first.text("zh") == "f.yaml:2: colors: 没有名为 'colors' 的键。是否想写 'colours'？"
    assert second.text("en").endswith("Remove it, or look up its name in the documentation.")


def test_a_key_with_an_alias_is_known_by_the_word_of_the_file() -> None:
    assert fit(Palette, read(b"title: t\nfrom: here\n", "f.yaml")).from_ == "here"
    assert faults_of("title: t\nfrom_: here\n") == [("SCHEMA_KEY", 2, "from_")]


def test_a_check_of_the_whole_points_inside() -> None:
    text = "title: t\ncolours:\n  - name: grey\n  - name: red\n  - name: grey\n"
    assert faults_of(text) == [("SCHEMA_VALUE", 3, "colours[0].name"), ("SCHEMA_VALUE", 5, "colours[2].name")]
    assert faults_of("title: none\n") == [("SCHEMA_VALUE", 1, "")]


@pytest.mark.parametrize(
    "text", ["- a\n", "just text\n", "title: {deep: x}\n", "title: t\ncolours: {a: 1}\n", "title: t\nby_room: []\n"]
)
def test_the_wrong_shape_is_a_fault_of_the_schema(text: str) -> None:
    assert {code for code, _, _ in faults_of(text)} <= {"SCHEMA_VALUE", "SCHEMA_MISSING"}


def test_a_caller_may_expand_the_tree_before_it_is_fitted() -> None:
    document = read(b"title: t\nshade: dark\n", "f.yaml")
    expanded: Tree = {"title": "t", "colours": [{"name": "red", "shade": "dark"}]}
    assert fit(Palette, document, expanded).colours[0].shade == "dark"


@pytest.mark.parametrize(
    ("text", "value"), [("7", 7), ("-3", -3), ("+4", 4), ("007", 7), ("9007199254740991", 2**53 - 1)]
)
def test_whole_numbers(text: str, value: int) -> None:
    assert fit(Amount, read(f"n: '{text}'\n".encode(), "f.yaml")).n == value


@pytest.mark.parametrize("text", ["", "1.0", "1e3", "1_000", "１２", "٣", "0x10", "9007199254740992", "9" * 19, " 1"])
def test_what_is_not_a_whole_number_in_ascii_digits_is_refused(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        fit(Amount, read(f"n: '{text}'\n".encode(), "f.yaml"))
    assert caught.value.code == "SCHEMA_VALUE"


@pytest.mark.parametrize(("text", "value"), [("1e-6", 1e-6), (".5", 0.5), ("2.", 2.0), ("-1.5E+3", -1500.0)])
def test_real_numbers(text: str, value: float) -> None:
    assert fit(Palette, read(f"title: t\nshare: '{text}'\n".encode(), "f.yaml")).share == value


@pytest.mark.parametrize("text", ["nan", "inf", "1e999", "1,5", "１.5", "", "1e", "--1"])
def test_what_is_not_a_finite_number_is_refused(text: str) -> None:
    assert faults_of(f"title: t\nshare: '{text}'\n") == [("SCHEMA_VALUE", 2, "share")]


@pytest.mark.parametrize("text", ["on", "yes", "True", "1", "TRUE", ""])
def test_a_flag_is_true_or_false_and_nothing_that_looks_like_it(text: str) -> None:
    assert faults_of(f"title: t\nglossy: '{text}'\n") == [("SCHEMA_VALUE", 2, "glossy")]
    assert fit(Palette, read(b"title: t\nglossy: true\n", "f.yaml")).glossy is True


def test_a_message_and_a_file_are_read_by_one_schema() -> None:
    """The same record from JSON with JSON's own numbers and flags, as messages carry them."""
    written = fit(Palette, read(b"title: t\nshare: 0.25\nglossy: true\ncolours: [{name: red, weight: 3}]\n", "f.yaml"))
    assert Palette.model_validate_json(written.model_dump_json(by_alias=True), strict=True) == written


def test_a_record_is_frozen() -> None:
    colour = Colour(name="red")
    with pytest.raises(ValidationError, match="frozen"):
        colour.name = "blue"  # type: ignore[misc]  # the assignment is what is tested


@pytest.mark.parametrize("text", ["a\u202eb", "a\u200bb", "a\x1bb", "e\u0301", "a\rb", "a\u3164b"])
def test_a_record_that_never_was_a_file_holds_no_hidden_text_either(text: str) -> None:
    for build in (lambda: Colour(name=text), lambda: Palette(title="t", by_room={text: Colour(name="red")})):
        with pytest.raises(ValidationError):
            build()
    assert Colour(name="赤\n\t红 é").name == "赤\n\t红 é"


def test_a_file_is_read_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "palette.yaml"
    with pytest.raises(ConfigError) as caught:
        yamltext.load(path)
    assert caught.value.code == "FILE_MISSING"
    with pytest.raises(ConfigError):
        yamltext.load(tmp_path)
    path.write_bytes(b"title: t\n")
    assert yamltext.load(path) == read(b"title: t\n", str(path))


def test_paths_are_written_with_dots_and_brackets() -> None:
    assert dotted(()) == ""
    assert dotted(("questions", 1, "by", 0)) == "questions[1].by[0]"


@given(
    st.binary(max_size=200)
    | st.text(max_size=200).map(str.encode)
    | st.from_regex(r"([a-c&*!|>\[\]{}:,?'\"\\#% \n-]|\\u20[0-9a-f]{2})*").map(str.encode)
)
def test_any_bytes_give_a_tree_or_a_typed_fault(content: bytes) -> None:
    found: Document | ConfigError
    try:
        found = read(content, "f.yaml")
    except ConfigError as fault:
        found = fault
    match found:
        case ConfigError():
            assert found.code in ("YAML_SYNTAX", "YAML_FORBIDDEN", "YAML_TOO_LARGE", "FILE_ENCODING")
            assert found.text("zh").startswith("f.yaml")
        case Document(tree=tree):
            assert isinstance(tree, dict | list | str)


def test_lines_of_a_file_that_is_none_of_ours_are_not_repeated() -> None:
    document = read(b"root:*:19000:0:99999:7: secret\n", "study.yaml")
    with pytest.raises(ConfigError) as fault:
        fit(Record, document)
    assert fault.value.code == "SCHEMA_KEY"
    assert "19000" not in fault.value.text("en") + fault.value.text("zh")
