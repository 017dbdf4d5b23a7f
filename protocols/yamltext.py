"""YAML as people mean it: scalars stay text, and every fault has a line.

A safe subset: no aliases, no tags, no duplicate keys, at most 1 MiB, 32 levels and 20,000 nodes (threat-model.md T43).
`1e-6`, `0123`, `on` and `null` reach the schema as the text that was written; the schema then types it. A value travels from here to
a model by way of JSON, in strict mode, so that a file and a message are read by one and the same schema.
"""

import difflib
import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Annotated, Any, Final, TypeVar

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from protocols.errors import Both, ConfigError, Place, Unfit, joined, worded

MOST_BYTES: Final = 1 << 20
MOST_LEVELS: Final = 32
SHOWN: Final = re.compile(r"[\w.@ -]{0,60}")  # keys that a message may repeat
MOST_NODES: Final = 20_000
MOST_WHOLE: Final = 2**53 - 1  # beyond it an integer does not survive canonical JSON

HIDDEN: Final = (
    "Cc",
    "Cf",
    "Co",
    "Cs",
    "Zl",
    "Zp",
)  # control, format (bidi, zero width), private, surrogate, separators
FILLERS: Final = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0"
)  # letters without a picture
HIDDEN_THING: Final = "control, direction-changing or invisible characters"

Tree = dict[str, "Tree"] | list["Tree"] | str
Path = tuple[str | int, ...]


def hidden(text: str, but: str = "\t\n") -> int | None:
    """Where the first character stands that a reader cannot see for what it is (threat-model.md T36, T51); `None` if there is none."""
    found = [
        mark for mark in set(text) if mark not in but and (unicodedata.category(mark) in HIDDEN or mark in FILLERS)
    ]
    return min((text.index(mark) for mark in found), default=None)


class Record(BaseModel):
    """A frozen value with a closed schema. Every file and message of the project is made of these.

    Its texts, and those in its lists and mappings, are in normal form C and hold no hidden character, also where they never were a file.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", arbitrary_types_allowed=False)

    @field_validator("*", mode="after")
    @classmethod
    def _legible(cls, value: Any) -> Any:
        for text in _texts(value):
            if text.isascii() and text.isprintable():
                continue
            if not unicodedata.is_normalized("NFC", text):
                raise Unfit("含有不是 Unicode 规范形式 C 的文字", "holds text that is not in Unicode normal form C")
            if hidden(text) is not None:
                raise Unfit("含有控制字符、改变书写方向的字符或看不见的字符", f"holds {HIDDEN_THING}")
        return value


def _texts(value: Any) -> Iterator[str]:
    """The text in a field, one by one; records inside it have looked at their own."""
    match value:
        case str():
            yield value
        case tuple() | list():
            for item in value:
                if type(item) is not float and type(item) is not int:  # long lists are of numbers
                    yield from _texts(item)
        case dict():
            for key, item in value.items():
                yield from _texts(key)
                yield from _texts(item)


class Faults(ValueError):
    """What a validator found further inside the value that it looks at: for each fault the keys that lead there, and what is wrong."""

    def __init__(self, found: Iterable[tuple[Path, Both]]) -> None:
        self.found = tuple(found)
        super().__init__("; ".join(f"{dotted(path)}: {text}" for path, text in self.found))


@dataclass(frozen=True)
class Document:
    """A parsed file: its tree of text, and the line of every key and item."""

    file: str
    tree: Tree
    lines: dict[Path, int]

    def at(self, *path: str | int) -> Place:
        """The place of a key; of the nearest enclosing one if that key was left out."""
        known = path
        while known and known not in self.lines:
            known = known[:-1]
        return Place(self.file, self.lines.get(known, 1), dotted(path))


def dotted(path: Path) -> str:
    """`questions[1].by` for ("questions", 1, "by")."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def load(path: FilePath) -> Document:
    """Read a file of at most `MOST_BYTES` and parse it. Errors: `ConfigError` FILE_MISSING and those of `read`."""
    return read(content(path), str(path))


def content(path: FilePath) -> bytes:
    """The bytes of a file, of which more than `MOST_BYTES` are not read (`read` then refuses them). Errors: `ConfigError FILE_MISSING`."""
    if not path.is_file():
        raise ConfigError("FILE_MISSING", Place(str(path)))
    with path.open("rb") as file:
        return file.read(MOST_BYTES + 1)


def read(content: bytes, file: str) -> Document:
    """Parse one YAML document. Errors: `ConfigError` YAML_SYNTAX, YAML_FORBIDDEN, YAML_TOO_LARGE, FILE_ENCODING."""
    if len(content) > MOST_BYTES:
        raise ConfigError("YAML_TOO_LARGE", Place(file), what="bytes", limit=MOST_BYTES)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        raise ConfigError("FILE_ENCODING", Place(file), offset=fault.start) from None
    found = hidden(text, but="\t\r\n")
    if found is not None:
        raise ConfigError("YAML_FORBIDDEN", Place(file, text.count("\n", 0, found) + 1), thing=HIDDEN_THING)
    lines: dict[Path, int] = {}
    try:
        events = iter(yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
        tree = _Builder(file, events, lines).document()
    except yaml.YAMLError as fault:
        mark = getattr(fault, "problem_mark", None)
        problem = getattr(fault, "problem", None) or "not readable"
        raise ConfigError("YAML_SYNTAX", Place(file, mark.line + 1 if mark else 0), problem=problem) from None
    return Document(file, tree, lines)


class _Builder:
    """Turns parser events into a tree and counts what it builds."""

    def __init__(self, file: str, events: Iterator[Any], lines: dict[Path, int]) -> None:
        self.file, self.events, self.lines, self.nodes = file, events, lines, 0

    def document(self) -> Tree:
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                tree = self.node(next(self.events), ())
                next(self.events)
                if not isinstance(next(self.events), yaml.StreamEndEvent):
                    raise ConfigError("YAML_FORBIDDEN", Place(self.file), thing="files of several documents")
                return tree
        return {}

    def node(self, event: Any, path: Path) -> Tree:
        line = event.start_mark.line + 1
        self.lines.setdefault(path, line)
        self.nodes += 1
        if self.nodes > MOST_NODES:
            raise ConfigError("YAML_TOO_LARGE", Place(self.file, line), what="entries", limit=MOST_NODES)
        if len(path) > MOST_LEVELS:
            raise ConfigError("YAML_TOO_LARGE", Place(self.file, line), what="levels", limit=MOST_LEVELS)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise ConfigError("YAML_FORBIDDEN", Place(self.file, line), thing="anchors and aliases")
        if getattr(event, "tag", None) not in (None, "!"):
            raise ConfigError("YAML_FORBIDDEN", Place(self.file, line), thing="tags")
        if isinstance(event, yaml.ScalarEvent):
            return self.text(event, path)
        if isinstance(event, yaml.SequenceStartEvent):
            return self.sequence(path)
        return self.mapping(path)

    def text(self, event: Any, path: Path) -> str:
        """A scalar in normal form C. Escapes of double quotes are undone by now, so what they hid is looked at here."""
        if hidden(event.value) is not None:
            place = Place(self.file, event.start_mark.line + 1, dotted(path))
            raise ConfigError("YAML_FORBIDDEN", place, thing=HIDDEN_THING)
        return unicodedata.normalize("NFC", event.value)

    def sequence(self, path: Path) -> Tree:
        items: list[Tree] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            items.append(self.node(event, (*path, len(items))))
        return items

    def mapping(self, path: Path) -> Tree:
        pairs: dict[str, Tree] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            line = event.start_mark.line + 1
            if not isinstance(event, yaml.ScalarEvent) or event.anchor or event.tag not in (None, "!"):
                raise ConfigError("YAML_FORBIDDEN", Place(self.file, line), thing="keys that are not plain text")
            key = self.text(event, path)
            if key in pairs:
                raise ConfigError(
                    "YAML_FORBIDDEN", Place(self.file, line, dotted((*path, key))), thing="duplicate keys"
                )
            self.lines[(*path, key)] = line
            pairs[key] = self.node(next(self.events), (*path, key))
        return pairs


Model = TypeVar("Model", bound=BaseModel)


def fit(model: type[Model], document: Document, tree: Tree | None = None) -> Model:
    """The document as a model, or every fault at once, each with file, line, key and, for an unknown key, the nearest known one.

    `tree` stands in for the document's own tree where a caller has expanded it.
    Errors: `ConfigError` SCHEMA_KEY, SCHEMA_MISSING, SCHEMA_VALUE.
    """
    content = document.tree if tree is None else tree
    try:
        return model.model_validate_json(json.dumps(content, ensure_ascii=False), strict=True)
    except ValidationError as fault:
        found = joined(each for cause in _causes(fault) for each in _explain(model, document, content, cause))
        raise found or fault from None


def _causes(fault: ValidationError) -> list[Any]:
    """One report per place: of a choice between shapes the first, and none about a whole whose part is reported."""
    kept: dict[tuple[Any, ...], Any] = {}
    for each in fault.errors(include_url=False, include_input=False):
        kept.setdefault(each["loc"], each)
    return [
        each
        for loc, each in kept.items()
        if not any(len(other) > len(loc) and other[: len(loc)] == loc for other in kept)
    ]


def _explain(model: type[BaseModel], document: Document, content: Tree, fault: Any) -> Iterator[ConfigError]:
    last = str(fault["loc"][-1]) if fault["loc"] else ""
    named = fault["type"] in ("missing", "extra_forbidden")
    path = _path(content, fault["loc"], named=named)
    if named and not SHOWN.fullmatch(last):  # a file that is no file of ours: its lines are not repeated
        last, path = "…", path[:-1]
    at, cause = document.at(*path), fault.get("ctx", {}).get("error")
    if fault["type"] == "extra_forbidden":
        known = _keys(model)
        close = difflib.get_close_matches(last, known, 1)
        zh = f"是否想写 {close[0]!r}？" if close else "请删去，或查阅文档中的键名"
        en = f"Did you mean {close[0]!r}?" if close else "Remove it, or look up its name in the documentation"
        if last in known:
            zh, en = "它是别处的键，请从此处删去", "It belongs elsewhere; remove it here"
        yield ConfigError("SCHEMA_KEY", at, key=last, near_zh=zh, near_en=en)
    elif fault["type"] == "missing" and isinstance(fault["loc"][-1], int):
        number = fault["loc"][-1] + 1
        said = Both(f"缺少列表的第 {number} 项", f"item {number} of the list is missing")
        yield ConfigError("SCHEMA_VALUE", at, problem=said)
    elif fault["type"] == "missing":
        yield ConfigError("SCHEMA_MISSING", at, key=last)
    elif isinstance(cause, Faults):
        for inside, text in cause.found:
            yield ConfigError("SCHEMA_VALUE", document.at(*path, *inside), problem=text)
    else:
        yield ConfigError("SCHEMA_VALUE", at, problem=worded(cause) if isinstance(cause, ValueError) else _unfit(fault))


# What the schema library finds, by its name for it: Chinese, then English; what it knows of the value stands in braces.
_UNFIT: Final[dict[str, tuple[str, str]]] = {
    "string_pattern_mismatch": ("不符合格式 {pattern}", "does not match the pattern {pattern}"),
    "literal_error": ("只能是 {expected}", "must be {expected}"),
    "union_tag_invalid": ("{tag} 不在 {expected_tags} 之中", "{tag} is none of {expected_tags}"),
    "union_tag_not_found": ("缺少 {discriminator}", "{discriminator} is missing"),
    "greater_than": ("必须大于 {gt}", "must be above {gt}"),
    "greater_than_equal": ("不得小于 {ge}", "must be at least {ge}"),
    "less_than": ("必须小于 {lt}", "must be below {lt}"),
    "less_than_equal": ("不得大于 {le}", "must be at most {le}"),
    "too_short": (
        "至少要有 {min_length} 项，现有 {actual_length} 项",
        "needs at least {min_length} entries and has {actual_length}",
    ),
    "too_long": ("至多 {max_length} 项", "may have at most {max_length} entries"),
    "string_too_short": ("至少 {min_length} 个字符", "needs at least {min_length} characters"),
    "string_too_long": ("至多 {max_length} 个字符", "may have at most {max_length} characters"),
    "string_type": ("应为单个文字值", "must be a single value"),
    "tuple_type": ("应为列表", "must be a list"),
    "list_type": ("应为列表", "must be a list"),
    "dict_type": ("应为键与值的映射", "must be a mapping of keys to values"),
    "model_type": ("应为键与值的映射", "must be a mapping of keys to values"),
    "model_attributes_type": ("应为键与值的映射", "must be a mapping of keys to values"),
    "int_type": ("应为整数", "must be a whole number"),
    "float_type": ("应为数字", "must be a number"),
    "bool_type": ("应为 true 或 false", "must be true or false"),
    "finite_number": ("应为有限的数", "must be a finite number"),
    "date_type": ("应为 2022-05-31 这样的日期", "must be a day like 2022-05-31"),
    "date_parsing": ("应为 2022-05-31 这样的日期", "must be a day like 2022-05-31"),
    "date_from_datetime_parsing": ("应为 2022-05-31 这样的日期", "must be a day like 2022-05-31"),
    "date_from_datetime_inexact": ("应为 2022-05-31 这样的日期", "must be a day like 2022-05-31"),
}


def _unfit(fault: Any) -> Both:
    """The library's own words where it finds something that is not listed."""
    zh, en = _UNFIT.get(fault["type"], ("{said}", "{said}"))
    values = {**fault.get("ctx", {}), "said": fault["msg"]}
    values_zh = {name: each.replace(" or ", " 或 ") if isinstance(each, str) else each for name, each in values.items()}
    return Both(zh.format_map(values_zh), en.format_map(values))


def _path(content: Tree, loc: tuple[Any, ...], named: bool) -> Path:
    """The keys of the file in a pydantic location, which also names branches of choices. `named`: the last part is a key."""
    path: list[str | int] = []
    node = content
    for number, part in enumerate(loc):
        if (isinstance(node, dict) and part in node) or (
            isinstance(node, list) and isinstance(part, int) and part < len(node)
        ):
            node = node[part]
        elif not (named and number == len(loc) - 1):
            continue
        path.append(part)
    return tuple(path)


def _keys(model: type[BaseModel]) -> list[str]:
    """Every key that the schema knows, at any depth."""
    schema = model.model_json_schema(by_alias=True)
    shapes = [schema, *schema.get("$defs", {}).values()]
    return sorted({key for shape in shapes for key in shape.get("properties", {})})


# --- scalars: the text that was written, or the JSON value that a message carries


def _typed(pattern: str, make: Callable[[str], Any], name: Both) -> Callable[[Any], Any]:
    shape = re.compile(pattern)

    def validate(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        if not shape.fullmatch(value):
            raise Unfit(f"{value[:40]!r} 不是{name.zh}", f"{value[:40]!r} is not {name.en}")
        return make(value)

    return validate


_NUMBER = r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?"
Whole = Annotated[
    int,
    BeforeValidator(_typed(r"[+-]?[0-9]{1,18}", int, Both("整数", "a whole number"))),
    Field(ge=-MOST_WHOLE, le=MOST_WHOLE),
]
Real = Annotated[float, BeforeValidator(_typed(_NUMBER, float, Both("数字", "a number"))), Field(allow_inf_nan=False)]
Flag = Annotated[
    bool, BeforeValidator(_typed("true|false", lambda text: text == "true", Both(" true 或 false", "true or false")))
]
