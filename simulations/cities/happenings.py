"""What happened to the accounts month by month: 汇缴月份, 金额, 提取金额, 状态, one row for each month from opening on.

Everything is what the accounts' own columns say already, so that the windows (paid in 12 months, periods in a row, withdrawals) are sums of
these rows in every account, to the fen. No stream of draws is read.
"""

from typing import Final

import numpy as np

from simulations.cities import text
from simulations.cities.dialects import LABEL, SYNTHETIC, File
from simulations.cities.facts import MONTHS
from simulations.cities.parquet import Typed
from simulations.cities.streams import Booleans
from simulations.cities.terms import Column, Table

FIRST: Final = 2021 * 12 + 7  # the month of opening 0, as year * 12 + month - 1
STATES: Final = ("正常", "封存", "销户")
NORMAL, SEALED, CLOSED = range(3)
MONTHLY: Final = "contributions"
STEM: Final = "汇缴明细_synthetic"
PARQUET: Final = "guangzhou"  # the city that keeps its rows there
ENCODINGS: Final = {"chongqing": "gb18030", "suzhou": "gb18030"}  # of the other files; utf-8-sig where none is named

SOURCES: Final = """  happenings: {source}
tables:
"""
EVENTS: Final = """events:
  contributions:
    source: happenings
    key: 个人账号
    month: {{column: 汇缴月份, parse: [yyyymm]}}
    variables:
      amount: {{column: 金额, unit: {unit}}}
      state: {{column: 状态, codes: {{正常: normal, 封存: sealed, 销户: closed}}}}
  withdrawals:
    source: happenings
    key: 个人账号
    month: {{column: 汇缴月份, parse: [yyyymm]}}
    variables:
      amount: {{column: 提取金额, unit: {unit}}}
variables:
"""


def rows(table: Table) -> dict[str, Column]:
    """One entry per account and month: the account, the month (yyyymm), fen paid in, fen taken out, the state at its end."""
    accounts = len(table["account"])
    month = np.broadcast_to(np.arange(MONTHS), (accounts, MONTHS))
    opened = table["opened_month"].astype(np.int64)[:, None]
    there: Booleans = month >= opened
    paid = (table["paid_months"].astype(np.int64)[:, None] >> month) & 1
    drawn_first, drawn_times = table["first_withdrawal"][:, None], table["withdrawals_24m"][:, None]
    drawn = (drawn_first >= 0) & (month >= drawn_first) & (month < drawn_first + drawn_times)
    event = table["event_at"].astype(np.int64)[:, None]
    last_drawn = np.where(drawn_first >= 0, drawn_first + drawn_times - 1, MONTHS)
    closed = (table["closed"] == 1)[:, None] & (month >= last_drawn)
    sealed = (event > 0) & (month >= opened + event)
    state = np.where(closed, CLOSED, np.where(sealed, SEALED, NORMAL))
    amounts = _parted(table["paid_total"], paid, month == opened)
    taken = _parted(table["withdrawn_24m"], drawn.astype(np.int64), month == drawn_first)
    return {
        "account": np.broadcast_to(table["account"][:, None], month.shape)[there],
        "month": ((FIRST + month) // 12 * 100 + (FIRST + month) % 12 + 1)[there],
        "paid": amounts[there],
        "withdrawn": taken[there],
        "state": state[there],
    }


def _parted(total: Column, times: Column, first: Booleans) -> Column:
    """Fen of every month: even parts of an account's total, and what is left in the first."""
    number = np.maximum(times.sum(axis=1), 1)
    each, rest = total // number, total % number
    return np.asarray(times * each[:, None] + np.where(first & (times > 0), rest[:, None], 0))


def file(city: str, table: Table) -> File:
    """The rows as the city writes them: Parquet in fen, or CSV in 元."""
    found = rows(table)
    number = len(found["account"])
    if city == PARQUET:
        return File(
            STEM,
            {
                "个人账号": Typed(found["account"], "text"),
                "汇缴月份": Typed(found["month"], "integer"),
                "金额": Typed(found["paid"], "bigint"),
                "提取金额": Typed(found["withdrawn"], "bigint"),
                "状态": Typed(found["state"], "text", STATES),
                LABEL: Typed(np.zeros(number, dtype=np.int8), "text", (SYNTHETIC,)),
            },
        )
    encoding = ENCODINGS.get(city, "utf-8-sig")
    words = "utf-8" if encoding == "utf-8-sig" else encoding
    columns: dict[str, text.Cell] = {
        "个人账号": text.whole(found["account"]),
        "汇缴月份": text.whole(found["month"]),
        "金额": text.yuan(found["paid"]),
        "提取金额": text.yuan(found["withdrawn"]),
        "状态": text.listed(found["state"], STATES, words),
        LABEL: [SYNTHETIC.encode(words)],
    }
    return File(STEM, text.written(columns, number, encoding, b",", b"\r\n"))


def mapped(city: str, mapping: bytes) -> bytes:
    """The city's mapping with its events."""
    source = f"{{kind: csv, files: data/{STEM}*.csv, encoding: {ENCODINGS.get(city, 'utf-8-sig')}}}"
    if city == PARQUET:
        source = f"{{kind: parquet, files: data/{STEM}*.parquet}}"
    written = mapping.decode("utf-8").replace("tables:\n", SOURCES.format(source=source), 1)
    unit = "分" if city == PARQUET else "元"
    return written.replace("\nvariables:\n", "\n" + EVENTS.format(unit=unit), 1).encode("utf-8")
