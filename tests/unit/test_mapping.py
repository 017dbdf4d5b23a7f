"""The mapping file: every fault at once, each with file, line and key."""

from datetime import date
from pathlib import Path
from typing import Final

import pytest

from node import city, mapping
from node.mapping import NEVER, Rule
from protocols import dictionary
from protocols.errors import CODES, ConfigError, HpfedError, Place
from tests.unit.city_folder import CITY, DICTIONARY, HEAD, KEYED, ONE_CSV, UNKEYED, folder, variables

FILES: dict[str, bytes | str] = {"data/a.csv": "账号,金额,姓名,性别\n1,5,x,男\n"}
GOOD = "from: t.金额, unit: 元"


def faults(place: Path, written: str, more: dict[str, bytes | str] | None = None) -> list[HpfedError]:
    return mapping.check(folder(place, written, FILES | (more or {})))


def the(found: list[HpfedError]) -> tuple[str, str, int]:
    """The one fault: code, key, line."""
    assert [each.code for each in found] == [found[0].code]
    assert found[0].at is not None
    return found[0].code, found[0].at.key, found[0].at.line


def rule(place: Path, name: str, entry: str) -> Rule:
    loaded = mapping.load(folder(place, UNKEYED + variables(**{name: entry}), FILES))
    return next(each for each in loaded.rules if each.variable == name)


ENTRIES = [
    # variable, entry, code, key under the variable
    ("amuont", GOOD, "MAP_VARIABLE", ""),
    ("age", "from: t.金额", "MAP_DERIVED", ""),
    ("amount", "from: t.金额, unit: 元, typ: money", "MAP_SCHEMA", "typ"),
    ("amount", "from: t.金额, unit: 元, make: sum", "MAP_SCHEMA", "make"),
    ("amount", "from: [t.金额], unit: 元", "MAP_SCHEMA", "from"),
    ("amount", "from: t.金额, unit: 元, null: zero", "MAP_SCHEMA", "null"),
    ("amount", "from: t.金额, unit: 元, clip: [1]", "MAP_SCHEMA", "clip[1]"),
    ("amount", "from: t.金额, unit: 元, clip: [0, much]", "MAP_SCHEMA", "clip"),
    ("amount", "from: t.金额, unit: 元, type: number", "MAP_TYPE", "type"),
    ("amount", "from: t.金额", "MAP_UNIT", "unit"),
    ("amount", "from: t.金额, unit: 月", "MAP_UNIT", "unit"),
    ("rate", "from: t.金额", "MAP_UNIT", "unit"),
    ("share", "from: t.金额, unit: 元", "MAP_UNIT", "unit"),
    ("born", "from: t.金额, unit: 月", "MAP_UNIT", "unit"),
    ("homes", "from: t.金额, unit: 月", "MAP_UNIT", "unit"),
    ("amount", "from: t.金额, unit: 元, clip: [0, 1000001]", "MAP_CLIP", "clip"),
    ("amount", "from: t.金额, unit: 元, clip: [-1001, 5]", "MAP_CLIP", "clip"),
    ("amount", "from: t.金额, unit: 元, clip: [6, 5]", "MAP_CLIP", "clip"),
    ("opened", "from: t.金额, parse: [yyyy], clip: [1989-12-31, 2000-01-01]", "MAP_CLIP", "clip"),
    ("sex", "from: t.性别, codes: {男: man}", "MAP_CODE", "codes.男"),
    ("sex", "from: t.性别, codes: {男: male}, other: others", "MAP_CODE", "other"),
    ("sex", "from: t.性别, codes: {男: male}, null: {category: nobody}", "MAP_CODE", "null"),
    ("amount", "from: t.金额, unit: 元, null: {category: male}", "MAP_CODE", "null"),
    ("paid", "from: t.性别, codes: {男: yes}", "MAP_CODE", "codes.男"),
    ("sex", 'from: t.性别, codes: {男: male, " 男": female}', "MAP_CODE_TWICE", "codes. 男"),
    ("sex", 'from: t.性别, codes: {"": male}', "MAP_CODE_TWICE", "codes."),
    ("sex", "from: t.性别, codes: {男: male}, null_texts: [男]", "MAP_CODE_NULL", "codes.男"),
    ("sex", "from: t.性别, codes: {男: male}, null: 0", "MAP_NULL", "null"),
    ("opened", "from: t.金额, parse: [yyyy], null: 0", "MAP_NULL", "null"),
    ("born", "from: t.金额, null: 0", "MAP_NULL", "null"),
    ("amount", "from: t.金额, unit: 元, null: 0, clip: [5, 10]", "MAP_NULL", "null"),
    ("amount", "from: t.金额, unit: 元, status: draft", "MAP_DRAFT", "status"),
    ("amount", "status: impossible", "MAP_REASON", ""),
    ("amount", "unit: 元", "MAP_FROM", ""),
    ("amount", "from: u.金额, unit: 元", "MAP_FROM", "from"),
    ("amount", "from: 金额, unit: 元", "MAP_FROM", "from"),
    ("amount", "from: t.金额, make: year_of", "MAP_MAKE", "make"),
    ("homes", "from: t.金额, make: positive", "MAP_MAKE", "make"),
    ("opened", "from: t.金额, make: year_of, parse: [yyyy]", "MAP_MAKE", "make"),
    ("homes", "from: t.金额, codes: {男: male}", "MAP_USELESS", "codes"),
    ("homes", "from: t.金额, codes_file: c.csv", "MAP_USELESS", "codes_file"),
    ("homes", "from: t.金额, other: unknown", "MAP_USELESS", "other"),
    ("homes", "from: t.金额, parse: [yyyy]", "MAP_USELESS", "parse"),
    ("sex", "from: t.性别, codes: {男: male}, unit: 元", "MAP_USELESS", "unit"),
    ("sex", "from: t.性别, codes: {男: male}, number: {thousands: false}", "MAP_USELESS", "number"),
    ("sex", "from: t.性别, codes: {男: male}, clip: [0, 1]", "MAP_USELESS", "clip"),
    ("paid", "from: t.性别, make: present, null: {category: true}", "MAP_USELESS", "null"),
    ("amount", "from: t.金额, unit: 万元, number: {suffixes: [万]}", "MAP_SUFFIX", "number"),
    ("amount", "from: t.金额, unit: 元, number: {suffixes: [万元]}", "MAP_SUFFIX", "number"),
    ("amount", 'from: t.金额, unit: 元, number: {suffixes: [" "]}', "MAP_SUFFIX", "number"),
    ("opened", "from: t.金额", "MAP_PARSE", ""),
    ("born", "from: t.金额, make: year_of", "MAP_PARSE", ""),
    ("opened", "from: t.金额, parse: [excel_serial, yyyy, excel_serial_1904]", "MAP_PARSE_TWICE", "parse"),
    ("opened", "from: t.金额, parse: [yyyy, yyyy]", "MAP_PARSE_TWICE", "parse"),
    ("opened", "from: t.金额, parse: [yy]", "MAP_SCHEMA", "parse[0]"),
    ("worries", "from: t.性别", "MAP_SPLIT", "split"),
    ("worries", "from: t.性别, make: split", "MAP_SPLIT", "split"),
    ("worries", 'from: t.性别, split: "n"', "MAP_SPLIT", "split"),
    ("worries", 'from: t.性别, split: ""', "MAP_SCHEMA", "split"),
    ("worries", 'from: t.性别, split: ";", make: year_of', "MAP_MAKE", "make"),
    ("worries", 'from: t.性别, split: ";", unit: 元', "MAP_USELESS", "unit"),
    ("worries", 'from: t.性别, split: ";", clip: [0, 1]', "MAP_USELESS", "clip"),
    ("worries", 'from: t.性别, split: ";", codes: {病: ill}', "MAP_CODE", "codes.病"),
    ("worries", 'from: t.性别, split: ";", other: none', "MAP_CODE", "other"),
    ("sex", "from: t.性别, codes: {男: male}, split: ;", "MAP_USELESS", "split"),
    ("sex", "from: t.性别, codes: {男: male}, make: split", "MAP_MAKE", "make"),
    ("sex", "from: t.性别, codes: {男: male}, codes_from: {2026-09-20: {男: female}}", "NOT_YET", "codes_from"),
    ("amount", "from: t.金鹅, unit: 元", "MAP_COLUMN_MISSING", ""),
    ("sex", "from: t.姓名, codes: {x: male}", "MAP_COLUMN_NEVER", ""),
]


@pytest.mark.parametrize(("name", "entry", "code", "key"), ENTRIES)
def test_a_fault_of_an_entry_stands_at_its_key(tmp_path: Path, name: str, entry: str, code: str, key: str) -> None:
    written = UNKEYED + variables(**{name: entry})
    found_code, found_key, line = the(faults(tmp_path, written))
    assert (found_code, found_key) == (code, f"variables.{name}" + (f".{key}" if key else ""))
    assert line == written.splitlines().index("variables:") + 2


FILE = [
    # replaced, by, code, key
    ("mapping: 1", "mapping: 2", "MAP_SCHEMA", "mapping"),
    ("mapping: 1\n", "", "MAP_SCHEMA", "mapping"),
    ("city: test-city", "city: other-city", "MAP_CITY", "city"),
    ("snapshot: 2022-05-31", "snapshot: 31.5.2022", "MAP_SCHEMA", "snapshot"),
    ("snapshot: 2022-05-31", "snapshot: 2022-05-31\nsnapshot: 2022-05-31", "MAP_SCHEMA", "snapshot"),
    ("snapshot: 2022-05-31", "snapshots: 2022-05-31", "MAP_SCHEMA", "snapshot"),
    ("tables:", "tabels: {}\ntables:", "MAP_SCHEMA", "tabels"),
    ("{source: main}", "&a {source: main}", "MAP_SCHEMA", ""),
    ("{source: main}", "{source: !!str main}", "MAP_SCHEMA", ""),
    ("{source: main}", "{source: mian}", "MAP_SOURCE", "tables.t.source"),
    ("{source: main}", "{source: main, main: yes}", "MAP_SCHEMA", "tables.t.main"),
    ("{source: main}", "{source: main, key: 帐号}", "MAP_COLUMN_MISSING", "tables.t.key"),
    ("{source: main}", "{source: main, key: 金额}", "MAP_COLUMN_IDENTIFIER", "variables.amount"),
    ("{source: main}", "{source: main, duplicates: {keep: newest, by: 金额}}", "MAP_TABLE", "tables.t.duplicates"),
    (
        "{source: main}",
        "{source: main, key: 账号, duplicates: {keep: newest, by: 姓名}}",
        "MAP_COLUMN_NEVER",
        "tables.t.duplicates.by",
    ),
    (
        "{source: main}",
        "{source: main, key: 账号, duplicates: {keep: newest, by: 性别, parse: [yyyy, yyyy]}}",
        "MAP_PARSE_TWICE",
        "tables.t.duplicates.parse",
    ),
    ("{t: {source: main}}", "{t.u: {source: main}, t: {source: main, main: true}}", "MAP_TABLE", "tables.t.u"),
    ("{t: {source: main}}", "{t: {source: main, key: 账号}, u: {source: main, key: 账号}}", "MAP_TABLE", "tables"),
    (
        "{t: {source: main}}",
        "{t: {source: main, key: 账号, main: true}, u: {source: main}}",
        "MAP_TABLE",
        "tables.u",
    ),
    (
        "{t: {source: main}}",
        "{t: {source: main, key: 账号, main: true}, u: {source: main, key: 账号, duplicates: {keep: newest, by: 性别}}}",
        "MAP_TABLE",
        "tables.u.duplicates",
    ),
    ("variables:", "rows: {column: t.性别}\nvariables:", "MAP_ROWS", "rows"),
    ("variables:", "rows: {column: t.性别, is: 男, missing: true}\nvariables:", "MAP_ROWS", "rows"),
    ("variables:", "rows: {column: u.性别, is: 男}\nvariables:", "MAP_FROM", "rows"),
    ("variables:", "rows: {all: [{not: {column: t.年龄, is: 男}}]}\nvariables:", "MAP_COLUMN_MISSING", "rows"),
    ("variables:", "rows: {column: t.性别, at_least: 男}\nvariables:", "MAP_SCHEMA", "rows.at_least"),
    ("variables:", "never: [金额]\nvariables:", "MAP_COLUMN_NEVER", "variables.amount"),
    ("kind: csv", "kind: database", "NOT_YET", "sources.main.kind"),
    ("kind: csv", "kind: json", "MAP_SCHEMA", "sources.main"),
    ("files: data/*.csv", "files: data/*.csv, header_row: 0", "MAP_SCHEMA", "sources.main.header_row"),
    ("files: data/*.csv", 'files: data/*.csv, delimiter: "#"', "MAP_SCHEMA", "sources.main.delimiter"),
    ("encoding: utf-8", "encoding: big5", "MAP_SCHEMA", "sources.main.encoding"),
    ("files: data/*.csv", "files: ../data/*.csv", "SOURCE_OUTSIDE", "sources.main.files"),
    ("files: data/*.csv", "files: data/*.tsv", "SOURCE_NO_FILE", "sources.main.files"),
    ("dictionary: dictionary.yaml", "dictionary: hpf-flexible-employment@9", "DICTIONARY_UNKNOWN", ""),
]


@pytest.mark.parametrize(("old", "new", "code", "key"), FILE)
def test_a_fault_of_the_file_stands_at_its_key(tmp_path: Path, old: str, new: str, code: str, key: str) -> None:
    written = UNKEYED + variables(amount=GOOD)
    assert written.count(old) == 1
    found = faults(tmp_path, written.replace(old, new))
    assert (code, key) in [(each.code, each.at.key if each.at else "") for each in found]
    assert all(each.code == code for each in found)


def test_all_faults_are_reported_at_once(tmp_path: Path) -> None:
    written = UNKEYED + variables(
        amount="from: t.金额", sex="from: t.性别, codes: {男: man}", homes="from: u.x", born="from: t.金额, unit: 日"
    )
    found = faults(tmp_path, written)
    assert [each.code for each in found] == ["MAP_UNIT", "MAP_CODE", "MAP_FROM", "MAP_UNIT"]
    assert [each.at and each.at.line for each in found] == [8, 9, 10, 11]
    assert {each.at.file for each in found if each.at} == {str(tmp_path / "mapping.yaml")}


def test_faults_of_the_schema_come_with_the_nearest_key_in_both_languages(tmp_path: Path) -> None:
    [found] = faults(tmp_path, UNKEYED + variables(amount=f"{GOOD}, unparset: 'null'"))
    assert "'unparsed'" in found.text("en")
    assert "没有名为 'unparset' 的键" in found.text("zh")
    assert found.exit_code == 2


def test_a_bomb_of_aliases_is_a_fault_of_the_schema(tmp_path: Path) -> None:
    bomb = "a: &a [x]\nb: &b [*a, *a]\n"
    assert [each.code for each in faults(tmp_path, bomb)] == ["MAP_SCHEMA"]
    assert [each.code for each in faults(tmp_path, UNKEYED + "x" * (1 << 20))] == ["MAP_SCHEMA"]
    (tmp_path / "mapping.yaml").write_bytes(b"city: \xff")
    assert [each.code for each in mapping.check(tmp_path)] == ["MAP_SCHEMA"]


def test_a_missing_column_comes_with_the_three_nearest_names(tmp_path: Path) -> None:
    [found] = faults(tmp_path, UNKEYED + variables(amount="from: t.金, unit: 元"))
    assert "金额" in found.text("zh")


def test_every_spelling_of_an_identity_is_never_read(tmp_path: Path) -> None:
    names = [
        "姓名",
        "证件号码",
        "身份证号",
        "手机号",
        "住址",
        "银行账号",
        "XINGMING",
        "ZJHM",
        "SJHM",
        "JTZZ",
        "GRCKZHHM",
    ]
    assert {name.casefold() for name in names} <= NEVER
    header = ",".join(names)
    for name in names:
        written = UNKEYED + variables(amount=f"from: t.{name}, unit: 元")
        assert the(faults(tmp_path, written, {"data/a.csv": f"{header}\n" + ",".join("1" * len(names)) + "\n"}))[0] == (
            "MAP_COLUMN_NEVER"
        )


def test_a_column_that_is_never_read_may_still_be_the_key(tmp_path: Path) -> None:
    assert faults(tmp_path, KEYED.replace("账号", "姓名") + variables(amount=GOOD)) == []


def test_a_sound_mapping_has_no_faults_and_says_what_the_city_cannot_give(tmp_path: Path) -> None:
    written = UNKEYED + variables(
        amount=GOOD,
        worries="status: impossible, reason: {zh: 不登记, en: not recorded}",
        sex="from: t.性别, codes: {男: male}",
    )
    assert faults(tmp_path, written) == []
    loaded = mapping.load(tmp_path)
    others = ("born", "homes", "months", "opened", "paid", "rate", "share")
    assert loaded.cannot == (*others, "worries")
    *left_out, unused = mapping.warnings(loaded)
    assert tuple(each.values["name"] for each in left_out) == others
    assert {each.code for each in left_out} == {"MAP_LEFT_OUT"}
    assert (unused.code, unused.values["name"], unused.values["codes"]) == ("MAP_CODE_UNUSED", "sex", "female, unknown")
    assert loaded.unused == {"sex": ("female", "unknown")}
    assert (loaded.dictionary, loaded.snapshot.isoformat(), loaded.meant.name) == (
        "dictionary.yaml",
        "2022-05-31",
        "every-type@1",
    )
    assert loaded.main == "t"


def test_a_dictionary_is_looked_up_where_the_caller_says(tmp_path: Path) -> None:
    asked = []

    def lookup(reference: str, beside: Path) -> dictionary.Dictionary:
        asked.append((reference, beside))
        return dictionary.load("dictionary.yaml", beside)

    mapping.load(
        folder(tmp_path, UNKEYED.replace("dictionary.yaml", "shared@1") + variables(amount=GOOD), FILES), lookup
    )
    assert asked == [("shared@1", tmp_path)]


@pytest.mark.parametrize(
    ("name", "entry", "field", "expected"),
    [
        ("amount", "from: t.x, unit: 元", "factor", 100),
        ("amount", "from: t.x, unit: 元/月", "factor", 100),
        ("amount", "from: t.x, unit: 万元", "factor", 1_000_000),
        ("amount", "from: t.x, unit: 分", "factor", 1),
        ("months", "from: t.x, unit: 年", "factor", 12),
        ("months", "from: t.x, unit: 月", "factor", 1),
        ("months", "from: t.x", "factor", 1),
        ("born", "from: t.x, unit: 年", "factor", 1),
        ("rate", 'from: t.x, unit: "%"', "shift", 0),
        ("rate", 'from: t.x, unit: "‰"', "shift", -1),
        ("share", 'from: t.x, unit: "%"', "shift", -2),
        ("share", "from: t.x", "shift", 0),
        ("amount", "from: t.x, unit: 元, clip: [0, 12.34]", "high", 1234),
        ("amount", "from: t.x, unit: 元", "low", -100_000),
        ("opened", "from: t.x, parse: [yyyy]", "low", 7305),
        ("share", "from: t.x, clip: [-0.5, 0.5]", "high", 0.5),
        ("homes", "from: t.x", "null_status", 2),
        ("homes", "from: t.x, null: drop", "null_status", 3),
        ("homes", "from: t.x, null: 0", "null_status", 1),
        ("sex", "from: t.x, codes: {男: male}, null: {category: unknown}", "null_value", 2),
        ("sex", "from: t.x, codes: {男: male}", "null_value", -1),
        ("sex", "from: t.x", "codes", (("male", 0), ("female", 1), ("unknown", 2))),
        ("paid", "from: t.x", "codes", (("false", 0), ("true", 1))),
        ("paid", "from: t.x, codes: {是: true, 否: false}", "codes", (("是", 1), ("否", 0))),
        ("sex", "from: t.x, codes: {'/': male}", "null_texts", ("", "NULL", "\\N", "-")),
        ("sex", "from: t.x", "other", None),
        ("paid", "from: t.x, make: positive, null: {category: true}", "null_value", 1),
        ("sex", "from: t.x, other: unknown", "other", 2),
    ],
)
def test_an_entry_becomes_a_rule_in_stored_units(
    tmp_path: Path, name: str, entry: str, field: str, expected: object
) -> None:
    assert getattr(rule(tmp_path, name, entry), field) == expected


def test_the_nearest_list_of_null_texts_holds_alone(tmp_path: Path) -> None:
    top = UNKEYED.replace("sources", "null_texts: [无]\nsources")
    source = top.replace("files:", "null_texts: [缺], files:")
    own = variables(amount=GOOD, homes="from: t.x, null_texts: ['9999']")
    for number, (written, expected) in enumerate(((UNKEYED, mapping.NULL_TEXTS), (top, ("无",)), (source, ("缺",)))):
        loaded = mapping.load(folder(tmp_path / str(number), written + own, FILES))
        assert {each.variable: each.null_texts for each in loaded.rules} == {"amount": expected, "homes": ("9999",)}
        assert loaded.null_texts("t") == expected


def test_the_default_null_of_the_dictionary_is_taken_unless_the_mapping_says_otherwise(tmp_path: Path) -> None:
    words = DICTIONARY.replace("range: [0, 20]}", "range: [0, 20], default_null: '0'}")
    place = folder(tmp_path, UNKEYED + variables(homes="from: t.x"), FILES, words)
    assert mapping.load(place).rules[0].null_status == mapping.FILLED
    place = folder(tmp_path, UNKEYED + variables(homes="from: t.x, null: keep"), FILES, words)
    assert mapping.load(place).rules[0].null_status == mapping.MISSING


def test_a_file_of_codes_is_read_and_checked_line_by_line(tmp_path: Path) -> None:
    written = UNKEYED + variables(sex="from: t.性别, codes_file: codes/sex.csv, other: unknown")
    good = "\ufefflocal,code\n男,male\n\n女,female\n"
    place = folder(tmp_path, written, FILES | {"codes/sex.csv": good})
    loaded = mapping.load(place)
    assert loaded.rules[0].codes == (("男", 0), ("女", 1))
    folder(tmp_path, written, {"codes/sex.csv": good.replace("female", "male")})
    assert mapping.load(place).digest != loaded.digest
    for content, expected in (
        ("local,code\n男,male,x\n男,male\n男,female\n", [2, 4]),
        ("code,local\n男,male\n", [1]),
        (b"\xff", [1]),
        ("", [1]),
        ("local,code\n男,man\n", [8]),
    ):
        folder(tmp_path, written, {"codes/sex.csv": content})
        assert [each.at and each.at.line for each in mapping.check(place)] == expected, content
    both = UNKEYED + variables(sex="from: t.性别, codes_file: codes/sex.csv, codes: {男: male}")
    folder(tmp_path, both, {"codes/sex.csv": good})
    assert [each.code for each in mapping.check(place)] == ["MAP_USELESS"]
    outside = UNKEYED + variables(sex="from: t.性别, codes_file: ../sex.csv")
    assert [each.code for each in mapping.check(folder(tmp_path, outside, {}))] == ["SOURCE_OUTSIDE"]


def test_open_data_needs_a_public_dictionary(tmp_path: Path) -> None:
    place = folder(tmp_path, UNKEYED + variables(amount=GOOD), FILES | {"city.yaml": CITY + "open_data: true\n"})
    (place / "city.yaml").write_text(CITY + "open_data: true\n", encoding="utf-8")
    assert [each.code for each in mapping.check(place)] == ["MAP_OPEN_DATA"]
    folder(
        place,
        UNKEYED + variables(amount=GOOD),
        {"city.yaml": CITY + "open_data: true\n"},
        DICTIONARY + "public: true\n",
    )
    assert mapping.check(place) == []


def test_the_digest_is_of_what_the_file_says_and_not_of_how_it_is_laid_out(tmp_path: Path) -> None:
    place = folder(tmp_path, UNKEYED + variables(amount=GOOD), FILES)
    plain = mapping.load(place).digest
    folder(place, "# a comment\n" + UNKEYED + "variables:\n  amount:\n    unit: 元 # yuan\n    from: t.金额\n", FILES)
    assert mapping.load(place).digest == plain
    folder(place, UNKEYED + variables(amount="from: t.金额, unit: 分"), FILES)
    assert mapping.load(place).digest != plain


def test_review_notes_and_scope_are_for_the_reader(tmp_path: Path) -> None:
    notes = (
        "scope: {sub_centres: excluded, note: 不含铁路分中心}\n"
        "review: {amount: {status: approved, by: 王某, on: 2026-11-20, score: 0.71, suggested_by: [pinyin, dates]}}\n"
    )
    place = folder(tmp_path, UNKEYED + notes + variables(amount=GOOD), FILES)
    assert mapping.check(place) == []
    scope = mapping.load(place).scope
    assert scope is not None
    assert scope.sub_centres == "excluded"


def test_a_city_says_who_it_is(tmp_path: Path) -> None:
    place = folder(tmp_path, HEAD + ONE_CSV, {})
    who = city.load(place)
    assert (who.city, who.name.zh, who.code, who.synthetic, who.open_data) == (
        "test-city",
        "测试市",
        "000000",
        True,
        False,
    )
    scoped = CITY + "scope: {province_units: excluded, railway: none, parks: included}\n"
    assert city.load(folder(tmp_path, HEAD, {"city.yaml": scoped})).scope.railway == "none"
    for more, code, key in (
        ("facts: {bank: {value: 1, unit: 元, visible: public}}\n", "SCHEMA_MISSING", "facts.bank.as_of"),
        ("facts: {bank: {value: x, as_of: 2022-05-31, visible: public}}\n", "SCHEMA_VALUE", "facts.bank.value"),
        ("facts: {bank: {value: 1, as_of: 2022-5-31, visible: public}}\n", "SCHEMA_VALUE", "facts.bank.as_of"),
        ("facts: {bank: {value: 1, as_of: 2022-05-31, visible: secret}}\n", "SCHEMA_VALUE", "facts.bank.visible"),
        ("phone: 1\n", "SCHEMA_KEY", "phone"),
    ):
        with pytest.raises(ConfigError) as raised:
            city.load(folder(tmp_path, HEAD, {"city.yaml": CITY + more}))
        assert (raised.value.code, raised.value.at) == (code, Place(str(tmp_path / "city.yaml"), 5, key))
    (tmp_path / "city.yaml").unlink()
    with pytest.raises(ConfigError) as raised:
        city.load(tmp_path)
    assert raised.value.code == "FILE_MISSING"


FACTS: Final = """facts:
  bank: {type: money, unit: 亿元, range: [0, 100]}
  branches: {type: integer, unit: branch, range: [0, 500]}
"""
ILL_STATED: Final = {
    "a fact that there is not": ("bnak: {value: 1, unit: 亿元, %s}", "bnak", "did you mean bank?"),
    "no unit": ("bank: {value: 1, %s}", "bank", "the unit – does not fit; write 亿元"),
    "another unit": ("branches: {value: 1, unit: 个, %s}", "branches", "the unit 个 does not fit; write branch"),
    "outside its range": ("bank: {value: 100.01, unit: 亿元, %s}", "bank", "outside 0 to 100 亿元"),
    "outside in another unit": ("bank: {value: 1000001, unit: 万元, %s}", "bank", "outside 0 to 100 亿元"),
    "less than a fen": ("bank: {value: 0.005, unit: 元, %s}", "bank", "more decimals than can be carried"),
    "half a branch": ("branches: {value: 1.5, unit: branch, %s}", "branches", "more decimals than can be carried"),
    "two of one day": (
        "bank: [{value: 1, unit: 亿元, %s}, {value: 2, unit: 亿元, %s}]",
        "bank",
        "2022-05-31 is there twice",
    ),
}


@pytest.mark.parametrize(("entry", "name", "said"), ILL_STATED.values(), ids=ILL_STATED)
def test_a_fact_that_the_dictionary_does_not_have_so_is_a_fault_of_city_yaml(
    tmp_path: Path, entry: str, name: str, said: str
) -> None:
    stated = CITY + "facts:\n  " + entry.replace("%s", "as_of: 2022-05-31, visible: public") + "\n"
    place = folder(tmp_path, UNKEYED + variables(paid="from: t.paid"), {"city.yaml": stated}, DICTIONARY + FACTS)
    with pytest.raises(ConfigError) as raised:
        mapping.load(place)
    (fault,) = raised.value.every()
    assert (fault.code, fault.at) == ("MAP_FACT", Place(str(place / "city.yaml"), 6, f"facts.{name}"))
    assert said in fault.text("en")


def test_facts_are_read_exactly_and_those_of_another_day_are_doubted(tmp_path: Path) -> None:
    """820,000.5 万元 is 82.00005 亿元 to the fen; a negative zero and trailing zeros have one spelling."""
    stated = CITY + (
        "facts:\n  bank: [{value: 820000.5, unit: 万元, as_of: 2022-05-31, visible: summed},"
        " {value: 1.50, unit: 亿元, as_of: 2021-05-31, visible: public}]\n"
        "  branches: {value: -0, unit: branch, as_of: 2021-05-31, visible: public}\n"
    )
    place = folder(tmp_path, UNKEYED + variables(paid="from: t.paid"), {"city.yaml": stated}, DICTIONARY + FACTS)
    means = mapping.load(place)
    told = city.told(means.city, means.meant, means.snapshot)
    assert {name: (each.value, each.visible) for name, each in told.items()} == {"bank": ("82.00005", "summed")}
    assert city.said(told) == {"bank": "summed"}
    assert city.added(told, means.meant) == {"bank": 820_000_500_000}
    earlier = city.told(means.city, means.meant, date(2021, 5, 31))
    assert city.said(earlier) == {"bank": "1.5", "branches": "0"}
    doubts = [each for each in mapping.warnings(means) if each.code == "MAP_FACT_DATE"]
    assert [each.at.key for each in doubts if each.at] == ["facts.branches"]


def test_every_code_of_a_mapping_is_raised_by_a_test_above() -> None:
    raised = {code for _, _, code, _ in ENTRIES} | {code for _, _, code, _ in FILE}
    elsewhere = {
        "MAP_OPEN_DATA",
        "MAP_FACT",
        "MAP_FACT_DATE",
        "MAP_CODES_FILE",
        "MAP_LEFT_OUT",
        "MAP_CODE_ZEROS",
        "MAP_CODE_UNUSED",
        "MAP_COLUMN_TYPE",
    }
    assert {code for code in CODES if code.startswith("MAP_")} == {
        code for code in raised if code.startswith("MAP_")
    } | elsewhere
