"""What a city answers, and who in it decides: `policy.yaml`, read strictly, and one pure decision over a study.

Every key has a shipped default (`policy.default.yaml`): a missing file is the whole of it, a missing key at any depth is its value. Numbers
are decimals as written; no float decides anything. A decision reports all its reasons, not the first.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache, cached_property
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from protocols.answerable import FEWEST, least_able, shortages
from protocols.canonical import canonical, digest
from protocols.dictionary import Dictionary, near, sources
from protocols.errors import ConfigError, HpfedError, Place, Refusal, Unfit, joined
from protocols.filters import decimal, leaves
from protocols.kinds import KINDS
from protocols.models.question import ManyRounds, supposed
from protocols.models.session import Models as Fits
from protocols.privacy import cap
from protocols.statistics.layout import Amount, Block, Measure
from protocols.study import Mode, Study
from protocols.yamltext import Document, Flag, Record, Tree, Whole, dotted, fit, read

FILE: Final = "policy.yaml"
ALL: Final = "all"
Scope = Literal["per_asker_year", "per_year", "total"]
SCOPES: Final[tuple[Scope, ...]] = ("per_asker_year", "per_year", "total")
DEFAULT: Final = Path(__file__).with_name("policy.default.yaml")
MODELS: Final = (
    "glm",
    "ordinal",
    "multinomial",
    "cox",
    "hazard",
    "scorecard",
    "gbdt",
    "evaluate",
)
ONE_ROUND: Final = (
    "association",
    "mean",
    "moments",
    "histogram",
    "quantiles",
    "ratio",
    "top",
    "series",
    "compare",
    "transitions",
)
ALSO: Final = (
    *ONE_ROUND,
    "vintage",
    "survival",
    "kmeans",
    *MODELS,
)  # names of the contract that a policy may use before the kind is registered

Role = Literal["analyst", "regulator"]
Release = Literal["pooled", "by_city", "both"]
Decided = Literal["auto", "officer", "two_officers", "refuse"]


def _kind(name: str) -> str:
    if name not in (ALL, *KINDS, *ALSO):
        close = near(name, (ALL, *KINDS, *ALSO))
        raise Unfit(
            f"没有 {name!r} 这种问题{f'，是否想写 {close!r}？' if close else ''}",
            f"there is no kind of question {name!r}{f'; did you mean {close!r}?' if close else ''}",
        )
    return name


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _decimal(value: Any) -> Any:
    return decimal(value) if isinstance(value, str) else value


Number = Annotated[Decimal, BeforeValidator(_decimal), Field(ge=0)]
Positive = Annotated[Decimal, BeforeValidator(_decimal), Field(gt=0)]
Delta = Annotated[Decimal, BeforeValidator(_decimal), Field(gt=0, lt=1)]
Share = Annotated[Decimal, BeforeValidator(_decimal), Field(ge=0, le=1)]
Count = Annotated[Whole, Field(ge=0)]
Some = Annotated[Whole, Field(ge=1)]
Kind = Annotated[str, AfterValidator(_kind)]
Kinds = Annotated[
    tuple[Kind, ...], BeforeValidator(lambda value: (value,) if isinstance(value, str) else _tuple(value))
]


class KindsByMode(Record):
    dp: Kinds
    exact: Kinds


class Variables(Record):
    """`deny`: never answered, nor what is derived from them. `deny_together`: never all in one block, its cohort included."""

    deny: tuple[str, ...]
    deny_together: tuple[Annotated[tuple[str, ...], Field(min_length=2)], ...]


class Limits(Record):
    most_questions: Some
    most_cells: Some
    most_cells_by_city: Some
    most_dimensions: Count
    most_rounds: Some
    pending_studies: Annotated[Whole, Field(ge=0, le=200)]
    conversations_per_day: Annotated[Whole, Field(ge=0, le=1000)]


class CityCounts(Record):
    least: Annotated[Whole, Field(ge=FEWEST, le=512)]
    least_colluders: Annotated[Whole, Field(ge=0, le=510)]


class Budget(Record):
    """One cap: all that it covers costs at most `epsilon` at `delta`."""

    epsilon: Positive
    delta: Delta


class Caps(Record):
    per_asker_year: Budget
    per_year: Budget
    total: Budget


class Noised(Record):
    most_epsilon_per_study: Positive
    most_delta: Delta
    caps: Caps
    min_cell: Count


class Dominance(Record):
    top: Some
    share: Share
    p_percent: Number


class Exact(Record):
    """Thresholds of sums without noise. `TIGHTER` says which way each may move."""

    min_cohort: Count
    min_cohort_by_city: Count
    min_pooled: Count
    min_cell: Count
    min_column: Count
    most_parameters_per_row: Number
    dominance: Dominance
    min_unmapped: Some
    most_releases_per_snapshot: Count


class Rule(Record):
    """Matches if all the conditions given hold. `kinds`, `releases`: all of the study's are among them. No epsilon holds in mode exact."""

    roles: tuple[Role, ...] | None = None
    mode: Mode | None = None
    kinds: tuple[Kind, ...] | None = None
    releases: tuple[Release, ...] | None = None
    epsilon_at_most: Number | None = None
    epsilon_above: Number | None = None
    decide: Decided

    def matches(self, study: Study, role: str) -> bool:
        """`role` is that of the asker on the roster."""
        return (
            (self.roles is None or role in self.roles)
            and (self.mode is None or study.file.privacy.mode == self.mode)
            and (self.kinds is None or {each.kind for each in study.file.questions} <= set(self.kinds))
            and (self.releases is None or set(releases(study)) <= set(self.releases))
            and (self.epsilon_at_most is None or (not study.exact and study.epsilon <= self.epsilon_at_most))
            and (self.epsilon_above is None or (not study.exact and study.epsilon > self.epsilon_above))
        )


class Models(Record):
    open_transcript: Flag
    cox_time_tables: Flag
    city_constants: Flag


class Expiry(Record):
    approval_days: Annotated[Whole, Field(ge=1, le=366)]


class PolicyFile(Record):
    """The keys of `policy.yaml`, every one with a value."""

    policy: Annotated[Whole, Field(ge=1, le=1)]
    modes: tuple[Mode, ...]
    releases: tuple[Release, ...]
    kinds: KindsByMode
    variables: Variables
    limits: Limits
    cities: CityCounts
    dp: Noised
    exact: Exact
    approve: tuple[Rule, ...]
    models: Models
    quality_summary: Literal["refused", "allowed"]
    keep_openings: Flag
    expiry: Expiry
    retries: Annotated[Whole, Field(ge=0, le=100)]


# Thresholds of `exact`, and whether a larger value is the tighter one.
TIGHTER: Final[Mapping[tuple[str, ...], Literal["larger", "smaller"]]] = {
    ("min_cohort",): "larger",
    ("min_cohort_by_city",): "larger",
    ("min_pooled",): "larger",
    ("min_cell",): "larger",
    ("min_column",): "larger",
    ("most_parameters_per_row",): "smaller",
    ("dominance", "top"): "larger",
    ("dominance", "share"): "smaller",
    ("dominance", "p_percent"): "larger",
    ("min_unmapped",): "larger",
    ("most_releases_per_snapshot",): "smaller",
}


@dataclass(frozen=True)
class Policy:
    """A policy in force. `loose`: the data are synthetic or public, and thresholds on exact answers may be below the shipped ones."""

    file: PolicyFile
    loose: bool = False

    @cached_property
    def digest(self) -> str:
        """Names the policy, every default filled in, in approvals and in the ledger."""
        return digest(canonical({"loose": self.loose, "policy": self.file.model_dump(mode="json", exclude_none=True)}))


# --- reading


def load(folder: Path, *, loose: bool) -> Policy:
    """The policy of a city folder; the shipped one where the folder has none. `loose`: city.yaml says `synthetic` or `open_data`.

    Errors: `ConfigError`, every fault at once, each with file, line and key: those of `yamltext`, POLICY_NESTED, POLICY_TOO_LOOSE.
    """
    document = _own(folder)
    file = fit(PolicyFile, document, _merged(_defaults(loose), document.tree))
    fault = joined([*_caps(file, document), *_later(file, document), *([] if loose else _too_loose(file, document))])
    if fault:
        raise fault
    return Policy(file, loose)


@dataclass(frozen=True)
class Origin:
    """One value of a policy in force, as it is written, and the place it comes from: the city's own file, or the shipped one."""

    key: str
    value: str
    at: Place


def origin(folder: Path, *, loose: bool) -> tuple[Origin, ...]:
    """Every value in force and where it comes from, in the order of the shipped file. Errors: as `load`."""
    load(folder, loose=loose)
    own, shipped = _own(folder), _shipped()
    found = []
    for path, value in _values(_merged(_defaults(loose), own.tree)):
        at = own.at(*path) if path in own.lines else shipped.at(*path)
        found.append(Origin(dotted(path), value, at))
    return tuple(found)


def _own(folder: Path) -> Document:
    path = folder / FILE
    return read(path.read_bytes(), str(path)) if path.is_file() else Document(str(path), {}, {})


@cache
def _shipped() -> Document:
    return read(DEFAULT.read_bytes(), DEFAULT.name)


def _defaults(loose: bool) -> Tree:
    return _merged(_shipped().tree, {"exact": {"min_unmapped": "1"}}) if loose else _shipped().tree


def _merged(default: Tree, own: Tree) -> Tree:
    """`own` over `default`, key by key at every depth; lists and single values replace as a whole."""
    if not (isinstance(default, dict) and isinstance(own, dict)):
        return own
    return {**default, **{key: _merged(default[key], value) if key in default else value for key, value in own.items()}}


def _values(tree: Tree, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Each value of nested keys. A list is one value."""
    if isinstance(tree, dict):
        for key, part in tree.items():
            yield from _values(part, (*path, key))
    else:
        yield path, _written(tree)


def _written(tree: Tree) -> str:
    if isinstance(tree, dict):
        return "{" + ", ".join(f"{key}: {_written(part)}" for key, part in tree.items()) + "}"
    return tree if isinstance(tree, str) else "[" + ", ".join(map(_written, tree)) + "]"


def _caps(file: PolicyFile, document: Document) -> Iterator[HpfedError]:
    """Caps that are not nested, or too small for anything ever to be answered."""
    caps = file.dp.caps
    for inner, outer in (("per_asker_year", "per_year"), ("per_year", "total")):
        for what in ("epsilon", "delta"):
            inside, found = (getattr(getattr(caps, name), what) for name in (inner, outer))
            if inside > found:
                at = document.at("dp", "caps", outer, what)
                yield ConfigError("POLICY_NESTED", at, what=what, key=outer, found=found, inner=inside)
    for name in SCOPES:
        budget = getattr(caps, name)
        try:
            cap(budget.epsilon, budget.delta)
        except ConfigError as fault:
            fault.at = document.at("dp", "caps", name)
            yield fault


def _later(file: PolicyFile, document: Document) -> Iterator[HpfedError]:
    """What a policy can ask for one day, and would be told in vain today."""
    if file.keep_openings:
        yield ConfigError("NOT_YET", document.at("keep_openings"), thing="`keep_openings: true`")
    if file.quality_summary == "allowed":
        yield ConfigError("NOT_YET", document.at("quality_summary"), thing="`quality_summary: allowed`")


def unknown_variables(folder: Path, policy: Policy, dictionary: Dictionary) -> Iterator[HpfedError]:
    """Variables of `deny` and `deny_together` that the city's dictionary does not have: a misspelt one would protect nothing."""
    document, variables = _own(folder), policy.file.variables
    for path, names in (("deny", variables.deny), *(("deny_together", group) for group in variables.deny_together)):
        for name in names:
            known = (*dictionary.known(), *dictionary.event_names())
            if name not in known:
                at = document.at("variables", path)
                yield ConfigError("STUDY_VARIABLE", at, name=name, near=near(name, known))


def _too_loose(file: PolicyFile, document: Document) -> Iterator[HpfedError]:
    shipped = fit(PolicyFile, _shipped())
    for path, tighter in TIGHTER.items():
        found, limit = (_at(each.exact, path) for each in (file, shipped))
        if found < limit if tighter == "larger" else found > limit:
            key = ("exact", *path)
            yield ConfigError("POLICY_TOO_LOOSE", document.at(*key), key=dotted(key), found=found, shipped=limit)


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        value = getattr(value, name)
    return value


# --- deciding


@dataclass(frozen=True)
class Decision:
    """`rule`: the place in the policy that decided. `reasons`: all of them, and only where `decide` is `refuse`."""

    decide: Decided
    rule: str
    reasons: tuple[Refusal, ...] = ()

    def refusal(self) -> HpfedError | None:
        """The first reason, carrying the others."""
        return joined(self.reasons)

    @property
    def needed(self) -> int:
        """How many officers have to say yes."""
        return {"officer": 1, "two_officers": 2}.get(self.decide, 0)

    def met(self, officers: Collection[str]) -> bool:
        """Whether the yes of these officers is enough; the same one twice counts once."""
        return self.decide != "refuse" and len(set(officers)) >= self.needed


def decide(
    study: Study, *, role: str, cities: Collection[str], cannot: Mapping[str, tuple[str, ...]] | None, policy: Policy
) -> Decision:
    """What this city's policy says to a study. Pure.

    `role`: of the asker, from the roster. `cities`: those of the plan, or, while there is none, those that are asked. `cannot`: of each
    city of the plan that cannot map all, the given variables that it cannot map; None while there is no plan (at an offer).
    A rule of `approve` can only tighten what `modes`, `releases`, `kinds`, `variables`, `limits`, `cities`, `dp` and `exact` say.
    """
    reasons = (
        *_mode_and_kinds(study, policy),
        *_variables(study, policy),
        *_sizes(study, policy),
        *_rounds(study, policy),
        *_price(study, policy),
        *_cities(study, cities, cannot, policy),
    )
    number, rule = next(
        ((at, rule) for at, rule in enumerate(policy.file.approve) if rule.matches(study, role)), (None, None)
    )
    place = "approve" if number is None else f"approve[{number}]"
    if rule is not None and rule.decide == "refuse":
        reasons = (*reasons, Refusal("POLICY_REFUSED", rule=place))
    if reasons:
        return Decision("refuse", place, reasons)
    return Decision("officer" if rule is None else rule.decide, place)


def releases(study: Study) -> tuple[Release, ...]:
    """What the questions of a study are released as, each once, in their order."""
    return tuple(dict.fromkeys(map(study.release_of, study.file.questions)))


def _mode_and_kinds(study: Study, policy: Policy) -> Iterator[Refusal]:
    file, mode = policy.file, study.file.privacy.mode
    if mode not in file.modes:
        yield Refusal("POLICY_MODE", mode=mode)
    for release in releases(study):
        if release not in file.releases:
            yield Refusal("POLICY_RELEASE", release=release)
    allowed: Kinds = getattr(file.kinds, mode)
    for kind in dict.fromkeys(each.kind for each in study.file.questions):
        if ALL not in allowed and kind not in allowed:
            yield Refusal("POLICY_KIND", mode=mode, kind=kind, key=f"kinds.{mode}", why_zh="", why_en="")
    yield from _unsuppressed(study, policy)


def _unsuppressed(study: Study, policy: Policy) -> Iterator[Refusal]:
    """Where cells are withheld: exact amounts that no rule withholds cells of yet; sets; studies of several cohorts, of which one may be
    taken from another; what is counted by month, where one holder may be several rows; tables by city beside pooled ones, since what one
    city withholds is the sum less what the others say; and trees by city, whose levels tell of each other."""
    file, exact = policy.file, policy.file.exact
    if not study.exact or max(exact.min_cell, exact.min_pooled) <= 1:
        return
    key = f"exact.min_cell: {exact.min_cell}" if exact.min_cell > 1 else f"exact.min_pooled: {exact.min_pooled}"
    for question in study.file.questions:
        allowed = file.kinds.exact
        if question.kind in MODELS or (ALL not in allowed and question.kind not in allowed):
            continue
        blocks = study.workload.blocks[question.id].values()
        monthly = any(block.over is not None or any(axis.months for axis in block.axes) for block in blocks)
        trees = study.release_of(question) != "pooled" and any(block.branches is not None for block in blocks)
        together, guarded = question.TOGETHER, _guarded(study, question)
        rounds = isinstance(question, ManyRounds)
        mixed = study.summed and study.counted
        if guarded and not rounds and not monthly and not trees and not together and not mixed and not study.cohorts:
            continue
        sets = any(block.measure is Measure.YES_NO for block in blocks)
        found = {
            "rounds": rounds,
            "together": together,
            "cohorts": study.cohorts,
            "monthly": monthly,
            "trees": trees,
            "sets": sets,
            "amounts": not guarded,
        }
        why = WHY[next((name for name, true in found.items() if true), "mixed")]
        yield Refusal("POLICY_KIND", mode="exact", kind=question.kind, key=key, why_zh=why["zh"], why_en=why["en"])


def _guarded(study: Study, question: Any) -> bool:
    """Whether all that an exact question says is withheld where it must be: counts; and sums of amounts over cities, one way to clip each,
    whose squares lose nothing, of which only totals, means, deviations and ratios are said."""
    blocks = study.workload.blocks[question.id].values()
    if all(block.measure is Measure.ONE for block in blocks):
        return True
    if question.kind not in SUMS or (question.kind == "ratio" and question.sampling is True):
        return False
    summed = [of.variable for of in dict.fromkeys(_summed(study.workload.layout.blocks))]
    alone = all(summed.count(of.variable) == 1 and study.domain.squarable(of) == of for of in _summed(blocks))
    return alone and study.release_of(question) == "pooled"


def _summed(blocks: Iterable[Block]) -> Iterator[Amount]:
    """The amounts whose sums are among some blocks."""
    return (block.of[0] for block in blocks if block.measure is Measure.AMOUNT and isinstance(block.of, tuple))


SUMS: Final = ("mean", "ratio")  # kinds whose amounts are withheld where few holders are most of one
WHY: Final = {
    "rounds": {
        "zh": "；须隐去单元格时，本版本尚不能隐去逐轮合计中的较小单元格",
        "en": "; where cells are withheld: this version cannot suppress small cells in the sums of its rounds yet",
    },
    "amounts": {
        "zh": "；须隐去单元格时，金额只以合计公布，每个变量只用一种截断，"
        "类型为 mean 或不计抽样的 ratio；其余的，尚不能隐去由少数人占大部分的金额",
        "en": "; where cells are withheld, amounts are released pooled alone, each variable clipped in one way, as `mean` or as `ratio` "
        "without `sampling`: of others this version cannot suppress amounts of which a few holders are most yet",
    },
    "monthly": {
        "zh": "；本版本尚不能隐去按月表中的较小单元格",
        "en": "; this version cannot suppress smaller cells of tables by month yet",
    },
    "trees": {
        "zh": "；本版本尚不能隐去本市自己的分位数表中的单元格",
        "en": "; this version cannot suppress cells of a city's own tables of quantiles yet",
    },
    "together": {
        "zh": "；本版本尚不能隐去各市对比中由较小单元格得出的数值",
        "en": "; this version cannot suppress what a comparison of cities makes of smaller cells yet",
    },
    "mixed": {
        "zh": "；分市公布的表不能与只公布合计的表同在一项研究：相减即得隐去的单元格",
        "en": "; tables by city cannot stand beside pooled ones: subtraction gives a withheld cell back",
    },
    "cohorts": {
        "zh": "；本版本尚不能隐去可由研究内另一范围相减得出的较小单元格",
        "en": "; this version cannot suppress smaller cells that another cohort of the same study would give by subtraction yet",
    },
    "sets": {
        "zh": "；本版本尚不能隐去多选变量的较小单元格",
        "en": "; this version cannot suppress smaller cells of multi-response variables yet",
    },
}


def _variables(study: Study, policy: Policy) -> Iterator[Refusal]:
    meant, cohort = study.dictionary, study.file.cohort
    in_cohort = [leaf.variable for leaf in leaves(cohort)] if cohort is not None else []
    asked = [name for question in study.file.questions for name in (*question.variables(), *question.chosen_by())]
    asked += [
        name for question in study.many for name in question.reads(study.domain)
    ]  # variables of events by full name
    behind = _behind(meant, [*asked, *in_cohort])
    for name in policy.file.variables.deny:
        if name in behind:
            yield Refusal("POLICY_VARIABLE", what=name, key="variables.deny")
    blocks = {block for each in study.workload.blocks.values() for block in each.values()}
    joint = [_behind(meant, [*block.sources, *in_cohort]) for block in blocks]
    joint += [_behind(meant, [*each.reads(study.domain), *each.chosen_by(), *in_cohort]) for each in study.many]
    for group in policy.file.variables.deny_together:
        if any(set(group) <= names for names in joint):
            yield Refusal("POLICY_VARIABLE", what=" × ".join(group), key="variables.deny_together")


def _behind(meant: Dictionary, names: Collection[str]) -> frozenset[str]:
    """The names, and all that they are derived from, at every step; of events by full name, a variable's table among them."""
    found, waiting = set[str](), list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(sources(meant.derived[name]) if name in meant.derived else ())
            waiting.extend(meant.made_of(name) if name in meant.of_events else ())
            if name not in meant.known() and meant.event_of(name) is not None:
                full = meant.event_name(name)
                waiting.extend((full, full.partition(".")[0]))
    return frozenset(found)


def _sizes(study: Study, policy: Policy) -> Iterator[Refusal]:
    limits = policy.file.limits
    count = len(study.file.questions)
    if count > limits.most_questions:
        yield _over(study.file.study, count, limits.most_questions, "limits.most_questions", "个问题", "questions")
    cells = study.workload.cells
    if cells > limits.most_cells:
        yield _over(study.file.study, cells, limits.most_cells, "limits.most_cells", "个单元格", "cells")
    own_cells = study.workload.own.length
    if own_cells > limits.most_cells_by_city:
        key = "limits.most_cells_by_city"
        yield _over(study.file.study, own_cells, limits.most_cells_by_city, key, "个本市单元格", "cells by city")
    for question in study.file.questions:
        axes = max((len(block.axes) for block in study.workload.blocks[question.id].values()), default=0)
        if axes > limits.most_dimensions:
            yield _over(question.id, axes, limits.most_dimensions, "limits.most_dimensions", "个维度", "dimensions")


def _rounds(study: Study, policy: Policy) -> Iterator[Refusal]:
    """Of many-round questions: whether they are answered at all, in how many rounds, and how long a round may be."""
    if not study.many:
        return
    limits, models = policy.file.limits, Fits.of(study.file.questions, supposed(study.domain))
    if study.exact and not policy.file.models.open_transcript:
        yield Refusal("MODEL_TRANSCRIPT")
    for question in study.many:
        for key in question.discloses():
            if not getattr(policy.file.models, key):
                yield Refusal("POLICY_MODELS", name=question.id, key=f"models.{key}")
    if models.most_rounds > limits.most_rounds:
        yield Refusal("MODEL_ROUNDS", round=models.most_rounds, limit=limits.most_rounds)
    if models.most_cells > limits.most_cells:
        yield _over(
            study.file.study,
            models.most_cells,
            limits.most_cells,
            "limits.most_cells",
            "个单元格（每轮）",
            "cells a round",
        )


def _over(what: str, count: int, limit: int, key: str, thing_zh: str, thing_en: str) -> Refusal:
    return Refusal("POLICY_CELLS", what=what, count=count, limit=limit, key=key, thing_zh=thing_zh, thing_en=thing_en)


def _price(study: Study, policy: Policy) -> Iterator[Refusal]:
    if study.exact:
        return
    most = policy.file.dp
    if study.epsilon > most.most_epsilon_per_study:
        limit, key = most.most_epsilon_per_study, "dp.most_epsilon_per_study"
        yield Refusal("POLICY_EPSILON", what="epsilon", found=study.epsilon, most=limit, key=key)
    if study.delta > most.most_delta:
        yield Refusal("POLICY_EPSILON", what="delta", found=study.delta, most=most.most_delta, key="dp.most_delta")


def _cities(
    study: Study, cities: Collection[str], cannot: Mapping[str, tuple[str, ...]] | None, policy: Policy
) -> Iterator[Refusal]:
    own, colluders = policy.file.cities, study.file.privacy.tolerate.colluders
    if colluders < own.least_colluders:
        yield Refusal("POLICY_COLLUDERS", count=colluders, limit=own.least_colluders)
    needed = least_able(study, own.least)
    if len(cities) < needed:
        yield Refusal(
            "POLICY_CITIES",
            what_zh="参与城市",
            what_en="cities taking part",
            or_none_zh="",
            or_none_en="",
            name=study.file.study,
            count=len(cities),
            limit=needed,
        )
    elif cannot is not None:
        plan = {city: cannot.get(city, ()) for city in cities}
        for shortage in shortages(study, plan, own.least, policy.file.exact.min_unmapped, loose=policy.loose):
            yield shortage.refusal()
