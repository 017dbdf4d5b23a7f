"""A fitted model as a file, `hpf-model@1`: everything that is needed to score a row and to see where the model came from.

The schema is closed and holds no number that is not finite. What a row must bring stands in `variables`: those of the model
alone, as they were when it was fitted, each with its public domain. A file past its day is refused, not used with a warning.
"""

import json
from collections.abc import Iterable, Iterator
from datetime import date
from decimal import Decimal
from functools import cached_property
from itertools import pairwise
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import Field, ValidationError, field_serializer, model_validator

from protocols.canonical import canonical, digest
from protocols.dictionary import Category, Code, Dictionary
from protocols.errors import Both, ConfigError, Place
from protocols.filters import Filter
from protocols.models.binning import Bins, Edges, Names
from protocols.models.design import NUMERIC, Design, range_of
from protocols.models.families import LINKS, Family, Link
from protocols.yamltext import Document, Faults, Flag, Real, Record, Whole, fit

FORMAT: Final = "hpf-model@1"
MOST_BYTES: Final = 32 << 20
MOST_BANDS: Final = 10
MOST_LEAVES: Final = 64
MONTH: Final = "month"  # of a hazard, as terms name it
Reals: TypeAlias = Edges
Wholes: TypeAlias = tuple[Whole, ...]
Flags: TypeAlias = tuple[Flag, ...]
Sha = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]


class Taken(Record):
    """A variable of the model: its type and public domain, codes in their order. Money in yuan."""

    name: str
    type: Literal["category", "boolean", "integer", "number", "money"]
    codes: Names = ()
    range: tuple[Real, Real] | None = None
    zh: str = ""
    en: str = ""

    def declared(self) -> dict[str, Any]:
        """The entry of a dictionary that it is."""
        entry: dict[str, Any] = {"type": self.type, "label": {"zh": self.zh or self.name, "en": self.en or self.name}}
        if self.range is not None:
            entry["range"] = [f"{Decimal(repr(end)):f}" for end in self.range]
            if self.type == "integer":
                entry["range"] = [str(int(end)) for end in self.range]
        return entry | ({"codes": {code: {} for code in self.codes}} if self.type == "category" else {})


def taken(dictionary: Dictionary, names: Iterable[str]) -> tuple[Taken, ...]:
    """The variables of a model as its file holds them; derived ones as what they come out as."""
    found = []
    for name in dict.fromkeys(names):
        kind = dictionary.type_of(name)
        numeric = kind in NUMERIC
        found.append(
            Taken.model_validate(
                {
                    "name": name,
                    "type": kind,
                    "codes": dictionary.codes(name) if kind == "category" else (),
                    "range": range_of(dictionary, name) if numeric else None,
                    "zh": dictionary.label_of(name, "zh"),
                    "en": dictionary.label_of(name, "en"),
                }
            )
        )
    return tuple(found)


class Weight(Record):
    """One coefficient: of the sum of these columns (thin codes have joined `other`); of the constant where there are none."""

    term: str
    columns: Names = ()
    estimate: Real
    std_error: Annotated[Real, Field(ge=0)]


class _Weighted(Record):
    """Coefficients, the constant first, and their covariance row by row. error_bound: of the largest coefficient, to the pooled fit."""

    weights: Annotated[tuple[Weight, ...], Field(min_length=1)]
    covariance: tuple[Reals, ...]
    error_bound: Annotated[Real, Field(ge=0)]

    @model_validator(mode="after")
    def _square(self) -> "_Weighted":
        size = len(self.weights)
        if len(self.covariance) != size or any(len(row) != size for row in self.covariance):
            raise Faults(
                [(("covariance",), Both("行列数须与系数个数相同", "must have a row and a column for each coefficient"))]
            )
        if self.weights[0].columns or any(not each.columns for each in self.weights[1:]):
            raise Faults([(("weights",), Both("只有第一项是常数项", "must begin with the constant and hold no other"))])
        return self


class _Linear(_Weighted):
    """eta = sum of weights times columns, plus the offset; mean by the link."""

    family: Family
    link: Link
    alpha: Annotated[Real, Field(gt=0)] | None = None
    terms: Names = ()
    missing: Literal["drop", "indicator"] = "drop"
    offset: str | None = None


class Linear(_Linear):
    kind: Literal["glm"] = "glm"


class Followed(Record):
    """Whose months a hazard is about: rows of `table` until `event` has one of `codes`. Its months are `count` calendar months from `first`
    on, or, where it is given, as many since `opened`, a date of the holder."""

    table: str
    event: str
    codes: Annotated[Names, Field(min_length=1)]
    opened: str | None
    first: Annotated[str, Field(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$")]
    count: Annotated[Whole, Field(ge=1)]


class Monthly(_Linear):
    """The hazard of a holder's next month, by what its last row says (`ahead.py`)."""

    kind: Literal["hazard"] = "hazard"
    months: Followed


class Points(Record):
    """score = base + pdo / ln 2 (ln odds - ln odds0); odds are those of a non-event."""

    base: Real = 600.0
    odds: Annotated[Real, Field(gt=0)] = 50.0
    pdo: Annotated[Real, Field(gt=0)] = 20.0


class CardBin(Record):
    """One bin of a feature. events, nonevents: pooled; none where they are too few to be told. woe: ln of the share of the non-events in it
    over that of the events. adjusted: a class was empty and 0.5 was added to both."""

    label: str
    events: Annotated[Whole, Field(ge=0)] | None
    nonevents: Annotated[Whole, Field(ge=0)] | None
    woe: Real
    points: Whole
    adjusted: Flag = False


class CardFeature(Record):
    """bins: where the values lie; place: for each of them, which entry of `card` it belongs to. neutral: the pooled mean of its points."""

    bins: Bins
    place: Wholes
    card: Annotated[tuple[CardBin, ...], Field(min_length=1)]
    iv: Annotated[Real, Field(ge=0)]
    neutral: Real

    @model_validator(mode="after")
    def _placed(self) -> "CardFeature":
        if len(self.place) != self.bins.cells or any(not 0 <= each < len(self.card) for each in self.place):
            raise Faults([(("place",), Both("须为每个分箱给出一行", "must name a row of the card for each bin"))])
        return self


class Card(_Weighted):
    """weights: of the weight of evidence of each feature, the event's own log odds being modelled."""

    kind: Literal["scorecard"] = "scorecard"
    points: Points
    features: Annotated[tuple[CardFeature, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _matched(self) -> "Card":
        if [each.columns for each in self.weights[1:]] != [(each.bins.name,) for each in self.features]:
            raise Faults([(("features",), Both("须与系数一一对应", "must be those of the coefficients"))])
        return self


class Tree(Record):
    """Nodes by number, the root first, children after their parent. feature: -1 in a leaf. A value goes left where its bin is below `bin`;
    where it is not known, as `missing_left` says. value: of a leaf, shrunken by eta."""

    feature: Wholes
    bin: Wholes
    missing_left: Flags
    left: Wholes
    right: Wholes
    value: Reals
    gain: Reals
    hessian: Reals

    @model_validator(mode="after")
    def _sound(self) -> "Tree":
        size = len(self.feature)
        lists = (self.bin, self.missing_left, self.left, self.right, self.value, self.gain, self.hessian)
        inner = [number for number, feature in enumerate(self.feature) if feature >= 0]
        children = [
            child for number in inner for child in (self.left[number : number + 1] + self.right[number : number + 1])
        ]
        if size == 0 or any(len(each) != size for each in lists) or sorted(children) != list(range(1, size)):
            raise Faults([((), Both("不是一棵树", "is not a tree"))])
        if size > 2 * MOST_LEAVES - 1:
            raise Faults([((), Both(f"叶子多于 {MOST_LEAVES} 个", f"has more than {MOST_LEAVES} leaves"))])
        if any(min(self.left[number], self.right[number]) <= number for number in inner):
            raise Faults([(("left",), Both("子节点须排在父节点之后", "must come after their parent"))])
        return self


class Trees(Record):
    """Boosted trees on bins; base: log odds before any tree."""

    kind: Literal["gbdt"] = "gbdt"
    features: Annotated[tuple[Bins, ...], Field(min_length=1)]
    base: Real
    trees: tuple[Tree, ...]

    @model_validator(mode="after")
    def _known(self) -> "Trees":
        if any(each.special for each in self.features):
            raise Faults([(("features",), Both("不可有特殊值", "cannot have special values"))])
        for number, tree in enumerate(self.trees):
            for feature, place in zip(tree.feature, tree.bin, strict=True):
                if feature >= len(self.features) or (feature >= 0 and not 0 < place <= self.features[feature].values):
                    raise Faults([(("trees", number), Both("分裂点不在分箱之间", "splits where there is no edge"))])
        return self


class Reference(Record):
    """The scores that the model was made on, in bands: what later scores are compared with. cuts: rising, on a grid of `grid` bins of
    the probability; counts: of the bands between them."""

    grid: Annotated[Whole, Field(ge=2)]
    cuts: Annotated[Wholes, Field(max_length=MOST_BANDS - 1)]
    counts: Wholes

    @model_validator(mode="after")
    def _banded(self) -> "Reference":
        inside = all(0 < cut < self.grid for cut in self.cuts) and all(low < high for low, high in pairwise(self.cuts))
        if not inside or len(self.counts) != len(self.cuts) + 1 or min(self.counts) < 0 or sum(self.counts) == 0:
            raise Faults([((), Both("分段与计数不符", "has bands and counts that do not go together"))])
        return self


class Predictor(Record):
    """All that a score needs. variables: those that a row must bring; outcome: what is predicted."""

    variables: tuple[Taken, ...]
    outcome: str
    fit: Annotated[Linear | Monthly | Card | Trees, Field(discriminator="kind")]
    reference: Reference | None = None

    @property
    def bare(self) -> "Predictor":
        """Of a model file, the part that scores."""
        return Predictor(**{name: getattr(self, name) for name in Predictor.model_fields})

    @cached_property
    def domain(self) -> Dictionary:
        """The variables of the model as a dictionary of its own. A model of the constant alone has one that nothing reads."""
        dated = {
            each.name: each
            for each in self.variables
            if isinstance(self.fit, Monthly) and each.name == MONTH and each.codes
        }
        entries = {each.name: each.declared() for each in self.variables if each.name not in dated}
        entries = entries or {"nothing": {"type": "boolean"}}
        plain = {name.replace("city.", "city_"): entry for name, entry in entries.items()}
        tree = {"dictionary": "of-a-model", "version": "1", "variables": plain}
        found = Dictionary.model_validate_json(json.dumps(tree), strict=True)
        named = dict(
            zip(entries, found.variables.values(), strict=True)
        )  # attributes of cities have a dot in their name
        months = {  # whose codes, as 2021-08, no dictionary has
            name: Category(type="category", codes={code: Code() for code in each.codes}) for name, each in dated.items()
        }
        return found.model_copy(update={"variables": {**months, **named}})

    @property
    def needs(self) -> tuple[str, ...]:
        """The variables that a row must bring. Errors: `ConfigError` where a term is none of this domain."""
        match self.fit:
            case Linear() | Monthly() as fit:
                terms = (*fit.terms, *(() if fit.offset is None else (fit.offset,)))
                return Design.of(terms, self.domain).variables
            case Card() as fit:
                return tuple(each.bins.name for each in fit.features)
            case Trees() as fit:
                return tuple(each.name for each in fit.features)

    @model_validator(mode="after")
    def _whole(self) -> "Predictor":
        try:
            missing = sorted(set(self._columns()) - {each.name for each in self.variables})
        except (ConfigError, ValidationError) as fault:
            said = Both("值域不通", "have no sound domain")
            if isinstance(fault, ConfigError):
                said = Both(fault.text("zh"), fault.text("en"))
            raise Faults([(("variables",), said)]) from None
        if missing:
            raise Faults([(("variables",), Both(f"缺少 {missing[0]}", f"do not hold {missing[0]}"))])
        return self

    def _columns(self) -> Iterator[str]:
        """The variables that the fit reads. Errors: `ConfigError`, `Faults` where it does not fit its own domain."""
        yield from self.needs
        match self.fit:
            case Linear() | Monthly() as fit:
                if fit.link not in LINKS[fit.family] or (fit.family == "negative_binomial") != (fit.alpha is not None):
                    raise Faults([(("fit", "link"), Both("与 family 不符", "does not go with the family"))])
                known = {piece.name for piece in Design.of(fit.terms, self.domain, fit.missing).pieces}
                unknown = [name for each in fit.weights for name in each.columns if name not in known]
                if unknown:
                    raise Faults([(("fit", "weights"), Both(f"没有列 {unknown[0]}", f"hold no column {unknown[0]}"))])
            case Card() | Trees() as fit:
                for bins in (each.bins if isinstance(each, CardFeature) else each for each in fit.features):
                    if bins.name in self.domain.variables and bins.codes != self.domain.codes(bins.name):
                        raise Faults(
                            [(("fit", "features"), Both(f"{bins.name} 的代码不符", f"have other codes of {bins.name}"))]
                        )


class ModelFile(Predictor):
    """study: digest of the study that it answered; run: which of a repeat, from 0. version: 1, one more with each recalibration; parent:
    digest of the model that it recalibrates. as_of: date of its rows; expires: the last day on which it scores. cohort: whom it is about,
    every filter of them. rows: pooled; cities: whose rows they are."""

    model: Literal["hpf-model@1"] = FORMAT
    id: Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,64}$")]
    study: Sha
    run: Annotated[Whole, Field(ge=0)] = 0
    version: Annotated[Whole, Field(ge=1)] = 1
    parent: Sha | None = None
    dictionary: Annotated[str, Field(pattern=r"^[a-z0-9-]{3,64}@[0-9]{1,6}$")]
    dictionary_digest: Sha
    as_of: date
    expires: date
    cohort: tuple[Filter, ...] = ()
    cities: Names
    rows: Annotated[Whole, Field(ge=1)]

    @property
    def content(self) -> bytes:
        """The bytes of the file, one for each value."""
        return canonical(self.model_dump(mode="json"))

    @property
    def digest(self) -> str:
        return digest(self.content)

    @field_serializer("cohort")
    def _as_written(self, cohort: tuple[Any, ...]) -> list[Any]:
        """In the words of a study."""
        return [each.model_dump(mode="json", by_alias=True, exclude_none=True) for each in cohort]

    @model_validator(mode="after")
    def _dated(self) -> "ModelFile":
        if self.expires < self.as_of:
            raise Faults([(("expires",), Both("早于所用数据的日期", "lies before the date of its rows"))])
        return self


def load(content: bytes, file: str, today: date) -> ModelFile:
    """The model in the bytes of a file. Errors: as `read`; `ConfigError MODEL_EXPIRED`."""
    found = read(content, file)
    if today > found.expires:
        raise ConfigError("MODEL_EXPIRED", Place(file), id=found.id, expires=found.expires.isoformat())
    return found


def read(content: bytes, file: str) -> ModelFile:
    """The model in the bytes of a file, past its day or not. Errors: `ConfigError` MODEL_FILE, and those of a schema, with the key."""
    if len(content) > MOST_BYTES:
        raise ConfigError("MODEL_FILE", Place(file), problem=Both("文件过大", "it is too large"))
    try:
        tree = json.loads(content.decode("utf-8", "strict"), object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise ConfigError("MODEL_FILE", Place(file), problem=Both("不是 JSON", "it is not JSON")) from None
    if not isinstance(tree, dict):
        raise ConfigError("MODEL_FILE", Place(file), problem=Both("不是映射", "it is no mapping"))
    return fit(ModelFile, Document(file, tree, {}))


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A mapping that says nothing twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key twice")
    return found
