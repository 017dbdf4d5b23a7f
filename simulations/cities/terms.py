"""The terms in which the populations are written: those of `hpf-flexible-employment@1`.

A table is a mapping from variable to column. Categories are positions in CODES, money is whole fen, booleans are 0 and 1, dates are days
since 1970-01-01; NOT_GIVEN stands for what was not recorded. The columns in LOCAL are no variables; cities and the truth use them.
"""

from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from simulations.cities.design import OCCUPATIONS
from simulations.cities.facts import PRODUCTS

Column: TypeAlias = npt.NDArray[np.integer[Any]]
Table: TypeAlias = dict[str, Column]
NOT_GIVEN: Final = -1

CODES: Final[dict[str, tuple[str, ...]]] = {
    "sex": ("male", "female", "unknown"),
    "occupation": OCCUPATIONS,
    "education": ("postgraduate", "bachelor", "college", "vocational", "high_school", "junior_or_less", "unknown"),
    "marital": ("unmarried", "married", "divorced", "widowed", "unknown"),
    "account_status": ("normal", "sealed", "merged_closed", "transferred_out", "withdrawn_closed", "frozen", "other"),
    "account_type": ("flexible", "employed", "other"),
    "channel": ("alipay", "wechat", "bank", "website", "counter", "other", "unknown"),
    "bank": ("local", "ccb", "abc", "cmb", "icbc", "boc", "bocom", "psbc", "other"),
    "office": ("headquarters", "branch", "district", "bank_agency", "online", "other"),
    "product": PRODUCTS,
    "contribution_type": ("new", "resumed", "transferred_in", "other"),
    "payment_method": ("debit", "self", "counter", "other"),
    "residence": ("local", "other_city", "unknown"),
}
MONEY: Final = (
    "personal_income", "household_income", "period_amount", "contribution_base",
    "paid_6m", "paid_12m", "paid_24m", "paid_total",
    "withdrawn_6m", "withdrawn_12m", "withdrawn_24m", "closing_amount",
)  # fmt: skip
BOOLEANS: Final = ("interrupted", "withdrew_24m", "subsidy", "closed")
DATES: Final = ("opened",)
WHOLE: Final = (
    "birth_year", "consecutive_periods", "months_paying", "homes", "withdrawals_6m", "withdrawals_12m", "withdrawals_24m",
    "backpaid_6m", "backpaid_12m", "backpaid_24m", "months_to_first_withdrawal",
)  # fmt: skip
LOCAL: Final = ("account", "age", "born", "opened_month", "event_at", "office_unit")

# In the order of the dictionary, as far as a column of an account can give them.
VARIABLES: Final = (
    "sex", "birth_year", "occupation", "education", "marital", "personal_income",
    "account_status", "account_type", "opened", "channel", "bank", "office",
    "product", "contribution_type", "payment_method", "consecutive_periods", "contribution_base",
    "paid_6m", "paid_12m", "paid_24m", "paid_total", "months_paying", "interrupted",
    "withdrawals_6m", "withdrawals_12m", "withdrawals_24m", "withdrawn_6m", "withdrawn_12m", "withdrawn_24m", "withdrew_24m",
    "household_income", "homes", "period_amount",
    "residence", "subsidy", "backpaid_6m", "backpaid_12m", "backpaid_24m", "months_to_first_withdrawal", "closed",
    "closing_amount",
)  # fmt: skip
UNUSED: Final = VARIABLES[-7:]  # in every city's files, in no city's mapping


def index(variable: str, code: str) -> int:
    """The position of a code."""
    return CODES[variable].index(code)
