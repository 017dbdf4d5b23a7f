"""T43: YAML alias bomb, tags, duplicate keys, deep nesting, surprising scalars. And bombs that a dictionary hides in plain YAML."""

import time
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protocols import dictionary as dictionaries
from protocols.canonical import canonical, parse_canonical
from protocols.errors import ConfigError, PeerError
from protocols.yamltext import MOST_BYTES, MOST_LEVELS, MOST_NODES, read

QUICK_S = 5.0  # CPU time; each of these takes far less, and a bomb that went off far more


def refused(content: bytes) -> str:
    """The code of the refusal, which must come quickly."""
    start = time.process_time()
    with pytest.raises(ConfigError) as caught:
        read(content, "study.yaml")
    assert time.process_time() - start < QUICK_S
    return caught.value.code


def test_a_billion_laughs_are_refused_at_the_first_anchor() -> None:
    lines = ["a0: &a0 [ha, ha]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}, *a{n - 1}]" for n in range(1, 40)]
    assert refused("\n".join(lines).encode()) == "YAML_FORBIDDEN"


@pytest.mark.parametrize("content", [b"a: &x 1\n", b"a: *x\n", b"&k a: 1\n", b"a: [&x 1, *x]\n", b"a: &x {b: *x}\n"])
def test_anchors_and_aliases_are_refused_wherever_they_stand(content: bytes) -> None:
    assert refused(content) == "YAML_FORBIDDEN"


@pytest.mark.parametrize(
    "content",
    [
        b"a: !!python/object/apply:os.system [id]\n",
        b"a: !!python/name:os.system\n",
        b"a: !!int 1\n",
        b"a: !local {b: 1}\n",
        b"!!str a: 1\n",
        b"a: !!binary aGk=\n",
        b"--- !!set {a, b}\n",
    ],
)
def test_tags_are_refused_and_nothing_is_built_from_them(content: bytes) -> None:
    assert refused(content) == "YAML_FORBIDDEN"


def test_duplicate_keys_are_refused_also_when_only_normal_form_makes_them_equal() -> None:
    assert refused(b"epsilon: 1\nepsilon: 100\n") == "YAML_FORBIDDEN"
    assert refused("é: 1\ne\u0301: 2\n".encode()) == "YAML_FORBIDDEN"
    assert refused(b"a: {b: 1, c: 2, b: 3}\n") == "YAML_FORBIDDEN"


def test_nesting_ends_at_the_limit_and_not_before() -> None:
    def nested(levels: int) -> bytes:
        return b"[" * levels + b"x" + b"]" * levels

    tree = read(nested(MOST_LEVELS), "study.yaml").tree
    for _ in range(MOST_LEVELS):
        assert isinstance(tree, list)
        (tree,) = tree
    assert tree == "x"
    assert refused(nested(MOST_LEVELS + 1)) == "YAML_TOO_LARGE"
    for opening in (b"[", b"{a: ", b"- ", b"[{a: "):  # the parser's own limit may come first
        assert refused(opening * (MOST_BYTES // len(opening))) in ("YAML_TOO_LARGE", "YAML_SYNTAX")


def test_entries_end_at_the_limit_and_not_before() -> None:
    def listed(entries: int) -> bytes:
        return b"- 1\n" * entries

    assert len(read(listed(MOST_NODES - 1), "study.yaml").tree) == MOST_NODES - 1
    assert refused(listed(MOST_NODES)) == "YAML_TOO_LARGE"


def test_bytes_end_at_the_limit_and_not_before(tmp_path: Path) -> None:
    whole = b"a: 1\n#" + b"x" * (MOST_BYTES - 6)
    assert read(whole, "study.yaml").tree == {"a": "1"}
    assert refused(whole + b"x") == "YAML_TOO_LARGE"
    path = tmp_path / "large.yaml"
    path.write_bytes(whole + b"x" * MOST_BYTES)
    with pytest.raises(ConfigError) as caught:
        dictionaries.load(str(path))
    assert caught.value.code == "YAML_TOO_LARGE"


def test_a_scalar_is_never_a_number_a_date_or_a_truth_by_surprise() -> None:
    words = ["no", "off", "1e3", "0o17", "12:30:45", "2022-05-31", ".inf", "=", "NULL", "1_000"]
    assert read("\n".join(f"- {word}" for word in words).encode(), "study.yaml").tree == words


@pytest.mark.parametrize(
    "content", [b"[" * 100_000, b'{"a":' * 100_000, b"[" * 100_000 + b"]" * 100_000, b"1" * 100_000]
)
def test_a_message_nested_without_end_is_no_canonical_json(content: bytes) -> None:
    start = time.process_time()
    with pytest.raises(PeerError) as caught:
        parse_canonical(content, "study")
    assert (caught.value.code, time.process_time() - start < QUICK_S) == ("NOT_CANONICAL", True)


def described(derived: str) -> bytes:
    return (
        f"dictionary: bomb\nversion: 1\nvariables:\n  x: {{type: integer, range: [0, 9]}}\nderived:\n{derived}".encode()
    )


def rule(sources: list[str]) -> str:
    parts = ", ".join(f"{{variable: {name}, is: a}}" for name in sources)
    return f"{{rules: [{{code: a, when: {{any: [{parts}]}}}}], else: b}}"


def test_derived_variables_that_double_at_each_layer_are_read_once_each() -> None:
    """Without one reading of each, eight layers of eight would be read 8^8 times."""
    first = "".join(f"  v0_{k}: {{of: x, bands: {{a: [0, {k}]}}, else: b}}\n" for k in range(8))
    above = "".join(
        f"  v{layer}_{k}: {rule([f'v{layer - 1}_{j}' for j in range(8)])}\n" for layer in range(1, 8) for k in range(8)
    )
    start = time.process_time()
    found = dictionaries.parse(read(described(first + above), "bomb.yaml"))
    assert found.needs("v7_0") == {"x"}
    table = dictionaries.Table(1, {"x": dictionaries.Column(np.array([0]), np.array([True]))})
    assert dictionaries.column(table, found, "v7_7", date(2022, 1, 1)).values.tolist() == [0]
    assert time.process_time() - start < QUICK_S


def test_a_tower_of_derived_variables_is_refused_before_anything_is_computed() -> None:
    tower = "  v0: {of: x, bands: {a: [0, 4]}, else: b}\n" + "".join(
        f"  v{n}: {rule([f'v{n - 1}'])}\n" for n in range(1, 900)
    )
    start = time.process_time()
    with pytest.raises(ConfigError) as caught:
        dictionaries.parse(read(described(tower), "bomb.yaml"))
    assert (caught.value.code, time.process_time() - start < QUICK_S) == ("SCHEMA_VALUE", True)
    lower = "".join(tower.splitlines(keepends=True)[: dictionaries.MOST_LAYERS])
    assert dictionaries.parse(read(described(lower), "bomb.yaml")).derived


@pytest.mark.parametrize("number", ["1e999999999", "1e100000", "9" * 4000, "1e-999999999", "NaN", "sNaN", "Infinity"])
def test_a_number_written_short_and_meant_enormous_is_refused(number: str) -> None:
    start = time.process_time()
    for derived in (
        f"  v: {{of: x, bands: {{a: [0, {number}]}}}}",
        f"  v: {{rules: [{{code: a, when: {{variable: x, above: {number}}}}}]}}",
    ):
        with pytest.raises(ConfigError) as caught:
            dictionaries.parse(read(described(derived), "bomb.yaml"))
        assert caught.value.code == "SCHEMA_VALUE"
    assert time.process_time() - start < QUICK_S


@pytest.mark.parametrize(
    "band",
    [
        ["a", ["0", "1e999999999"]],
        ["a", [True, "4"]],
        ["a", [["0"], "4"]],
        ["a", [0, 1e300]],
        ["_missing", ["0", "4"]],
        [["a"], ["0", "4"]],
        ["a"],
        "ab",
    ],
)
def test_the_same_bombs_in_a_message_are_a_value_error_and_nothing_else(band: Any) -> None:
    """A city reads a dictionary from bytes; whatever they hold, it is the schema that says no, and `study.from_wire` catches that."""
    sound = dictionaries.parse(read(described("  v: {of: x, bands: {a: [0, 4]}, else: b}"), "bomb.yaml"))
    tree = parse_canonical(sound.content, "dictionary")
    assert dictionaries.Dictionary.of_content(canonical(tree)) == sound
    tree["derived"]["v"]["bands"] = [band]
    with pytest.raises(ValueError, match="ictionary"):
        dictionaries.Dictionary.of_content(canonical(tree))
