"""Questions over event rows against pandas, in exact mode: from the files of a city to the rows of an answer, equal to the last digit."""

from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import pandas
import pytest

from coordinator.consistency import reconcile
from node import snapshot
from node.gate import encoded
from node.ingest import holder, holder_key
from protocols import study as studies
from protocols.dictionary import column
from protocols.entropy import public_stream, seeded
from protocols.statistics.estimates import Estimates
from protocols.statistics.rows import Answer
from tests.unit.city_folder import HEAD, folder, run

AS_OF: Final = date(2022, 5, 31)
HOLDERS: Final = 10_000
KEPT: Final = 8
FIRST, LAST = "2021-08", "2022-05"
DICTIONARY: Final = f"""dictionary: paid
version: 1
variables:
  sex: {{type: category, codes: {{male: {{}}, female: {{}}}}}}
  opened: {{type: date, range: [1990-01-01, 2045-12-31]}}
derived:
  paid: {{of_events: pay, rule: sum, variable: amount, months: 6, range: [0, 100000]}}
  times: {{of_events: pay, rule: count, months: 6}}
  state: {{of_events: pay, rule: latest, variable: state}}
  running: {{of_events: pay, rule: streak}}
  stopped: {{of_events: pay, rule: gap, months: 3}}
  began: {{of_events: pay, rule: first}}
events:
  pay:
    variables:
      amount: {{type: money, unit: CNY, range: [0, 1000]}}
      state: {{type: category, codes: {{normal: {{}}, sealed: {{}}, closed: {{}}}}}}
      good: {{type: boolean}}
    most_rows_per_holder: {KEPT}
"""
MAPPING: Final = HEAD + (
    "sources:\n"
    "  a: {kind: csv, encoding: utf-8, files: data/a.csv}\n"
    "  p: {kind: csv, encoding: utf-8, files: data/p.csv}\n"
    "tables: {t: {source: a, key: id}}\n"
    "events: {pay: {source: p, key: id, month: {column: month, parse: [yyyy-mm]}, variables: {"
    "amount: {column: amount, unit: 元}, state: {column: state}, good: {column: good}}}}\n"
    "variables: {sex: {from: t.sex}, opened: {from: t.opened, parse: [yyyy-mm-dd]}}\n"
)
STUDY: Final = f"""study: months
title: {{zh: 月}}
purpose: {{zh: 月}}
asker: analyst
dictionary: dictionary.yaml
as_of: 2022-05-31
window: {{from: {FIRST}, to: {LAST}}}
privacy: {{mode: exact}}
questions:
  - {{id: rows, kind: series, of: count, by: sex}}
  - {{id: amounts, kind: series, of: amount, by: sex}}
  - {{id: openings, kind: series, of: opened, by: sex}}
  - {{id: moves, kind: transitions, of: pay.state, by: sex}}
  - {{id: kept, kind: vintage, opened: opened, active: good}}
  - {{id: stayed, kind: vintage, opened: opened, active: pay, by: sex}}
  - {{id: latest, kind: frequency, of: state, by: stopped}}
  - {{id: paid, kind: mean, of: paid}}
"""


@dataclass(frozen=True)
class City:
    """A city of random rows, as pandas sees them, and what the study made of its snapshot."""

    main: pandas.DataFrame
    events: pandas.DataFrame
    held: snapshot.Snapshot
    study: studies.Study
    answers: dict[str, Answer]

    def found(self, question: str, measure: str) -> dict[tuple[str, ...], Any]:
        rows = self.answers[question].rows
        return {tuple(row.keys.values()): row.estimate for row in rows if row.measure == measure}


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> City:
    place = tmp_path_factory.mktemp("events")
    random = public_stream("oracle", "events", "rows")
    sex = random.choice(["male", "female", ""], HOLDERS, p=[0.5, 0.45, 0.05])
    opened = pandas.Timestamp("2021-06-01") + pandas.to_timedelta(random.integers(0, 364, HOLDERS), "D")
    main = pandas.DataFrame(
        {"id": [f"k{at}" for at in range(HOLDERS)], "sex": sex, "opened": opened.strftime("%Y-%m-%d")}
    )
    main.loc[random.random(HOLDERS) < 0.03, "opened"] = ""
    rows = 60_000
    events = pandas.DataFrame(
        {
            "id": [f"k{at}" for at in random.integers(0, HOLDERS + 50, rows)],  # some of nobody
            "month": random.choice(
                [f"2021-{at:02d}" for at in range(5, 13)] + [f"2022-{at:02d}" for at in range(1, 6)], rows
            ),
            "amount": random.integers(0, 1_100, rows).astype(str),
            "state": random.choice(["normal", "sealed", "closed", ""], rows, p=[0.6, 0.2, 0.15, 0.05]),
            "good": random.choice(["true", "false", ""], rows, p=[0.7, 0.25, 0.05]),
        }
    )
    events.loc[random.random(rows) < 0.02, "amount"] = ""
    files = {"data/a.csv": main.to_csv(index=False), "data/p.csv": events.to_csv(index=False)}
    folder(place, MAPPING, files, DICTIONARY)
    run(place)
    (place / "study.yaml").write_text(STUDY, encoding="utf-8")
    study = studies.load(place / "study.yaml")
    held = snapshot.open_for(place / ".hpfed", AS_OF)
    layout = study.workload.layout
    families = reconcile(layout, encoded(study, layout, held), [0] * len(layout.blocks))
    answers = {
        each.id: each.finalize(
            Estimates.of(
                families,
                study.workload.blocks[each.id],
                study=study.digest,
                question=each.id,
                confidence=0.95,
                min_cell=1,
            ),
            study.domain,
        )
        for each in study.file.questions
    }
    return City(main, monthly(events[events["id"].isin(main["id"])]), held, study, answers)


def monthly(events: pandas.DataFrame) -> pandas.DataFrame:
    """One row per holder and month, the latest KEPT months: fen, codes, None where not known."""
    rows = events.assign(
        fen=pandas.to_numeric(events["amount"]) * 100,
        at=pandas.PeriodIndex(events["month"], freq="M").year * 12
        + pandas.PeriodIndex(events["month"], freq="M").month
        - 1,
    )
    grouped = rows.groupby(["id", "at"])

    one = pandas.DataFrame({"fen": grouped["fen"].sum().clip(upper=100_000)})
    one["fen"] = one["fen"].where(~rows["fen"].isna().groupby([rows["id"], rows["at"]]).any())
    for name in ("state", "good"):
        one[name] = grouped[name].first().where((grouped[name].nunique() == 1) & (grouped[name].first() != ""))
    one = one.reset_index()
    one["nth"] = one.groupby("id")["at"].rank(ascending=False)
    return one[one["nth"] <= KEPT].sort_values(["id", "at"]).reset_index(drop=True)


def text(at: int) -> str:
    return f"{at // 12:04d}-{at % 12 + 1:02d}"


MONTHS: Final = [text(2021 * 12 + 7 + at) for at in range(10)]


def windowed(city: City) -> pandas.DataFrame:
    """Event rows of the window, with the columns of their holder."""
    rows = city.events.merge(city.main, on="id")
    rows["month"] = rows["at"].map(text)
    rows["sex"] = rows["sex"].replace("", "_missing")
    return rows[rows["month"].isin(MONTHS)]


def same(found: dict[Any, Any], expected: dict[Any, Any]) -> None:
    """Every number of either, where what pandas does not list is 0."""
    assert {key: value for key, value in found.items() if value} == {
        key: value for key, value in expected.items() if value
    }


def test_a_series_of_rows_and_of_amounts_is_a_groupby(city: City) -> None:
    rows = windowed(city)
    same(city.found("rows", "count"), rows.groupby(["month", "sex"]).size().to_dict())
    known = rows[rows["fen"].notna()].groupby(["month", "sex"])["fen"]
    same(city.found("amounts", "count"), known.size().to_dict())
    inside = {key: value for key, value in (known.sum() / 100).to_dict().items() if "_missing" not in str(key)}
    same({key: value for key, value in city.found("amounts", "total").items() if value is not None}, inside)
    means = city.found("amounts", "mean")
    expected: dict[Any, float] = (known.mean() / 100).to_dict()
    for (month, sex), mean in expected.items():
        assert sex == "_missing" or means[month, sex] == pytest.approx(mean, rel=1e-11)


def test_changes_are_pct_change(city: City) -> None:
    counts = windowed(city).groupby(["sex", "month"]).size().unstack()
    change = counts.pct_change(axis=1)
    found = city.found("rows", "change")
    for sex in ("male", "female"):
        assert found[MONTHS[0], sex] is None
        for month in MONTHS[1:]:
            assert found[month, sex] == pytest.approx(change.loc[sex, month], rel=1e-10, abs=1e-12)
    assert not city.found("rows", "change_year")  # the window has no year


def test_a_series_of_a_date_puts_every_holder_in_one_month_outside_or_missing(city: City) -> None:
    opened = pandas.to_datetime(city.main["opened"], errors="coerce").dt.strftime("%Y-%m")
    place = opened.where(opened.isin(MONTHS) | opened.isna(), "_outside").fillna("_missing")
    sex = city.main["sex"].replace("", "_missing")
    same(city.found("openings", "count"), place.groupby([place, sex]).size().to_dict())
    assert sum(city.found("openings", "count").values()) == HOLDERS


def test_transitions_are_a_shift_within_holders_and_a_crosstab(city: City) -> None:
    rows = windowed(city).sort_values(["id", "at"])
    rows["state"] = rows["state"].fillna("_missing")
    following = rows.groupby("id")[["at", "state"]].shift(-1)
    pairs = rows[following["at"] == rows["at"] + 1]
    table = pairs.groupby([pairs["state"], following.loc[pairs.index, "state"], pairs["sex"]]).size()
    same(city.found("moves", "count"), table.to_dict())
    known = ("normal", "sealed", "closed")
    for (one, other, sex), share in city.found("moves", "row_share").items():
        if "_missing" not in (one, other, sex):
            base = sum(table.get((one, each, sex), 0) for each in known)
            assert share == pytest.approx(table.get((one, other, sex), 0) / base, rel=1e-11)


def test_a_vintage_is_a_groupby_of_opening_month_and_months_since(city: City) -> None:
    rows = windowed(city)
    rows = rows[(rows["opened"] != "") & (rows["good"] == "true")]
    month = pandas.to_datetime(rows["opened"])
    start = month.dt.year * 12 + month.dt.month - 1
    since = rows["at"] - start
    rows = rows.assign(start=start.map(text), since=since.astype(str))[(since >= 0) & start.map(text).isin(MONTHS)]
    active = rows.groupby(["start", "since"]).size()
    found = {key: value for key, value in city.found("kept", "count").items() if key[1] != "_missing"}
    same(found, active.to_dict())
    opened = pandas.to_datetime(city.main["opened"], errors="coerce").dt.strftime("%Y-%m").value_counts()
    for (start_, since_), share in city.found("kept", "share").items():
        if start_ in MONTHS and MONTHS.index(start_) + int(since_) < len(MONTHS):
            assert share == pytest.approx(active.get((start_, since_), 0) / opened[start_], rel=1e-11)
        else:
            assert share is None
    outside = city.found("kept", "count")["_outside", "_missing"]
    assert outside == opened.sum() - opened[opened.index.isin(MONTHS)].sum()


def test_a_vintage_of_all_rows_stands_beside_a_series_of_them(city: City) -> None:
    """A row before the opening, or of a holder who opened before the window, is in the series and not in the vintage: were both one family,
    no answer would be possible without noise, and with it least squares would move each towards the other."""
    rows = windowed(city)
    assert sum(city.found("rows", "count").values()) == len(rows)
    rows = rows[rows["opened"] != ""]
    month = pandas.to_datetime(rows["opened"])
    start = month.dt.year * 12 + month.dt.month - 1
    rows = rows.assign(start=start.map(text), since=rows["at"] - start)
    dated = rows[(rows["since"] >= 0) & rows["start"].isin(MONTHS)]
    assert len(dated) < len(rows)
    active = dated.assign(since=dated["since"].astype(str))
    found = {key: value for key, value in city.found("stayed", "count").items() if key[1] != "_missing"}
    same(found, active.groupby(["start", "since", "sex"]).size().to_dict())


def test_what_events_make_is_a_groupby_for_every_holder(city: City) -> None:
    names = ("paid", "times", "state", "running", "stopped", "began")
    (table,) = city.held.batches(names)
    made = {name: column(table, city.study.dictionary, name, AS_OF) for name in names}
    secret = holder_key(city.held.folder.parent.parent, seeded())
    ids = sorted(city.main["id"], key=lambda key: holder(secret, key))  # rows stand in the order of keyed hashes
    end = 2022 * 12 + 4
    rows = city.events
    recent = rows[rows["at"] > end - 6].groupby("id")
    back = rows.sort_values(["id", "at"], ascending=False).groupby("id").cumcount()
    expected = {
        "paid": recent["fen"].sum().where(~recent["fen"].apply(lambda fen: fen.isna().any())).reindex(ids),
        "times": recent.size().reindex(ids, fill_value=0),
        "state": rows.groupby("id").tail(1).set_index("id")["state"].reindex(ids),
        "running": rows[rows["at"] + back == end].groupby("id").size().reindex(ids, fill_value=0),
        "stopped": rows[rows["at"] > end - 3].groupby("id").size().reindex(ids, fill_value=0).eq(0).astype(int),
        "began": rows.groupby("id")["at"].min().reindex(ids),
    }
    expected["paid"][~expected["paid"].index.isin(rows.loc[rows["at"] > end - 6, "id"])] = 0
    codes = city.study.dictionary.codes("state")
    for name in names:
        found = made[name]
        values: list[Any] = [
            int(each) if known else None for each, known in zip(found.values, found.known, strict=True)
        ]
        if name == "state":
            values = [None if each is None else codes[each] for each in values]
        if name == "began":
            values = [None if each is None else _month(each) for each in values]
        assert values == [None if pandas.isna(each) else each for each in expected[name]], name


def _month(days: int) -> int:
    day = date.fromordinal(days + date(1970, 1, 1).toordinal())
    return day.year * 12 + day.month - 1


def test_a_derived_state_is_counted_like_any_variable(city: City) -> None:
    assert sum(city.found("latest", "count").values()) == HOLDERS
