"""Reads `results.json` back: the one truth that every table and page is made from.

    results = Results.load("OUT")
    results.table("tgi")                    # a pandas frame; a withheld cell is <NA>, never a zero

Keys that this version does not know are left alone, so that a later file of the same contract can be read; a file of another contract
cannot. What is checked is what a reader relies on: types, marks, and that a number without a status is a number.
Imports no flwr, duckdb or scipy; pandas only inside `table`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeAlias

import rfc8785
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from protocols.canonical import canonical, digest
from protocols.errors import ConfigError, Place
from protocols.filters import Filter
from protocols.stated import Noise

if TYPE_CHECKING:
    import pandas

CONTRACT: Final = 1
FILE: Final = "results.json"
POOLED: Final = "pooled"
UNKNOWN: Final = ("_outside", "_missing")  # positions that stand for no value; always last, in this order
COLUMNS: Final = (
    "base",
    "estimate",
    "display",
    "se_noise",
    "se_sampling",
    "ci_low",
    "ci_high",
    "p_value",
    "q_value",
    "preference",
    "position",
    "contrast",
)
STATUSES: Final = ("obs_status", "conf_status")
TERM: Final = "term"  # the key whose codes are columns of a regression
INDICATOR: Final = "indicator"  # the key that says which other question of the study a row is about

Scalar: TypeAlias = str | int | float | bool | None
Number: TypeAlias = Annotated[float, Field(allow_inf_nan=False)] | None
Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]


class Read(BaseModel):
    """A frozen value of a file that a later version may have written."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", protected_namespaces=())


class Label(Read):
    """Words in two languages. Where one is left out the other stands in; where both are, the caller's word does."""

    zh: str = ""
    en: str = ""

    def text(self, language: str, instead: str = "") -> str:
        first, second = (self.zh, self.en) if language == "zh" else (self.en, self.zh)
        return first or second or instead


class DictionaryName(Read):
    name: str
    digest: Digest | None = None
    label: Label = Label()


class Asker(Read):
    id: str
    role: str = ""
    name: str = ""


class Window(Read):
    from_: str = Field(alias="from")
    to: str


class StudyPart(Read):
    id: str
    digest: Digest
    revision: int = 1
    title: Label = Label()
    purpose: Label = Label()
    dictionary: DictionaryName | None = None
    asker: Asker
    cohort: Filter | None = None
    window: Window | None = None
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95


class RunPart(Read):
    at: str
    software: str
    as_of: str
    number: int = 0
    of: int = 1


class Missing(Read):
    city: str
    reason: str
    detail: str = ""


class CitiesPart(Read):
    answered: tuple[str, ...]
    missing: tuple[Missing, ...] = ()
    uncounted: tuple[Missing, ...] = ()  # in the sum, and without an answer of their own
    snapshots: dict[str, str] = {}
    cannot: dict[str, tuple[str, ...]] = {}
    unused: dict[str, dict[str, tuple[str, ...]]] = {}  # city, variable: codes that no local text becomes
    names: dict[str, Label] = {}
    scopes: dict[str, dict[str, str]] = {}  # city: who of its holders its files cover, flag by flag
    attributes: dict[str, dict[str, str]] = {}  # name, city: its level, as the study says


class CapPart(Read):
    """One cap of a city: its room, what was used of it before, and what this study takes, at the order that the cap is kept at."""

    scope: str
    epsilon: Annotated[float, Field(ge=0)]
    room: Annotated[float, Field(gt=0)]
    used: Annotated[float, Field(ge=0)]
    cost: Annotated[float, Field(ge=0)]
    epsilon_before: Annotated[float, Field(ge=0)] = 0.0


class Spent(Read):
    city: str
    epsilon: Annotated[float, Field(ge=0)]
    caps: tuple[CapPart, ...] = ()


class TwoCities(Read):
    epsilon: Annotated[float, Field(ge=0)]


class Tolerate(Read):
    dropouts: int
    colluders: int


class Left(Read):
    """What every answering city sent: so many integers of `ring` bits, in `bytes` bytes."""

    form: str
    cells: int
    bytes: int
    ring: int


class SessionPart(Read):
    """What every answering city sent for many-round questions: in `rounds` rounds at most, at most so many integers of `ring` bits each."""

    form: str
    rounds: int
    cells: int
    bytes: int
    ring: int


class Block(Read):
    """One table of the vector that left, and the variance of the noise in each of its cells."""

    block: str
    cells: int
    share: Number = None
    l1: int | None = None
    l2sq: int | None = None
    variance: Number = None
    node_variance: Number = None
    shift: int = 0


class PrivacyPart(Read):
    mode: Literal["dp", "exact"]
    unit: str
    epsilon: Annotated[float, Field(ge=0)] | None = None
    delta: Annotated[float, Field(ge=0)] | None = None
    mechanism: str = ""
    accounting: str = ""
    spent: tuple[Spent, ...] = ()
    person_in_two_cities: TwoCities | None = None
    tolerate: Tolerate | None = None
    threshold: int | None = None
    honest_share: int | None = None
    left_each_city: Left | None = None
    blocks: tuple[Block, ...] = ()
    session: SessionPart | None = None
    own_of_each_city: Left | None = None
    own_blocks: tuple[Block, ...] = ()
    session_blocks: tuple[Block, ...] = ()  # of the rounds of many-round questions
    noise: Noise | None = None  # as the study states it
    seeded: bool = False
    synthetic: bool = False
    open_data: bool = False


class Row(BaseModel):
    """One released number. Its keys, and columns that this version does not know, are further fields."""

    model_config = ConfigDict(frozen=True, strict=True, extra="allow", protected_namespaces=())
    __pydantic_extra__: dict[str, Scalar] = Field(init=False)

    scope: str = POOLED
    measure: str
    base: Number = None
    estimate: Number = None
    display: Number = None
    se_noise: Number = None
    se_sampling: Number = None
    ci_low: Number = None
    ci_high: Number = None
    p_value: Number = None
    q_value: Number = None
    preference: Literal["over", "under", "none"] | None = None
    position: Literal["below", "within", "above", "undecided"] | None = None
    contrast: bool = False
    obs_status: Annotated[str, Field(pattern="^b?u?x?z?$")] = ""
    conf_status: Annotated[str, Field(pattern="^C?$")] = ""

    @model_validator(mode="after")
    def _says_what_it_is(self) -> "Row":
        if self.estimate is None and not self.obs_status and not self.conf_status:
            raise ValueError("a row without an estimate says why in obs_status or conf_status")
        if self.conf_status and any(value is not None for value in (self.estimate, self.display, *self.interval)):
            raise ValueError("a withheld cell holds no number")
        return self

    @property
    def interval(self) -> tuple[float | None, float | None]:
        return self.ci_low, self.ci_high

    @property
    def letters(self) -> tuple[str, ...]:
        """Its marks, one letter each, in the order they are printed."""
        return (*self.obs_status, *self.conf_status.lower())

    @property
    def doubtful(self) -> bool:
        """Withheld, not available, of low reliability, or beside a break. That a share does not apply to a row is no doubt."""
        return bool(set(self.letters) - {"z"})

    @property
    def clear(self) -> bool:
        """A number without any mark: the only kind that a sentence may use."""
        return self.estimate is not None and not self.letters

    def __getitem__(self, key: str) -> Scalar:
        """The value of a column by its name; `None` where the row does not have it."""
        return getattr(self, key) if key in type(self).model_fields else self.__pydantic_extra__.get(key)

    def at(self, keys: tuple[str, ...]) -> tuple[str, ...]:
        """The codes that say which cell of its table this is; nothing where a row of the whole has no such key."""
        return tuple("" if self[key] is None else str(self[key]) for key in keys)


class Test(BaseModel):
    """A statement about a whole table: that of all holders, or of one city."""

    __test__ = False  # the word of statistics, not of pytest
    model_config = ConfigDict(frozen=True, strict=True, extra="allow", protected_namespaces=())
    __pydantic_extra__: dict[str, Scalar] = Field(init=False)

    name: str
    scope: str = POOLED
    statistic: Number = None
    df: int | None = None
    p_value: Number = None
    estimate: Number = None
    ci_low: Number = None
    ci_high: Number = None


class Coefficient(Read):
    """One term of a regression; `z`, or `t` where the dispersion is estimated. `error_bound`: how far the estimate can be from that of
    pooled rows."""

    term: str
    estimate: Number
    std_error: Number = None
    se_noise: Number = None
    se_sampling: Number = None
    z: Number = None
    t: Number = None
    p_value: Number = None
    ci_low: Number = None
    ci_high: Number = None
    error_bound: Number = None


class Fit(BaseModel):
    """What a model says of itself; without an answer `cause` says why. Further fields are those of its kind."""

    model_config = ConfigDict(frozen=True, strict=True, extra="allow", protected_namespaces=())

    converged: bool
    rounds: int
    cause: str = ""
    why: Label = Label()
    named: tuple[str, ...] = ()
    n: Number = None
    obs_status: Annotated[str, Field(pattern="^u?x?$")] = ""

    @property
    def further(self) -> Mapping[str, Any]:
        """The fields of its kind."""
        return self.__pydantic_extra__ or {}


class ModelPart(Read):
    """The file of a model under OUT, by the digest of its bytes. means: its outcome in words; reads: variables of a row that it scores."""

    file: str
    kind: str = ""
    digest: Digest
    version: int = 1
    parent: Digest | None = None
    as_of: str
    expires: str
    outcome: str
    means: Label
    reads: tuple[str, ...] = ()
    rows: int


class Question(Read):
    kind: str
    number: int = 0  # its place in the study file: canonical JSON sorts the ids
    release: Literal["pooled", "by_city", "both"] = "pooled"
    cities: tuple[str, ...]
    keys: tuple[str, ...] = ()
    asked: dict[str, Any] = {}
    cohort: Filter | None = None
    cohort_is: Literal["slice", "family", ""] = ""
    several: str = ""  # the key of which a holder may have several codes, so that shares add up to more than all
    label: Label = Label()
    facts: dict[
        str, dict[str, float]
    ] = {}  # by name and city, what these published; under `summed` by name, sums of what others did not
    rows: tuple[Row, ...] = ()
    tests: tuple[Test, ...] = ()
    coefficients: tuple[Coefficient, ...] = ()
    fit: Fit | None = None
    model: ModelPart | None = None

    @model_validator(mode="after")
    def _rows_fit(self) -> "Question":
        for key in self.keys:
            if key in Row.model_fields:
                raise ValueError(f"{key!r} cannot be a key: it is a column of every row")
        keyed: dict[tuple[str, str], tuple[str, ...]] = {}  # rows of one measure, of one indicator, have the same keys
        for number, row in enumerate(self.rows):
            given = tuple(key for key in self.keys if isinstance(row[key], str))
            of = (row.measure, str(row[INDICATOR]) if INDICATOR in given else "")
            if given != keyed.setdefault(of, given):
                raise ValueError(f"row {number} of {row.measure} lacks one of the keys {', '.join(keyed[of])}")
            if any(row[key] is not None for key in self.keys if key not in given):
                raise ValueError(f"row {number} has a key that is not a text")
            expected = {"pooled": row.scope == POOLED, "by_city": row.scope != POOLED, "both": True}
            if not expected[self.release]:
                raise ValueError(f"row {number} is of scope {row.scope}, and the question was released {self.release}")
        if self.rows and set().union(*keyed.values()) != set(self.keys):
            raise ValueError(f"no row has all of the keys {', '.join(self.keys)}, nor do those of several measures")
        return self

    @property
    def tabled(self) -> "Question":
        """With its coefficients as rows, one per term, before rows of its own, for whoever shows or writes a table."""
        if not self.coefficients or TERM in self.keys:
            return self
        rows = tuple(
            Row(measure="coefficient", **each.model_dump(exclude_none=True) | {"estimate": each.estimate})
            for each in self.coefficients
        )
        return self.model_copy(update={"keys": (TERM, *self.keys), "rows": (*rows, *self.rows)})

    @property
    def of_centres(self) -> bool:
        """Whether it is made of figures that centres state, or that the study writes down, and of no holders."""
        sides = (self.asked.get("numerator"), self.asked.get("denominator"))
        return bool(self.facts) and not any(isinstance(each, str) for each in sides)

    def columns(self) -> tuple[str, ...]:
        """The columns that its rows have, in the order of the contract: where, what, the number, its error, its marks."""
        given = {name for row in self.rows for name in row.model_fields_set} - {"scope", "measure", *STATUSES}
        known = [name for name in COLUMNS if name in given or name == "estimate"]
        further = sorted(given - set(COLUMNS) - set(self.keys))
        return ("scope", "measure", *self.keys, *known, *further, *STATUSES)

    def scopes(self) -> tuple[str, ...]:
        """`pooled`, or cities, in the order of the rows."""
        return tuple(dict.fromkeys(row.scope for row in self.rows))

    def codes(self, key: str) -> tuple[str, ...]:
        """The values of one key in the order of the rows; those that stand for no value last."""
        seen = dict.fromkeys(str(row[key]) for row in self.rows)
        return (*(code for code in seen if code not in UNKNOWN), *(code for code in UNKNOWN if code in seen))

    def compared(self, row: Row) -> tuple[str, str] | None:
        """Of a difference of two shares: the code of the second key that it is keyed by, and the one taken from it."""
        if not row.contrast or len(self.keys) != 2:
            return None
        code = str(row[self.keys[1]])
        others = [each for each in self.codes(self.keys[1]) if each not in (code, *UNKNOWN)]
        return (code, others[0]) if len(others) == 1 else None


class CodeWords(Label):
    """`comparable`: whether it means the same in every city."""

    comparable: bool = True


class VariableWords(Label):
    """`timing`: `flow` of a period, `balance` of its last day."""

    unit: str = ""
    timing: str = ""
    codes: dict[str, CodeWords] = {}


class FactWords(Label):
    """`timing`: `flow` of a period, `balance` of its last day."""

    unit: str = ""
    timing: str = ""


class WordsPart(Read):
    """`nulls`: of variables, whether an empty value counts as `zero` or is left out (`drop`)."""

    variables: dict[str, VariableWords] = {}
    nulls: dict[str, str] = {}
    facts: dict[str, FactWords] = {}


class Content(Read):
    """The whole file."""

    contract: Literal[1]
    study: StudyPart
    run: RunPart
    cities: CitiesPart
    privacy: PrivacyPart
    questions: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")], Question]
    words: WordsPart = WordsPart()

    @model_validator(mode="after")
    def _cities_answered(self) -> "Content":
        answered = set(self.cities.answered)
        for name, question in self.questions.items():
            strangers = (set(question.cities) | (set(question.scopes()) - {POOLED})) - answered
            if strangers:
                raise ValueError(f"question {name} names cities that did not answer: {', '.join(sorted(strangers))}")
        return self


@dataclass(frozen=True)
class Results:
    """A results file. `digest` is that of its canonical bytes; `tree` the same content as plain JSON values."""

    content: Content
    digest: str
    tree: Mapping[str, Any] = field(repr=False, compare=False)

    @classmethod
    def load(cls, out: "Path | str") -> "Results":
        """The results of a run: its folder, or the file itself. Errors: `ConfigError` FILE_MISSING, FILE_ENCODING, RESULTS_…"""
        path = Path(out)
        path = path / FILE if path.is_dir() else path
        if not path.is_file():
            raise ConfigError("FILE_MISSING", Place(str(path)))
        return cls.parse(path.read_bytes(), str(path))

    @classmethod
    def parse(cls, content: bytes, file: str = FILE) -> "Results":
        """The bytes of a results file. Errors: `ConfigError` RESULTS_CONTRACT, RESULTS_INVALID (with a JSON pointer), FILE_ENCODING."""
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError as fault:
            raise ConfigError("FILE_ENCODING", Place(file), offset=fault.start) from None
        try:
            tree = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
        except (ValueError, RecursionError) as fault:
            raise ConfigError("RESULTS_INVALID", Place(file), problem=f"not JSON: {fault}") from None
        return cls.of(tree, file)

    @classmethod
    def of(cls, tree: Any, file: str = FILE) -> "Results":
        """The same from plain JSON values."""
        if isinstance(tree, dict) and tree.get("contract") != CONTRACT:
            run = tree.get("run")
            software = run.get("software") if isinstance(run, dict) else None
            raise ConfigError(
                "RESULTS_CONTRACT",
                Place(file, 0, "/contract"),
                contract=tree.get("contract"),
                known=CONTRACT,
                software=software if isinstance(software, str) else "hpfed",
            )
        try:
            written = canonical(tree)
        except (ValueError, RecursionError, rfc8785.CanonicalizationError) as fault:
            raise ConfigError("RESULTS_INVALID", Place(file), problem=f"not JSON: {fault}") from None
        try:
            return cls(Content.model_validate_json(written), digest(written), tree)
        except ValidationError as fault:
            first = fault.errors(include_url=False, include_input=False)[0]
            at = Place(file, 0, _pointer(tree, first["loc"], lacking=first["type"] == "missing"))
            raise ConfigError("RESULTS_INVALID", at, problem=str(first["msg"])) from None

    @property
    def questions(self) -> Mapping[str, Question]:
        """In the order of the study file, coefficients of regressions as rows."""
        ordered = sorted(self.content.questions.items(), key=lambda each: (each[1].number, each[0]))
        return {name: question.tabled for name, question in ordered}

    def table(self, name: str) -> "pandas.DataFrame":
        """The rows of one question: text columns as strings, numbers as nullable floats. Errors: `KeyError` with the known ids."""
        import pandas

        if name not in self.questions:
            raise KeyError(f"there is no question {name!r}; this study asked {', '.join(self.questions)}")
        question = self.questions[name]
        frame = pandas.DataFrame(index=pandas.RangeIndex(len(question.rows)))
        for column in question.columns():
            values = [row[column] for row in question.rows]
            frame[column] = pandas.array(values, dtype=_dtype(column, values, question.keys))  # type: ignore[call-overload] # the stubs do not know dtypes by a computed name
        return frame


def _dtype(column: str, values: list[Scalar], keys: tuple[str, ...]) -> str:
    if column == "contrast":
        return "boolean"
    if column in ("scope", "measure", "preference", "position", *STATUSES, *keys) or any(
        isinstance(each, str) for each in values
    ):
        return "string"
    return "Float64"


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def _no_constant(word: str) -> Any:
    raise ValueError(f"{word} is not a number")


def _pointer(tree: Any, loc: tuple[Any, ...], lacking: bool) -> str:
    """RFC 6901: `/questions/tgi/rows/3/estimate`. Parts that only name a branch of the schema are left out.

    `lacking`: the last part is a key that the file should have and has not.
    """
    pointer, node = "", tree
    for number, part in enumerate(loc):
        known = (isinstance(node, dict) and part in node) or (isinstance(node, list) and part in range(len(node)))
        if known or (lacking and number == len(loc) - 1):
            node = node[part] if known else None
            pointer += "/" + str(part).replace("~", "~0").replace("/", "~1")
    return pointer
