"""`hpfed-coordinator limits`: what the product does not do, in both languages, and the same words where cities read them."""

import re

from coordinator import cli as coordinator
from coordinator import limits
from coordinator.report.wording import strings
from tests.architecture.source import ROOT
from tests.deployed.test_enrolment import at
from tests.system.test_programs import called

ALGORITHMS = "不含国密算法；需通过密评的单位，请在链路外层使用国密网关"


def test_limits_are_said_in_both_languages_and_as_data() -> None:
    found = at(coordinator, "limits")
    assert {each["part"] for each in found} == set(limits.PARTS)
    assert len({each["name"] for each in found}) == len(found)
    for language in ("zh", "en"):
        said = called(coordinator, "limits", "--lang", language).stdout
        assert all(each[language] in said.replace("\n", " ") for each in found)
        assert not re.search("见上|stated above", said)


def test_the_words_about_chinese_algorithms_stand_in_the_command_and_in_the_pages_of_cities() -> None:
    assert ALGORITHMS in called(coordinator, "limits", "--lang", "zh").stdout
    for page in ("running-a-city.md", "threat-model.md", "deploy/README.md"):
        assert ALGORITHMS in (ROOT / "docs" / page).read_text(encoding="utf-8"), page


def test_what_a_report_calls_not_protected_is_a_limit() -> None:
    """Each of its sentences, but for those of which the other one is said, or which speak of numbers that stand beside them."""
    told = {key for key in strings() if key.startswith("limit_")}
    assert told - set(limits.PROTECTION) == {"limit_cities_exact", "limit_many", "limit_algorithms"}
    assert {each.name for each in limits.limits()} >= {"many", "algorithms", "two_cities"}
