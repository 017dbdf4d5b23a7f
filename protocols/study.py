"""A study: what is asked, of which cities, at which price. The digest of its canonical bytes is what cities approve.

A `Study` is the parsed file together with the dictionary that it means. Its canonical bytes hold every default, and the digest of the
dictionary, so that neither can change after a city said yes.
"""

from calendar import monthrange
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from fractions import Fraction
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, model_validator

from protocols import attributes, evaluated, manifest, pld, yamltext
from protocols import dictionary as dictionaries
from protocols.attributes import Attributes
from protocols.canonical import canonical, digest, parse_canonical
from protocols.dictionary import Dictionary, Words, near
from protocols.errors import ConfigError, HpfedError, PeerError, Place, Refusal, Unfit, joined, worded
from protocols.facts import FACT, SUMMED
from protocols.filters import Filter, decimal, leaves
from protocols.kinds import KINDS, AnyQuestion
from protocols.models.interface import Draw
from protocols.models.question import ManyRounds
from protocols.privacy import Need, calibrate, cost_shares
from protocols.stated import Noise
from protocols.statistics.layout import MOST_CELLS_PER_QUESTION, Domain, Layout, Months
from protocols.statistics.question import Release
from protocols.statistics.resolution import MOST_UNKNOWNS, Resolution
from protocols.statistics.workload import Workload
from protocols.yamltext import Document, Real, Record, Tree, Whole, fit, read

MOST_COHORTS: Final = 32  # of single questions: each is a pass of its own over the rows of every city
MOST_RUNS: Final = 120  # of a repeat: ten years of months
MOST_CELLS: Final = 1_048_576  # 8 MiB of masked vector in the wide ring
Mode = Literal["dp", "exact"]
Accounting = Literal["pld", "rdp", "none"]
Name = Annotated[str, Field(pattern=r"^[a-z0-9-]{3,64}$")]
City = Annotated[str, Field(pattern=r"^[a-z0-9-]{2,40}$")]
Month = Annotated[str, Field(pattern=r"^\d{4}-(0[1-9]|1[0-2])$")]


def _positive(value: Any) -> Any:
    if isinstance(value, str) and not decimal(value) > 0:
        raise Unfit(f"{value!r} 必须大于 0", f"{value!r} must be above 0")
    return value


def _below_one(value: Any) -> Any:
    if isinstance(value, str) and not decimal(value) < 1:
        raise Unfit(f"{value!r} 必须小于 1", f"{value!r} must be below 1")
    return value


PositiveText = Annotated[str, BeforeValidator(_positive), Field(max_length=40)]
ProbabilityText = Annotated[PositiveText, BeforeValidator(_below_one)]


class Tolerance(Record):
    """How many cities may drop out, and how many may side with the coordinator, without harm."""

    dropouts: Annotated[Whole, Field(ge=0, le=512)] = 1
    colluders: Annotated[Whole, Field(ge=0, le=512)] = 1


class Privacy(Record):
    """`epsilon` and `delta` stay the decimal text that was written. They say nothing in mode exact."""

    mode: Mode = "dp"
    epsilon: PositiveText | None = None
    delta: ProbabilityText = "1e-6"
    tolerate: Tolerance = Tolerance()
    noise: Noise | None = None


class Cities(Record):
    least: Annotated[Whole, Field(ge=3, le=512)] = 3
    names: Annotated[tuple[City, ...], Field(min_length=1, max_length=512)] | None = None
    attributes: Attributes | None = None


class Window(Record):
    from_: Month = Field(alias="from")
    to: Month

    @model_validator(mode="after")
    def _rises(self) -> "Window":
        if self.from_ > self.to:
            raise Unfit(
                f"业务期间的终点 {self.to} 早于起点 {self.from_}",
                f"the window ends ({self.to}) before it begins ({self.from_})",
            )
        return self


class Repeat(Record):
    """The same questions again, a month later each time: `times` runs in all, under one approval and for one epsilon."""

    every: Literal["month"]
    times: Annotated[Whole, Field(ge=1, le=MOST_RUNS)]


class StudyFile(Record):
    """The keys of `study.yaml`."""

    study: Name
    title: Words
    purpose: Words
    asker: Name
    dictionary: str
    as_of: date
    revision: Annotated[Whole, Field(ge=1, le=10_000)] = 1
    window: Window | None = None
    repeat: Repeat | None = None
    cohort: Filter | None = None
    cities: Cities = Cities()
    release: Release = "pooled"
    privacy: Privacy = Privacy()
    confidence: Annotated[Real, Field(gt=0.5, lt=1)] = 0.95
    questions: Annotated[tuple[AnyQuestion, ...], Field(min_length=1)]


@dataclass(frozen=True)
class Written:
    """Study and dictionary as people wrote them, for those who read them later. Nothing is computed from these bytes. models: the model
    files that it evaluates, in the order in which it names them."""

    study: bytes
    dictionary: bytes
    models: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class Study:
    """A study and its dictionary; valid by construction (`load`, `from_wire`). `written`: of a study that was a file.

    Of a study with `repeat` it is one run, the first unless `at` was asked for another: `file` has the dates of that run, and `whole`,
    where it differs, is the file that was approved. All runs have one content and one digest.
    """

    file: StudyFile
    dictionary: Dictionary
    written: Written | None = field(default=None, repr=False, compare=False)
    run: int = 1
    whole: StudyFile | None = None

    @cached_property
    def content(self) -> bytes:
        """Canonical JSON with every default filled in, and the dictionary by name and digest."""
        filled = (self.whole or self.file).model_dump(mode="json", by_alias=True, exclude_none=True)
        return canonical({**filled, "dictionary": self.dictionary.name, "dictionary_digest": self.dictionary.digest})

    @cached_property
    def digest(self) -> str:
        return digest(self.content)

    @property
    def runs(self) -> int:
        """How often its questions are asked: once, but for a `repeat`."""
        return 1 if self.file.repeat is None else self.file.repeat.times

    def at(self, run: int) -> "Study":
        """The study as one of its runs asks it, each a month after the one before. `run`: from 1 to `runs`."""
        if run == self.run:
            return self
        if not 1 <= run <= self.runs:
            raise ValueError(f"run {run} of {self.runs}")
        whole = self.whole or self.file
        if run == 1:
            return Study(whole, self.dictionary, self.written)
        window = whole.window and whole.window.model_copy(
            update={"from_": _month_later(whole.window.from_, run - 1), "to": _month_later(whole.window.to, run - 1)}
        )
        file = whole.model_copy(update={"as_of": months_later(whole.as_of, run - 1), "window": window})
        return Study(file, self.dictionary, self.written, run, whole)

    @property
    def last_as_of(self) -> date:
        """The date of its last run."""
        return self.at(self.runs).file.as_of

    @cached_property
    def workload(self) -> Workload:
        """The questions as blocks, in the layout of the sum and in that of each city's own answer."""
        return Workload.of(self.file.questions, self.domain, self.file.release)

    def release_of(self, question: Any) -> Release:
        """How a question is released: as it says, or as the study does. One of many rounds tells nothing of a city in mode dp."""
        found: Release = question.release or self.file.release
        return "pooled" if isinstance(question, ManyRounds) and not self.exact else found

    @property
    def leaves(self) -> Release:
        """What leaves a city: a part of a sum, an answer of its own, or both."""
        return "pooled" if not self.counted else "both" if self.summed else "by_city"

    @property
    def counted(self) -> bool:
        """Each city answers some of it by itself."""
        return bool(self.workload.own.blocks)

    @property
    def told(self) -> bool:
        """Each city tells something of itself: its own answer, a part of a sum that it alone fills, or its constant in a regression."""
        own = any(self.release_of(each) != "pooled" or "city_constants" in each.discloses() for each in self.many)
        return self.counted or own

    @property
    def summed(self) -> bool:
        """Some of it is summed over cities in one round."""
        return bool(self.workload.layout.blocks)

    @property
    def many(self) -> tuple[ManyRounds, ...]:
        """Its questions of many rounds."""
        return tuple(each for each in self.file.questions if isinstance(each, ManyRounds))

    @cached_property
    def drawn(self) -> tuple[tuple[str, Draw], ...]:
        """Mode dp: what the rounds of its many-round questions release, each with the question's id."""
        return () if self.exact else tuple((each.id, draw) for each in self.many for draw in each.draws(self.domain))

    @cached_property
    def domain(self) -> Domain:
        """What its questions may know."""
        window = self.file.window
        months = None if window is None else Months.between(window.from_, window.to)
        questions = {question.id: question for question in self.file.questions}
        release = self.file.release
        return Domain(self.meant, self.exact, self.file.as_of, months, questions=questions, release=release)

    @cached_property
    def meant(self) -> Dictionary:
        """The dictionary, and a variable `city.NAME` for each attribute of cities."""
        return attributes.extended(self.dictionary, self.file.cities.attributes or {})

    @property
    def levels(self) -> Mapping[str, Mapping[str, str]]:
        """The level of each city, by `city.NAME`."""
        return {f"{attributes.PREFIX}{name}": each for name, each in (self.file.cities.attributes or {}).items()}

    def strange(self, other: "Study") -> frozenset[str]:
        """Attributes of cities that another study calls alike and means otherwise."""
        mine, theirs = self.levels, other.levels
        return frozenset(name for name in mine.keys() & theirs.keys() if mine[name] != theirs[name])

    def standing(self, city: str) -> attributes.Standing:
        """Where a city stands on each attribute: public, and the same for all of its holders."""
        return attributes.standing(self.meant, self.file.cities.attributes or {}, city)

    def split(self, question: Any, cities: Sequence[str], least: int) -> attributes.Split:
        """How `cities`, those that can answer a question, stand on what it asks about them. `least`: what no level may be below."""
        file = self.file
        given = file.cities.attributes or {}
        cohorts = (file.cohort, question.cohort)
        return attributes.split(self.meant, given, question.variables(), cohorts, cities, least)

    @cached_property
    def variances(self) -> tuple[int, ...]:
        """Total noise variance of each block of the layout, then of each city's own, then of `drawn`, in 2^-20; zeros in mode exact.

        Errors: `ConfigError PRIVACY_EPSILON_TOO_SMALL`; `Refusal PLAN_COSTS_MORE` where stated noise costs more than epsilon.
        """
        return self.calibrated(self.workload.layout, self.workload.own)

    @property
    def accounting(self) -> Accounting:
        """How the cost of this one study is computed. Ledgers and caps always add Rényi curves."""
        noise = self.file.privacy.noise
        return "none" if self.exact else "rdp" if noise is None else noise.accounting

    @cached_property
    def shares(self) -> tuple[Fraction, ...]:
        """The part of the whole cost that each block pays, of the layout and then of each city's own, and then each of `drawn`; sum 1.

        Equal per block, times its weight: a many-round question weighs as many blocks as it releases, and says how these share.
        """
        noise = self.file.privacy.noise
        if self.exact or (noise is None and not self.drawn):
            return self.workload.shares()
        if noise is None:
            released: dict[str, int] = {}
            for name, draw in self.drawn:
                released[name] = released.get(name, 0) + draw.times
            weight = {each.id: Fraction(each.weight) for each in self.many}
            of_rounds = (weight[name] * released[name] * draw.share for name, draw in self.drawn)
            return cost_shares((*self.workload.weights, *of_rounds))
        whole = sum(noise.shares)
        return tuple(Fraction(share, whole) for share in noise.shares)

    def needs(self, layout: Layout, own: Layout) -> list[Need]:
        """The blocks of the workload, in the units that they are carried in, and what many-round questions release, with what each pays."""
        sizes = [(block.l1, block.l2sq, self.runs) for block in (*layout.blocks, *own.blocks)]
        sizes += [(draw.l1, draw.l2sq, draw.times * self.runs) for _, draw in self.drawn]
        return [Need(l1, l2sq, share, times) for (l1, l2sq, times), share in zip(sizes, self.shares, strict=True)]

    def with_noise(self, noise: Noise | None) -> "Study":
        """The same study with stated noise: another digest. Errors: as `variances`; `ConfigError STUDY_NOISE` for one that does not fit."""
        privacy = self.file.privacy.model_copy(update={"noise": noise})
        first = self.at(1).file.model_copy(update={"privacy": privacy})
        found = Study(first, self.dictionary, self.written).at(self.run)
        if noise is not None and (problem := found.unfit_noise()):
            raise ConfigError("STUDY_NOISE", problem=worded(problem))
        _ = found.variances
        return found

    def unfit_noise(self) -> Unfit | None:
        """What is wrong with the stated noise, but for its cost."""
        noise, blocks = self.file.privacy.noise, (*self.workload.layout.blocks, *self.workload.own.blocks)
        if noise is None:
            return None
        if self.exact:
            return Unfit("exact 模式没有噪声", "mode exact has no noise")
        number = len(blocks) + len(self.drawn)
        if len(noise.shares) != number:
            given = len(noise.shares)
            return Unfit(f"给出 {given} 份，而研究有 {number} 块", f"{given} shares for {number} blocks")
        if (noise.scale is not None) != (noise.accounting == "pld"):
            return Unfit("scale 须随 pld 给出，且只随 pld 给出", "scale belongs to pld, and to nothing else")
        if noise.accounting == "pld" and not pld.counts(self.needs(self.workload.layout, self.workload.own)):
            return Unfit("pld 只用于全是计数的研究", "pld is for studies of nothing but counts")
        return None

    def calibrated(self, layout: Layout, own: Layout) -> tuple[int, ...]:
        """The same for the blocks of the workload in the units that they are carried in: all of them together, in all runs, cost the
        study's epsilon."""
        if self.exact:
            return (0,) * (len(layout.blocks) + len(own.blocks))
        needs, noise = self.needs(layout, own), self.file.privacy.noise
        if not needs:
            return ()
        if noise is None or noise.scale is None:
            return calibrate(needs, self.epsilon, self.delta)
        cost = pld.cost(needs, noise.scale, self.delta)
        if cost > self.epsilon:
            raise Refusal("PLAN_COSTS_MORE", cost=f"{cost:.6g}", epsilon=self.epsilon)
        return pld.variances(needs, noise.scale)

    @property
    def exact(self) -> bool:
        return self.file.privacy.mode == "exact"

    @property
    def epsilon(self) -> Decimal:
        return Decimal(self.file.privacy.epsilon or 0)

    @property
    def delta(self) -> Decimal:
        return Decimal(self.file.privacy.delta)

    def reads(self, question: Any | None = None) -> tuple[str, ...]:
        """Given variables that a question reads (default: the whole study), the cohort's included; ascending."""
        asked = [question] if question is not None else self.file.questions
        names = {name for each in asked for name in (*each.reads(self.domain), *each.chosen_by())}
        given = frozenset[str]().union(*(self.dictionary.needs(name) for name in names))
        return tuple(sorted(given | set(self.cohort_reads())))

    def reads_for(self, layout: Layout) -> tuple[str, ...]:
        """Given variables that the blocks of a layout, and the cohort, are made of; ascending."""
        names = {name for block in layout.blocks for name in block.sources}
        given = frozenset[str]().union(*(self.dictionary.needs(name) for name in names))
        return tuple(sorted(given | set(self.cohort_reads())))

    @property
    def cohorts(self) -> tuple[Filter, ...]:
        """The cohorts of single questions, each once, in the order of their first use."""
        return tuple(dict.fromkeys(each.cohort for each in self.file.questions if each.cohort is not None))

    def cohort_reads(self) -> tuple[str, ...]:
        """Given variables that decide who belongs to the cohort, ascending."""
        return self.decides(self.file.cohort)

    def decides(self, cohort: Filter | None) -> tuple[str, ...]:
        """Given variables that a cohort is decided by, ascending."""
        named = [] if cohort is None else [leaf.variable for leaf in leaves(cohort)]
        return tuple(sorted(frozenset[str]().union(*(self.dictionary.needs(name) for name in named))))

    @cached_property
    def facts(self) -> tuple[str, ...]:
        """Figures of centres that its questions ask for, ascending."""
        return tuple(sorted({name for question in self.file.questions for name in question.facts()}))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """All that a city may lack for it: given variables, then facts, stated by nobody or only added up; plans count by this list."""
        return (*self.reads(), *(f"{way}{name}" for name in self.facts for way in (FACT, SUMMED)))

    def demands(self, question: Any) -> tuple[str, ...]:
        """What a city must not lack to answer a question. What is only added up does where the question is a sum without noise."""
        said = not (self.exact and self.release_of(question) == "pooled")
        ways = (FACT, SUMMED) if said else (FACT,)
        return (*self.reads(question), *(f"{way}{name}" for name in question.facts() for way in ways))

    def able(self, question: Any, cannot: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
        """Of the cities in `cannot`, those that have everything a question demands; in the same order."""
        needed = set(self.demands(question))
        return tuple(city for city, lacking in cannot.items() if not needed & set(lacking))

    def in_exact_mode(self) -> "Study":
        """The same study with `privacy.mode: exact`: another digest, and other approvals."""
        privacy = self.file.privacy.model_copy(update={"mode": "exact", "noise": None})
        first = self.at(1).file.model_copy(update={"privacy": privacy})
        return Study(first, self.dictionary, self.written).at(self.run)


def months_later(day: date, months: int) -> date:
    """The same day of a later month, or its last one where it has no such day; the last day of a month stays the last day."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    last = monthrange(year, month + 1)[1]
    ends = day.day == monthrange(day.year, day.month)[1]
    return date(year, month + 1, last if ends else min(day.day, last))


def _month_later(month: str, months: int) -> str:
    return months_later(date.fromisoformat(f"{month}-01"), months).isoformat()[:7]


def load(path: Path, *, exact: bool = False) -> Study:
    """A study file and the dictionary it names. `exact`: as if it said `mode: exact`. Errors: `ConfigError`, every fault at once, each with
    file, line and key."""
    content = yamltext.content(path)
    document = read(content, str(path))
    models = evaluated.contents(evaluated.paths(document.tree), path.parent)
    file, later = _file(document, models)
    try:
        found, name = dictionaries.written(file.dictionary, beside=path.parent)
        meant = dictionaries.parse(read(found, name))
    except ConfigError as fault:
        if fault.code == "DICTIONARY_UNKNOWN":
            fault.at = document.at("dictionary")
        raise joined([*later, fault]) or fault from None
    return _sound(Study(file, meant, Written(content, found, models)), document, later, exact=exact)


def from_files(
    written: Written, names: tuple[str, str] = ("study.yaml", "dictionary.yaml"), *, exact: bool = False
) -> Study:
    """A study from the bytes of its two files, whatever the study calls its dictionary. Errors: `ConfigError`, as `load`."""
    document = read(written.study, names[0])
    file, later = _file(document, written.models)
    found = Study(file, dictionaries.parse(read(written.dictionary, names[1])), written)
    return _sound(found, document, later, exact=exact)


def evaluated_files(written: bytes) -> tuple[str, ...]:
    """Where the model files that a study evaluates stand in its bundle. `written`: the study as people wrote it. Errors: `ConfigError`, of
    YAML."""
    named = evaluated.paths(read(written, manifest.STUDY).tree)
    return tuple(manifest.evaluated_of(number) for number, _ in enumerate(named, 1))


def _file(document: Document, models: Sequence[bytes]) -> tuple[StudyFile, list[HpfedError]]:
    """A file without what this version does not do, and the faults that say so: whoever must change it sees all others too. `models`: the
    model files that it names."""
    later = list(_not_yet(document))
    try:
        return fit(StudyFile, document, _of_this_version(evaluated.expanded(document, models))), later
    except ConfigError as fault:
        raise joined([*later, fault]) or fault from None


def _sound(study: Study, document: Document, later: Iterable[HpfedError], *, exact: bool) -> Study:
    study = study.in_exact_mode() if exact else study
    fault = joined([*later, *faults(study, document)])
    if fault:
        raise fault
    return study


@lru_cache(maxsize=8)  # a gate reads the same bytes at every step of a conversation; a frozen value comes out
def from_wire(study: bytes, dictionary: bytes) -> Study:
    """A study as it arrives at a city. Errors: `PeerError NOT_CANONICAL | STUDY_INVALID`: no honest coordinator sends such."""
    tree = parse_canonical(study, "study")
    parse_canonical(dictionary, "dictionary")
    try:
        meant = Dictionary.of_content(dictionary)
        named = (tree.pop("dictionary_digest"), tree["dictionary"])
        file = StudyFile.model_validate_json(canonical(tree), strict=True)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise PeerError("STUDY_INVALID") from None
    found = Study(file, meant)
    if named != (meant.digest, meant.name) or found.content != study:
        raise PeerError("STUDY_INVALID")
    if next(faults(found, Document("study", {}, {})), None):
        raise PeerError("STUDY_INVALID")
    return found


def faults(study: Study, document: Document) -> Iterator[HpfedError]:
    """All that a schema cannot say: names, types, sizes, and what this version does not do yet."""
    file, meant = study.file, study.meant
    if file.privacy.mode == "dp" and file.privacy.epsilon is None:
        yield ConfigError("STUDY_EPSILON", document.at("privacy", "epsilon"))
    for key, words in (("title", file.title), ("purpose", file.purpose)):
        if not words.text("zh"):
            yield ConfigError("SCHEMA_MISSING", document.at(key), key="zh")
    last = file.as_of
    try:
        last = study.last_as_of
    except ValueError:
        problem = "the last run lies beyond the calendar"
        yield ConfigError("SCHEMA_VALUE", document.at("repeat"), problem=problem)
    yield from _cohort_faults(file.cohort, meant, document.at("cohort"))
    yield from _attribute_faults(file.cities, document)
    yield from evaluated.faults(file.questions, study.dictionary, last, document)
    names = file.cities.names or ()
    for number, name in enumerate(names):
        if name in names[:number]:
            yield ConfigError("STUDY_TWICE", document.at("cities", "names", number), name=name)
    if len(study.cohorts) > MOST_COHORTS:
        at = document.at("questions")
        yield ConfigError("STUDY_COHORTS", at, count=len(study.cohorts), limit=MOST_COHORTS)
    ids = [question.id for question in file.questions]
    faulty = {question.id for question in file.questions if any(True for _ in question.faults(meant))}
    for number, question in enumerate(file.questions):
        if ids.index(question.id) < number:
            yield ConfigError("STUDY_TWICE", document.at("questions", number, "id"), name=question.id)
        told = list(question.faults(meant))
        if not told and not faulty & set(question.named()):
            told = list(question.faults_beside(study.domain, file.release))
            if told:
                faulty.add(question.id)
        placeable = not told and not faulty & set(question.named())
        found = [fault.at(document.at("questions", number, fault.key)) for fault in told]
        found += _unplaced(question, study.domain, document.at("questions", number)) if placeable else ()
        yield from found
        if lacking := question.without_figures(names):
            yield ConfigError("RATIO_CITIES", document.at("questions", number), cities=", ".join(lacking))
        yield from _cohort_faults(question.cohort, meant, document.at("questions", number, "cohort"))
        if placeable and not found:
            cells = sum(block.cells for block in question.blocks(study.domain).values())
            if cells > MOST_CELLS_PER_QUESTION:
                at = document.at("questions", number)
                yield ConfigError("STUDY_CELLS", at, what=question.id, cells=cells, limit=MOST_CELLS_PER_QUESTION)
    sound = not faulty and not any(
        True
        for question in file.questions
        for _ in (
            *_unplaced(question, study.domain, Place("")),
            *_cohort_faults(question.cohort, meant, Place("")),
        )
    )
    if sound and study.workload.cells > MOST_CELLS:
        length = study.workload.cells
        yield ConfigError("STUDY_CELLS", document.at("questions"), what=file.study, cells=length, limit=MOST_CELLS)
    elif sound and not study.workload.cells and not study.many:
        yield ConfigError("STUDY_NOTHING", document.at("questions"))
    elif sound and (unfit := study.unfit_noise()):
        yield ConfigError("STUDY_NOISE", document.at("privacy", "noise"), problem=worded(unfit))
    elif sound and file.privacy.epsilon is not None:
        try:
            _ = study.variances
        except ConfigError as fault:
            fault.at = document.at("privacy", "epsilon")
            yield fault
    together = study.workload.together if sound else None
    if together and (needed := Resolution.of(together).largest(together.blocks)):
        name, unknowns = needed
        at = document.at("questions")
        yield ConfigError("STUDY_RESOLUTION", at, name=name, unknowns=unknowns, limit=MOST_UNKNOWNS)


def _unplaced(question: Any, domain: Domain, at: Place) -> Iterator[ConfigError]:
    """A question by month of which the study does not say which months; one that has faults is not asked."""
    if next(question.faults(domain.dictionary), None):
        return
    try:
        question.blocks(domain)
    except ConfigError as fault:
        fault.at = at
        yield fault


def _cohort_faults(cohort: Filter | None, meant: Dictionary, at: Place) -> Iterator[HpfedError]:
    """Unknown variables and codes, operands of the wrong type, cities and holders in one `any` or `not`."""
    if cohort is None:
        return
    try:
        meant.check_filter(cohort, "cohort")
    except ValueError as problem:
        yield ConfigError("SCHEMA_VALUE", at, problem=worded(problem))
    if not attributes.apart(cohort):
        yield ConfigError("STUDY_COHORT_CITIES", at)


def _attribute_faults(cities: Cities, document: Document) -> Iterator[HpfedError]:
    """Levels of cities that are not asked."""
    for name, levels in (cities.attributes or {}).items():
        for city in levels:
            if cities.names is not None and city not in cities.names:
                at = document.at("cities", "attributes", name, city)
                yield ConfigError("STUDY_CITY", at, name=city, attribute=name, near=near(city, cities.names))


def _of_this_version(tree: Tree) -> Tree:
    """The tree with a count in the place of each question of a kind that `_not_yet` names, so that the others keep their places."""
    if not isinstance(tree, dict):
        return tree
    kept = dict(tree)
    questions = kept.get("questions")
    if isinstance(questions, list):
        kept["questions"] = [_question_of_this_version(each) for each in questions]
    return kept


def _question_of_this_version(question: Tree) -> Tree:
    if not isinstance(question, dict):
        return question
    if not _kind_known(question.get("kind")):
        return {key: question[key] for key in ("id", "release", "weight") if key in question} | {"kind": "count"}
    return question


def _kind_known(kind: Tree | None) -> bool:
    return isinstance(kind, str) and kind in KINDS


def _not_yet(document: Document) -> Iterator[HpfedError]:
    """Kinds of questions that this version does not know: said before the schema speaks."""
    tree = document.tree
    if not isinstance(tree, dict):
        return
    questions = tree.get("questions")
    for number, question in enumerate(questions if isinstance(questions, list) else ()):
        if not isinstance(question, dict):
            continue
        kind, at = question.get("kind"), document.at("questions", number, "kind")
        if kind is None:
            yield ConfigError("SCHEMA_MISSING", at, key="kind")
        elif not _kind_known(kind):
            yield ConfigError("STUDY_KIND", at, kind=str(kind), near=near(str(kind), KINDS), known=", ".join(KINDS))
