"""T51: terminal escape codes in city-supplied names. Control characters are refused on input and escaped on output."""

from pathlib import Path

import pytest

from protocols import dictionary as dictionaries
from protocols.errors import ConfigError, IncompleteError, Place
from protocols.yamltext import read

CLEAR_SCREEN = "\x1b[2J\x1b[H"
TITLE = "\x1b]0;owned\x07"
EIGHT_BIT = "\x9b31m"


@pytest.mark.parametrize("code", [CLEAR_SCREEN, TITLE, EIGHT_BIT, "\x07", "\x7f", "\x08" * 9, "line\rover"])
def test_a_file_that_would_command_a_terminal_is_refused_raw_and_escaped(code: str) -> None:
    raw = f'city: "{code}"\n'.encode()
    written = "".join(f"\\x{ord(mark):02x}" for mark in code)
    for content in (raw, f'city: "{written}"\n'.encode(), f'"{written}": x\n'.encode()):
        if content == raw and "\r" in code:
            continue  # an honest line end, which YAML folds to a space
        with pytest.raises(ConfigError) as caught:
            read(content, "city.yaml")
        assert caught.value.code == "YAML_FORBIDDEN"
        assert caught.value.text("zh").isprintable()


def test_what_a_message_repeats_is_printable_whoever_supplied_it() -> None:
    """A file name, and a value that never went through a file of ours."""
    place = Place(f"cities/{CLEAR_SCREEN}/city.yaml", 3, f"name.{TITLE}")
    for fault in (
        ConfigError("SCHEMA_VALUE", place, problem=EIGHT_BIT + "\u202e"),
        ConfigError("DICTIONARY_UNKNOWN", name=CLEAR_SCREEN, known="\r\n"),
        IncompleteError("STUDY_TWICE", name=TITLE),
    ):
        assert fault.text("zh").isprintable()
        assert fault.text("en").isprintable()
        assert str(fault).isprintable()
    assert "\\x1b[2J" in ConfigError("FILE_MISSING", place).text("en")
    assert str(ConfigError("FILE_MISSING", Place("城市/city.yaml"))).startswith("城市/city.yaml: ")


def test_a_missing_file_with_a_hostile_name_is_named_harmlessly(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        dictionaries.load(f"{CLEAR_SCREEN}.yaml", beside=tmp_path)
    assert caught.value.text("en").isprintable()
