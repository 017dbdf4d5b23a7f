"""Independent draws from the public domains of any dictionary, as city folders: to rehearse a study before real files exist.

Codes, numbers and dates are uniform on their domain, and nothing is related to anything: what a study finds in them is noise. Every file
says so. A local text is the dictionary's own code, so that a mapping is one short line per variable. Of an events table a holder has rows
in some consecutive months up to that of the snapshot: from 1 to all that are kept.
"""

import shutil
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from importlib import resources
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
from numpy.random import Generator  # noqa: TID251 simulated worlds are drawn from a stated seed

from node.mapping import NEVER, PER
from protocols import dictionary as dictionaries
from protocols import yamltext
from protocols.columns import month_number
from protocols.dictionary import Boolean, Category, Date, Dictionary, Integer, Money, Number, Set
from protocols.errors import ConfigError, joined
from simulations.cities import text
from simulations.cities.streams import Streams, keys
from simulations.cities.text import Cell

CHUNK: Final = 1 << 17  # rows made at once: 300 MB in all with 42 variables
MISSING: Final = 0.03
AT_A_POINT: Final = 0.05  # of the holders at each of a variable's public points
STEPS: Final = 6  # a range of numbers is drawn in about 10^6 steps
DIGITS: Final = 15  # before the point: more no node reads
PLACES: Final = 18  # digits of an int64
FIRST_YEAR: Final = 1000  # a year has four digits in a file
NO_DATE: Final = date(2025, 12, 31)  # of the snapshots where no variable is a date
EPOCH: Final = date(1970, 1, 1)
KEY: Final = "编号"
LABELS: Final = {"数据来源": "合成数据", "生成方式": "独立抽取 independent draws"}
FILE: Final = "data/{city}_synthetic_independent_draws.csv"
EVENTS_FILE: Final = "data/{city}_synthetic_independent_draws_of_{table}.csv"
MONTH: Final = "月份"

CITY: Final = """# Independent draws from the domains of a dictionary: an invented population. 合成数据：各变量独立抽取，不对应任何真实个人
city: "{city}"
name: {{zh: "{city}（合成：独立抽取）", en: "{city} (synthetic: independent draws)"}}
code: "000000"
synthetic: true
"""
MAPPING: Final = """# Synthetic: independent draws, each variable by itself. 合成数据：各变量独立抽取，变量之间没有任何关系
mapping: 1
city: "{city}"
dictionary: {dictionary}
snapshot: {snapshot}
scope: {{sub_centres: none, note: "合成数据：独立抽取 independent draws"}}
sources:
  holders: {{kind: csv, files: "{file}", encoding: utf-8-sig}}
{sources}tables:
  holder: {{source: holders, key: {key}, main: true, duplicates: fail}}
{events}variables:
"""
SOURCE: Final = '  of_{table}: {{kind: csv, files: "{file}", encoding: utf-8-sig}}\n'
TABLE: Final = """  {table}:
    source: of_{table}
    key: {key}
    month: {{column: {month}, parse: [yyyymm]}}
    variables: {{{variables}}}
"""
BETWEEN: Final = ";"  # the codes of a set
Drawn: TypeAlias = Category | Set | Boolean | Integer | Number | Money | Date


def load(reference: str) -> Dictionary:
    """A dictionary that can be drawn from. Errors: `ConfigError` of the dictionary, SIMULATE_RANGE for every range that cannot."""
    if dictionaries.is_shipped(reference):
        return dictionaries.load(reference)
    document = yamltext.load(Path(reference))
    meant = dictionaries.parse(document)
    broken = joined(
        ConfigError("SIMULATE_RANGE", document.at("variables", name, "range"), name=name)
        for name, variable in meant.variables.items()
        if not _drawable(variable)
    )
    if broken:
        raise broken
    return meant


def build(folder: Path, meant: Dictionary, reference: str, cities: Sequence[str], rows: int, seed: int) -> None:
    """Write everything into an empty folder; a dictionary that is a file is copied there. Pre-condition: `meant == load(reference)`."""
    named = f'"{reference}"' if dictionaries.is_shipped(reference) else "../dictionary.yaml"
    if not dictionaries.is_shipped(reference):
        shutil.copyfile(reference, folder / "dictionary.yaml")
    snapshot = snapshot_date(meant)
    for city in cities:
        (folder / city / "data").mkdir(parents=True)
        (folder / city / "city.yaml").write_text(CITY.format(city=city), encoding="utf-8")
        (folder / city / "policy.yaml").write_bytes(_shipped("policy.yaml"))
        (folder / city / "mapping.yaml").write_text(_mapping(meant, city, named, snapshot), encoding="utf-8")
        with (folder / city / FILE.format(city=city)).open("wb") as file:
            for number, first in enumerate(range(0, rows, CHUNK)):
                content = table(meant, Streams(seed, city, number), first, min(CHUNK, rows - first))
                file.write(content if first == 0 else content.split(b"\r\n", 1)[1])
        for name in meant.events:
            with (folder / city / EVENTS_FILE.format(city=city, table=name)).open("wb") as file:
                for number, first in enumerate(range(0, rows, CHUNK)):
                    holders = min(CHUNK, rows - first)
                    content = event_table(meant, name, Streams(seed, city, number), first, holders, snapshot)
                    file.write(content if first == 0 else content.split(b"\r\n", 1)[1])
    (folder / "askers.yaml").write_bytes(_shipped("askers.yaml"))


def snapshot_date(meant: Dictionary) -> date:
    """The last day of the first year of every date, so that none lies in the future; NO_DATE without dates."""
    return max((_first_year(each)[1] for each in meant.variables.values() if isinstance(each, Date)), default=NO_DATE)


def table(meant: Dictionary, streams: Streams, first: int, rows: int) -> bytes:
    """A chunk of a city's file, with a header: UTF-8 with a byte-order mark, CRLF. Pre-condition: every range can be drawn from."""
    columns: dict[str, Cell] = {KEY: text.whole(keys(streams, first, rows))}
    for name, variable in meant.variables.items():
        stream = streams(name)
        missing = stream.random(rows) < MISSING
        columns[_column(name)] = text.unless(missing, b"", _drawn(variable, stream, rows))
    labels: Mapping[str, Cell] = {name: [label.encode()] for name, label in LABELS.items()}
    return text.written({**columns, **labels}, rows, "utf-8-sig", b",", b"\r\n")


def event_table(meant: Dictionary, name: str, streams: Streams, first: int, holders: int, snapshot: date) -> bytes:
    """The event rows of a chunk of holders, with a header, as `table` writes their other values."""
    entry, last = meant.events[name], month_number(snapshot)
    number = streams(f"months of {name}").integers(1, entry.most_rows_per_holder, holders, endpoint=True)
    whose = np.repeat(np.arange(holders), number)
    back = np.repeat(np.cumsum(number), number) - 1 - np.arange(len(whose))
    month = last - back
    columns: dict[str, Cell] = {
        KEY: text.whole(keys(streams, first, holders)[whose]),
        MONTH: text.whole(month // 12 * 100 + month % 12 + 1),
    }
    for variable, of in entry.variables.items():
        stream = streams(f"{name} {variable}")
        missing = stream.random(len(whose)) < MISSING
        columns[_column(variable)] = text.unless(missing, b"", _drawn(of, stream, len(whose)))
    labels: Mapping[str, Cell] = {label: [said.encode()] for label, said in LABELS.items()}
    return text.written({**columns, **labels}, len(whose), "utf-8-sig", b",", b"\r\n")


def _drawn(variable: Drawn, stream: Generator, rows: int) -> Cell:
    """One column of local text, uniform on its domain, of a stream of its own."""
    match variable:
        case Category(codes=codes):
            return text.listed(stream.integers(0, len(codes), rows), tuple(codes), "ascii")
        case Set(codes=codes, most_codes=most):
            return _several(tuple(codes), most or len(codes), stream, rows)
        case Boolean():
            return text.listed(stream.integers(0, 2, rows), ("false", "true"), "ascii")
        case Date():
            low, high = (int((day - EPOCH).days) for day in _first_year(variable))
            return text.date(stream.integers(low, high, rows, endpoint=True), b"-", b"-")
    low, high, places = _lattice(variable)
    values = stream.integers(low, high, rows, endpoint=True)
    steps = (int(point.scaleb(places).to_integral_value()) for point in variable.points)
    points = np.array(sorted({step for step in steps if low <= step <= high}), dtype=np.int64)
    if len(points):
        share = min(AT_A_POINT, 1 / len(points))
        chosen = np.floor(stream.random(rows) / share).astype(np.int64)
        values = np.where(chosen < len(points), points[np.minimum(chosen, len(points) - 1)], values)
    return text.fixed(values, places)


def _several(codes: tuple[str, ...], most: int, stream: Generator, rows: int) -> Cell:
    """Of each row, some codes of a set: how many is uniform from 1 to `most`, and which, too."""
    rank = stream.random((rows, len(codes))).argsort(axis=1).argsort(axis=1)
    chosen = rank < stream.integers(1, min(most, len(codes)), rows, endpoint=True)[:, None]
    cell: Cell = []
    for place, code in enumerate(codes):
        before = chosen[:, place] & chosen[:, :place].any(axis=1)
        cell += [np.where(before, BETWEEN.encode(), b""), np.where(chosen[:, place], code.encode(), b"")]
    return cell


def _lattice(variable: Integer | Number | Money) -> tuple[int, int, int]:
    """Least and greatest value in steps of 10^-places: whole numbers, whole fen, or about 10^6 steps and at most 18 digits."""
    low, high = (Decimal(end) for end in variable.range)
    match variable:
        case Integer():
            places = 0
        case Money():
            places = 2
        case Number():
            before = max(low.adjusted(), high.adjusted(), 0) + 1
            exact = max(0, *(-int(end.normalize().as_tuple().exponent) for end in (low, high, *variable.points)))
            places = min(max(STEPS - (high - low).adjusted(), exact, 0), PLACES - min(before, DIGITS))
    most = 10 ** (DIGITS + places) - 1
    bottom, top = (
        low.scaleb(places).to_integral_value(ROUND_CEILING),
        high.scaleb(places).to_integral_value(ROUND_FLOOR),
    )
    return max(int(bottom), -most), min(int(top), most), places


def _first_year(variable: Date) -> tuple[date, date]:
    """First and last day of the first year of a range: twelve months, or what there is."""
    low, high = max(variable.range[0], date(FIRST_YEAR, 1, 1)), variable.range[1]
    if low.year == date.max.year:
        return low, high
    leap_day = (low.month, low.day) == (2, 29)
    anniversary = date(low.year + 1, 3, 1) if leap_day else low.replace(year=low.year + 1)
    return low, min(anniversary - timedelta(1), high)


def _drawable(variable: Drawn) -> bool:
    match variable:
        case Date():
            return variable.range[1].year >= FIRST_YEAR
        case Integer() | Number() | Money():
            low, high, _ = _lattice(variable)
            return low <= high
    return True


def _column(name: str) -> str:
    """The name of a variable's column: its own, unless nodes never read a column of that name."""
    return f"变量_{name}" if name in NEVER else name


def _mapping(meant: Dictionary, city: str, dictionary: str, snapshot: date) -> str:
    lines = [f"  {name}: {_rule(name, variable)}\n" for name, variable in meant.variables.items()]
    file = FILE.format(city=city)
    sources, events = "", ""
    for table_, entry in meant.events.items():
        sources += SOURCE.format(table=table_, file=EVENTS_FILE.format(city=city, table=table_))
        rules = ", ".join(f"{each}: {_event_rule(each, of)}" for each, of in entry.variables.items())
        events += TABLE.format(table=table_, key=KEY, month=MONTH, variables=rules)
    return MAPPING.format(
        city=city,
        dictionary=dictionary,
        snapshot=snapshot,
        file=file,
        key=KEY,
        sources=sources,
        events=f"events:\n{events}" if events else "",
    ) + "".join(lines)


def _event_rule(name: str, variable: Drawn) -> str:
    return f"{{column: {_column(name)}{', unit: 元' if isinstance(variable, Money) else ''}}}"


def _rule(name: str, variable: Drawn) -> str:
    more = ""
    match variable:
        case Set():
            more = f', split: "{BETWEEN}"'
        case Money():
            more = ", unit: 元"
        case Number(unit=unit) if unit in PER:
            more = f', unit: "{unit}"'
        case Date():
            more = ", parse: [yyyy-mm-dd]"
    return f"{{from: holder.{_column(name)}{more}}}"


def _shipped(name: str) -> bytes:
    return resources.files("simulations.cities").joinpath(name).read_bytes()
