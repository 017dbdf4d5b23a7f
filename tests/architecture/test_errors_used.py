"""Every code that is raised has texts, every text is of a code that is raised, and each raise gives the values that its text shows."""

import ast
import re
import string

from protocols.errors import CODES
from tests.architecture.source import Module, broken, modules

FAMILIES = ("ConfigError", "Refusal", "PeerError", "IncompleteError", "HpfedError")
CODE = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")
GIVEN_BY_ITSELF = {"near", "who"}  # `near` may be left out; PeerError gives `who`


def raised(call: ast.Call) -> list[str]:
    """The codes that a call can carry, where they are written out: one, or the two sides of a choice."""
    name = getattr(call.func, "id", getattr(call.func, "attr", ""))
    position = 0 if name in FAMILIES else 1 if name == "Fault" else None
    if position is None or len(call.args) <= position:
        return []
    written = [node.value for node in ast.walk(call.args[position]) if isinstance(node, ast.Constant)]
    return [
        text
        for text in written
        if isinstance(text, str) and CODE.fullmatch(text) and not isinstance(call.args[position], ast.BinOp)
    ]


def shown(code: str) -> set[str]:
    """Names that a code's texts show, in either language."""
    return {
        name
        for parts in CODES[code].values()
        for part in parts
        for _, name, _, _ in string.Formatter().parse(part)
        if name
    }


def unknown(module: Module) -> list[str]:
    return [
        f"{module.at(call)} raises {code}, which has no text"
        for call in module.calls()
        for code in raised(call)
        if code not in CODES
    ]


def unfilled(module: Module) -> list[str]:
    """Raises whose values are written out and do not hold all that the text shows: formatting it would fail in front of the user."""
    found = []
    for call in module.calls():
        for code in raised(call):
            given = {keyword.arg for keyword in call.keywords}
            if getattr(call.func, "id", "") == "Fault" and len(call.args) == 3 and isinstance(call.args[2], ast.Dict):
                given = {key.value for key in call.args[2].keys if isinstance(key, ast.Constant)}  # type: ignore[misc]  # keys are texts
            if None not in given and code in CODES and (missing := shown(code) - GIVEN_BY_ITSELF - given):
                found.append(f"{module.at(call)} raises {code} without {', '.join(sorted(missing))}")
    return found


def words(module: Module) -> set[str]:
    """Texts in a module that are, or begin, a code: codes travel as values too (`Fault`, tables of checks, "ENVELOPE_" + field)."""
    texts = (node.value for node in module.nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))
    return {text for text in texts if CODE.fullmatch(text.removesuffix("_"))}


def test_every_code_that_is_raised_has_texts() -> None:
    assert broken(unknown) == []


def test_every_raise_gives_the_values_that_its_text_shows() -> None:
    assert broken(unfilled) == []


def test_every_text_is_of_a_code_that_some_module_can_raise() -> None:
    used = set().union(*(words(module) for module in modules() if module.name != "protocols.errors"))
    beginnings = tuple(word for word in used if word.endswith("_"))
    assert [code for code in CODES if code not in used and not code.startswith(beginnings)] == []


def test_a_code_stands_in_the_list_once() -> None:
    """A literal mapping forgets the first of two equal keys without a word."""
    (errors,) = [module for module in modules("protocols") if module.name == "protocols.errors"]
    (written,) = [
        node.value
        for node in errors.nodes
        if isinstance(node, ast.AnnAssign)
        and getattr(node.target, "id", "") == "CODES"
        and isinstance(node.value, ast.Dict)
    ]
    keys = [key.value for key in written.keys if isinstance(key, ast.Constant)]
    assert len(keys) == len(set(keys)) == len(CODES)


def test_a_code_without_text_and_a_raise_without_values_are_found() -> None:
    assert unknown(Module("node.x", 'raise Refusal("NO_SUCH_CODE")'))
    assert unknown(Module("node.x", 'raise errors.Refusal("A" if x else "STUDY_EMPTY")')) == [
        "node.x:1 raises A, which has no text"
    ]
    assert unfilled(Module("node.x", 'ConfigError("STUDY_TWICE", at)')) == ["node.x:1 raises STUDY_TWICE without name"]
    assert unfilled(Module("node.x", 'Fault("by", "STUDY_AXES", {"count": 5})')) == [
        "node.x:1 raises STUDY_AXES without limit"
    ]
    assert (
        unfilled(Module("node.x", 'ConfigError("STUDY_TWICE", at, name=1)\nConfigError("STUDY_TWICE", at, **values)'))
        == []
    )
