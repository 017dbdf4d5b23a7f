"""What the populations must reach: published aggregates (`seed-facts.yaml`), the choices they leave open, and the six cities.

Every number that is not in `seed-facts.yaml` is a choice and says so here. `Facts` is what one chunk of one city must reach; the
steps of `population.py` read nothing else.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import resources
from typing import Any, Final

import numpy as np
import yaml

from simulations.cities.solve import Reals, Wholes, apportion, spread

DEFAULT_SEED: Final = 20220531
CHUNK: Final = 1 << 20  # rows made at once; a larger city is written in parts of this size

PRODUCTS: Final = ("lump_sum", "monthly", "free")
GENERATIONS: Final = ("00后", "90后", "80后", "70后", "60后")
AGES: Final = np.arange(16, 63)  # 2022 - birth year
MONTHS: Final = 10  # of the scheme: 2021-08 is month 0, 2022-05 is month 9
LAST_HALF_YEAR: Final = 4  # 2021-12, the first of the last six months


@dataclass(frozen=True)
class Profile:
    """How a city differs from Q city (chongqing). Shares in points of 1, age in years; every shift is 0 for Q city itself.

    `banks`: the four that a city entrusts, by their codes: its largest first, last the one that the highly educated prefer.
    """

    city: str
    rows: int
    interrupted: float
    free: float = 0.0
    monthly: float = 0.0
    age: float = 0.0
    income: float = 1.0
    male: float = 0.53
    unknown_education: float = 0.07
    share_60s: float | None = None
    other_residence: float = 0.18
    employed: float = 0.01
    counter: float = 0.003
    banks: tuple[str, str, str, str] = ("local", "ccb", "abc", "cmb")
    lag: int = 0

    def shrunk(self, towards: "Profile", by: float) -> "Profile":
        """Every shift multiplied by `by`: 1 leaves the city as it is, 0 makes it equal to `towards`, but for its size."""

        def between(here: float, there: float) -> float:
            return there + by * (here - there)

        return replace(
            self,
            interrupted=between(self.interrupted, towards.interrupted),
            free=between(self.free, towards.free),
            monthly=between(self.monthly, towards.monthly),
            age=between(self.age, towards.age),
            income=between(self.income, towards.income),
            male=between(self.male, towards.male),
            unknown_education=between(self.unknown_education, towards.unknown_education),
            share_60s=self.share_60s if by == 1 else None,
            other_residence=between(self.other_residence, towards.other_residence),
            employed=between(self.employed, towards.employed),
            counter=max(0.0, between(self.counter, towards.counter)),
            banks=self.banks if by else towards.banks,
            lag=round(by * self.lag),
        )


# Section 5: sizes of the five are a choice, not published. `employed`: holders who have become employees since, a choice. So are the
# banks of the five, which no source names: four in each city, and every code of the dictionary in some city.
PROFILES: Final = {
    each.city: each
    for each in (
        Profile("chongqing", 26606, 0.0274, employed=0.0),
        Profile(
            *("chengdu", 31000, 0.032),
            free=0.05,
            monthly=-0.03,
            age=-1,
            lag=2,
            banks=("local", "icbc", "psbc", "cmb"),
        ),
        Profile(
            *("guangzhou", 22000, 0.021),
            free=-0.03,
            monthly=0.06,
            age=-2,
            income=1.35,
            other_residence=0.45,
            banks=("local", "icbc", "boc", "other"),
        ),
        Profile(
            *("shenzhen", 18000, 0.016),
            free=-0.06,
            monthly=0.09,
            age=-4,
            income=1.5,
            share_60s=0.03,
            banks=("local", "boc", "bocom", "cmb"),
        ),
        Profile(
            *("suzhou", 9000, 0.026),
            free=0.02,
            monthly=-0.04,
            age=1,
            unknown_education=0.18,
            banks=("local", "abc", "bocom", "other"),
        ),
        Profile(
            *("changzhou", 5000, 0.035),
            free=0.08,
            monthly=-0.10,
            age=3,
            male=0.45,
            counter=0.0,
            banks=("local", "ccb", "psbc", "cmb"),
        ),
    )
}
REFERENCE: Final = PROFILES["chongqing"]


@dataclass(frozen=True)
class Published:
    """The figures of `seed-facts.yaml` that the steps use, typed. Money in yuan."""

    accounts: int
    ever_paid: int
    normal: int
    abnormal: int
    total: int
    lump_share: float
    owners: int
    withdrawers: int
    withdrawn: int
    withdrew_free: float
    withdrew_male: float
    withdrew_unmarried: float
    products: Wholes  # (product, generation)
    knots: dict[str, Reals]
    shapes: dict[str, Reals]
    bases: dict[str, int]
    base_means: dict[str, float]


@lru_cache(maxsize=1)
def facts_file() -> dict[str, Any]:
    """`seed-facts.yaml` as it stands in the package."""
    text = resources.files("simulations.cities").joinpath("seed-facts.yaml").read_text(encoding="utf-8")
    loaded: dict[str, Any] = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 a safe loader
    return loaded


def facts_text() -> str:
    """Every published figure of Q city with its source, and every contradiction among them with the reading taken."""
    city, text = facts_file()["q_city"], []
    for fact in city["facts"]:
        unit = f" {fact['unit']}" if "unit" in fact else ""
        text.append(
            f"{fact['key']}  {fact['label_zh']}  {_shown(fact['value'])}{unit}  [{fact['source']}, {fact['section']}]"
        )
    for name in ("table1_tgi", "table3_contribution_base"):
        table = city[name]
        text += ["", f"{name}  {table['title_zh']}  [{table['source']}, {table['section']}]"]
        for row, values in table.get("rows", table.get("products", {})).items():
            text.append(f"  {row}  {_shown(values)}")
    text += ["", "矛盾与所取读法 Contradictions, and the reading taken"]
    for each in (*city["inconsistencies"], *facts_file()["cafi"]["inconsistencies"]):
        text.append(f"{each['id']}  {each['what']}")
        text += [f"    {key}: {each[key]}" for key in ("evidence", "verdict") if key in each]
    return "\n".join(text) + "\n"


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_shown(part)}" for key, part in value.items())
    if isinstance(value, list):
        return " ".join(_shown(part) for part in value)
    return "-" if value is None else str(value)


@lru_cache(maxsize=1)
def published() -> Published:
    """The figures used, read from `seed-facts.yaml` by key."""
    city = facts_file()["q_city"]
    value = {fact["key"]: fact["value"] for fact in city["facts"]}
    cells = city["table1_tgi"]["derived"]["cell_counts"]
    base = city["table3_contribution_base"]
    curves = {name: base["derived"][name] for name in ("monthly", "free")}
    return Published(
        accounts=value["n_accounts"],
        ever_paid=value["n_ever_contributed"],
        normal=value["n_normal"],
        abnormal=value["n_abnormal"],
        total=value["total_contributed"],
        lump_share=value["share_lump_amount"],
        owners=value["n_owner"],
        withdrawers=value["n_withdrew"],
        withdrawn=value["total_withdrawn"],
        withdrew_free=value["withdrew_free_share"],
        withdrew_male=value["withdrew_male"],
        withdrew_unmarried=value["withdrew_unmarried"],
        products=np.array([cells[name] for name in PRODUCTS]),
        knots={name: np.array(curve["knots"], dtype=np.float64) for name, curve in curves.items()},
        shapes={name: np.array(curve["shapes"], dtype=np.float64) for name, curve in curves.items()},
        bases={"monthly": base["products"]["monthly"]["n"], "free": base["products"]["free"]["n_corrected"]},
        base_means={name: curve["mean"] for name, curve in curves.items()},
    )


OWNERS_ABNORMAL: Final = 28  # of 27..29 (Q9)
MONTHLY_PART: Final = (
    0.807  # of what the monthly and the free type paid: mean base x expected months of the monthly type
)


def opening_shares(lag: int) -> Reals:
    """Share of the accounts opened in each month: 15 % in each of the first two months of the city's scheme, the rest evenly."""
    shares = np.zeros(MONTHS)
    shares[lag:] = 0.70 / (MONTHS - lag - 2)
    shares[lag : lag + 2] = 0.15
    return shares


def _months_open(lag: int) -> float:
    return float(opening_shares(lag) @ (MONTHS - np.arange(MONTHS)))


@dataclass(frozen=True)
class Facts:
    """What one chunk of one city must reach. Counts are whole; money totals in yuan, per product user of Q city."""

    profile: Profile
    rows: int
    first: int  # rows of the city before this chunk
    blocks: Wholes  # (product, generation): step 1
    exact: bool  # Q city: interruptions are counted, not drawn
    owners: int
    owners_abnormal: int
    never: int
    sealed: int
    closed: int
    withdrawers: int
    withdrawn: int
    lump_total: int
    other_total: int


def chunks(profile: Profile, joint: Reals, most: int) -> Iterator[Facts]:
    """The chunks of a city, of at most `most` rows. Whole numbers and totals of the chunks add up to those of the city.

    `joint`: (product, generation) shares. Products are apportioned first, generations within them.
    """
    p, rows = published(), profile.rows
    products = apportion(joint.sum(axis=1), rows)
    left = np.array([apportion(share, int(n)) for share, n in zip(joint, products, strict=True)])
    first = 0

    def part(whole: float, size: int) -> int:
        """This chunk's part of a count that Q city has `whole` of."""
        return round(whole * (first + size) / p.accounts) - round(whole * first / p.accounts)

    never, sealed = p.accounts - p.ever_paid, p.abnormal - (p.accounts - p.ever_paid)
    users = p.products.sum(axis=1)
    lump_total = round(p.total * p.lump_share)
    others = (p.total - lump_total) * _months_open(profile.lag) / _months_open(0)
    parts = np.array([0.0, MONTHLY_PART, 1 - MONTHLY_PART]) * others / users
    while first < rows:
        size = min(most, rows - first)
        blocks = left if first + size == rows else spread(left, size)
        left = left - blocks
        held = blocks.sum(axis=1)
        yield Facts(
            profile=profile,
            rows=size,
            first=first,
            blocks=blocks,
            exact=profile.city == REFERENCE.city,
            owners=part(p.owners, size),
            owners_abnormal=part(OWNERS_ABNORMAL, size),
            never=part(never, size),
            sealed=part(sealed, size),
            closed=part(p.accounts - p.normal - sealed, size),
            withdrawers=part(p.withdrawers, size),
            withdrawn=part(p.withdrawn, size),
            lump_total=round(lump_total * int(held[0]) / int(users[0])),
            other_total=round(float(held @ parts)),
        )
        first += size
