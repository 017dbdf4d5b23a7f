"""How each city writes its own files, and what a node must hold after reading them by that city's mapping (section 6).

A dialect is a function from a clean table to a `Local`: the files, and the harmonised rows after the stated rules of the
traps. It is written by hand beside `<city>.mapping.yaml` and shares no code with `node`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from simulations.cities import text
from simulations.cities.parquet import Typed
from simulations.cities.sheets import Sheet, letters
from simulations.cities.streams import Booleans, Streams
from simulations.cities.terms import CODES, MONEY, NOT_GIVEN, UNUSED, VARIABLES, Column, Table, index
from simulations.cities.text import Cell

GIVEN, FILLED, MISSING, MISSING_DROP, OTHER, CLIPPED_LOW, CLIPPED_HIGH, IMPOSSIBLE = range(8)

SYNTHETIC: Final = "合成数据"
LABEL: Final = "数据来源"


@dataclass(frozen=True)
class File:
    """One file to write: `stem` without part number and ending; CSV bytes, typed columns, or the sheets of a workbook."""

    stem: str
    content: bytes | dict[str, Typed] | tuple[Sheet, ...]


@dataclass(frozen=True)
class Local:
    """A chunk of a city: its files, and what the snapshot holds: values (NOT_GIVEN on `_missing`) and status bytes."""

    files: tuple[File, ...]
    mapped: Table
    status: dict[str, Column]


# --- what every mapping says


def _mapped(table: Table) -> tuple[Table, dict[str, Column]]:
    """The rules that all six mappings share: income and homes null -> 0, amount per period null -> left out, eight fields unmapped."""
    rows = len(table["account"])
    mapped = {name: table[name].copy() for name in VARIABLES}
    status: dict[str, Column] = {name: np.zeros(rows, dtype=np.int8) for name in VARIABLES}
    for name in ("household_income", "homes"):
        status[name] = np.where(table[name] == NOT_GIVEN, FILLED, GIVEN).astype(np.int8)
        mapped[name] = np.maximum(table[name], 0)
    for name in ("period_amount", "contribution_base"):
        status[name] = np.where(table[name] == NOT_GIVEN, MISSING_DROP, GIVEN).astype(np.int8)
    for name in UNUSED:
        _impossible(name, mapped, status)
    return mapped, status


def _impossible(name: str, mapped: Table, status: dict[str, Column]) -> None:
    mapped[name] = np.full(len(mapped["sex"]), NOT_GIVEN, dtype=np.int64)
    status[name] = np.full(len(mapped["sex"]), IMPOSSIBLE, dtype=np.int8)


def _unknown_where_null(variable: str, mapped: Table, status: dict[str, Column]) -> Booleans:
    """Null in the file, `{category: unknown}` in the mapping."""
    null: Booleans = mapped[variable] == index(variable, "unknown")
    status[variable] = np.where(null, FILLED, GIVEN).astype(np.int8)
    return null


def _vocational_under_high_school(table: Table, mapped: Table) -> Column:
    """中专 counted under 高中: education as such a city writes it."""
    education = table["education"]
    merged = np.where(education == index("education", "vocational"), index("education", "high_school"), education)
    mapped["education"] = merged
    return merged


def _whole_yuan(fen: Column) -> Column:
    """Yuan, halves up; NOT_GIVEN stays."""
    return np.where(fen == NOT_GIVEN, NOT_GIVEN, (fen + 50) // 100)


def _null_texts(table: Table, streams: Streams, texts: tuple[bytes, ...]) -> text.Piece:
    """Which of a city's spellings of null each row uses."""
    return np.array(texts, dtype=np.bytes_)[streams("spelling of null").integers(0, len(texts), len(table["account"]))]


# --- local words

OFFICE_NAMES: Final = (
    "中心本部", "第一分中心", "第二分中心", "东部管理部", "南部管理部", "西部管理部", "北部管理部", "中部管理部",
    "本地银行代办网点", "建行代办网点", "线上业务部", "其他",
)  # fmt: skip

CHINESE: Final[dict[str, dict[str, str]]] = {
    "sex": {"male": "男", "female": "女", "unknown": "未知"},
    "occupation": {
        "self_employed": "个体工商户", "driver_courier": "司机与配送", "service": "商业服务", "production": "生产制造",
        "professional": "专业技术", "clerk": "办事人员", "farming": "农林牧渔", "unclassified": "不便分类", "unknown": "未知",
    },
    "education": {
        "postgraduate": "研究生", "bachelor": "本科", "college": "大专", "vocational": "中专中技", "high_school": "高中",
        "junior_or_less": "初中及以下", "unknown": "未知",
    },
    "marital": {"unmarried": "未婚", "married": "已婚", "divorced": "离异", "widowed": "丧偶", "unknown": "未知"},
    "account_status": {"normal": "正常", "sealed": "封存", "withdrawn_closed": "销户"},
    "account_type": {"flexible": "灵活就业", "employed": "单位职工"},
    "channel": {
        "alipay": "支付宝", "wechat": "微信小程序", "bank": "银行", "website": "官网", "counter": "柜台", "other": "其他",
        "unknown": "未知",
    },
    "bank": {"local": "本地银行", "ccb": "建设银行", "abc": "农业银行", "cmb": "招商银行"},
    "product": {"lump_sum": "一次性趸缴型", "monthly": "按月缴存型", "free": "自由缴存型"},
    "contribution_type": {"new": "新开户", "resumed": "恢复缴存", "transferred_in": "转入续缴", "other": "其他"},
    "payment_method": {"debit": "委托扣款", "self": "自主缴存", "counter": "柜台", "other": "其他"},
    "residence": {"local": "本市", "other_city": "外地", "unknown": "未知"},
}  # fmt: skip

# JGJ/T 320 and the national code tables that it refers to, as the cities with code columns use them.
NUMBERED: Final[dict[str, dict[str, str]]] = {
    "sex": {"male": "1", "female": "2", "unknown": "9"},
    "education": {
        "postgraduate": "10", "bachelor": "20", "college": "30", "vocational": "40", "high_school": "60",
        "junior_or_less": "70", "unknown": "90",
    },
    "marital": {"unmarried": "10", "married": "20", "divorced": "40", "widowed": "30", "unknown": "90"},
    "occupation": {
        "self_employed": "G1", "driver_courier": "D1", "service": "C1", "production": "F1", "professional": "A1",
        "clerk": "B1", "farming": "E1", "unclassified": "Y0", "unknown": "Y9",
    },
    "account_status": {"normal": "01", "sealed": "02", "withdrawn_closed": "05"},
    "account_type": {"flexible": "L", "employed": "Z"},
    "channel": {
        "alipay": "Z1", "wechat": "W1", "bank": "Y1", "website": "G1", "counter": "T1", "other": "Q1", "unknown": "Q9",
    },
    "bank": {"local": "BD", "ccb": "JH", "abc": "NH", "cmb": "ZH"},
    "contribution_type": {"new": "1", "resumed": "2", "transferred_in": "3", "other": "9"},
    "payment_method": {"debit": "1", "self": "2", "counter": "3", "other": "9"},
    "residence": {"local": "1", "other_city": "2", "unknown": "9"},
}  # fmt: skip

YES_NO: Final = ("否", "是")


# --- chongqing: one CSV, GB18030, CRLF


def chongqing(table: Table, streams: Streams) -> Local:
    """元 with two decimals, ages, full Chinese words; nulls are empty or `\\N`."""
    mapped, status = _mapped(table)
    encoding = "gb18030"
    null = _null_texts(table, streams, (b"", b"\\N"))

    def words(variable: str) -> Cell:
        return text.coded(variable, table[variable], CHINESE[variable], encoding)

    def number(variable: str) -> Cell:
        return text.unless(table[variable] == NOT_GIVEN, null, text.whole(np.maximum(table[variable], 0)))

    def money(variable: str) -> Cell:
        return text.unless(table[variable] == NOT_GIVEN, null, text.yuan(np.maximum(table[variable], 0)))

    def flag(variable: str) -> Cell:
        return text.listed(table[variable], YES_NO, encoding)

    columns: dict[str, Cell] = {
        "个人账号": text.whole(table["account"]),
        LABEL: [SYNTHETIC.encode(encoding)],
        "性别": words("sex"),
        "年龄": text.whole(table["age"]),
        "学历": words("education"),
        "婚姻状况": words("marital"),
        "职业": words("occupation"),
        "个人收入": money("personal_income"),
        "账户状态": words("account_status"),
        "账户性质": words("account_type"),
        "开户日期": text.date(table["opened"], b"-", b"-"),
        "信息来源": words("channel"),
        "委托银行": words("bank"),
        "办理机构": text.listed(table["office_unit"], OFFICE_NAMES, encoding),
        "缴存产品选择": words("product"),
        "缴存类型": words("contribution_type"),
        "当前缴存方式": words("payment_method"),
        "当前连续汇缴期数": number("consecutive_periods"),
        "缴存月数": number("months_paying"),
        "是否断缴": flag("interrupted"),
        "近6个月合计汇缴金额": money("paid_6m"),
        "近12个月合计汇缴金额": money("paid_12m"),
        "近24个月合计汇缴金额": money("paid_24m"),
        "累计缴存金额": money("paid_total"),
        "近6个月提取次数": number("withdrawals_6m"),
        "近12个月提取次数": number("withdrawals_12m"),
        "近24个月提取次数": number("withdrawals_24m"),
        "近6个月提取金额": money("withdrawn_6m"),
        "近12个月提取金额": money("withdrawn_12m"),
        "近24个月提取金额": money("withdrawn_24m"),
        "近24个月是否提取": flag("withdrew_24m"),
        "家庭月收入": money("household_income"),
        "房屋套数": number("homes"),
        "当前每周期缴存金额": money("period_amount"),
        "常住地": words("residence"),
        "是否有缴存补贴": flag("subsidy"),
        "近6个月补缴期数": number("backpaid_6m"),
        "近12个月补缴期数": number("backpaid_12m"),
        "近24个月补缴期数": number("backpaid_24m"),
        "第一次提取记录首次汇缴月份数": number("months_to_first_withdrawal"),
        "是否销户": flag("closed"),
        "销户后提取余额": money("closing_amount"),
    }
    content = text.written(columns, len(null), encoding, b",", b"\r\n")
    return Local((File("个人账户_synthetic", content),), mapped, status)


# --- chengdu: a workbook with two sheets to join on the account


def chengdu(table: Table, streams: Streams) -> Local:
    """元 with thousands commas, 1990/3/7, sexes 1/2/9, products A/B/C; nulls are `-` and 空.

    Traps: 中专 under 高中; a channel code that no mapping knows in 3 rows of the first part; the sex of 60 in 31,000 is no longer on file.
    """
    mapped, status = _mapped(table)
    encoding, rows = "utf-8", len(table["account"])
    null = _null_texts(table, streams, (b"-", "空".encode()))
    education = _vocational_under_high_school(table, mapped)
    unknown_marital = _unknown_where_null("marital", mapped, status)
    lost = streams("sex not on file").random(rows) < 60 / 31_000
    mapped["sex"] = np.where(lost, index("sex", "unknown"), table["sex"])
    new_channel = np.zeros(rows, dtype=np.bool_)
    if streams.chunk == 0:
        new_channel[streams("new channel").choice(rows, 3, replace=False)] = True
    mapped["channel"] = np.where(new_channel, index("channel", "other"), table["channel"])
    status["channel"] = np.where(new_channel, OTHER, GIVEN).astype(np.int8)

    def codes(variable: str, column: Column | None = None) -> Cell:
        return text.coded(variable, table[variable] if column is None else column, NUMBERED[variable], encoding)

    def words(variable: str) -> Cell:
        return text.coded(variable, table[variable], CHINESE[variable], encoding)

    def number(variable: str) -> Cell:
        return text.unless(table[variable] == NOT_GIVEN, null, text.whole(np.maximum(table[variable], 0)))

    def money(variable: str) -> Cell:
        cell = text.yuan(np.maximum(table[variable], 0), b",")
        return text.unless(table[variable] == NOT_GIVEN, null, cell)

    def flag(variable: str) -> Cell:
        return text.listed(table[variable], ("0", "1"), encoding)

    products = {"lump_sum": "A", "monthly": "B", "free": "C"}
    schooling = CHINESE["education"] | {"high_school": "高中/中专"}
    persons: dict[str, Cell] = {
        "个人账号": text.whole(table["account"]),
        LABEL: [SYNTHETIC.encode(encoding)],
        "性别": codes("sex", mapped["sex"]),
        "出生日期": text.date(table["born"], b"/", b"/", two_digits=False),
        "最高学历": text.coded("education", education, schooling, encoding),
        "婚姻状况": text.unless(unknown_marital, null, codes("marital")),
        "职业": words("occupation"),
        "本人月收入": money("personal_income"),
        "家庭月收入": money("household_income"),
        "住房套数": number("homes"),
        "常住地": words("residence"),
    }
    accounts: dict[str, Cell] = {
        "个人账号": text.whole(table["account"]),
        LABEL: [SYNTHETIC.encode(encoding)],
        "账户状态": codes("account_status"),
        "账户性质": codes("account_type"),
        "开户日期": text.date(table["opened"], b"/", b"/", two_digits=False),
        "了解渠道": text.unless(new_channel, b"D7", codes("channel")),
        "委托银行": words("bank"),
        "办理机构": text.listed(table["office_unit"], OFFICE_NAMES, encoding),
        "缴存产品": text.coded("product", table["product"], products, encoding),
        "缴存类型": codes("contribution_type"),
        "缴存方式": codes("payment_method"),
        "连续汇缴期数": number("consecutive_periods"),
        "累计汇缴月数": number("months_paying"),
        "断缴标志": flag("interrupted"),
        "近6个月汇缴额": money("paid_6m"),
        "近12个月汇缴额": money("paid_12m"),
        "近24个月汇缴额": money("paid_24m"),
        "累计汇缴额": money("paid_total"),
        "近6个月提取次数": number("withdrawals_6m"),
        "近12个月提取次数": number("withdrawals_12m"),
        "近24个月提取次数": number("withdrawals_24m"),
        "近6个月提取额": money("withdrawn_6m"),
        "近12个月提取额": money("withdrawn_12m"),
        "近24个月提取额": money("withdrawn_24m"),
        "近24个月提取标志": flag("withdrew_24m"),
        "缴存基数": money("contribution_base"),
        "月缴存额": money("period_amount"),
        "缴存补贴": flag("subsidy"),
        "近6个月补缴期数": number("backpaid_6m"),
        "近12个月补缴期数": number("backpaid_12m"),
        "近24个月补缴期数": number("backpaid_24m"),
        "首次提取距首次汇缴月数": number("months_to_first_withdrawal"),
        "销户标志": flag("closed"),
        "销户提取余额": money("closing_amount"),
    }
    titled = (("账户信息", "灵活就业人员个人账户明细表", accounts), ("人员信息", "灵活就业人员基本信息表", persons))
    files = []
    for end, at in _of_a_workbook(rows):
        sheets = tuple(
            Sheet(
                name,
                ((f"{title}（2022年5月，{SYNTHETIC}）",), tuple(cells)),
                tuple(_some(cell, at) for cell in cells.values()),
                np.arange(at.stop - at.start) + 3,
                merged=(f"A1:{letters(len(cells) - 1)}1",),
            )
            for name, title, cells in titled
        )
        files.append(File(f"个人账户_synthetic{end}", sheets))
    return Local(tuple(files), mapped, status)


MOST_ROWS_OF_A_WORKBOOK: Final = 200_000


def _of_a_workbook(rows: int) -> list[tuple[str, slice]]:
    """The rows that each workbook takes, and what its name ends in: nothing where there is one."""
    starts = range(0, rows, MOST_ROWS_OF_A_WORKBOOK)
    ends = [""] if len(starts) == 1 else [f"_{number}" for number in range(len(starts))]
    return [
        (end, slice(start, min(start + MOST_ROWS_OF_A_WORKBOOK, rows))) for end, start in zip(ends, starts, strict=True)
    ]


def _some(cell: Cell, among: "slice | Column") -> Cell:
    """Some rows of a cell."""
    return [piece if isinstance(piece, bytes) else piece[among] for piece in cell]


# --- guangzhou: Parquet


def guangzhou(table: Table, streams: Streams) -> Local:
    """Money in 分 as int64, birth and opening as dates, M/F, pinyin product codes, real nulls.

    Trap: 0.1 % of the amounts of two columns lie outside the public range, and are clipped: below 0, above 200,000 yuan.
    """
    mapped, status = _mapped(table)
    rows = len(table["account"])
    personal, household = table["personal_income"].copy(), table["household_income"].copy()
    outside = streams("outside the range").permutation(np.flatnonzero(household != NOT_GIVEN))[: round(rows / 1000)]
    below, above = outside[::2], outside[1::2]
    personal[below] = -100
    mapped["personal_income"][below], status["personal_income"][below] = 0, CLIPPED_LOW
    household[above] = 99_999_900
    mapped["household_income"][above], status["household_income"][above] = 20_000_000, CLIPPED_HIGH

    def codes(variable: str, labels: dict[str, str] | None = None) -> Typed:
        known = labels or NUMBERED[variable]
        return Typed(table[variable], "text", tuple(known.get(code, "") for code in CODES[variable]))

    def number(variable: str) -> Typed:
        return Typed(table[variable])

    def flag(variable: str) -> Typed:
        return Typed(table[variable], "boolean")

    columns = {
        "GRZH": Typed(table["account"], "text"),
        LABEL: Typed(np.zeros(rows, dtype=np.int8), "text", (SYNTHETIC,)),
        "XingBie": codes("sex", {"male": "M", "female": "F"}),
        "CSNY": Typed(table["born"], "date"),
        "XueLi": codes("education"),
        "HYZK": codes("marital"),
        "ZhiYe": codes("occupation"),
        "GRYSR": Typed(personal),
        "JTYSR": Typed(household),
        "FWTS": number("homes"),
        "CZD": codes("residence"),
        "GRZHZT": codes("account_status"),
        "ZHXZ": codes("account_type"),
        "KHRQ": Typed(table["opened"], "date"),
        "XXLY": codes("channel"),
        "WTYH": codes("bank"),
        "BLJG": Typed(table["office_unit"], "text", OFFICE_NAMES),
        "JCCP": codes("product", {"lump_sum": "YCX", "monthly": "AY", "free": "ZY"}),
        "JCLX": codes("contribution_type"),
        "JCFS": codes("payment_method"),
        "LXHJQS": number("consecutive_periods"),
        "JCYS": number("months_paying"),
        "SFDJ": flag("interrupted"),
        "HJJE6": number("paid_6m"),
        "HJJE12": number("paid_12m"),
        "HJJE24": number("paid_24m"),
        "LJJCE": number("paid_total"),
        "TQCS6": number("withdrawals_6m"),
        "TQCS12": number("withdrawals_12m"),
        "TQCS24": number("withdrawals_24m"),
        "TQJE6": number("withdrawn_6m"),
        "TQJE12": number("withdrawn_12m"),
        "TQJE24": number("withdrawn_24m"),
        "SFTQ24": flag("withdrew_24m"),
        "GRJCJS": number("contribution_base"),
        "DQJCE": number("period_amount"),
        "SFBT": flag("subsidy"),
        "BJQS6": number("backpaid_6m"),
        "BJQS12": number("backpaid_12m"),
        "BJQS24": number("backpaid_24m"),
        "SCTQYS": number("months_to_first_withdrawal"),
        "SFXH": flag("closed"),
        "XHTQYE": number("closing_amount"),
    }
    return Local((File("accounts_synthetic", columns),), mapped, status)


# --- shenzhen: three tab-separated files, one per product


def shenzhen(table: Table, streams: Streams) -> Local:
    """Money as text `1,234.50元`, birth year in 身份年份, 0/1, product codes 01/02/03; nulls are `NULL`, `N/A`, 9999.

    Trap: 0.2 % of the accounts are there twice, once as they stood some months earlier; the newest `updated` wins.
    """
    mapped, status = _mapped(table)
    encoding = "utf-8"
    null_words = _null_texts(table, streams, (b"NULL", b"N/A", b"9999"))
    rows, updated, stale = _with_stale_rows(table, streams)
    null = null_words[rows]

    def codes(variable: str, labels: dict[str, str] | None = None) -> Cell:
        return text.coded(variable, table[variable][rows], labels or NUMBERED[variable], encoding)

    def number(variable: str) -> Cell:
        column = table[variable][rows]
        return text.unless(column == NOT_GIVEN, null, text.whole(np.maximum(column, 0)))

    def money(variable: str) -> Cell:
        column = table[variable][rows]
        if variable.startswith("paid_"):
            column = np.where(stale, column // 2, column)
        cell: Cell = [*text.yuan(np.maximum(column, 0), b","), "元".encode()]
        return text.unless(column == NOT_GIVEN, null, cell)

    def flag(variable: str) -> Cell:
        return text.listed(table[variable][rows], ("0", "1"), encoding)

    def words(variable: str) -> Cell:
        return text.coded(variable, table[variable][rows], CHINESE[variable], encoding)

    products = {"lump_sum": "01", "monthly": "02", "free": "03"}
    columns: dict[str, Cell] = {
        "account_no": text.whole(table["account"][rows]),
        LABEL: [SYNTHETIC.encode(encoding)],
        "updated": text.date(updated, b"-", b"-"),
        "gender": codes("sex", {"male": "1", "female": "0"}),
        "身份年份": text.whole(table["birth_year"][rows]),
        "education": words("education"),
        "marital_status": words("marital"),
        "occupation": words("occupation"),
        "personal_income": money("personal_income"),
        "household_income": money("household_income"),
        "homes": number("homes"),
        "residence": codes("residence"),
        "account_status": codes("account_status"),
        "account_type": codes("account_type"),
        "open_date": text.date(table["opened"][rows], b"", b""),
        "channel": words("channel"),
        "bank": codes("bank"),
        "office": text.listed(table["office_unit"][rows], OFFICE_NAMES, encoding),
        "product_code": codes("product", products),
        "contribution_type": codes("contribution_type"),
        "payment_method": codes("payment_method"),
        "consecutive_periods": number("consecutive_periods"),
        "months_paid": number("months_paying"),
        "interrupted": flag("interrupted"),
        "paid_6m": money("paid_6m"),
        "paid_12m": money("paid_12m"),
        "paid_24m": money("paid_24m"),
        "paid_total": money("paid_total"),
        "withdrawals_6m": number("withdrawals_6m"),
        "withdrawals_12m": number("withdrawals_12m"),
        "withdrawals_24m": number("withdrawals_24m"),
        "withdrawn_6m": money("withdrawn_6m"),
        "withdrawn_12m": money("withdrawn_12m"),
        "withdrawn_24m": money("withdrawn_24m"),
        "withdrew_24m": flag("withdrew_24m"),
        "contribution_base": money("contribution_base"),
        "period_amount": money("period_amount"),
        "subsidy": flag("subsidy"),
        "backpaid_6m": number("backpaid_6m"),
        "backpaid_12m": number("backpaid_12m"),
        "backpaid_24m": number("backpaid_24m"),
        "months_to_first_withdrawal": number("months_to_first_withdrawal"),
        "closed": flag("closed"),
        "closing_amount": money("closing_amount"),
    }
    files = []
    for position, (name, code) in enumerate(products.items()):
        among = table["product"][rows] == position
        part = {column: _some(cell, np.flatnonzero(among)) for column, cell in columns.items()}
        content = text.written(part, int(among.sum()), "utf-8-sig", b"\t", b"\n")
        files.append(File(f"accounts_{code}_{name}_synthetic", content))
    return Local(tuple(files), mapped, status)


def _with_stale_rows(table: Table, streams: Streams) -> tuple[Column, Column, Booleans]:
    """Row numbers with 0.2 % of them twice, in the order of the accounts; the day each was updated; which ones are the older."""
    count, stream = len(table["account"]), streams("stale rows")
    twice = stream.choice(count, max(1, round(count * 0.002)), replace=False)
    rows = np.concatenate([np.arange(count), twice])
    stale = np.arange(len(rows)) >= count
    snapshot = 19143  # 2022-05-31
    updated = snapshot - np.where(stale, stream.integers(20, 90, len(rows)), 0)
    order = np.lexsort((stream.random(len(rows)), rows))
    return rows[order], updated[order], stale[order]


# --- suzhou: quoted CSV, GB18030, newlines inside quotes


SUZHOU_OCCUPATIONS: Final = {
    "self_employed": "个体工商户\n（含个体经营者）", "driver_courier": "司机\n与配送", "service": "商业服务",
    "production": "生产制造", "professional": "专业技术", "clerk": "办事人员", "farming": "农林牧渔",
    "unclassified": "不便\n分类", "unknown": "未知",
}  # fmt: skip
SUZHOU_OFFICES: Final = (
    *OFFICE_NAMES[:8],
    "𬭎桥银行代办网点",
    *OFFICE_NAMES[9:],
)  # a character of four bytes in GB18030
SUZHOU_PRODUCTS: Final = (
    "1",
    "2",
    "3",
    "P10",
    "P21",
    "P31",
    "P11",
)  # two generations of codes; lump_sum renamed once more
SECOND_GENERATION: Final = 18993  # 2022-01-01
RENAMED_AGAIN: Final = 19052  # 2022-03-01


def suzhou(table: Table, streams: Streams) -> Local:  # noqa: ARG001 all dialects have one signature
    """Amounts in 万元 with four decimals, withdrawals in 元; 男性/女性; birth year beside 年龄段; income `0` means not known.

    Traps: newlines in 职业, a four-byte character in 办理机构, 中专 under 高中, 学历 empty for 18 %, product codes by opening date.
    """
    mapped, status = _mapped(table)
    encoding, rows = "gb18030", len(table["account"])
    education = _vocational_under_high_school(table, mapped)
    unknown_education = _unknown_where_null("education", mapped, status)
    in_ten_thousands = (
        "personal_income", "household_income", "period_amount", "contribution_base",
        "paid_6m", "paid_12m", "paid_24m", "paid_total",
    )  # fmt: skip
    rounded = {name: _whole_yuan(table[name]) for name in in_ten_thousands}
    for name, yuan in rounded.items():
        mapped[name] = np.where(yuan == NOT_GIVEN, mapped[name], yuan * 100)

    def words(variable: str, labels: dict[str, str] | None = None, column: Column | None = None) -> Cell:
        values = table[variable] if column is None else column
        return text.quoted(text.coded(variable, values, labels or CHINESE[variable], encoding))

    def number(variable: str) -> Cell:
        cell = text.whole(np.maximum(table[variable], 0))
        return text.quoted(text.unless(table[variable] == NOT_GIVEN, b"", cell))

    def money(variable: str) -> Cell:
        if variable not in rounded:
            cell = text.yuan(np.maximum(table[variable], 0))
            return text.quoted(text.unless(table[variable] == NOT_GIVEN, b"", cell))
        cell = text.ten_thousand_yuan(np.maximum(rounded[variable], 0))
        null = b"0" if variable == "household_income" else b""
        return text.quoted(text.unless(rounded[variable] == NOT_GIVEN, null, cell))

    def flag(variable: str) -> Cell:
        return text.quoted(text.listed(table[variable], YES_NO, encoding))

    bands = ("35岁以下", "35至44岁", "45岁及以上")
    generation = np.where(table["opened"] >= SECOND_GENERATION, 3, 0)
    renamed = (table["opened"] >= RENAMED_AGAIN) & (table["product"] == index("product", "lump_sum"))
    product = np.where(renamed, 6, table["product"] + generation)
    columns: dict[str, Cell] = {
        "个人账号": text.quoted(text.whole(table["account"])),
        LABEL: text.quoted([SYNTHETIC.encode(encoding)]),
        "性别": words("sex", {"male": "男性", "female": "女性"}),
        "年龄段": text.quoted(text.listed(np.digitize(table["age"], [35, 45]), bands, encoding)),
        "出生年份": number("birth_year"),
        "学历": text.quoted(
            text.unless(
                unknown_education,
                b"",
                text.coded("education", education, CHINESE["education"] | {"high_school": "高中（含中专）"}, encoding),
            )
        ),
        "婚姻": words("marital"),
        "职业": words("occupation", SUZHOU_OCCUPATIONS),
        "个人月收入_万元": money("personal_income"),
        "家庭月收入_万元": money("household_income"),
        "房屋套数": number("homes"),
        "常住地": words("residence"),
        "账户状态": words("account_status"),
        "账户性质": words("account_type"),
        "开户日期": text.quoted(
            text.date(
                table["opened"], "年".encode(encoding), "月".encode(encoding), "日".encode(encoding), two_digits=False
            )
        ),
        "信息来源": words("channel"),
        "委托银行": words("bank"),
        "办理机构": text.quoted(text.listed(table["office_unit"], SUZHOU_OFFICES, encoding)),
        "产品代码": text.quoted(text.listed(product, SUZHOU_PRODUCTS, encoding)),
        "缴存类型": words("contribution_type"),
        "缴存方式": words("payment_method"),
        "连续汇缴期数": number("consecutive_periods"),
        "缴存月数": number("months_paying"),
        "是否断缴": flag("interrupted"),
        "近6个月汇缴_万元": money("paid_6m"),
        "近12个月汇缴_万元": money("paid_12m"),
        "近24个月汇缴_万元": money("paid_24m"),
        "累计缴存_万元": money("paid_total"),
        "近6个月提取次数": number("withdrawals_6m"),
        "近12个月提取次数": number("withdrawals_12m"),
        "近24个月提取次数": number("withdrawals_24m"),
        "近6个月提取_元": money("withdrawn_6m"),
        "近12个月提取_元": money("withdrawn_12m"),
        "近24个月提取_元": money("withdrawn_24m"),
        "近24个月有提取": flag("withdrew_24m"),
        "缴存基数_万元": money("contribution_base"),
        "每期缴存_万元": money("period_amount"),
        "缴存补贴": flag("subsidy"),
        "补缴期数6": number("backpaid_6m"),
        "补缴期数12": number("backpaid_12m"),
        "补缴期数24": number("backpaid_24m"),
        "首提距首缴月数": number("months_to_first_withdrawal"),
        "是否销户": flag("closed"),
        "销户余额_元": money("closing_amount"),
    }
    quoted_names = {f'"{name}"': cell for name, cell in columns.items()}
    return Local((File("accounts_synthetic", text.written(quoted_names, rows, encoding, b",", b"\n")),), mapped, status)


# --- changzhou: a workbook with merged cells, numbers as text, blank rows and a line of totals


CHANGZHOU_PRODUCTS: Final = ("一次性趸缴型", "按月缴存型", "自由缴存型", "一次性趸交型", "按月交存型", "自由交存型")


def changzhou(table: Table, streams: Streams) -> Local:
    """Whole 元, halves up, as text; full-width digits in a fifth of the rows; Excel serial dates; 1/0; product names with a typo.

    Traps: a header of two rows; 办理机构 merged over all of its accounts, a blank row after them; 合计 at the end; 0.2 % of the accounts
    twice, the newest wins; 常住地 is not recorded.
    """
    mapped, status = _mapped(table)
    encoding = "utf-8"
    _impossible("residence", mapped, status)
    yuan = {name: _whole_yuan(table[name]) for name in MONEY}
    for name in MONEY:
        if name not in UNUSED:
            mapped[name] = np.where(yuan[name] == NOT_GIVEN, mapped[name], yuan[name] * 100)
    null_words = _null_texts(table, streams, (b"", b"/"))
    rows, updated, stale = _with_stale_rows(table, streams)
    null = null_words[rows]
    wide = streams("full-width digits").random(len(rows)) < 0.2

    def words(variable: str, labels: dict[str, str] | None = None) -> Cell:
        return text.coded(variable, table[variable][rows], labels or CHINESE[variable], encoding)

    def number(variable: str) -> Cell:
        column = table[variable][rows]
        return text.unless(column == NOT_GIVEN, null, text.full_width(text.whole(np.maximum(column, 0)), wide))

    def money(variable: str) -> Cell:
        column = yuan[variable][rows]
        if variable.startswith("paid_"):
            column = np.where(stale, column // 2, column)
        return text.unless(column == NOT_GIVEN, null, text.full_width(text.whole(np.maximum(column, 0)), wide))

    def flag(variable: str) -> Cell:
        return text.listed(table[variable][rows], ("0", "1"), encoding)

    def serial(column: Column) -> Cell:
        return text.whole(column[rows] + 25_569)  # day 1 is 1900-01-01, and 1900-02-29 counts

    office = table["office_unit"][rows]
    typo = streams("typo").random(len(table["account"])) < 0.03
    product = np.where(typo, table["product"] + 3, table["product"])[rows]
    columns: dict[str, Cell] = {
        "个人账号": text.whole(table["account"][rows]),
        LABEL: [SYNTHETIC.encode(encoding)],
        "更新日期": text.date(updated, b"-", b"-"),
        "性别": words("sex", {"male": "1", "female": "0"}),
        "出生日期": serial(table["born"]),
        "学历": words("education"),
        "婚姻状况": words("marital"),
        "职业": words("occupation"),
        "个人月收入": money("personal_income"),
        "家庭月收入": money("household_income"),
        "名下住房套数": number("homes"),
        "账户状态": words("account_status"),
        "账户性质": words("account_type"),
        "开户日期": serial(table["opened"]),
        "信息渠道": words("channel"),
        "委托银行": words("bank"),
        "办理机构": text.listed(office, OFFICE_NAMES, encoding),
        "产品名称": text.listed(product, CHANGZHOU_PRODUCTS, encoding),
        "缴存类型": words("contribution_type"),
        "缴存方式": words("payment_method"),
        "连续缴存期数": number("consecutive_periods"),
        "缴存月数": number("months_paying"),
        "断缴": flag("interrupted"),
        "半年缴存额": money("paid_6m"),
        "一年缴存额": money("paid_12m"),
        "两年缴存额": money("paid_24m"),
        "累计缴存额": money("paid_total"),
        "半年提取次数": number("withdrawals_6m"),
        "一年提取次数": number("withdrawals_12m"),
        "两年提取次数": number("withdrawals_24m"),
        "半年提取额": money("withdrawn_6m"),
        "一年提取额": money("withdrawn_12m"),
        "两年提取额": money("withdrawn_24m"),
        "两年有提取": flag("withdrew_24m"),
        "缴存基数": money("contribution_base"),
        "每期缴存额": money("period_amount"),
        "缴存补贴": flag("subsidy"),
        "半年补缴期数": number("backpaid_6m"),
        "一年补缴期数": number("backpaid_12m"),
        "两年补缴期数": number("backpaid_24m"),
        "首次提取距首缴月数": number("months_to_first_withdrawal"),
        "销户": flag("closed"),
        "销户余额": money("closing_amount"),
    }
    summed = {name: variable for name, variable in CHANGZHOU_SUMS.items() if variable not in UNUSED}
    order = np.argsort(office, kind="stable")
    files = []
    for end, at in _of_a_workbook(len(rows)):
        chosen = order[at]
        totals = {name: str(np.maximum(yuan[variable][rows[chosen]], 0).sum()) for name, variable in summed.items()}
        sheet = _changzhou_sheet({name: _some(cell, chosen) for name, cell in columns.items()}, office[chosen], totals)
        files.append(File(f"灵活就业账户_synthetic{end}", (sheet,)))
    return Local(tuple(files), mapped, status)


CHANGZHOU_SUMS: Final = {
    "半年提取额": "withdrawn_6m", "一年提取额": "withdrawn_12m", "两年提取额": "withdrawn_24m", "缴存基数": "contribution_base",
}  # fmt: skip
CHANGZHOU_GROUPS: Final = {
    "性别": "个人信息",
    "账户状态": "账户信息",
    "半年缴存额": "缴存情况",
    "半年提取次数": "提取情况",
}


def _changzhou_sheet(columns: dict[str, Cell], office: Column, totals: dict[str, str]) -> Sheet:
    """Groups of columns above their names; the name of an office once, merged over its accounts, and a blank row after them."""
    names = list(columns)
    first = np.flatnonzero(np.diff(office, prepend=-1))  # of each office
    number = np.arange(len(office)) + 3 + np.searchsorted(first[1:], np.arange(len(office)), side="right")
    merged, groups = [], [""] * len(names)
    starts = [names.index(name) for name in CHANGZHOU_GROUPS]
    for start, end, group in zip(starts, [*starts[1:], len(names)], CHANGZHOU_GROUPS.values(), strict=True):
        groups[start] = group
        merged.append(f"{letters(start)}1:{letters(end - 1)}1")
    single = range(starts[0])  # columns of no group: their names stand over both rows
    merged += [f"{letters(place)}1:{letters(place)}2" for place in single]
    top = (
        tuple(names[place] if place in single else group for place, group in enumerate(groups)),
        tuple("" if place in single else name for place, name in enumerate(names)),
    )
    at = names.index("办理机构")
    ends = np.append(first[1:], len(office)) - 1
    merged += [
        f"{letters(at)}{number[start]}:{letters(at)}{number[end]}"
        for start, end in zip(first, ends, strict=True)
        if end > start
    ]
    named = np.zeros(len(office), dtype=np.bool_)
    named[first] = True
    columns["办理机构"] = text.unless(~named, b"", columns["办理机构"])
    bottom = totals | {names[0]: "合计", LABEL: SYNTHETIC}
    serials = frozenset(names.index(name) for name in ("出生日期", "开户日期"))
    cells = tuple(columns.values())
    return Sheet("明细", top, cells, number, serials, tuple(merged), tuple(bottom.get(name, "") for name in names))


Dialect = Callable[[Table, Streams], Local]
DIALECTS: Final[dict[str, Dialect]] = {
    "chongqing": chongqing,
    "chengdu": chengdu,
    "guangzhou": guangzhou,
    "shenzhen": shenzhen,
    "suzhou": suzhou,
    "changzhou": changzhou,
}
