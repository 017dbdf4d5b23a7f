"""One page from `results.json`, in Chinese or English: head, findings, figures, every table, privacy, provenance.

    html.render(Results.load("OUT"), "zh")

A pure function of the results, the strings and this version: the same input gives the same bytes. No JavaScript, nothing is loaded,
every text of the results is escaped (threat-model.md T48).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Final

import jinja2
from markupsafe import Markup

from coordinator.report import cards, clusters, figures, fits, modelled, months, orders, risk, sheets, stated
from coordinator.report import grids as layout
from coordinator.report.between import opening
from coordinator.report.figures import Figure
from coordinator.report.findings import Finding
from coordinator.report.grids import Grid
from coordinator.report.numbers import delta, epsilon, fixed, printed, significant
from coordinator.report.wording import KINDS, Wording, scrubbed, shorter, strings
from coordinator.results import POOLED, UNKNOWN, Block, Left, Question, Results, Row
from protocols.errors import Language

MOST_CELLS: Final = 5_000  # numbers on one page: about 100 bytes each, so that no study makes a page above 1 MiB
MANY_QUESTIONS: Final = 6  # above, the page has a table of contents
MOST_DEFINED: Final = 60  # codes of one variable that are spelled out
MOST_NAMED: Final = 6  # questions that a mark is said to stand in
SHORT: Final = 12  # digits of a digest on the page


@dataclass(frozen=True)
class Table:
    """One grid with its name (`Table 3`, then `Table 3-2`), and the notes below it."""

    label: Markup
    grid: Grid
    notes: tuple[Markup, ...]
    key: tuple[tuple[str, Markup], ...]


@dataclass(frozen=True)
class Section:
    """One question."""

    name: str
    title: Markup
    tables: tuple[Table, ...]
    tests: Markup
    notes: tuple[Markup, ...]
    wide: bool
    shown: tuple[Figure, ...] = ()  # the figures that are made of it


@dataclass(frozen=True)
class Plate:
    """One figure, with what stands below it: its table; or where its numbers stand among the tables of the questions, anchor and name."""

    figure: Figure
    table: Table | None
    see: tuple[tuple[str, Markup], ...]
    notes: tuple[Markup, ...]


@dataclass(frozen=True)
class Chapter:
    """One part of the page: its figures. `notes`: why there are none."""

    name: str
    plates: tuple[Plate, ...]


@dataclass(frozen=True)
class Headline:
    """One number of the strip. `cell`: its question and row, empty where it is a count of this page's own."""

    label: Markup
    value: str
    note: Markup
    error: str = ""
    marks: tuple[str, ...] = ()
    cell: str = ""


@dataclass(frozen=True)
class CityLine:
    """What a reader may know of one city of the plan."""

    city: str
    state: Markup
    what: Markup
    date: str
    spent: str
    cannot: Markup


@dataclass(frozen=True)
class BudgetLine:
    """One cap of one city. Widths are per cent of its room, as they are printed. `span`: lines of the city, at its first one."""

    city: str
    span: int
    cap: Markup
    limit: str
    before: str
    spent: str
    used: str
    cost: str
    room: Markup


@dataclass(frozen=True)
class MarkLine:
    """All numbers with one mark: how many, by which rule, and in which questions most of them stand."""

    letter: str
    count: str
    rule: Markup
    where: tuple[tuple[str, Markup], ...]
    more: Markup


SHOWING: Final = ("heat", "fit", "roc", "gain")  # figures that show all that a sentence is read from
OWN_TABLES: Final = ("roc", "calibration")  # figures whose numbers stand in no table of the questions
SLOTS: Final = "slots"  # as figures of cities are released that travel in the secure sum, each in a place of its own
OF_CENTRES: Final = "facts"  # how figures of centres were released: by themselves
Pair = tuple[Markup, object]
_ALWAYS: Final = tuple(
    name for name, _ in figures.PARTS
)  # parts that a report of this kind has: without a figure, a line says so


def render(results: Results, language: Language) -> str:
    """The page. Errors: `KeyError` if the strings file lacks a text, which is a fault of the product."""
    clean, _ = scrubbed(results)
    wording = Wording(language, clean.content)
    questions = dict(clean.questions)
    whole = {name: question for name, question in questions.items() if question.cohort is None}  # about everybody
    parts = figures.parts(wording, whole, questions)
    drawn = [figure for part in parts for figure in part.figures]
    sections = _sections(wording, questions, drawn)
    page = templates().get_template("report.html.j2")
    return page.render(
        say=wording.say,
        wording=wording,
        content=clean.content,
        exact=clean.content.privacy.mode == "exact",
        study=short(clean.content.study.digest),
        release=release(questions.values()),
        badges=_badges(clean),
        meta=_meta(wording),
        strip=_strip(wording, whole, questions),
        findings=tuple((each, _see(wording, each, sections)) for each in opening(wording, whole)),
        cannot=_cannot(wording, questions),
        chapters=tuple(
            Chapter(part.name, _plates(wording, questions, part.figures, sections)) for part in parts if part.figures
        ),
        absent=wording.listed(
            wording.say(f"part_{part.name}") for part in parts if not part.figures and part.name in _ALWAYS
        ),
        sections=sections,
        cards=cards.shown(wording, clean),
        modelled=any(each.kind in fits.TITLES for each in questions.values()),
        reading=wording.say("note_error", confidence=wording.percent()),
        contents=len(sections) > MANY_QUESTIONS,
        lead=lead(clean, questions),
        cities=_cities(wording),
        budgets=_budgets(wording),
        marked=_mark_lines(wording, questions),
        tally=_tally(wording, questions),
        nulls=_nulls(wording),
        terms=_terms(wording),
        blocks=_blocks(clean.content.privacy.blocks),
        own_blocks=_blocks(clean.content.privacy.own_blocks),
        session_blocks=_blocks(clean.content.privacy.session_blocks),
        caveats=caveats(clean),
        trust=_trust(wording),
        limits=_limits(clean),
        provenance=_provenance(wording, clean),
        methods=_methods(wording, questions),
        definitions=_definitions(wording),
    )


@cache
def templates() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("coordinator.report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:SHORT]


def release(questions: Iterable[Question]) -> str:
    """What was really released: decided by the scopes of the rows, so that no page says more than its tables."""
    scopes = {row.scope == POOLED for question in questions for row in question.rows}
    return "both" if len(scopes) == 2 else "by_city" if scopes == {False} else "pooled"


# --- head


def _badges(results: Results) -> tuple[tuple[str, str], ...]:
    """Look and text of the badges in the head."""
    privacy = results.content.privacy
    flags = [("synthetic", privacy.synthetic), ("open_data", privacy.open_data), ("seeded", privacy.seeded)]
    return (
        *((name, f"badge_{name}") for name, holds in flags if holds),
        ("release", f"badge_{release(results.questions.values())}"),
    )


def _meta(wording: Wording) -> tuple[Pair, ...]:
    study = wording.content.study
    role = study.asker.role if study.asker.role in ("analyst", "regulator") else "other"
    pairs: list[Pair] = [
        (wording.say("meta_asker"), wording.say(f"role_{role}", name=wording.asker())),
        (wording.say("meta_cohort"), wording.cohort()),
        (wording.say("meta_snapshot"), _dates(wording)),
    ]
    for name in wording.content.cities.attributes:
        pairs.append((Markup("{}").format(wording.variable(f"city.{name}")), wording.levels(name)))
    run = wording.content.run
    if run.of > 1:
        pairs.append((wording.say("meta_run"), wording.say("run_of_series", number=run.number + 1, of=run.of)))
    if study.window:
        months = wording.say("window_months", first=study.window.from_, last=study.window.to)
        pairs.append((wording.say("meta_window"), months))
    return (*pairs, (wording.say("meta_study"), Markup("<code>{}</code>").format(short(study.digest))))


def _dates(wording: Wording) -> Markup:
    """One date if all snapshots carry it, else each city's."""
    snapshots = wording.content.cities.snapshots
    dates = set(snapshots.values()) or {wording.content.run.as_of}
    if len(dates) == 1:
        return wording.listed(dates)
    return wording.listed(
        wording.say("snapshots_differ", city=wording.city(city), date=date) for city, date in snapshots.items()
    )


def _strip(wording: Wording, whole: Mapping[str, Question], questions: Mapping[str, Question]) -> tuple[Headline, ...]:
    """Four numbers with what they are, and one line about each. `whole`: the questions about everybody."""
    cities = wording.content.cities
    missing = [each.city for each in cities.missing]
    lost = wording.say("strip_cities_missing", cities=wording.cities(missing))
    rows = _judged(questions)
    return (
        _holders(wording, whole),
        Headline(
            wording.say("strip_cities"),
            f"{len(cities.answered)}/{len(cities.answered) + len(missing)}",
            lost if missing else wording.say("strip_cities_all"),
        ),
        _budget(wording),
        Headline(
            wording.say("strip_marks"),
            f"{sum(row.doubtful for row in rows):,}",
            wording.say("strip_marks_note"),
            error=f"/ {len(rows):,}",
        ),
    )


def _judged(questions: Mapping[str, Question]) -> list[Row]:
    """The rows that marks are counted over: all but those of holders without a value, whose few holders are marked by their nature, and
    those that no number applies to."""
    return [
        row
        for question in questions.values()
        for row in question.rows
        if not set(row.at(question.keys)) & set(UNKNOWN) and "z" not in row.letters
    ]


def _holders(wording: Wording, questions: Mapping[str, Question]) -> Headline:
    """The first pooled count of the study; without one, how many its models were made of."""
    label = wording.say("strip_holders", unit=wording.unit())
    counted = (
        (name, number, row)
        for name, question in questions.items()
        for number, row in enumerate(question.rows)
        if question.kind == "count" and row.scope == POOLED and row.measure == "count"
    )
    name, number, row = next(counted, ("", 0, None))
    modelled = max((each.fit.n or 0.0 for each in questions.values() if each.fit), default=0.0)
    if row is None and modelled:
        noised = wording.content.privacy.mode == "dp"
        note = wording.say("strip_holders_modelled_noised" if noised else "strip_holders_modelled")
        return Headline(label, fixed(modelled, 0), note)
    if row is None:
        return Headline(label, wording.say("none_dash"), wording.say("strip_holders_none"))
    shown = printed(row)
    note = wording.say("strip_holders_note", confidence=wording.percent())
    value, error = (shown.value, shown.error) if shown else ("", "")
    return Headline(label, value, note, error, row.letters, f"{name}.{number}")


def _budget(wording: Wording) -> Headline:
    privacy, label = wording.content.privacy, wording.say("strip_epsilon")
    if privacy.mode == "exact":
        return Headline(label, wording.say("strip_exact"), wording.say("strip_exact_note"))
    spent = max((each.epsilon for each in privacy.spent), default=privacy.epsilon)
    note = wording.say("strip_epsilon_note", delta=delta(privacy.delta) if privacy.delta else "–")
    return Headline(label, wording.say("none_dash") if spent is None else epsilon(spent), note)


def _cannot(wording: Wording, questions: Mapping[str, Question]) -> tuple[Markup, ...]:
    """What the reader must not take from this page."""
    content = wording.content
    said: list[Markup] = []
    if content.privacy.synthetic:
        said.append(wording.say("cannot_synthetic"))
    said += [
        wording.say("cannot_missing", city=wording.city(each.city), reason=_reason(wording, each.reason, each.detail))
        for each in content.cities.missing
    ]
    said += [
        wording.say(
            "cannot_variable", city=wording.city(city), variables=wording.lacking(city), unit=wording.unit()
        )
        for city in content.cities.cannot
        if wording.lacking(city) and city in content.cities.answered
    ]  # fmt: skip
    said += [
        wording.say("cannot_fact", city=wording.city(city), facts=facts)
        for city in content.cities.answered
        if (facts := wording.unstated(city))
    ]
    if content.words.facts:
        said.append(wording.say("cannot_facts"))
    said += [
        wording.say("cannot_uncounted", city=wording.city(each.city), reason=_reason(wording, each.reason, each.detail))
        for each in content.cities.uncounted
    ]
    said.append(_marked(wording, _judged(questions)))
    if release(questions.values()) == "pooled":
        said.append(wording.say("cannot_cities"))
    if modelled.scores(questions):
        said.append(wording.say("cannot_scores"))
    return (*said, wording.say("cannot_cause"))


def _marked(wording: Wording, rows: list[Row]) -> Markup:
    marked = [row for row in rows if row.doubtful]
    if not marked:
        return wording.say("cannot_marks_none", total=f"{len(rows):,}")
    counts = {letter: sum(letter in row.letters for row in marked) for letter in "buxc"}
    listed = wording.listed(
        wording.say("mark_count", name=wording.mark(letter), count=f"{count:,}")
        for letter, count in counts.items()
        if count
    )
    return wording.say("cannot_marks", total=f"{len(rows):,}", marked=f"{len(marked):,}", list=listed)


def _tally(wording: Wording, questions: Mapping[str, Question]) -> Markup:
    rows = _judged(questions)
    clear = sum(not row.doubtful for row in rows)
    share = fixed(100 * clear / len(rows), 1) if rows else "–"
    return wording.say("withheld_total", total=f"{len(rows):,}", clear=f"{clear:,}", share=share)


def _mark_lines(wording: Wording, questions: Mapping[str, Question]) -> tuple[MarkLine, ...]:
    """One line per mark that any number carries, those of holders without a value apart."""
    made = []
    for letter in "uxbc":
        counts = {
            name: sum(letter in row.letters for row in _judged({name: question}))
            for name, question in questions.items()
        }
        found = sorted((name for name in counts if counts[name]), key=lambda name: -counts[name])
        if not found:
            continue
        where = tuple(
            (f"q-{name}", wording.say("withheld_in", title=title(wording, questions[name]), count=counts[name]))
            for name in found[:MOST_NAMED]
        )
        left = len(found) - len(where)
        more = wording.say("withheld_more", count=left) if left else Markup("")
        rule = wording.say(f"rule_{letter}")
        made.append(MarkLine(letter, f"{sum(counts.values()):,}", rule, where, more))
    return tuple(made)


def _reason(wording: Wording, reason: str, detail: str) -> Markup:
    word, _, code = reason.partition(":")
    key = f"reason_{word}" if f"reason_{word}" in strings() and word != "with_detail" else "reason_other"
    said = wording.say(key, code=code) if word == "declined" else wording.say(key, code=reason)
    if not detail:
        return said
    known = f"detail_{detail}"
    return wording.say("reason_with_detail", reason=said, detail=wording.say(known) if known in strings() else detail)


# --- results


def _plates(
    wording: Wording, questions: Mapping[str, Question], drawn: Iterable[Figure], sections: Iterable[Section]
) -> tuple[Plate, ...]:
    """The numbers of a picture stand once on the page: below a heat map, of the others in the tables of the questions."""
    made, tables = [], {each.name: each.tables for each in sections}
    for figure in drawn:
        released = _released(questions[figure.question])
        said = dict.fromkeys(
            notice(wording, "" if scope == POOLED else wording.city(scope), released) for scope in figure.scopes
        )
        if figure.picture is None:
            said[wording.say("figure_missing")] = None
        label = wording.say("figure_numbers", number=figure.number)
        heat = figure.look == "heat" and figure.picture is not None
        pictured = heat or figure.look in OWN_TABLES
        twin = layout.details(wording, questions[figure.question], figure.scopes[0]) if heat else figure.twin
        see = tuple((f"q-{name}", each.label) for name in figure.sources for each in tables[name][:1])
        shown = pictured or figure.picture is None or len(see) < len(figure.sources)
        table = Table(label, twin, (), _key(wording, twin)) if shown else None
        made.append(Plate(figure, table, see, tuple(said)))
    return tuple(made)


def _see(wording: Wording, finding: Finding, sections: Iterable[Section]) -> tuple[str, Markup] | None:
    """Where a sentence was read from: the picture of its question that shows all of it, else the first table; the anchor and its name."""
    section = next(each for each in sections if each.name == finding.question)
    seen = next((each for each in section.shown if each.look in ([finding.look] if finding.look else SHOWING)), None)
    if seen:
        return seen.name, wording.say("figure_see", number=seen.number)
    return (f"q-{section.name}", wording.say("finding_see", table=section.tables[0].label)) if section.tables else None


def _sections(wording: Wording, questions: Mapping[str, Question], drawn: Iterable[Figure]) -> tuple[Section, ...]:
    made, room, shown = [], MOST_CELLS, tuple(drawn)
    for place, (name, question) in enumerate(questions.items(), 1):
        of = tuple(figure for figure in shown if name in figure.sources)
        heats = [figure for figure in of if figure.look == "heat" and figure.picture is not None]
        grids = layout.grids(wording, question, {scope for figure in heats for scope in figure.scopes})
        if layout.drawable(question) and not of:  # no picture in its place
            grids = tuple(replace(grid, folded=False) for grid in grids)
        size = sum(len(line.cells) for grid in grids for group in grid.groups for line in group.lines)
        notes = [
            *_chosen(wording, question),
            *_lacking(wording, question),
            *_merged(wording, question),
            *_broken(wording, question),
            *stated.notes(wording, question),
            *_of_fit(wording, question),
        ]
        if not question.rows and question.fit is None:
            notes.append(wording.say("note_empty"))
        if sheets.is_card(question):
            notes.append(wording.say("note_card_file", file=f"tables/{name}.{sheets.END}.csv"))
        if size > room:
            notes.append(wording.say("note_too_long", count=f"{len(question.rows):,}"))
            grids = ()
        room -= size if grids else 0
        file = wording.say("note_csv", file=f"tables/{name}.csv")
        released = _released(question)
        tables = tuple(
            Table(_named(wording, place, part), grid, _notes(wording, grid, file, released), _key(wording, grid))
            for part, grid in enumerate(grids, 1)
        )
        if POOLED in question.scopes() and layout.cities_left_out(wording, question):
            notes.append(wording.say("note_cities_csv", file=f"tables/{name}.csv"))
        wide = (
            question.kind == "mean"
            or question.kind in fits.TITLES
            or any(grid.look != "list" or len(grid.stubs) > 1 for grid in grids)
        )
        made.append(
            Section(name, title(wording, question), tables, layout.tests(wording, question), tuple(notes), wide, of)
        )
    return tuple(_paired(made))


def _released(question: Question) -> str:
    if question.kind == "evaluate" and question.release != "pooled":
        return SLOTS
    return OF_CENTRES if question.of_centres else question.release


def _of_fit(wording: Wording, question: Question) -> tuple[Markup, ...]:
    if clusters.fits(question):
        return clusters.notes(wording, question)
    return risk.notes(wording, question) if risk.shaped(question) else fits.notes(wording, question)


def _broken(wording: Wording, question: Question) -> tuple[Markup, ...]:
    """From which month on a series is of another thing than before."""
    broken = sorted(str(row["month"]) for row in question.rows if "b" in row.obs_status)
    return (wording.say("note_break", month=broken[0]),) if broken and "month" in question.keys else ()


def _named(wording: Wording, place: int, part: int) -> Markup:
    return wording.say("table_number", number=f"{place}-{part}" if part > 1 else f"{place}")


def _paired(sections: list[Section]) -> Iterable[Section]:
    """Narrow sections stand two and two; one that is left alone takes the whole width, so that the order of the study is kept."""
    narrow = 0
    for number, section in enumerate(sections):
        narrow = 0 if section.wide else narrow + 1
        last = number + 1 == len(sections) or sections[number + 1].wide
        yield replace(section, wide=section.wide or (last and narrow % 2 == 1))


def title(wording: Wording, question: Question) -> Markup:
    """Its label; else what it asks, and of whom where that is not everybody."""
    label = question.label.text(wording.language)
    if label:
        return Markup("{}").format(shorter(label, 120))
    named = _asked(wording, question)
    if question.cohort is None:
        return named
    return wording.say("question_of_cohort", title=named, cohort=wording.words_of(question.cohort))


def _asked(wording: Wording, question: Question) -> Markup:
    if orders.fits(question):
        return orders.title(wording, question)
    if clusters.fits(question):
        return clusters.title(wording, question)
    names = [wording.variable(key) for key in question.keys]
    match question.kind, names:
        case "count", _:
            return wording.say("question_count", unit=wording.unit())
        case "frequency", [of]:
            return wording.say("question_frequency", of=of)
        case "frequency", [of, *by]:
            return wording.say("question_frequency_by", of=of, by=wording.say("times").join(by))
        case "crosstab", _:
            return wording.say("question_crosstab", by=wording.say("times").join(names))
        case "tgi", [target, by]:
            return wording.say("question_tgi", target=target, by=by)
        case "mean" | "histogram" as kind, [_, *_] as names_:
            of, by = (names_[-1], names_[:-1]) if kind == "mean" else (names_[0], names_[1:])
            key = f"question_{kind}_by" if by else f"question_{kind}"
            return wording.say(key, of=of, by=wording.say("times").join(by))
        case "moments", _:
            given = question.asked.get("of")
            listed = [wording.variable(str(name)) for name in given] if isinstance(given, list) else names
            return wording.say("question_moments", of=wording.listed(listed))
        case "compare", _:
            mix = question.asked.get("standardise")
            by = [wording.variable(str(name)) for name in mix] if isinstance(mix, list) else []
            key = "question_compare_by" if by else "question_compare"
            return wording.say(key, by=wording.listed(by))
        case "ratio", by:
            parts = {side: _side(wording, question.asked.get(side)) for side in ("numerator", "denominator")}
            key = "question_ratio_by" if by else "question_ratio"
            return wording.say(key, **parts, by=wording.say("times").join(by))
    if question.kind in months.KINDS:
        return months.title(wording, question)
    if question.kind in fits.TITLES:
        return fits.title(wording, question)
    return wording.say("question_other", kind=question.kind, by=wording.say("times").join(names))


def _side(wording: Wording, given: Any) -> Markup | str:
    """A numerator or denominator, by its name."""
    if isinstance(given, str):
        return wording.variable(given)
    return (
        wording.fact(str(given["fact"]))
        if isinstance(given, Mapping) and "fact" in given
        else wording.say("published_figures")
    )


def notice(wording: Wording, city: str, released: str) -> Markup:
    """How a table was released. Said of the rows themselves: a city's rows never stand under the word sum, and
    where cities answered for themselves as well, nobody is told that only a sum was seen. `released`: of the question."""
    exact = wording.content.privacy.mode == "exact"
    if released == OF_CENTRES:
        return wording.say("notice_facts")
    if released == SLOTS:
        return wording.say("notice_slots" if city else "notice_pooled")
    if not city:
        kind = "pooled" if released == "pooled" else "both_exact" if exact else "both"
        return wording.say(f"notice_{kind}")
    return wording.say("notice_by_city_exact" if exact else "notice_by_city")


def _notes(wording: Wording, grid: Grid, file: Markup, released: str) -> tuple[Markup, ...]:
    left = (wording.say("note_left", count=f"{grid.left:,}"),) if grid.left else ()
    whose = ["" if scope == POOLED else wording.city(scope) for scope in grid.scopes] or [grid.city]
    return (*dict.fromkeys(notice(wording, each, released) for each in whose), *left, file)


def _key(wording: Wording, grid: Grid) -> tuple[tuple[str, Markup], ...]:
    """The marks that a table uses, each with its meaning."""
    return tuple(
        (letter, wording.say("key_entry", name=wording.mark(letter), why=wording.say(f"mark_{letter}_why")))
        for letter in grid.letters
    )


def _chosen(wording: Wording, question: Question) -> Iterable[Markup]:
    """Whom a question is about, where not about all, and whether its numbers agree with those of other tables."""
    if question.cohort is not None:
        exact = wording.content.privacy.mode == "exact"
        said = "note_cohort_exact" if exact else f"note_cohort_{question.cohort_is or 'family'}"
        yield wording.say(said, cohort=wording.words_of(question.cohort))
    if question.several:
        yield wording.say("note_several", variable=wording.variable(question.several))


def _lacking(wording: Wording, question: Question) -> Iterable[Markup]:
    """Cities that answered and cannot map this question, and what they lack."""
    content = wording.content
    for city in content.cities.answered:
        if city in question.cities:
            continue
        if question.facts:
            yield wording.say("note_unstated", city=wording.city(city))
            continue
        names = [name for name in content.cities.cannot.get(city, ()) if name in question.keys]
        if names:
            listed = wording.listed(wording.variable(name) for name in names)
            yield wording.say("note_lacking", city=wording.city(city), variables=listed, unit=wording.unit())
        else:  # a derived variable: the results name what it was made from only in the dictionary
            yield wording.say("note_lacking_unnamed", city=wording.city(city), unit=wording.unit())


def _merged(wording: Wording, question: Question) -> Iterable[Markup]:
    """Codes of this question that no local text of some of its cities becomes."""
    for name in question.keys:
        listed = wording.unused(name)
        if listed:
            yield wording.say("note_unused", variable=wording.variable(name), list=listed, unit=wording.unit())


# --- privacy


def lead(results: Results, questions: Mapping[str, Question]) -> tuple[str, ...]:
    """Keys of the opening paragraphs: the secure sum where there is one, the cities' own releases where there are any."""
    mode, released = results.content.privacy.mode, release(questions.values())
    privacy, keys = results.content.privacy, []
    if released != "by_city" and (privacy.left_each_city or not privacy.own_of_each_city):
        keys.append(f"lead_{mode}" if released == "pooled" else f"lead_sum_{mode}")
    if released != "pooled":
        keys.append(f"lead_by_city_{mode}")
    return tuple(keys)


def _cities(wording: Wording) -> tuple[CityLine, ...]:
    """One line per city of the plan, those that answered first."""
    content, dash = wording.content, wording.say("none_dash")
    spent = {each.city: epsilon(each.epsilon) for each in content.privacy.spent}

    def line(city: str, state: Markup, what: Markup) -> CityLine:
        date = content.cities.snapshots.get(city, dash)
        cost = dash if content.privacy.mode == "exact" else spent.get(city, dash)
        lacks = wording.listed(each for each in (wording.lacking(city), wording.unstated(city)) if each)
        return CityLine(wording.city(city), state, what, date, cost, lacks or dash)

    uncounted = {each.city: each for each in content.cities.uncounted}

    def state(city: str) -> Markup:
        lost = uncounted.get(city)
        if lost is None:
            return wording.say("left_answered")
        return wording.say("left_uncounted", reason=_reason(wording, lost.reason, lost.detail))

    answered = [line(city, state(city), _left(wording, own=city not in uncounted)) for city in content.cities.answered]
    lost = [
        line(each.city, _reason(wording, each.reason, each.detail), wording.say("left_nothing"))
        for each in content.cities.missing
    ]
    return (*answered, *lost)


def _budgets(wording: Wording) -> tuple[BudgetLine, ...]:
    """Every cap of every city that answered, in the order of the roster; none of a result that does not state them."""
    made = []
    for spent in wording.content.privacy.spent:
        for place, cap in enumerate(spent.caps):
            used, cost = (min(max(100 * part / cap.room, 0.0), 100.0) for part in (cap.used, cap.cost))
            shown = [f"{used:.1f}", f"{cost:.1f}", f"{max(100 - used - cost, 0.0):.1f}"]
            key = f"cap_{cap.scope}" if f"cap_{cap.scope}" in strings() else "cap_other"
            made.append(
                BudgetLine(
                    city=wording.city(spent.city),
                    span=0 if place else len(spent.caps),
                    cap=wording.say(key, scope=cap.scope) if key == "cap_other" else wording.say(key),
                    limit=epsilon(cap.epsilon),
                    before=epsilon(cap.epsilon_before),
                    spent=epsilon(spent.epsilon),
                    used=shown[0],
                    cost=shown[1],
                    room=wording.say("budget_room", before=shown[0], now=shown[1], left=shown[2]),
                )
            )
    return tuple(made)


def _nulls(wording: Wording) -> tuple[Markup, ...]:
    """How the dictionary has empty values counted."""
    rules = wording.content.words.nulls
    said = []
    for rule in ("zero", "drop"):
        names = [wording.variable(name) for name, each in rules.items() if each == rule]
        if names:
            said.append(wording.say(f"nulls_{rule}", variables=wording.listed(names)))
    return tuple(said)


def _left(wording: Wording, own: bool) -> Markup:
    """`own`: the city answered by itself too, where that was asked."""
    privacy = wording.content.privacy
    found = [
        _form(wording, left) for left in (privacy.left_each_city, privacy.own_of_each_city if own else None) if left
    ]
    if privacy.session is not None:
        session = privacy.session
        found.append(wording.say("left_form_session", rounds=session.rounds, cells=f"{session.cells:,}"))
    return wording.say("semicolon").join(found) if found else wording.say("left_unknown")


def _form(wording: Wording, left: Left) -> Markup:
    sizes = {"cells": f"{left.cells:,}", "bytes": f"{left.bytes:,}", "ring": left.ring}
    if left.form == "masked_sum":
        power = Markup("2<sup>{}</sup>").format(left.ring)
        return wording.say("left_form_masked_sum", cells=sizes["cells"], bytes=sizes["bytes"], ring=power)
    if left.form == "own_cells":
        noised = "exact" if wording.content.privacy.mode == "exact" else "dp"
        return wording.say(f"left_form_own_{noised}", cells=sizes["cells"], bytes=sizes["bytes"])
    return wording.say("left_form_other", form=left.form, **sizes)


def _terms(wording: Wording) -> tuple[Pair, ...]:
    privacy = wording.content.privacy
    pairs: list[Pair] = [
        (wording.say("term_mode"), wording.say(f"mode_{privacy.mode}")),
        (wording.say("term_unit"), wording.say("unit_protected", unit=wording.unit())),
    ]
    if privacy.mode == "dp":
        if privacy.epsilon is not None and privacy.delta is not None:
            amounts = {"epsilon": epsilon(privacy.epsilon), "delta": delta(privacy.delta)}
            runs = wording.content.run.of
            price = (
                wording.say("epsilon_series", of=runs, **amounts)
                if runs > 1
                else wording.say("epsilon_delta", **amounts)
            )
            pairs.append((wording.say("term_epsilon"), price))
        if privacy.person_in_two_cities is not None:
            twice = wording.say("epsilon_two", epsilon=epsilon(privacy.person_in_two_cities.epsilon))
            pairs.append((wording.say("term_two"), twice))
        if privacy.mechanism:
            key = "mechanism_skellam" if privacy.mechanism == "skellam" else "mechanism_other"
            values = {} if key == "mechanism_skellam" else {"mechanism": privacy.mechanism}
            said = wording.say(key, accounting=(privacy.accounting or "–").upper(), **values)
            pairs.append((wording.say("term_mechanism"), said))
    if privacy.threshold is not None:
        pairs.append((wording.say("term_threshold"), wording.say("threshold_needed", threshold=privacy.threshold)))
    if privacy.tolerate is not None:
        tolerate = privacy.tolerate
        said = wording.say("tolerated", dropouts=tolerate.dropouts, colluders=tolerate.colluders)
        pairs.append((wording.say("term_tolerate"), said))
    if privacy.honest_share is not None and privacy.mode == "dp":
        pairs.append((wording.say("term_share"), wording.say("honest_share", honest=privacy.honest_share)))
    return tuple(pairs)


def _blocks(blocks: Iterable[Block]) -> tuple[tuple[str, ...], ...]:
    """Name, cells, share of cost, L1 and L2 squared, variance, its root, variance of one city."""
    return tuple(
        (
            shorter(block.block, 120),
            f"{block.cells:,}",
            "" if block.share is None else fixed(100 * block.share, 1),
            "" if block.l1 is None or block.l2sq is None else f"{block.l1:,} / {block.l2sq:,}",
            "" if block.variance is None else fixed(block.variance, 2),
            "" if block.variance is None else significant(block.variance**0.5),
            "" if block.node_variance is None else fixed(block.node_variance, 2),
        )
        for block in blocks
    )


def caveats(results: Results) -> tuple[str, ...]:
    """What holds of this run alone and weakens what it proves, as keys."""
    privacy = results.content.privacy
    said = [("seeded_words", privacy.seeded), ("synthetic_words", privacy.synthetic), ("open_words", privacy.open_data)]
    return tuple(key for key, holds in said if holds)


def _trust(wording: Wording) -> tuple[Markup, ...]:
    """What docs/threat-model.md assumes."""
    privacy = wording.content.privacy
    exact = privacy.mode == "exact"
    colluders = privacy.tolerate.colluders if privacy.tolerate else 1
    honest = privacy.honest_share
    if honest is None and privacy.threshold is not None:
        honest = privacy.threshold - colluders
    return (
        wording.say("trust_machine"),
        wording.say("trust_alone")
        if privacy.left_each_city is None and privacy.own_of_each_city
        else wording.say(
            "trust_honest_exact" if exact else "trust_honest", honest="t − c" if honest is None else honest
        ),
        wording.say("trust_crypto"),
        wording.say("trust_one_city_exact" if exact else "trust_one_city"),
        wording.say("trust_unit", unit=wording.unit()),
    )


def _limits(results: Results) -> tuple[str, ...]:
    """What docs/threat-model.md calls not protected and concerns this run, in its order, as keys."""
    content = results.content
    exact = content.privacy.mode == "exact"
    three = len(content.cities.answered) == 3 and (
        content.privacy.tolerate is None or content.privacy.tolerate.colluders
    )
    items = [
        ("limit_three", three),
        ("limit_exact", exact),
        ("limit_exact_sets", exact),
        ("limit_session", exact and content.privacy.session is not None),
        ("limit_lies", True),
        ("limit_collusion", True),
        ("limit_groups", True),
        ("limit_cities_exact" if exact else "limit_cities", True),
        ("limit_presence", True),
        ("limit_memory", True),
        ("limit_timing", True),
        ("limit_quantum", True),
        ("limit_stopping", True),
        ("limit_insider", True),
        ("limit_many", not exact),
        ("limit_root", True),
        ("limit_algorithms", True),
        ("limit_courier", True),
    ]
    return tuple(key for key, holds in items if holds)


# --- provenance, methods, definitions


def _provenance(wording: Wording, results: Results) -> tuple[Pair, ...]:
    study, run = wording.content.study, wording.content.run
    pairs: list[Pair] = [
        (wording.say("prov_study"), wording.say("prov_named", name=study.id, digest=_code(study.digest))),
        (wording.say("prov_revision"), study.revision),
    ]
    if study.dictionary is not None:
        name, number = study.dictionary.name, study.dictionary.digest
        said: object = wording.say("prov_named", name=name, digest=_code(number)) if number else name
        pairs.append((wording.say("prov_dictionary"), said))
    pairs += [
        (wording.say("prov_results"), _code(results.digest)),
        (wording.say("prov_software"), run.software),
        (wording.say("prov_at"), _time(wording, run.at)),
    ]
    if run.of > 1:
        pairs.append((wording.say("prov_run"), wording.say("prov_run_of", number=run.number + 1, of=run.of)))
    return tuple(pairs)


def _code(digest: str) -> Markup:
    return Markup("<code>{}</code>").format(short(digest))


def _time(wording: Wording, at: str) -> object:
    """`2026-11-20 08:00` with the words for UTC; any other form as it is."""
    date, mark, rest = at.partition("T")
    return wording.say("prov_utc", time=f"{date} {rest[:5]}") if mark and at.endswith("Z") else at


def _methods(wording: Wording, questions: Mapping[str, Question]) -> tuple[Markup, ...]:
    """One paragraph per kind that was asked, then what holds for all."""
    kinds = dict.fromkeys(question.kind for question in questions.values())
    unit = wording.unit()
    said = []
    for kind in kinds:
        key = f"method_{kind if kind in KINDS else 'other'}"
        said.append(wording.say(key, kind=kind, unit=unit))
    if wording.content.privacy.mode == "dp":
        said.append(wording.say("method_consistency"))
    said.append(wording.say("method_intervals", confidence=wording.percent()))
    said.append(wording.say("method_missing", unit=unit))
    unused = {name for named in wording.content.cities.unused.values() for name in named}
    listed = [(wording.variable(name), wording.unused(name)) for name in sorted(unused)]
    merged = [wording.say("unused_variable", variable=name, list=codes) for name, codes in listed if codes]
    return (*said, wording.say("method_unused", unit=unit), *merged) if merged else tuple(said)


def _definitions(wording: Wording) -> tuple[tuple[str, str, Markup], ...]:
    """Label, name and codes of every variable used."""
    return tuple(
        (
            wording.variable(name),
            name,
            wording.listed(
                [*(wording.code(name, code) for code in list(words.codes)[:MOST_DEFINED]), *_more(words.codes)]
            ),
        )
        for name, words in wording.content.words.variables.items()
    )


def _more(codes: Mapping[str, object]) -> tuple[str, ...]:
    return ("…",) if len(codes) > MOST_DEFINED else ()
