"""The sentences about models: what was modelled, of whom, which term matters, how good it is, what noise cost. Each is made from
estimates without a mark; where a fit has none, nothing is said of it here.

| sentence | read from | holds if |
|---|---|---|
| regression | coefficients and fit | the interval of a term leaves out "no difference"; the clearest such term |
| scorecard | bins of the characteristic in the card with the largest information value | two of its bins have different event rates |
| boosted trees | gains | there is any |
| evaluation | AUC, KS, observed and expected rate | an AUC without a mark |
| cities | AUC, observed over expected by city | at least three cities have both |
"""

from collections.abc import Iterator, Mapping, Sequence

from markupsafe import Markup

from coordinator.report import evaluations, fits, risk, scorecards
from coordinator.report.findings import Finding, number
from coordinator.report.numbers import decimals, fixed, printed, significant, span
from coordinator.report.wording import Wording
from coordinator.results import POOLED, UNKNOWN, Question, Row

FEWEST_BINS = 2  # whose event rates can differ


def sentences(wording: Wording, questions: Mapping[str, Question]) -> Iterator[Finding]:
    """One for each model in the order of the study, with its evaluation right after it."""
    judged = {
        str(each.asked.get("model")): (name, each)
        for name, each in questions.items()
        if each.kind == "evaluate" and each.rows
    }
    for name, question in questions.items():
        found = _of(wording, name, question)
        if found is not None:
            yield found
        for each in (_evaluated(wording, *judged[name]), _cities(wording, *judged[name])) if name in judged else ():
            if each is not None:
                yield each


def scores(questions: Mapping[str, Question]) -> bool:
    """Whether anything in the study gives scores, so that the page must say what these are not for."""
    return any(each.kind in ("scorecard", "gbdt", "evaluate") or each.model is not None for each in questions.values())


def _of(wording: Wording, name: str, question: Question) -> Finding | None:
    fit = question.fit
    if (
        fit is None or not fit.converged or fit.obs_status or question.kind not in fits.TITLES
    ):  # clusters predict nothing
        return None
    base: dict[str, object] = {
        "of": fits.subject(wording, question),
        "n": _counted(wording, fit.n),
        "unit": wording.unit(),
        "cities": len(question.cities),
    } if question.kind != "evaluate" else {}  # fmt: skip
    if question.coefficients:
        return Finding(_regression(wording, name, question, base), name)
    match question.kind:
        case "scorecard":
            return _scorecard(wording, name, question, base)
        case "gbdt":
            parts = risk.parts(enumerate(question.rows))
            if not parts or parts[0][2] is None:
                return None
            variable, share = (
                wording.variable(str(parts[0][1]["feature"])),
                _said(name, f"{fixed(100 * parts[0][2], 1)}%"),
            )
            return Finding(wording.say("finding_gbdt", **base, variable=variable, share=share), name)
    return None


def _counted(wording: Wording, n: float | None) -> Markup | str:
    """How many; with noise, about."""
    shown = fixed(n or 0.0, 0)
    return wording.say("about", n=shown) if wording.content.privacy.mode == "dp" else shown


def _joined(wording: Wording, parts: Sequence[Markup]) -> Markup:
    """Sentences after each other: Chinese ones need no space."""
    return (Markup("") if wording.language == "zh" else Markup(" ")).join(parts)


def _said(name: str, text: str) -> Markup:
    return Markup('<b class="n" data-cell="{}">{}</b>').format(name, text)


def _regression(wording: Wording, name: str, question: Question, base: Mapping[str, object]) -> Markup:
    """What was modelled, then the clearest term, then what noise cost."""
    fit, first = question.fit, fits.clearest(question)
    further = fit.further if fit else {}
    events = further.get("events")
    counted = {"events": fixed(float(events), 0)} if events else {}
    key = "finding_model_events" if events else "finding_model"
    if events and further.get("holders"):  # its rows are months of these
        key, counted = "finding_model_months", {**counted, "holders": fixed(float(further["holders"]), 0)}
    parts = [wording.say(key, **base, **counted)]
    if first is None:
        parts.append(fits.silent(wording, question))
    else:
        said = fits.said(wording, question, first)
        value = _said(name, str(said["value"]))
        key = f"figure_glm_{fits.effect(question)}"
        parts.append(wording.say(key, **{**said, "value": value}, confidence=wording.percent()))
    if "widened" in further:
        noise = max((fits.noise_share(each) for each in question.coefficients), default=None)
        times = significant(float(further["widened"]), 3)
        parts.append(
            wording.say("finding_noise", times=times, most="–" if noise is None else f"{fixed(100 * noise, 0)}%")
        )
    return _joined(wording, parts)


def _scorecard(wording: Wording, name: str, question: Question, base: Mapping[str, object]) -> Finding | None:
    """The characteristic that separates most, by its bins of the lowest and the highest event rate."""
    made = scorecards.characteristics(enumerate(question.rows))
    inside = [each for each in made if each.bins and each.value is not None]
    if not inside:
        return None
    first = max(inside, key=lambda each: each.value or 0.0)
    told = [each for each in first.bins if each.rate is not None and each.code not in UNKNOWN and each.clear]
    if len(told) < FEWEST_BINS:
        return None
    low, high = (pick(told, key=lambda each: each.rate or 0.0) for pick in (min, max))
    least, most = (low.ends[1] or low.rate or 0.0), (high.ends[0] or high.rate or 0.0)
    if least >= most:
        return None
    text = wording.say(
        "finding_scorecard",
        **base,
        kept=len(inside),
        asked=len(made),
        variable=wording.variable(first.name),
        iv=_said(name, significant(first.value or 0.0)),
        low=scorecards.bin_label(wording, first.name, low.code),
        least=_rated(name, low),
        high=scorecards.bin_label(wording, first.name, high.code),
        most=_rated(name, high),
    )
    return Finding(text, name)


def _rated(name: str, of: scorecards.Bin) -> Markup:
    """An event rate, with the ends that noise leaves it."""
    shown, (low, high) = _said(name, _per_cent(of.rate)), of.ends
    return (
        shown if low is None or high is None else shown + Markup(" ({})").format(span(_per_cent(low), _per_cent(high)))
    )


def _per_cent(value: float | None) -> str:
    shown = 100 * (value or 0.0)
    return f"{fixed(shown, decimals('share', shown))}%"


def _evaluated(wording: Wording, name: str, question: Question) -> Finding | None:
    place = {row.measure: row for row in question.rows if row.scope == POOLED and not any(row.at(question.keys))}
    auc, shown = place.get("auc"), printed(place["auc"]) if "auc" in place else None
    if auc is None or not auc.clear or shown is None or auc.ci_low is None or auc.ci_high is None:
        return None
    parts = [
        wording.say(
            "finding_auc",
            model=fits.modelled(wording, str(question.asked.get("model", ""))),
            value=number(shown, name, ""),
            interval=span(shown.low, shown.high),
            confidence=wording.percent(),
            ks=_bracketed(place, "ks"),
            gini=_bracketed(place, "gini"),
        )
    ]
    observed, expected = place.get("observed"), place.get("expected")
    if observed is not None and expected is not None and observed.clear and expected.clear:
        ends = (_per_cent(observed.ci_low), _per_cent(observed.ci_high)) if observed.ci_low is not None else ("–", "–")
        values = {
            "observed": _per_cent(observed.estimate),
            "expected": _per_cent(expected.estimate),
            "interval": span(*ends),
        }
        parts.append(wording.say("finding_calibration", **values))
    if question.fit is not None and question.fit.further.get("in_sample"):
        parts.append(wording.say("finding_in_sample"))
    return Finding(_joined(wording, parts), name)


def _bracketed(place: Mapping[str, Row], measure: str) -> str:
    """`0.320 (0.311–0.329)`: a number with its interval, else with what is certain of it."""
    row, bound = place.get(measure), place.get(f"{measure}_bound")
    shown = printed(row) if row is not None and row.clear else None
    if row is None or shown is None or row.estimate is None:
        return "–"
    if shown.low:
        return f"{shown.value} ({span(shown.low, shown.high)})"
    if bound is None or bound.estimate is None:
        return shown.value
    return f"{shown.value} ({span(shown.value, fixed(min(row.estimate + bound.estimate, 1.0), 3))})"


def _cities(wording: Wording, name: str, question: Question) -> Finding | None:
    said = evaluations.in_cities(wording, question)
    if said is None:
        return None
    model = fits.modelled(wording, str(question.asked.get("model", "")))
    return Finding(wording.say("finding_cities", model=model, said=said), name, "cities")
