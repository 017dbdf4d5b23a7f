"""Models beside their peers: a city's part of a round, whole fits of six cities in one process, and the scores of a city's rows.

Rows are made up. Figures are of CPU time, in all threads. Fits of six cities compute every round, every vector, its sum and
what follows from it; masks and messages are measured by others (`secagg.py`, `exchanging.py`).
"""

import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from protocols.dictionary import Column, Dictionary, Read, Reading
from protocols.entropy import public_stream
from protocols.models import gbdt, glm, private
from protocols.models.design import Columns, Design
from protocols.models.gbdt import Gbdt
from protocols.models.glm import Glm
from protocols.models.interface import Ask, Done
from protocols.models.modelfile import Linear, ModelFile, Weight, taken
from protocols.models.question import Setting
from protocols.ring import centred, residues
from protocols.statistics.layout import Domain
from simulations.bench import Line, alone, encoding, line, spent

if TYPE_CHECKING:
    from node.snapshot import Snapshot

Reals = npt.NDArray[np.float64]
STUDY: Final = "sha256:" + "0" * 64
CITIES: Final = 6
MOST_MIB: Final = 300.0
TERMS: Final = ("sex", "log1p(personal_income)", "birth_year", "paid_12m", "contribution_base")


def lines(quick: bool = False) -> Iterator[Line]:
    """Targets: a city's part of a step of a logit of 21 columns and 10^6 rows, 2 times the bare product of its columns; products of whole
    numbers, 1.5 times those of floats; all rounds of a logit of six cities, 6 times statsmodels on the pooled rows (aim 3); thirty
    trees, 15 times XGBoost; scores of 10^6 rows, written to a file, 3 times the reading of the same columns; 300 MiB for a step over 10^7.
    """
    many, rows, times, trees = (3_000, 3_000, 1, 3) if quick else (1_000_000, 150_000, 3, 30)
    yield from _one_city(made(many, 20), times)
    yield from _six_cities(made(rows, 10), times, trees)
    yield from _of_snapshot(2_000 if quick else 1_000_000, times)


@dataclass(frozen=True)
class Made:
    """Rows of columns `x0` on, and an outcome `y` that follows them."""

    dictionary: Dictionary
    columns: Mapping[str, Column]
    x: Reals
    y: Reals

    @property
    def rows(self) -> int:
        return len(self.y)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name in self.columns if name != "y")

    @property
    def read(self) -> Read:
        return self.columns.__getitem__

    def city(self, place: int) -> tuple[Read, int]:
        """A sixth of the rows."""
        of = {
            name: Column(*(np.ascontiguousarray(every[place::CITIES]) for every in (each.values, each.known)))
            for name, each in self.columns.items()
        }
        return of.__getitem__, len(of["y"].values)


def made(rows: int, columns: int) -> Made:
    draw = public_stream(STUDY, "bench", "models")
    x = np.asfortranarray(draw.normal(size=(rows, columns)).clip(-5, 5))
    eta = x @ draw.normal(size=columns) * 0.3 - 1
    y = (draw.random(rows) < 1 / (1 + np.exp(-eta))).astype(np.int8)
    variables: dict[str, Any] = {f"x{at}": {"type": "number", "range": ("-5", "5")} for at in range(columns)}
    tree = {"dictionary": "made-up", "version": 1, "variables": variables | {"y": {"type": "boolean"}}}
    known = np.ones(rows, bool)
    found = {f"x{at}": Column(x[:, at], known) for at in range(columns)} | {"y": Column(y, known)}
    return Made(Dictionary.model_validate(tree, strict=False), found, x, y.astype(np.float64))


def _cpu(work: Callable[[], object], times: int) -> float:
    return statistics.median(spent(work)[1] for _ in range(times))


def _logit(of: Made) -> glm.GlmPlan:
    question = Glm(family="binomial", outcome="y", terms=of.names)
    return glm.plan(question, of.dictionary, CITIES, of.rows, STUDY)


def _one_city(of: Made, times: int) -> Iterator[Line]:
    plan = _logit(of)
    first = plan.ask(state := plan.start())
    assert not isinstance(first, Done)  # noqa: S101 nothing was asked yet
    sums = plan.encode(first, plan.measure(first, of.read, of.rows))
    step = plan.ask(plan.tell(state, first, sums))
    assert not isinstance(step, Done)  # noqa: S101 a logit takes steps
    z, weight = np.column_stack([np.ones(of.rows), of.x]), public_stream(STUDY, "bench", "weights").random(of.rows)
    ours = _cpu(lambda: plan.measure(step, of.read, of.rows), times)
    bare = _cpu(lambda: z.T @ (z * weight[:, None]), times)
    note = "from columns of a snapshot: outcome, prediction, deviance, score and information"
    yield line(f"models, step of a logit, {of.rows:.0e} rows", "s", ours, bare, "numpy z'Wz", 2.0, "less", note)

    noisy = private.PrivatePlan(plan, Setting(Domain(of.dictionary), CITIES, of.rows, STUDY, 0.95), "noisy")
    whole = np.rint(z * 64)
    ours, bare = (_cpu(lambda each=each: each.T @ each, times) for each in (whole, z))  # type: ignore[misc]  # bound here
    begun = noisy.start()
    asked = noisy.ask(begun)
    assert not isinstance(asked, Done)  # noqa: S101 nothing was asked yet
    products = noisy.ask(noisy.tell(begun, asked, noisy.encode(asked, noisy.measure(asked, of.read, of.rows))))
    assert not isinstance(products, Done)  # noqa: S101 products follow moments
    of_round = _cpu(lambda: noisy.measure(products, of.read, of.rows), times)
    note = f"the whole round with noise, from columns to whole numbers: {of_round / bare:.1f} times the product"
    yield line("models, products of whole numbers", "s", ours, bare, "numpy z'z of floats", 1.5, "less", note)


def fitted(plan: Any, cities: Sequence[tuple[Read, int]]) -> tuple[Any, int]:
    """The last state of a fit, and how many rounds it took."""
    state, rounds = plan.start(), 0
    while not isinstance(ask := plan.ask(state), Done):
        vectors = [residues(plan.encode(ask, plan.measure(ask, read, rows)), 64) for read, rows in cities]
        total = centred(np.asarray(np.sum(vectors, axis=0, dtype=np.uint64), "<u8"))
        state, rounds = plan.tell(state, ask, total), rounds + 1
    return state, rounds


def _six_cities(of: Made, times: int, trees: int) -> Iterator[Line]:
    import statsmodels.api as sm
    import xgboost

    cities, plan = [of.city(place) for place in range(CITIES)], _logit(of)
    x = sm.add_constant(of.x)
    ours = _cpu(lambda: fitted(plan, cities), times)
    pooled = _cpu(lambda: sm.GLM(of.y, x, family=sm.families.Binomial()).fit(tol=1e-13), times)
    newton = _cpu(lambda: sm.Logit(of.y, x).fit(disp=False), times)
    note = f"{fitted(plan, cities)[1]} rounds; {ours / newton:.1f} times statsmodels' Logit by Newton"
    what = f"models, logit of six cities, {of.rows} rows"
    yield line(what, "s", ours, pooled, "statsmodels GLM of the pooled rows", 6.0, "less", note)

    question = Gbdt(outcome="y", features=of.names, trees=trees)
    boosted = gbdt.plan(question, of.dictionary, CITIES, of.rows, STUDY)
    keys = {"tree_method": "hist", "max_depth": question.depth, "eta": question.eta, "max_bin": 32, "nthread": 1}
    keys["objective"] = "binary:logistic"
    ours = _cpu(lambda: fitted(boosted, cities), 1)
    peer = _cpu(lambda: xgboost.train(keys, xgboost.DMatrix(of.x, label=of.y, nthread=1), trees), times)
    note = f"{fitted(boosted, cities)[1]} rounds, each from the rows alone: nothing is kept between them"
    what = f"models, {trees} trees of six cities, {of.rows} rows"
    yield line(what, "s", ours, peer, "XGBoost hist, one thread", 15.0, "less", note)


def _of_snapshot(rows: int, times: int) -> Iterator[Line]:
    """Scores by a logit of five variables, from the snapshot to a Parquet file, against reading the same columns with DuckDB; and what a
    step of such a fit holds in memory, over ten times the rows."""
    import duckdb

    from node import mapping, scores, snapshot

    with tempfile.TemporaryDirectory(prefix="hpfed-bench-") as place:
        encoding.ingested(Path(place), rows)
        folder, home = Path(place) / "cities" / "guangzhou", Path(place) / "home"
        means = mapping.load(folder)
        held, model = snapshot.open_for(home, means.snapshot), _model(means.meant)
        names = sorted({each for name in model.needs for each in means.meant.needs(name)})
        out = Path(place) / "scores.parquet"
        ours = _cpu(lambda: scores.score(model, folder, home, out, "en"), times)
        peer = _cpu(lambda: _columns(held, names), times)
        with duckdb.connect() as database:
            large = encoding.repeated(held.folder, Path(place) / "times-10", 10, database)
        memory = alone("stepped", str(large))
    note = "with the names of holders in hexadecimal digits"
    yield line(f"models, scores of {rows:.0e} rows", "s", ours, peer, "DuckDB reads the columns", 3.0, "less", note)
    what = f"models, memory of a step, {10 * rows:.0e} rows"
    yield line(what, "MiB", memory.above, MOST_MIB, "limit", 1.0, "less", "above what imports take")


def stepped(folder: str) -> Callable[[], float]:
    """A city's part of a step over a snapshot, to be made in a process of its own."""
    from node.gate import BATCH
    from protocols import dictionary

    held, meant = encoding.held(Path(folder)), dictionary.load("hpf-flexible-employment@1")
    question = Glm(family="binomial", outcome="interrupted", terms=TERMS)
    plan = glm.plan(question, meant, CITIES, held.rows, STUDY)
    q = len(plan.design.pieces)
    columns = Columns(groups=tuple((at,) for at in range(q)), centre=(0.5,) * q, scale=(0.5,) * q)
    ask = Ask(round=1, purpose="step", study=STUDY, layout="", chain="", columns=columns, point=(0.0,) * (1 + q))

    def work() -> float:
        names = sorted({each for name in ("interrupted", *plan.design.variables) for each in meant.needs(name)})
        rows = 0.0
        for table in held.batches(names, BATCH):
            read = Reading(table, meant, date(2022, 5, 31))
            rows += plan.measure(ask, read, table.holders).values["frequency"][0]
        return rows

    return work


def _columns(held: "Snapshot", names: Sequence[str]) -> None:
    for _ in held.batches(names):
        pass


def _model(dictionary: Dictionary) -> ModelFile:
    pieces = Design.of(TERMS, dictionary).pieces
    names = ["sex", "personal_income", "birth_year", "paid_12m", "contribution_base"]
    weights = [
        Weight(term="intercept", estimate=-1.0, std_error=0.1),
        *(Weight(term=each.name, columns=(each.name,), estimate=0.1 / each.half, std_error=0.1) for each in pieces),
    ]
    fit = Linear(
        family="binomial",
        link="logit",
        terms=TERMS,
        weights=tuple(weights),
        covariance=tuple(tuple(0.0 for _ in weights) for _ in weights),
        error_bound=0.0,
    )
    return ModelFile(
        id="bench",
        study=STUDY,
        dictionary=dictionary.name,
        dictionary_digest=dictionary.digest,
        variables=taken(dictionary, names),
        outcome="interrupted",
        as_of=date(2022, 5, 31),
        expires=date(9999, 1, 1),
        cities=("guangzhou",),
        rows=1,
        fit=fit,
    )
