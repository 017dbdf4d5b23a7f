"""Whatever arrives in place of a study and its dictionary is a study or a peer's fault; never another exception, or a changed meaning."""

from pathlib import Path
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from protocols import study
from protocols.canonical import canonical, digest, parse_canonical
from protocols.errors import PeerError

EXAMPLE: Final = study.load(
    Path(study.__file__).parents[1] / "simulations" / "examples" / "social-insure" / "study.yaml"
)
SCALARS: Final[st.SearchStrategy[Any]] = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.sampled_from(
        ["", "dp", "exact", "1e999", "pooled", "both", "count", "tgi", "2022-05-31", "_missing", "category", "0"]
    )
)
VALUES: Final[st.SearchStrategy[Any]] = st.recursive(
    SCALARS,
    lambda deeper: st.lists(deeper, max_size=2) | st.dictionaries(st.text(max_size=4), deeper, max_size=2),
    max_leaves=4,
)


def places(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inside = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [path, *(place for key, value in inside for place in places(value, (*path, key)))]


@st.composite
def changed(draw: st.DrawFn, content: bytes) -> bytes:
    """Canonical bytes with one to three places replaced, taken out, or given a new key."""
    tree = parse_canonical(content, "tree")
    for _ in range(draw(st.integers(1, 3))):
        options = [place for place in places(tree) if place]
        if not options:
            break
        *way, last = draw(st.sampled_from(options))
        node = tree
        for key in way:
            node = node[key]
        match draw(st.sampled_from(["replace", "remove", "add"])):
            case "replace":
                node[last] = draw(VALUES)
            case "remove":
                del node[last]
            case "add" if isinstance(node, dict):
                node[draw(st.text(max_size=6))] = draw(VALUES)
    return canonical(tree)


def arrives(content: bytes, dictionary: bytes) -> None:
    try:
        found = study.from_wire(content, dictionary)
    except PeerError as fault:
        refused = fault.code
    else:
        refused = ""
        assert (found.content, found.dictionary.content) == (content, dictionary)
        assert found.workload.layout.length > 0
    assert refused in ("", "STUDY_INVALID", "NOT_CANONICAL")


@settings(max_examples=200)
@given(changed(EXAMPLE.content))
def test_a_changed_study_is_what_it_says_or_refused(content: bytes) -> None:
    arrives(content, EXAMPLE.dictionary.content)


@settings(max_examples=200)
@given(changed(EXAMPLE.dictionary.content))
def test_a_changed_dictionary_does_not_pass_for_the_one_that_was_meant(dictionary: bytes) -> None:
    """Also where the study is made to name it: then it is a valid dictionary, or refused."""
    arrives(EXAMPLE.content, dictionary)
    renamed = {**parse_canonical(EXAMPLE.content, "study"), "dictionary_digest": digest(dictionary)}
    arrives(canonical(renamed), dictionary)


@given(VALUES, VALUES)
def test_any_json_at_all_is_refused(content: Any, dictionary: Any) -> None:
    arrives(canonical(content), canonical(dictionary))
    arrives(EXAMPLE.content, canonical(dictionary))
