"""The card of a model: what it is for, what it was made of, how good it is, and what it cannot be used for.

    cards = of(Results.load("OUT"))         # one for each question that left a model which scores
    OUT/models/<id>.card.json               # this value, `hpf-card@1`
    OUT/models/<id>.card.<language>.md      # the same for people, with lines to sign (`modelcard_text.py`)

A card is a pure function of results.json, and every figure in it is a figure of results.json: `report verify` makes it again. Nothing in
it is empty: where there is nothing to list, it says so in words.
"""

from collections.abc import Iterator, Mapping
from itertools import count
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from coordinator.modelcard_words import LIMITS, SIGNERS, USES, Pair, said
from coordinator.report.wording import LANGUAGES, Wording, scrub
from coordinator.results import POOLED, Coefficient, ModelPart, Question, Results, Row
from protocols.canonical import canonical
from protocols.yamltext import Flag, Real, Record, Whole

FORMAT: Final = "hpf-card@1"
Text = Annotated[str, Field(min_length=1)]
BOUND: Final = "_bound"
LISTED: Final = (  # measures of an evaluation that a card repeats, of all rows and of groups
    "auc",
    "gini",
    "ks",
    "brier",
    "observed",
    "expected",
    "calibration_in_the_large",
    "calibration_intercept",
    "calibration_slope",
    "hosmer_lemeshow",
    "psi",
    "csi",
)


class Said(Record):
    """A sentence in both languages."""

    zh: Text
    en: Text

    def text(self, language: Literal["zh", "en"]) -> str:
        return self.zh if language == "zh" else self.en


class Named(Record):
    """A name as the files have it, and as people call it."""

    name: Text
    words: Said


class Budget(Record):
    """Mode dp: of the whole study, in each city."""

    epsilon: Real
    delta: Real


class Certificate(Record):
    """How far the answer can be from that of the pooled rows. digits: the f of the fixed point, binary digits after the point; none where
    all that was summed were whole numbers. bound: of the largest coefficient."""

    digits: Whole | None = None
    bound: Real | None = None
    se_bound: Real | None = None
    words: Said


class Term(Record):
    """A coefficient, as results.json has it."""

    term: Text
    words: Said
    estimate: Real
    std_error: Real | None = None
    se_noise: Real | None = None
    error_bound: Real | None = None


class Metric(Record):
    """A row of an evaluation of this model. bound: how far bins alone leave it open, certain; interval: sampling. group: of what codes;
    withheld: too few for a number, as `conf_status` and `obs_status` say."""

    question: Text
    measure: Text
    words: Said
    group: dict[Text, Text] | None = None
    group_words: Said | None = None
    estimate: Real | None = None
    bound: Real | None = None
    interval: tuple[Real, Real] | None = None
    withheld: Text | None = None


class Sign(Record):
    """A line to sign."""

    role: Said
    line: Text = "________________"


class ModelCard(Record):
    """Where a list would be empty the field is left out, and its `…_words` says why."""

    card: Literal["hpf-card@1"] = FORMAT
    id: Text
    kind: Text
    file: Text
    digest: Text
    version: Whole
    parent: Said
    study: Text
    study_digest: Text
    title: Said
    purpose: Said
    asker: Text
    as_of: Text
    expires: Text
    window: Said
    cohort: Said
    outcome: Text
    means: Said
    cities: tuple[Named, ...]
    rows: Said
    mode: Literal["exact", "dp"]
    budget: Budget | None = None
    budget_words: Said
    data: Said
    rounds: Whole
    certificate: Certificate
    terms: tuple[Term, ...] | None = None
    terms_words: Said
    reads: tuple[Named, ...] | None = None
    reads_words: Said
    fairness: tuple[Named, ...] | None = None
    fairness_words: Said
    metrics: tuple[Metric, ...] | None = None
    metrics_words: Said
    in_sample: Flag | None = None
    doubts: tuple[Said, ...]
    uses: tuple[Said, ...]
    limits: tuple[Said, ...]
    signatures: tuple[Sign, ...]

    @property
    def content(self) -> bytes:
        """Canonical JSON; what is not there is left out."""
        return canonical(self.model_dump(mode="json", exclude_none=True))


def of(results: Results) -> tuple[ModelCard, ...]:
    """The cards of a result, in the order of the study."""
    both = (Wording("zh", results.content), Wording("en", results.content))
    numbered = sorted(results.content.questions.items(), key=lambda pair: pair[1].number)
    return tuple(
        _Maker(results, name, question, question.model, both).made()
        for name, question in numbered
        if question.model is not None
    )


def files(results: Results) -> dict[str, bytes]:
    """All cards of a result, by path under OUT."""
    from coordinator import modelcard_text

    found: dict[str, bytes] = {}
    for card in of(results):
        stem = card.file.removesuffix(".json")
        found[f"{stem}.card.json"] = card.content
        for language in LANGUAGES:
            found[f"{stem}.card.{language}.md"] = modelcard_text.page(card, language).encode()
    return found


def band(rows: int) -> tuple[int, int]:
    """The steps 1, 2, 5, 10, 20, 50, … that a count lies between: the last at most as large, and the first that is larger."""
    low = 1
    for number in count(1):
        high = (1, 2, 5)[number % 3] * 10 ** (number // 3)
        if high > rows:
            return low, high
        low = high
    raise AssertionError


class _Maker:
    """One card."""

    def __init__(
        self, results: Results, name: str, question: Question, model: ModelPart, both: tuple[Wording, Wording]
    ) -> None:
        self.results, self.name, self.question, self.model, self.both = results, name, question, model, both
        self.content = results.content

    def made(self) -> ModelCard:
        study, privacy, model = self.content.study, self.content.privacy, self.model
        evaluations = {
            name: each
            for name, each in self.content.questions.items()
            if each.kind == "evaluate" and each.asked.get("model") == self.name and each.rows
        }
        metrics = tuple(each for name, found in evaluations.items() for each in self._metrics(name, found))
        beside = self._fairness()
        terms = tuple(map(self._term, self._estimated()))
        dp = privacy.mode == "dp" and privacy.epsilon is not None and privacy.delta is not None
        window = study.window
        of_sample = [bool(each.fit.further.get("in_sample")) for each in evaluations.values() if each.fit]
        given: dict[str, Any] = {
            "id": self.name,
            "kind": model.kind or self.question.kind,
            "file": model.file,
            "digest": model.digest,
            "version": model.version,
            "parent": said("parent", parent=model.parent) if model.parent else said("no_parent"),
            "study": study.id,
            "study_digest": study.digest,
            "title": self._both(study.title.text, study.id),
            "purpose": self._both(study.purpose.text, study.id),
            "asker": scrub(study.asker.name or study.asker.id)[0],
            "as_of": model.as_of,
            "expires": model.expires,
            "window": said("window", first=window.from_, last=window.to) if window else said("state", day=model.as_of),
            "cohort": self._cohort(),
            "outcome": model.outcome,
            "means": self._both(model.means.text, model.outcome),
            "cities": tuple(
                self._named(city, [each.city(city) for each in self.both]) for city in self.question.cities
            ),
            "rows": said("rows", **dict(zip(("low", "high"), (f"{each:,}" for each in band(model.rows)), strict=True))),
            "mode": privacy.mode,
            "budget": {"epsilon": privacy.epsilon, "delta": privacy.delta} if dp else None,
            "budget_words": said("budget_dp" if dp else "budget_exact"),
            "data": self._data(),
            "rounds": self._fit("rounds"),
            "certificate": self._certificate(),
            "terms": terms or None,
            "terms_words": said(self._about_terms(bool(terms))),
            "reads": tuple(map(self._variable, model.reads)) or None,
            "reads_words": said("reads" if model.reads else "reads_none"),
            "fairness": tuple(map(self._variable, beside)) or None,
            "fairness_words": said("fairness" if beside else "fairness_none"),
            "metrics": metrics or None,
            "metrics_words": said("metrics" if metrics else "metrics_none"),
            "in_sample": all(of_sample) if of_sample else None,
            "doubts": tuple(self._doubts(bool(metrics), all(of_sample))),
            "uses": tuple(said(each) for each in USES),
            "limits": tuple(said(each) for each in (*LIMITS, f"limit_{privacy.mode}")),
            "signatures": tuple({"role": said(each)} for each in SIGNERS),
        }
        return ModelCard.model_validate(given)

    # --- words

    def _both(self, text: Any, instead: str) -> Pair:
        return {"zh": scrub(text("zh", instead))[0], "en": scrub(text("en", instead))[0]}

    def _named(self, name: str, words: list[str]) -> dict[str, Any]:
        return {"name": name, "words": {"zh": scrub(words[0])[0], "en": scrub(words[1])[0]}}

    def _variable(self, name: str) -> dict[str, Any]:
        return self._named(name, [each.variable(name) for each in self.both])

    def _cohort(self) -> Pair:
        """Who the rows are: the filter of the study, and that of the question."""
        own = self.question.cohort
        of_study = [str(each.cohort().unescape()) for each in self.both]
        if own is None:
            return {"zh": of_study[0], "en": of_study[1]}
        further = [str(each.words_of(own).unescape()) for each in self.both]
        return said("cohort", zh_first=of_study[0], en_first=of_study[1], zh_then=further[0], en_then=further[1])

    def _data(self) -> Pair:
        privacy = self.content.privacy
        for key in ("synthetic", "open_data"):
            if getattr(privacy, key):
                return said(key)
        return said("real")

    def _about_terms(self, told: bool) -> str:
        if told:
            return "terms"
        return "terms_recalibrated" if self.model.parent else f"terms_{self.question.kind}"

    # --- figures

    def _fit(self, name: str) -> Any:
        fit = self.question.fit
        return None if fit is None else getattr(fit, name, None) or fit.further.get(name)

    def _estimated(self) -> Iterator[Coefficient]:
        return (each for each in self.question.coefficients if each.estimate is not None)

    def _term(self, of: Coefficient) -> dict[str, Any]:
        return {
            "term": of.term,
            "words": dict(zip(("zh", "en"), (scrub(each.term(of.term))[0] for each in self.both), strict=True)),
            "estimate": of.estimate,
            "std_error": of.std_error,
            "se_noise": of.se_noise or None,
            "error_bound": of.error_bound,
        }

    def _certificate(self) -> dict[str, Any]:
        digits, bound = self._fit("fixed_point"), self._fit("coefficient_error_bound")
        if self.content.privacy.mode == "dp":
            return {"words": said("certificate_dp")}
        key = "certificate" if bound is not None else "certificate_whole" if digits is None else "certificate_sums"
        return {"digits": digits, "bound": bound, "se_bound": self._fit("se_error_bound"), "words": said(key)}

    def _fairness(self) -> tuple[str, ...]:
        """Variables that evaluations of this model split by, and that it does not read."""
        groups = [
            str(name)
            for each in self.content.questions.values()
            if each.kind == "evaluate" and each.asked.get("model") == self.name
            for name in each.asked.get("by", ())
        ]
        return tuple(name for name in dict.fromkeys(groups) if name not in self.model.reads)

    def _metrics(self, name: str, found: Question) -> Iterator[dict[str, Any]]:
        bounds = {_place(row, found.keys): row.estimate for row in found.rows if row.measure.endswith(BOUND)}
        for row in found.rows:
            plain = row.measure.removeprefix("group_")
            if row.measure.endswith(BOUND) or row.scope != POOLED or plain not in LISTED:
                continue
            group = {key: str(row[key]) for key in found.keys if row[key] is not None}
            low, high = row.interval
            yield {
                "question": name,
                "measure": row.measure,
                "words": self._measure(plain),
                "group": group or None,
                "group_words": self._group(group) if group else None,
                "estimate": row.estimate,
                "bound": bounds.get(_place(row, found.keys, BOUND)),
                "interval": None if low is None or high is None else (low, high),
                "withheld": ("".join(row.letters) or None) if row.estimate is None else None,
            }

    def _group(self, group: Mapping[str, str]) -> Pair:
        zh, en = (", ".join(each.label(key, code) for key, code in group.items()) for each in self.both)
        return {"zh": scrub(zh)[0], "en": scrub(en)[0]}

    def _measure(self, measure: str) -> Pair:
        zh, en = (str(each.measure(measure).unescape()) for each in self.both)
        return {"zh": zh, "en": en}

    def _doubts(self, evaluated: bool, in_sample: bool) -> Iterator[Pair]:
        """What of this fit alone a reader must know; never none."""
        fit, found = self.question.fit, False
        further: Mapping[str, Any] = fit.further if fit else {}
        if evaluated and in_sample:
            yield said("in_sample")
            found = True
        if not evaluated:
            yield said("unevaluated")
            found = True
        if fit is not None and "u" in fit.obs_status:
            yield said("doubtful")
            found = True
        for key in ("dropped", "collinear"):
            names = [str(each) for each in further.get(key) or ()]
            if names:
                yield said(key, names=", ".join(names))
                found = True
        if further.get("left_out"):
            yield said("left_out", count=f"{float(further['left_out']):,.0f}")
            found = True
        if not found:
            yield said("no_doubts")


def _place(row: Row, keys: tuple[str, ...], more: str = "") -> tuple[str, ...]:
    return (row.measure + more, *row.at(keys))
