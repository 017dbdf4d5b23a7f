"""One chunk of one city, step by step: `step(table, streams, facts) -> table`. The order matters; no step changes an earlier column.

`PEOPLE` are known when an account is opened; then the hazard's constants are solved; `LIVES` is what happened to the accounts.
The steps are those of the specification, section 1, with two of them moved: months of opening come before interruptions, which are counted
from them, and lump-sum bases are settled with the payments, since they are the payments.
"""

from collections.abc import Callable
from typing import Final

import numpy as np

from simulations.cities import design, hazard
from simulations.cities.design import FREE, LUMP, MONTHLY
from simulations.cities.facts import AGES, LAST_HALF_YEAR, MONTHS, Facts, opening_shares, published
from simulations.cities.hazard import Hazard
from simulations.cities.solve import Reals, Wholes, apportion, expit, inclusion, root, spread
from simulations.cities.streams import Booleans, Streams, choose, deal, keys
from simulations.cities.terms import CODES, NOT_GIVEN, Column, Table, index

Step = Callable[[Table, Streams, Facts], Table]

FIRST_DAY: Final = 18840  # 2021-08-01 in days since 1970-01-01
MONTH_STARTS: Final = np.cumsum([0, 31, 30, 31, 30, 31, 31, 28, 31, 30, 31])  # of month 0 .. 10, from FIRST_DAY


def generation_and_product(table: Table, streams: Streams, facts: Facts) -> Table:  # noqa: ARG001 a fixed table of whole numbers
    """Step 1. One row per account, product by product and generation by generation."""
    generations = facts.blocks.shape[1]
    cells = np.repeat(np.arange(facts.blocks.size), facts.blocks.ravel())
    return {
        **table,
        "product": (cells // generations).astype(np.int8),
        "_generation": (cells % generations).astype(np.int8),
    }


def age_and_education(table: Table, streams: Streams, facts: Facts) -> Table:
    """Step 2. Inside each block of step 1, whole numbers that follow the joint table; then the finer codes of education."""
    joint = design.joint(facts.profile)
    ages, groups = [], []
    for product, row in enumerate(facts.blocks):
        for generation, held in enumerate(row):
            years = AGES[generation == design.GENERATION]
            shares = joint[years - AGES[0], product].T  # (education, age)
            cells = np.repeat(np.arange(shares.size), spread(shares, int(held)).ravel())
            groups.append(cells // len(years))
            ages.append(years[cells % len(years)])
    age, group = np.concatenate(ages), np.concatenate(groups)
    finer = np.array(
        [
            [0.05, 0.38, 0.57, 0, 0, 0, 0],  # college or above
            [0, 0, 0, 0.22, 0.38, 0.40, 0],  # below
            [0, 0, 0, 0, 0, 0, 1],
        ]
    )
    return {
        **table,
        "age": age,
        "birth_year": 2022 - age,
        "_group": group,
        "education": deal(group, finer, streams("education")),
        "born": _days(2022 - age, streams("day of birth")),
    }


def _days(years: Wholes, stream: np.random.Generator) -> Column:  # noqa: TID251 a type; the stream is handed in
    """A day of each year, in days since 1970-01-01."""
    starts = (years - 1970).astype("datetime64[Y]").astype("datetime64[D]").astype(np.int64)
    return np.asarray(starts + stream.integers(0, 365, len(years)))


def sex(table: Table, streams: Streams, facts: Facts) -> Table:
    """Step 3. The constant is Q city's, solved to 53 % men (45 % in changzhou)."""
    logit = design.constants(facts.profile.male).male + design.male_logit(table["age"], table["_group"])
    return {
        **table,
        "sex": np.where(choose(expit(logit), streams("sex")), index("sex", "male"), index("sex", "female")),
    }


def marital(table: Table, streams: Streams, facts: Facts) -> Table:
    """Step 3. 75 % unmarried under 28 and 46 % from 28 on; the others are mostly married."""
    constants = design.constants(facts.profile.male)
    age = table["age"]
    constant = np.where(age < 28, constants.unmarried_under_28, constants.unmarried_from_28)
    logit = constant + design.unmarried_logit(age, table["product"], table["_group"])
    unmarried = choose(expit(logit), streams("marital"))
    others = np.array([[0, 0.97, 0.02, 0, 0.01], [0, 0.93, 0.05, 0.005, 0.015], [0, 0.86, 0.10, 0.03, 0.01]])
    married = deal(np.digitize(age, [28, 45]), others, streams("marital of the others"))
    return {**table, "marital": np.where(unmarried, index("marital", "unmarried"), married)}


def occupation(table: Table, streams: Streams, facts: Facts) -> Table:  # noqa: ARG001 the shares are common to all cities
    """Step 3. Given education and whether 45 or older."""
    cells = table["_group"] * 2 + (table["age"] >= 45)
    return {**table, "occupation": deal(cells, design.occupation_shares(), streams("occupation"))}


def channel(table: Table, streams: Streams, facts: Facts) -> Table:
    """Step 3. Few by the counter; of the others the younger come by 支付宝, the older by 微信."""
    counter = facts.profile.counter
    # alipay stands for both main channels here, and is parted below
    shares = np.array([[0.90 - counter, 0, 0.05, 0.03, counter, 0.01, 0.01]])
    dealt = deal(np.zeros(facts.rows, dtype=np.int64), shares, streams("channel"))
    logit = design.constants(facts.profile.male).alipay + design.alipay_logit(table["age"], table["_group"])
    by_wechat = ~choose(expit(logit), streams("alipay or wechat"))
    return {**table, "channel": np.where((dealt == 0) & by_wechat, index("channel", "wechat"), dealt)}


def bank(table: Table, streams: Streams, facts: Facts) -> Table:
    """Step 3. The local bank first; 24 % of the highly educated use the last one, 招商银行 in Q city (P29, as a share of the highly
    educated). The shares are common to all cities, the banks are not."""
    shares = np.zeros((3, len(CODES["bank"])))
    shares[:, [index("bank", code) for code in facts.profile.banks]] = [
        [0.40, 0.21, 0.15, 0.24],
        [0.55, 0.20, 0.17, 0.08],
        [0.52, 0.21, 0.17, 0.10],
    ]
    return {**table, "bank": deal(table["_group"], shares, streams("bank"))}


OFFICES: Final = (0, 1, 1, 2, 2, 2, 2, 2, 3, 3, 4, 5)  # what each of the 12 offices of a city is, as a code of `office`
OFFICE_SHARES: Final = (0.08, 0.09, 0.07, 0.08, 0.07, 0.06, 0.05, 0.04, 0.07, 0.05, 0.33, 0.01)


def office(table: Table, streams: Streams, facts: Facts) -> Table:
    """Step 3. Twelve offices of six sorts."""
    unit = deal(np.zeros(facts.rows, dtype=np.int64), np.array([OFFICE_SHARES]), streams("office"))
    return {**table, "office_unit": unit, "office": np.array(OFFICES, dtype=np.int8)[unit]}


def account_terms(table: Table, streams: Streams, facts: Facts) -> Table:
    """Step 3. Type of account, how it came, how it is paid, where its holder lives."""
    all_rows = np.zeros(facts.rows, dtype=np.int64)
    employed, away = facts.profile.employed, facts.profile.other_residence
    methods = np.array([[0.03, 0.95, 0.02, 0], [0.92, 0.06, 0.01, 0.01], [0.13, 0.85, 0.01, 0.01]])
    return {
        **table,
        "account_type": deal(all_rows, np.array([[1 - employed, employed, 0]]), streams("account type")),
        "contribution_type": deal(all_rows, np.array([[0.90, 0.06, 0.03, 0.01]]), streams("contribution type")),
        "payment_method": deal(table["product"], methods, streams("payment method")),
        "residence": deal(all_rows, np.array([[0.96 - away, away, 0.04]]), streams("residence")),
    }


def incomes(table: Table, streams: Streams, facts: Facts) -> Table:
    """Step 4. Household income is log-normal given age (from 45 or not), education and product, and not recorded for 12 %.

    Whole hundreds of yuan, rounded down: 6,000 yuan stays the edge of the segments.
    """
    old = (table["age"] >= 45).astype(np.int64)
    median = design.median_incomes()[old, table["product"], table["_group"]] * facts.profile.income
    household = median * np.exp(design.INCOME_SPREAD * streams("household income").standard_normal(facts.rows))
    household = np.clip(household, 600, 199_900)
    personal = np.clip(household * (0.45 + 0.55 * streams("personal income").random(facts.rows)), 500, 80_000)
    unknown = choose(np.full(facts.rows, design.NULL_INCOME), streams("household income not given"))
    return {
        **table,
        "personal_income": _hundreds(personal),
        "household_income": np.where(unknown, NOT_GIVEN, _hundreds(household)),
    }


def _hundreds(yuan: Reals) -> Column:
    """Whole hundreds of yuan, in fen."""
    return np.floor(np.round(yuan / 100, 6)).astype(np.int64) * 10_000


def bases(table: Table, streams: Streams, facts: Facts) -> Table:
    """Step 5. Contribution base in whole yuan, drawn evenly from the product's quantile function and shuffled."""
    base = np.full(len(table["product"]), NOT_GIVEN, dtype=np.int64)
    p = published()
    for product, name in ((MONTHLY, "monthly"), (FREE, "free")):
        rows = np.flatnonzero(table["product"] == product)
        known = round(p.bases[name] / int(p.products[product].sum()) * len(rows))
        levels = _base_levels(known, name)
        drawn = np.concatenate([levels, np.full(len(rows) - known, NOT_GIVEN)])
        base[rows] = drawn[streams(f"base {name}").permutation(len(rows))]
    rows = np.flatnonzero(table["product"] == LUMP)
    base[rows] = _lump_levels(len(rows), facts.lump_total)[streams("base lump_sum").permutation(len(rows))]
    return {**table, "_base": base}


LUMP_LOW: Final = 1_000
LUMP_CAP: Final = 76_200  # a choice: the published column is missing


def _lump_levels(count: int, total: int) -> Wholes:
    """`count` whole yuan: 25.2 % at 180, 26.8 % in 181..999, 25 % at the cap; the others so that the sum is `total` (P20)."""
    lowest, cap = -int(-0.252 * count // 1), round(0.25 * count)
    low = round(0.268 * count)
    middle = np.round(181 + 818 * ((np.arange(low) + 0.5) / max(low, 1)) ** 2).astype(np.int64)
    w = (np.arange(count - lowest - low - cap) + 0.5) / max(count - lowest - low - cap, 1)
    left = total - 180 * lowest - int(middle.sum()) - LUMP_CAP * cap

    def third(shape: float) -> Reals:
        return np.asarray(LUMP_LOW + (LUMP_CAP - LUMP_LOW) * w**shape)

    shape = root(lambda value: float(third(value).sum()) - left, 0.01, 500.0)
    high = settled(np.round(third(shape)).astype(np.int64), left, LUMP_LOW, LUMP_CAP - 1)
    return np.concatenate([np.full(lowest, 180), middle, high, np.full(cap, LUMP_CAP)])


LEVELS: Final = np.array([0, 0.05, 0.25, 0.5, 0.75, 0.95, 1])


def _base_levels(count: int, name: str) -> Wholes:
    """`count` whole yuan, rising: x_i + (x_{i+1} - x_i) w^shape at the levels (k - 1/2) / count, with the curve's mean."""
    p = published()
    knots, shapes = p.knots[name], p.shapes[name]
    u = (np.arange(count) + 0.5) / count
    part = np.clip(np.searchsorted(LEVELS, u, side="right") - 1, 0, len(shapes) - 1)
    w = (u - LEVELS[part]) / (LEVELS[part + 1] - LEVELS[part])
    yuan = np.round(knots[part] + (knots[part + 1] - knots[part]) * w ** shapes[part]).astype(np.int64)
    if count:
        yuan[-1] = int(knots[-1])
    segment = int(np.flatnonzero(np.diff(knots) > 0)[-1])  # the highest one that rises
    rising = part == segment
    rising[-1:] = False
    target = round(p.base_means[name] * count) - int(yuan[~rising].sum())
    yuan[rising] = stretched(yuan[rising], target, int(knots[segment]), int(knots[segment + 1]))
    return np.asarray(yuan)


def settled(amounts: Wholes, total: int, low: int | Wholes, high: int | Wholes) -> Wholes:
    """The same amounts, moved by single units inside [low, high] so that they add up to `total`; as near to it as that allows."""
    moved = np.clip(amounts, low, high)
    while miss := total - int(moved.sum()):
        free = np.flatnonzero(moved < high) if miss > 0 else np.flatnonzero(moved > low)
        if not len(free):
            break
        each = abs(miss) // len(free)
        steps = np.zeros(len(moved), dtype=np.int64)
        steps[free if each else free[: abs(miss)]] = max(each, 1)
        moved = np.clip(moved + np.sign(miss) * steps, low, high)
    return moved


def stretched(amounts: Wholes, total: int, low: int, high: int) -> Wholes:
    """The same amounts with what exceeds `low` in proportion, and then settled inside [low, high], so that they add up to `total`."""
    above = amounts - low
    scale = max(0.0, (total - low * len(amounts)) / max(int(above.sum()), 1))
    return settled(low + np.round(above * scale).astype(np.int64), total, low, high)


def homes(table: Table, streams: Streams, facts: Facts) -> Table:
    """Step 6. Owners: an exact number, 89 % married and 55 % of the free type, the likelier the older. 8 % of the others: not given."""
    married = table["marital"] == index("marital", "married")
    free = table["product"] == FREE
    likelier = expit((table["age"] - 38.0) / 8)
    owner = np.zeros(facts.rows, dtype=np.bool_)
    counts = apportion(np.outer([0.89, 0.11], [0.55, 0.45]), facts.owners)
    for first, is_married in enumerate((True, False)):
        for second, is_free in enumerate((True, False)):
            rows = np.flatnonzero((married == is_married) & (free == is_free))
            count = int(counts[first, second])
            owner[rows] = choose(inclusion(likelier[rows], count), streams(f"owners {is_married} {is_free}"))
    held = deal(np.zeros(facts.rows, dtype=np.int64), np.array([[0, 0.9, 0.085, 0.015]]), streams("homes"))
    unknown = choose(np.where(owner, 0.0, 0.08), streams("homes not given"))
    return {**table, "homes": np.where(owner, held, np.where(unknown, NOT_GIVEN, 0)).astype(np.int64)}


def opening(table: Table, streams: Streams, facts: Facts) -> Table:
    """Step 7. Month and day of opening."""
    shares = opening_shares(facts.profile.lag)[None, :]
    month = deal(np.zeros(facts.rows, dtype=np.int64), shares, streams("month of opening"))
    length = np.diff(MONTH_STARTS)[month]
    day = np.floor(streams("day of opening").random(facts.rows) * length).astype(np.int64)
    return {**table, "opened_month": month, "opened": FIRST_DAY + MONTH_STARTS[month] + day}


PEOPLE: Final[tuple[Step, ...]] = (
    generation_and_product,
    age_and_education,
    sex,
    marital,
    occupation,
    channel,
    bank,
    office,
    account_terms,
    incomes,
    bases,
    homes,
    opening,
)


def people(streams: Streams, facts: Facts) -> Table:
    """The holders of one chunk on the day they open their accounts."""
    table: Table = {}
    for step in PEOPLE:
        table = step(table, streams, facts)
    return table


def solve_hazard(table: Table, facts: Facts, reference: Hazard) -> Hazard:
    """The constant of a city, from the rows of its first chunk: the expected rate of interruption is the profile's."""
    p = published()
    rate = p.abnormal / p.accounts if facts.exact else facts.profile.interrupted
    return hazard.solved_city(table, reference, rate)


def interruptions(table: Table, streams: Streams, facts: Facts, model: Hazard) -> Table:
    """Step 6. When an account never began or was sealed: exact counts in Q city, plain draws elsewhere."""
    if facts.exact:
        others = facts.never + facts.sealed - facts.owners_abnormal
        event = hazard.counted_events(table, model, streams, facts.owners_abnormal, others, facts.never)
    else:
        event = hazard.bernoulli_events(table, model, streams)
    return {**table, "event_at": event, "interrupted": (event >= 0).astype(np.int8)}


def withdrawers(table: Table, streams: Streams, facts: Facts) -> Table:
    """Step 6. Who withdrew: exact numbers by product, sex and marital status (P23), by age as P24 has it, the likelier the more they pay.

    Not those who never paid, nor those who opened in the last month. 33 of them have closed their account.
    """
    p = published()
    able = (table["event_at"] != 0) & (table["opened_month"] < MONTHS - 1)
    male = table["sex"] == index("sex", "male")
    unmarried = table["marital"] == index("marital", "unmarried")
    free = round(p.withdrew_free * p.withdrawers) / p.withdrawers
    products = apportion([(1 - free) / 2, (1 - free) / 2, free], facts.withdrawers)
    sexes_and_states = np.outer(
        [1 - p.withdrew_male, p.withdrew_male], [1 - p.withdrew_unmarried, p.withdrew_unmarried]
    )
    counts = np.array([apportion(sexes_and_states, int(drawn)) for drawn in products])
    drew, means = np.zeros(facts.rows, dtype=np.bool_), _means(table)
    for product, is_male, is_unmarried in np.ndindex(3, 2, 2):
        among = able & (table["product"] == product) & (male == bool(is_male)) & (unmarried == bool(is_unmarried))
        rows, stream = np.flatnonzero(among), streams(f"withdrawers {product} {is_male} {is_unmarried}")
        age = table["age"][rows]
        weights = _withdrawal_ages(age, bool(is_male), bool(is_unmarried)) * means[rows]
        order = np.lexsort((stream.random(len(rows)), age))
        count = min(int(counts[product, is_male, is_unmarried]), len(rows))
        drew[rows] = choose(inclusion(weights, count), stream, order)
    gone = inclusion((drew & (table["event_at"] < 0)).astype(np.float64), facts.closed)
    return {**table, "withdrew_24m": drew.astype(np.int8), "closed": choose(gone, streams("closed")).astype(np.int8)}


def _withdrawal_ages(age: Column, male: bool, unmarried: bool) -> Reals:
    """Weights that give men one peak at 30, women one at 30 (mostly unmarried) and one at 50 (mostly married), with thin tails."""
    held = np.bincount(age)[age]
    at_50 = 0.0 if male else 0.25 if unmarried else 0.78
    bump = (1 - at_50) * np.exp(-(((age - 30) / 4.0) ** 2) / 2) + at_50 * np.exp(-(((age - 50) / 3.0) ** 2) / 2)
    tail = 0.04 * np.exp(-(((age - 30) / 11.0) ** 2) / 2)
    return np.asarray((bump + tail) / held)


def _means(table: Table) -> Reals:
    """How much likelier a withdrawal is for one who pays more; lump sums by their share of large ones."""
    power = np.array([0.25, 0.6, 0.9])[table["product"]]
    return np.asarray((np.maximum(table["_base"], 100) / 100.0) ** power)


SMALL: Final = np.array([180, 200, 300, 500])  # yuan that someone without a base, or with base 0, pays


def payments(table: Table, streams: Streams, facts: Facts) -> Table:
    """Steps 7 and 8. Who paid in which month, and how much: totals per product are exact to the fen.

    Monthly: every month until an interruption. Lump sum: once, on opening, and the payment is the base. Free: on opening and in some later
    months, with the chance at which the total is expected. Amounts of the latter two follow base x payments; the largest remainders get the
    fen left over, and a holder's own remainder lies in the first payment.
    """
    product, opened = table["product"], table["opened_month"].astype(np.int64)
    end = np.where(table["event_at"] >= 0, opened + table["event_at"], MONTHS)  # first month without payment
    month = np.arange(MONTHS)[None, :]
    on = (month >= opened[:, None]) & (month < end[:, None])
    first = on & (month == opened[:, None])
    small = SMALL[
        deal(np.zeros(facts.rows, dtype=np.int64), np.array([[0.4, 0.3, 0.2, 0.1]]), streams("small amounts"))
    ]
    each = np.where(table["_base"] > 0, table["_base"], small).astype(np.float64)  # yuan
    monthly, free, lump = (product == which for which in (MONTHLY, FREE, LUMP))
    later = each * (on.sum(axis=1) - first.sum(axis=1))
    fixed = each[monthly | free] @ first[monthly | free].sum(axis=1) + later[monthly].sum()
    chance = min(1.0, max(0.05, (facts.other_total - fixed) / later[free].sum()))
    again = streams("months paid by the free type").random((facts.rows, MONTHS)) < chance
    paid = on & (first | monthly[:, None] | (free[:, None] & again))
    times = paid.sum(axis=1)

    base = _settled_lumps(table, lump, times, facts)
    total = np.where(lump, base * 100 * times, 0)
    others = (monthly | free) & (times > 0)
    total[others] = apportion((each * times)[others], facts.other_total * 100)
    per_payment, rest = total // np.maximum(times, 1), total % np.maximum(times, 1)
    recent = paid[:, LAST_HALF_YEAR:].sum(axis=1)
    streak = np.where(paid.all(axis=1), MONTHS, np.argmin(paid[:, ::-1], axis=1))
    amount = np.where(base == NOT_GIVEN, NOT_GIVEN, base * 100)
    return {
        **table,
        "contribution_base": amount,
        "period_amount": amount,
        "consecutive_periods": streak,
        "months_paying": times,
        "paid_months": paid @ (1 << np.arange(MONTHS)),  # bit m: month m
        "paid_6m": per_payment * recent + np.where(opened >= LAST_HALF_YEAR, rest, 0),
        "paid_12m": total,
        "paid_24m": total,
        "paid_total": total,
    }


def _settled_lumps(table: Table, lump: Booleans, times: Wholes, facts: Facts) -> Wholes:
    """All bases in yuan, those of lump-sum payers between the steps moved so that the payers' sum is the published total."""
    base = table["_base"].astype(np.int64)  # a copy
    payers = lump & (times > 0)
    moving = np.flatnonzero(payers & (base >= LUMP_LOW) & (base < LUMP_CAP))
    left = facts.lump_total - int(base[payers].sum() - base[moving].sum())
    base[moving] = stretched(base[moving], left, LUMP_LOW, LUMP_CAP - 1)
    return base


def withdrawals(table: Table, streams: Streams, facts: Facts) -> Table:
    """Steps 8 and 9. When and how much: never more than was paid, exact in all; closing an account takes everything out."""
    drew, gone = table["withdrew_24m"] == 1, table["closed"] == 1
    opened = table["opened_month"].astype(np.int64)
    start = (
        opened + 1 + np.floor(streams("first withdrawal").random(facts.rows) * (MONTHS - 1 - opened)).astype(np.int64)
    )
    wished = deal(np.zeros(facts.rows, dtype=np.int64), np.array([[0, 0.8, 0.15, 0.05]]), streams("withdrawals"))
    times = np.where(drew, np.minimum(wished, MONTHS - start), 0)  # in months following one another
    recent = np.clip(start + times - np.maximum(start, LAST_HALF_YEAR), 0, times)
    share = np.where(gone, np.inf, 0.3 + 0.7 * streams("withdrawn").random(facts.rows))
    total = np.zeros(facts.rows, dtype=np.int64)
    paid = table["paid_total"]
    total[drew] = drawn_down(paid[drew], share[drew], facts.withdrawn * 100)
    per_time, rest = total // np.maximum(times, 1), total % np.maximum(times, 1)
    waited = np.where(drew, start - opened, NOT_GIVEN)
    return {
        **table,
        "withdrawals_6m": recent,
        "withdrawals_12m": times,
        "withdrawals_24m": times,
        "withdrawn_6m": per_time * recent + np.where(drew & (start >= LAST_HALF_YEAR), rest, 0),
        "withdrawn_12m": total,
        "withdrawn_24m": total,
        "months_to_first_withdrawal": waited,
        "first_withdrawal": np.where(drew, start, NOT_GIVEN),
    }


def drawn_down(paid: Wholes, shares: Reals, total: int) -> Wholes:
    """Fen taken out of each account: a fen at least, what is in it at most, in proportion to share x paid.

    An infinite share takes everything. In all `total`, or 95 % of what is there if that is less.
    """
    everything = np.isinf(shares)
    some = ~everything
    taken = paid.copy()
    rest = max(min(total, int(0.95 * paid.sum())) - int(paid[everything].sum()), int(some.sum()))
    wish = shares[some] * paid[some]

    def excess(scale: float) -> float:
        return float(np.minimum(wish * scale, paid[some]).sum() - rest)

    if rest < paid[some].sum():
        scaled = np.minimum(np.floor(np.round(wish * root(excess, 0.0, 1e4), 3)), paid[some]).astype(np.int64)
        taken[some] = settled(scaled, rest, 1, paid[some])
    return taken


def status(table: Table, streams: Streams, facts: Facts) -> Table:
    """Step 9. Status of the account, and the eight fields that nobody uses; two of them are constant."""
    normal = index("account_status", "normal")
    state = np.where(table["event_at"] > 0, index("account_status", "sealed"), normal)
    state = np.where(table["closed"] == 1, index("account_status", "withdrawn_closed"), state)
    late = np.where(table["months_paying"] > 1, 0.02, 0.0)
    backpaid = np.where(
        choose(late, streams("paid late")), 1 + streams("periods paid late").integers(0, 3, facts.rows), 0
    )
    interest = streams("interest").integers(0, 5000, facts.rows)
    return {
        **table,
        "account_status": state,
        "subsidy": np.zeros(facts.rows, dtype=np.int8),
        "backpaid_6m": np.zeros(facts.rows, dtype=np.int8),
        "backpaid_12m": backpaid,
        "backpaid_24m": backpaid,
        "closing_amount": np.where(table["closed"] == 1, interest, NOT_GIVEN),
    }


def account_keys(table: Table, streams: Streams, facts: Facts) -> Table:
    """The key of an account."""
    return {**table, "account": keys(streams, facts.first, facts.rows)}


LIVES: Final[tuple[Step, ...]] = (withdrawers, payments, withdrawals, status, account_keys)


def lives(table: Table, streams: Streams, facts: Facts, model: Hazard) -> Table:
    """What became of the accounts until the end of the window, in the order of their keys, without the steps' own columns."""
    table = interruptions(table, streams, facts, model)
    for step in LIVES:
        table = step(table, streams, facts)
    order = np.argsort(table["account"])
    return {name: column[order] for name, column in table.items() if not name.startswith("_")}
