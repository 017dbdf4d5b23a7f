"""What the product does not do, in plain words: what is not protected, what models over sums cannot know, what one host runs.

What is not protected is said with the words of the report, in the order of docs/threat-model.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from protocols.errors import Both

Part = Literal["protection", "models", "operation"]
PROTECTION: Final = (
    *(
        "limit_three",
        "limit_exact",
        "limit_exact_sets",
        "limit_session",
        "limit_lies",
        "limit_collusion",
        "limit_groups",
    ),
    *(
        "limit_cities",
        "limit_presence",
        "limit_memory",
        "limit_timing",
        "limit_quantum",
        "limit_stopping",
        "limit_insider",
    ),
    *("limit_root", "limit_courier"),
)  # of the report's strings; what it says beside numbers of its own stands below in other words
PARTS: Final[dict[Part, Both]] = {
    "protection": Both("不在保护之内", "Not protected"),
    "models": Both("合计无法防住的（模型）", "What sums cannot defend against (models)"),
    "operation": Both("部署上的限度", "Limits of a deployment"),
}
OWN: Final[tuple[tuple[str, Part, Both], ...]] = (
    (
        "algorithms",
        "protection",
        Both(
            "不含国密算法；需通过密评的单位，请在链路外层使用国密网关。",
            "Chinese national algorithms (SM2, SM3, SM4) are not included; who has to pass an assessment of commercial cryptography puts a "
            "gateway with them around the link.",
        ),
    ),
    (
        "two_cities",
        "protection",
        Both(
            "两个城市不能合计：少于三个城市的研究一律拒绝。k 个城市中有 k-1 个合谋时，剩下那个城市的合计仍会暴露。",
            "Two cities cannot be added up: a study of fewer than three is refused. If k-1 of k cities collude, they know the sum of the "
            "last.",
        ),
    ),
    (
        "many",
        "protection",
        Both(
            "在 k 个城市都有账户的人，ε 超过 k 倍；系统不查找这样的人。",
            "A person with accounts in k cities: epsilon is more than k times as large. Such persons are not looked for.",
        ),
    ),
    (
        "wrong_sums",
        "models",
        Both(
            "某市送来错误的合计：有取值范围检查，拟合度也应逐轮改善；但城市少时，会随机应变的造假者无法查出，影响力也由各市自报。",
            "A city sends wrong sums: ranges are checked, and the fit has to improve from round to round; but among six cities an adaptive "
            "liar cannot be found, and how much a city weighs is what it says itself.",
        ),
    ),
    (
        "bad_model",
        "models",
        Both(
            "不好的模型被采用：每个城市都可以先在自己的数据上评分（hpfed-node score）；多数城市合谋时无法防止。",
            "A bad model is accepted: every city can first score its own rows by it (hpfed-node score); a majority that colludes cannot be "
            "stopped.",
        ),
    ),
    (
        "exact_sums",
        "models",
        Both(
            "精确模式的合计会泄露信息：由各轮合计推断个体没有数学上的界限，审批单如实写明；需要界限时用 dp 模式。",
            "Exact sums leak: what the sums of all rounds allow to infer has no mathematical bound, and the approval sheet says so; "
            "mode dp has one.",
        ),
    ),
    (
        "medians_of_cities",
        "models",
        Both(
            "各市结果的中位数或截尾平均：安全求和之下做不到，因此不能以此抵御异常城市。",
            "Medians or trimmed means over cities: impossible under secure sums, so they do not guard against a city that is far off.",
        ),
    ),
    (
        "one_superlink",
        "operation",
        Both(
            "一个 SuperLink 是一个进程、一个处理器核：每次往返每市约 64 毫秒，341 市约需半分钟。",
            "One SuperLink is one process on one core: about 64 ms for each city and exchange, half a minute for 341 cities.",
        ),
    ),
    (
        "no_failover",
        "operation",
        Both(
            "协调方没有热备：停机时研究中断，重启后从记录继续；磁盘损坏时进行中的研究丢失，已花的预算不退。",
            "The coordinator has no stand-by: while it is down studies wait, and go on from their logs; a lost disk loses open studies, "
            "and budgets that were spent stay spent.",
        ),
    ),
    (
        "one_request",
        "operation",
        Both(
            "一个城市的网关一次只处理一个请求；读取数据期间，其余请求排队，最多 64 个。",
            "A city's gate answers one request at a time; while it reads its rows up to 64 others wait.",
        ),
    ),
    (
        "memory_only",
        "operation",
        Both(
            "会话的密钥只在内存中：城市重启即退出该轮，精确模式下该轮作废。",
            "The keys of a conversation are in memory alone: a city that restarts has left the round, and in mode exact the round is lost.",
        ),
    ),
    (
        "platforms",
        "operation",
        Both(
            "不支持 Windows 服务、Kubernetes、协调方高可用、OIDC 账户、多人共管的根密钥和后量子算法；一项研究只有一个协调方。",
            "Not there: Windows services, Kubernetes, high availability of the coordinator, OIDC accounts, a root key held by several, "
            "post-quantum algorithms; a study has one coordinator.",
        ),
    ),
    (
        "largest",
        "operation",
        Both(
            "一条报文至多 64 MiB；一项研究至多约 105 万个单元格。",
            "A message holds at most 64 MiB; a study about a million cells.",
        ),
    ),
)


@dataclass(frozen=True)
class Limit:
    """One of them."""

    name: str
    part: Part
    said: Both


def limits() -> Iterator[Limit]:
    """All of them, part by part."""
    from coordinator.report.wording import strings

    words = strings()
    for key in PROTECTION:
        yield Limit(key.removeprefix("limit_"), "protection", Both(words[key]["zh"], words[key]["en"]))
    for name, part, said in OWN:
        yield Limit(name, part, said)


def lines(language: str) -> list[str]:
    """For a terminal."""
    zh, found, part = language == "zh", list[str](), ""
    for number, each in enumerate(limits(), 1):
        if each.part != part:
            part = each.part
            title = PARTS[each.part]
            found += ["", title.zh if zh else title.en] if found else [title.zh if zh else title.en]
        found.append(f"{number:>3}. {each.said.zh if zh else each.said.en}")
    return found
