"""What a city's officer sees before saying yes: one study in plain words, what would leave, what it costs, and what decides.

Everything here follows from the study, the roster, the policy and the ledger. No row is read for it, and no figure comes from rows.
`page` makes the approval sheet (审批单): A4, Chinese first, to be printed, signed and filed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final, assert_never

from node.city import City
from node.desk import Opinion, Request
from node.entries import Approved, Declined, Reservation, Room, View
from node.figures import fact_words, figures
from node.outlook import SCOPES, outlook
from node.policy import Decision, Exact, Origin, Policy, Scope, decide
from protocols import privacy
from protocols.errors import HpfedError, Refusal, escaped
from protocols.facts import Said
from protocols.filters import All, Any_, Filter, Leaf, Not
from protocols.models.question import supposed
from protocols.models.session import Models
from protocols.noise import UNIT
from protocols.plan import Agreement, agree
from protocols.roster import Roster
from protocols.statistics.layout import Measure
from protocols.study import Study

Both = tuple[str, str]  # Chinese, English
KINDS: Final[dict[str, Both]] = {  # what a question asks, before the variables that it names
    "count": ("人数", "how many holders"),
    "frequency": ("各类人数与占比", "numbers and shares"),
    "crosstab": ("交叉表", "cross table"),
    "tgi": ("偏好指数 TGI", "preference index TGI"),
    "association": ("关联强度", "strength of association"),
    "mean": ("均值与合计", "mean and total"),
    "moments": ("相关与主成分", "correlations"),
    "histogram": ("分布直方图", "histogram"),
    "quantiles": ("分位数", "quantiles"),
    "ratio": ("比率", "ratio"),
    "top": ("排名", "ranking"),
    "series": ("时间序列", "series over time"),
    "transitions": ("状态转移", "transitions"),
    "vintage": ("分开户月的活跃率", "vintage"),
    "compare": ("城市间比较", "comparison of cities"),
    "glm": ("回归模型", "regression"),
    "kmeans": ("聚类", "clusters"),
}
RELEASES: Final[dict[str, Both]] = {
    "pooled": ("只公布各市合计", "the sum over cities only"),
    "by_city": ("公布本市单独的表", "this city's own table"),
    "both": ("公布合计和本市单独的表", "the sum and this city's own table"),
}
DECISIONS: Final[dict[str, Both]] = {
    "auto": ("按规则自动同意", "approved by rule"),
    "officer": ("须一名审批人同意", "needs one officer"),
    "two_officers": ("须两名审批人同意", "needs two officers"),
    "refuse": ("不得同意", "refused"),
}
ROLES: Final[dict[str, Both]] = {"analyst": ("分析机构", "analyst"), "regulator": ("监管部门", "regulator")}
SIGNS: Final[dict[str, Both]] = {
    "is": ("等于", "is"),
    "in": ("属于", "is one of"),
    "at_least": ("不低于", "at least"),
    "above": ("高于", "above"),
    "at_most": ("不高于", "at most"),
    "below": ("低于", "below"),
    "between": ("介于", "between"),
    "missing": ("缺失", "missing"),
}


@dataclass(frozen=True)
class Share:
    """A cap: how much of it is used now, and would be after this study, as parts of its room. `ends`: at the pace of the last 12 months."""

    scope: Scope
    epsilon: str
    used: float
    after: float
    fits: bool
    renews: date | None
    ends: date | None
    order: int


@dataclass(frozen=True)
class Sheet:
    """One study before one city. `agreement`: what the plan would be if every city that is asked took part; None where it cannot be.

    `rule`, `place`: what matched, as it is written, and file and line; `reasons`: all that speak against it now. `unused`: of the variables
    that it reads, the codes that no local text becomes; `facts`: what the city states, of those that it asks for. `limits`: this city's
    thresholds of mode exact.
    """

    city: City
    digest: str
    request: Request
    study: Study
    decision: Decision
    rule: str
    place: str
    agreement: Agreement | None
    shares: tuple[Share, ...]
    reasons: tuple[HpfedError, ...]
    cannot: tuple[str, ...]
    facts: Said
    unused: Mapping[str, tuple[str, ...]]
    limits: Exact
    opinions: tuple[Opinion, ...]
    approved: Approved | None
    declined: Declined | None

    @property
    def id(self) -> str:
        return self.digest.removeprefix("sha256:")[:12]

    @cached_property
    def questions(self) -> tuple[tuple[str, Both, int, Both], ...]:
        """Id, words, cells, release of each question."""
        file, found = self.study.file, []
        for question in file.questions:
            kind = KINDS.get(question.kind, (question.kind, question.kind))
            named = [self.variable(name) for name in question.reads(self.study.domain)]
            named += [fact_words(self.study.dictionary, name) for name in question.facts()]
            zh = "：".join(part for part in (kind[0], " × ".join(each[0] for each in named)) if part)
            en = ": ".join(part for part in (kind[1], " × ".join(each[1] for each in named)) if part)
            for file in (getattr(question, "files", None) or {}).values():
                short = file.digest.removeprefix("sha256:")[:12]
                zh = f"{zh}；模型文件 {file.id} {short}（{file.as_of} 的数据，有效期至 {file.expires}）随研究送来"
                en = f"{en}; the model file {file.id} {short} (of {file.as_of}, until {file.expires}) travels with the study"
            if question.cohort is not None:
                whom = self._filter(question.cohort)
                zh, en = f"{zh}；仅限{whom[0]}", f"{en}; of those where {whom[1]}"
                if question.id in self.study.workload.slices:
                    zh, en = f"{zh}（送出的表含全部对象）", f"{en} (the table that leaves is of everybody)"
            cells = sum(block.cells for block in set(self.study.workload.blocks[question.id].values()))
            if question.id in self.fits.models:
                model = self.fits.models[question.id]
                cells, rounds = model.most_cells, model.most_rounds
                zh = f"{zh}；至多 {rounds} 轮，每轮至多所列单元格数"
                en = f"{en}; in at most {rounds} rounds of at most so many cells"
            found.append((question.id, (zh, en), cells, RELEASES[question.release or file.release]))
        return tuple(found)

    @cached_property
    def fits(self) -> Models:
        """Its questions of many rounds."""
        return Models.of(self.study.file.questions, supposed(self.study.domain))

    @property
    def session(self) -> Both | None:
        """Of a study with questions of many rounds: what a yes to them is to."""
        if not self.fits.models:
            return None
        shown = (
            "每轮的合计不加噪声：协调方与每个作答城市都看到全部各轮的精确合计，对由此推断个体没有数学上的界限。",
            "The sums of every round carry no noise: the coordinator and every city that answers see all of them exactly, and there is no "
            "mathematical bound on what they allow to infer. ",
        )
        zh, en = shown if self.study.exact else ("", "")
        return (
            f"多轮问题逐轮作答，至多 {self.fits.most_rounds} 轮；每轮的询问由此前各轮的合计推出，本市逐轮核对。{zh}",
            f"Questions of many rounds are answered in at most {self.fits.most_rounds} rounds; every ask follows from the "
            f"sums of the rounds before, which this city checks. {en}".rstrip(),
        )

    @cached_property
    def variables(self) -> tuple[tuple[str, Both, str, bool], ...]:
        """Name, label, sensitivity of every given variable that is read, and whether this city has it."""
        meant = self.study.dictionary
        return tuple(
            (name, self.variable(name), getattr(meant.entry(name), "sensitivity", "C1"), name not in self.cannot)
            for name in self.study.reads()
        )

    @property
    def cohort(self) -> Both:
        """Who is asked about."""
        condition = self.study.file.cohort
        return ("全部缴存人", "all account holders") if condition is None else self._filter(condition)

    @property
    def series(self) -> Both | None:
        """Of a repeat: that one yes is to all of its runs."""
        if self.study.file.repeat is None:
            return None
        runs, first, last = self.study.runs, self.study.file.as_of, self.study.last_as_of
        cost = ("", "")
        if not self.study.exact:
            cost = (
                f"费用一次预留，epsilon {self.study.epsilon} 是全部各期之和；",
                f"one reservation, whose epsilon {self.study.epsilon} is that of all runs; ",
            )
        return (
            f"每月一期，共 {runs} 期，{first} 至 {last}：一次批准、{cost[0]}每期各答一次，数据为当期快照。",
            f"{runs} monthly runs, {first} to {last}, under one approval: {cost[1]}each run answers once, from the snapshot "
            "of its own date.",
        )

    @property
    def levels(self) -> tuple[tuple[str, str, str], ...]:
        """Of each attribute of cities: its name, this city's level (empty: none), and how many of the cities asked share it."""
        found, cities = [], self.request.cities
        for name, given in sorted((self.study.file.cities.attributes or {}).items()):
            own = given.get(self.city.city, "")
            found.append((name, own, str(sum(given.get(city, "") == own for city in cities))))
        return tuple(found)

    @property
    def leaves(self) -> tuple[Both, ...]:
        """What would leave this city, in sentences."""
        summed, own, found = self.study.workload.layout, self.study.workload.own, list[Both]()
        if summed.blocks:
            found.append(
                (
                    f"用于合计的一组整数，共 {summed.length:,} 格（{len(summed.blocks)} 张表），加密掩码后送出："
                    "协调方只能打开各市之和，看不到本市的数。",
                    f"whole numbers for the sum, in {summed.length:,} cells ({len(summed.blocks)} tables), under masks: "
                    "the coordinator can open the sum over cities, never this city's numbers.",
                )
            )
        if own.blocks:
            found.append(
                (
                    f"本市单独的表，共 {own.length:,} 格（{len(own.blocks)} 张表），不加掩码，随结果公布。",
                    f"this city's own tables, in {own.length:,} cells ({len(own.blocks)} tables), without masks: "
                    "they are published.",
                )
            )
        if self.study.exact:
            found.append(("不加噪声：数值是精确的。", "no noise is added: the numbers are exact."))
            found += self._exact_leaves
        elif self.agreement is not None:
            shared = (
                f"至少 {self.agreement.honest} 个诚实城市分担合计的噪声",
                f"that of the sum is shared by at least {self.agreement.honest} honest cities",
            )
            alone = ("本市单独的表由本市承担全部噪声", "that of the own tables is all this city's")
            said = [words for words, there in ((shared, summed.blocks), (alone, own.blocks)) if there]
            found.append(
                (
                    f"每格加随机噪声，误差写明在结果中：{'；'.join(zh for zh, _ in said)}。",
                    f"every cell carries random noise, which results state: {'; '.join(en for _, en in said)}.",
                )
            )
            found += self._widths(self.agreement)
        found.append(
            (
                "不含任何一名缴存人的记录，也不含本市代码。",
                "no holder's record is in it, and no code of this city.",
            )
        )
        found += figures(self.study, self.facts)
        for name, codes in sorted(self.unused.items()):
            listed = [self.study.dictionary.code_label(name, code, "zh") for code in codes]
            in_english = [self.study.dictionary.code_label(name, code, "en") for code in codes]
            found.append(
                (
                    f"批准书写明：本市没有一个值对应 {self.variable(name)[0]} 的 {'、'.join(listed)}（已并入其他代码，或本市不记）。",
                    f"the approval says that no value of this city becomes {', '.join(in_english)} of {self.variable(name)[1]}: "
                    "merged into another code, or not kept.",
                )
            )
        found.append(
            (
                "另附：批准书、参与证明、本市不能提供的变量名。其余一概不出本市（docs/what-leaves.md）。",
                "beside it: the approval, an attestation, names of variables the city has not. Nothing else (docs/what-leaves.md).",
            )
        )
        return tuple(found)

    def _widths(self, agreement: Agreement) -> Iterator[Both]:
        """How wide the noise of counts is, in the table that gets least of it and in the one that gets most: who asks splits the budget."""
        places = [
            (
                {
                    block.name: (v20 / UNIT) ** 0.5
                    for block, v20 in zip(layout.blocks, v20s, strict=True)
                    if block.measure is Measure.ONE
                },
                words,
            )
            for layout, v20s, words in (
                (agreement.layout, agreement.v20, ("各市合计的人数", "counts of the sum over cities")),
                (agreement.own, agreement.own_v20, ("本市单独的人数", "this city's own counts")),
            )
        ]
        counted = [each for each in agreement.drawn if each.draw.l1 == each.draw.l2sq]  # each holder adds 1 to a cell
        of_rounds = {each.name: (each.v20 / UNIT) ** 0.5 for each in counted}
        for sd, (zh, en) in (*places, (of_rounds, ("多轮问题每轮合计的人数", "counts of the sum of a round"))):
            if not sd:
                continue
            least, most = f"{min(sd.values()):,.1f}", f"{max(sd.values()):,.1f}"
            if least == most:
                yield f"{zh}：噪声标准差 {least}。", f"{en}: noise of standard deviation {least}."
                continue
            table = min(sd, key=lambda name: sd[name])
            yield (
                f"{zh}：噪声标准差 {least} 至 {most}，最小的是 {table}。",
                f"{en}: noise of standard deviation {least} to {most}, least in {table}.",
            )

    @property
    def _exact_leaves(self) -> Iterator[Both]:
        """What leaves without noise, and what is withheld where."""
        least = self.limits.min_cell
        small = (f"小于 {least} 的格以及能推算出它们的格", f"cells below {least}, and those that give them away,")
        if self.study.summed:
            yield "协调方看到各市合计的每一格。", "the coordinator sees every cell of the sum over all cities."
            yield "缺一市即不计算；不会公布少一市的结果。", "one city missing: nothing is computed; no sum without it."
        if any(self.study.release_of(each) != "pooled" for each in self.study.many):
            yield (
                "本市自己的 AUC、KS、校准与 PSI 取三位小数，由协调方与每个作答城市看到；任一类不足 100 例时不送。",
                "this city's own AUC, KS, calibration and PSI, to three decimals, are seen by the coordinator and every city that answers; "
                "with fewer than 100 of a class nothing of it leaves.",
            )
        if any(getattr(each, "files", None) for each in self.study.many):
            yield (
                "模型文件由提问方带来，可以把人分得极细：协调方与每个作答城市看到的分数直方图里，一格可能只有一人，一个数也可能只取决于一人。"
                "只对来历清楚的模型同意。",
                "a model file comes from the asker and may tell holders apart as finely as it likes: in the histogram of its scores, "
                "which the coordinator and every city that answers see, a cell may be one holder, and a figure may turn on one. "
                "Say yes to a model only if you know where it comes from.",
            )
        if least <= 1:
            yield "任何一格都不隐去。", "no cell is withheld."
        elif self.study.counted:
            yield f"{small[0]}，送出之前由本市隐去。", f"{small[1]} are withheld by this city before anything leaves."
        else:
            yield (
                f"{small[0]}，公布之前由协调方隐去。",
                f"{small[1]} are withheld by the coordinator before it publishes.",
            )

    @property
    def undone(self) -> tuple[Both, ...]:
        """Mode exact: what a yes binds this city to, for good."""
        if not self.study.exact:
            return ()
        limits = self.limits
        own = limits.min_cohort_by_city if self.study.told else limits.min_cohort
        most = limits.most_releases_per_snapshot
        later = (
            f"本市从此记住这是哪些人（只存在本市）：以后的精确研究若与它只差 1 至 {own - 1} 人，一律拒绝；dp 模式不受影响。",
            "from now on this city remembers who they were, here and nowhere else: later exact studies that differ from it by "
            f"1 to {own - 1} holders are refused; mode dp is not affected.",
        )
        alone = (
            "本市的规则允许精确结果只涉及一人。",
            "the rules of this city allow exact results about a single holder.",
        )
        return (
            (
                "由精确的数能推算出的一切，送出后都不能收回；也没有预算会用完，来拦住以后的推算。",
                "what can be worked out from exact numbers can never be taken back, and no budget runs out that would stop it later.",
            ),
            later if own > 1 else alone,
            (
                f"同一快照的精确研究至多 {most} 次，这是其中一次。",
                f"one snapshot answers {most} exact studies at most; this is one of them.",
            ),
        )

    def variable(self, name: str) -> Both:
        """Label and name."""
        meant = self.study.meant
        if not meant.named(name):
            return name, name
        zh, en = meant.label_of(name, "zh"), meant.label_of(name, "en")
        return (f"{zh}（{name}）" if zh != name else name), (f"{en} ({name})" if en != name else name)

    def _filter(self, condition: Filter) -> Both:
        match condition:
            case All(all=parts):
                return self._joined(parts, ("且", " and "))
            case Any_(any=parts):
                return self._joined(parts, ("或", " or "))
            case Not(not_=part):
                zh, en = self._filter(part)
                return f"非（{zh}）", f"not ({en})"
            case Leaf():
                return self._leaf(condition)
        assert_never(condition)

    def _joined(self, parts: Sequence[Any], words: Both) -> Both:
        found = [self._filter(part) for part in parts]
        inner = [(f"（{zh}）", f"({en})") if len(found) > 1 else (zh, en) for zh, en in found]
        return words[0].join(zh for zh, _ in inner), words[1].join(en for _, en in inner)

    def _leaf(self, leaf: Leaf) -> Both:
        name, sign = self.variable(leaf.variable), leaf.operator()
        operand: Any = getattr(leaf, f"{sign}_" if sign in ("is", "in") else sign)
        if sign == "missing":
            words = ("缺失", "is missing") if operand else ("不缺失", "is known")
            return f"{name[0]}{words[0]}", f"{name[1]} {words[1]}"
        listed = operand if isinstance(operand, tuple) else (operand,)
        zh, en = (
            (" – " if sign == "between" else mark).join(self._value(leaf.variable, each, language) for each in listed)
            for mark, language in (("、", "zh"), (", ", "en"))
        )
        return f"{name[0]}{SIGNS[sign][0]} {zh}", f"{name[1]} {SIGNS[sign][1]} {en}"

    def _value(self, variable: str, text: str, language: Any) -> str:
        meant = self.study.meant
        return meant.code_label(variable, text, language) if text in meant.codes(variable) else text


def sheet(
    *,
    city: City,
    digest: str,
    request: Request,
    policy: Policy,
    origins: Sequence[Origin],
    view: View,
    roster: Roster,
    cannot: Sequence[str],
    opinions: Sequence[Opinion],
    now: int,
    unused: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
    facts: Said = MappingProxyType({}),
) -> Sheet:
    """All that an officer of `city` should know of one study. Pure.

    `origins`: of the values of the policy in force; `cannot`: variables that the city cannot map; `unused`: of others, codes that no local
    text becomes; `facts`: what the city states about itself on the day of the study.
    """
    study = request.asked()
    names = {each.name: each.id for each in roster.entries.cities if each.state == "active"}
    cities = [name for name in request.cities if name in names]
    decision = decide(study, role=request.role, cities=cities, cannot=None, policy=policy)
    reasons: list[HpfedError] = list(decision.reasons)
    agreement = None
    try:
        agreement = agree(study, [names[name] for name in cities], roster)
    except HpfedError as no:
        reasons += [each for each in no.every() if each.code not in {reason.code for reason in reasons}]
    held = any(each.claim.study == digest and each.state != "void" for each in view.reservations)
    held = held or any(each.study == digest for each in view.repeats)
    cost = agreement.cost if agreement is not None and not held else privacy.FREE  # what is held is in `used` already
    rooms = [] if study.exact else [view.room(scope, request.asker, now) for scope in SCOPES]
    shares = tuple(_share(room, view, cost, now) for room in rooms)
    reasons += [_no_room(each, request.asker) for each in shares if not each.fits]
    rule, place = _rule(decision, policy, origins)
    return Sheet(
        city=city,
        digest=digest,
        request=request,
        study=study,
        decision=decision,
        rule=rule,
        place=place,
        agreement=agreement,
        shares=shares,
        reasons=tuple(reasons),
        cannot=tuple(cannot),
        facts={name: value for name, value in facts.items() if name in study.facts},
        unused={name: tuple(codes) for name, codes in unused.items() if name in study.reads()},
        limits=policy.file.exact,
        opinions=tuple(opinions),
        approved=view.approvals.get(digest),
        declined=view.declined.get(digest),
    )


def _share(room: Room, view: View, cost: privacy.Cost, now: int) -> Share:
    order, whole = room.cap.order, room.cap.room
    used = privacy.cost_at(room.used.curve, order)
    return Share(
        scope=room.scope,
        epsilon=str(room.cap.epsilon),
        used=used / whole,
        after=(used + privacy.cost_at(cost.curve, order)) / whole,
        fits=privacy.fits(room.cap, room.used, cost),
        renews=room.renews,
        ends=outlook(room, view.reservations, now).ends,
        order=order,
    )


def _no_room(share: Share, asker: str) -> Refusal:
    """As the gate would say it, in parts of the cap."""
    what = {"per_asker_year": "BUDGET_ASKER", "per_year": "BUDGET_YEAR", "total": "BUDGET_TOTAL"}[share.scope]
    cost, left = f"{share.after - share.used:.1%}", f"{max(0.0, 1 - share.used):.1%}"
    renews = share.renews.isoformat() if share.renews else ""
    return Refusal(what, asker=asker, cost=cost, left=left, order=share.order, epsilon=share.epsilon, renews=renews)


def _rule(decision: Decision, policy: Policy, origins: Sequence[Origin]) -> tuple[str, str]:
    """The rule that matched, as it is written, and file and line of the rules."""
    at = next(str(each.at) for each in origins if each.key == "approve")
    if decision.rule == "approve":
        return "", at
    rule = policy.file.approve[int(decision.rule.removeprefix("approve[").removesuffix("]"))]
    written = rule.model_dump(mode="json", exclude_none=True)
    words = ", ".join(f"{key}: {_plain(value)}" for key, value in written.items())
    return "{" + words + "}", f"{at}[{decision.rule[8:-1]}]"


def _plain(value: object) -> str:
    return "[" + ", ".join(map(str, value)) + "]" if isinstance(value, list) else str(value)


# --- what has left


def released(held: Reservation, view: View) -> dict[str, Any]:
    """One conversation as the ledger knows it: what was promised, what left, what it cost; of a repeat, what else is held for it."""
    claim = held.claim
    further = next((each for each in view.repeats if held.repeat and each.seq == held.repeat.seq), None)
    blocks = [
        {
            "block": each.block,
            "by_city": each.own,
            "most_of_one_holder": str(each.l1),
            "noise_sd_city": round((each.v20 / UNIT) ** 0.5, 3),
            "noise_sd_sum": round((each.total / UNIT) ** 0.5, 3),
        }
        for each in claim.charges
    ]
    epsilon = privacy.epsilon_of(held.charged.curve, Decimal(claim.delta)) if any(held.charged.curve) else Decimal(0)
    return {
        "conversation": claim.conversation,
        "study": claim.study,
        "asker": claim.asker,
        "run": claim.runs[0] - 1,
        "at": held.at,
        "mode": claim.mode,
        "state": held.state,
        "purpose": claim.purpose,
        "cohort": claim.cohort,
        "variables": list(claim.variables),
        "cities": len(claim.cities),
        "blocks": blocks,
        "epsilon": f"{epsilon:.4f}" if claim.mode == "dp" else None,
        "repeat": {"held": [run - 1 for run in sorted(further.open)], "until": further.until} if further else None,
        "sent": [
            {"round": number, "bytes_sha256": each.spent.reply, "vector": each.spent.y, "snapshot": each.spent.snapshot}
            for number, each in held.rounds.items()
            if each.spent and each.sent
        ],
        "charged_without_sending": sum(each.spent is not None and not each.sent for each in held.rounds.values()),
        "sums": [each.answered.sum for each in held.rounds.values() if each.answered],
    }


def released_lines(found: Sequence[dict[str, Any]], language: str) -> list[str]:
    """The same for a terminal."""
    n = 0 if language == "zh" else 1

    def say(chinese: str, english: str) -> str:
        return (chinese, english)[n]

    states = {
        "reserved": ("已预留，什么也没送出", "held; nothing has left"),
        "read": ("已读取，什么也没送出", "rows were read; nothing has left"),
        "spent": ("已送出并计费，尚无结果", "left and charged; no result yet"),
        "answered": ("已送出，结果已公布", "left; the result is out"),
        "void": ("已取消，什么也没送出，不计费", "ended; nothing left, nothing charged"),
    }
    out = []
    for each in found:
        out.append(f"{each['conversation'][:12]}  {stamp(each['at'])}  {each['asker']}  {states[each['state']][n]}")
        out.append("  " + say("目的", "purpose") + f": {shown(each['purpose'])}")
        out.append("  " + say("读取的变量", "variables read") + f": {', '.join(each['variables'])}")
        out += [
            "  "
            + each["block"]
            + say(
                f"：噪声标准差 本市 {each_sd(each, 'city')}，合计 {each_sd(each, 'sum')}",
                f": noise sd {each_sd(each, 'city')} of this city, {each_sd(each, 'sum')} of the sum",
            )
            for each in each["blocks"]
        ]
        if not each["blocks"]:
            out.append("  " + say("精确模式：不加噪声", "mode exact: no noise"))
        out += ["  " + say("送出的字节", "bytes that left") + f" {sent['bytes_sha256']}" for sent in each["sent"]] or [
            "  " + say("没有送出任何字节", "no bytes left")
        ]
        if each["epsilon"] is not None:
            out.append("  " + say("计费", "charged") + f": epsilon {each['epsilon']}")
        if each["repeat"] is not None:
            runs, until = ", ".join(map(str, each["repeat"]["held"])) or "-", stamp(each["repeat"]["until"])
            out.append(
                "  "
                + say(
                    f"第 {each['run']} 期；另为以下各期预留至 {until}：{runs}",
                    f"run {each['run']}; held until {until} for runs {runs}",
                )
            )
    return [escaped(line) for line in out]


def each_sd(block: dict[str, Any], of: str) -> str:
    return f"{block[f'noise_sd_{of}']:,.1f}"


# --- as text, and as a page


def value(found: Sheet, now: int) -> dict[str, Any]:
    """The sheet as data."""
    file = found.study.file
    return {
        "id": found.id,
        "study": found.digest,
        "name": file.study,
        "revision": file.revision,
        "title": file.title.model_dump(),
        "purpose": file.purpose.model_dump(),
        "asker": {"id": found.request.asker, "role": found.request.role, "name": found.request.name},
        "as_of": file.as_of.isoformat(),
        "runs": {"of": found.study.runs, "last_as_of": found.study.last_as_of.isoformat()},
        "cities": list(found.request.cities),
        "cohort": dict(zip(("zh", "en"), found.cohort, strict=True)),
        "levels": {name: level or None for name, level, _ in found.levels},
        "questions": [
            {"id": name, "zh": words[0], "en": words[1], "cells": cells} for name, words, cells, _ in found.questions
        ],
        "variables": [{"name": name, "class": level, "here": has} for name, _, level, has in found.variables],
        "leaves": [sentence[1] for sentence in found.leaves],
        "unused": {name: list(codes) for name, codes in found.unused.items()},
        "undone": [sentence[1] for sentence in found.undone],
        "mode": file.privacy.mode,
        "epsilon": str(found.study.epsilon) if not found.study.exact else None,
        "budget": [
            {"scope": each.scope, "epsilon": each.epsilon, "used": round(each.used, 4), "after": round(each.after, 4)}
            for each in found.shares
        ],
        "rule": found.rule,
        "rule_at": found.place,
        "decide": found.decision.decide,
        "reasons": [{"code": each.code, "zh": each.text("zh"), "en": each.text("en")} for each in found.reasons],
        "officers": [
            {"officer": each.said.officer, "answer": each.said.answer, "at": each.said.at, "reason": each.reason}
            for each in found.opinions
        ],
        "state": standing(found, "en", now),
    }


def lines(found: Sheet, language: str, now: int) -> list[str]:
    """The sheet for a terminal."""
    zh = language == "zh"
    n, file = 0 if zh else 1, found.study.file

    def say(chinese: str, english: str) -> str:
        return chinese if zh else english

    price = say("精确，不加噪声", "exact, no noise") if found.study.exact else f"epsilon {found.study.epsilon}"
    out = [
        f"{found.id}  {file.title.text('zh' if zh else 'en')}  ({file.study}, revision {file.revision})",
        say("提问方", "asked by") + f": {found.request.name} ({found.request.asker}, {ROLES[found.request.role][n]})",
        say("目的", "purpose") + f": {file.purpose.text('zh' if zh else 'en')}",
        say("数据日期", "as of") + f": {file.as_of}; " + say("城市", "cities") + f": {', '.join(found.request.cities)}",
        *([say("期数", "runs") + f": {found.series[n]}"] if found.series else []),
        *([say("多轮问题", "many rounds") + f": {found.session[n]}"] if found.session else []),
        say("对象", "about") + f": {found.cohort[n]}",
        *(
            say(
                f"本市的城市属性 {name}: {level or '未给出'}（共 {count} 个城市）",
                f"attribute {name} of this city: {level or 'none'} ({count} cities)",
            )
            for name, level, count in found.levels
        ),
        "",
        say("问题", "questions"),
        *(f"  {name}: {words[n]} – {cells:,} " + say("格", "cells") for name, words, cells, _ in found.questions),
        say("读取的变量", "variables read"),
        *(
            f"  {label[n]} [{level}]" + ("" if has else say("：本市没有", ": this city has it not"))
            for _, label, level, has in found.variables
        ),
        say("送出什么", "what leaves"),
        *(f"  {sentence[n]}" for sentence in found.leaves),
        *([say("不能撤回的事", "what cannot be undone")] if found.undone else []),
        *(f"  {sentence[n]}" for sentence in found.undone),
        say("花费", "cost") + f": {price}",
        *(f"  {_budget(share, n)}" for share in found.shares),
        say("规则", "rule") + f": {found.rule or say('没有规则符合', 'no rule matches')} ({found.place})",
        say("结论", "decision") + f": {DECISIONS[found.decision.decide][n]}",
        *(f"  {reason.text('zh' if zh else 'en')}" for reason in found.reasons),
    ]
    for each in found.opinions:
        answer = {"approve": say("同意", "yes"), "decline": say("不同意", "no")}[each.said.answer]
        out.append(
            f"  {each.said.officer}: {answer}, {stamp(each.said.at)}" + (f": {each.reason}" if each.reason else "")
        )
    out.append(say("状态", "state") + f": {standing(found, language, now)}")
    return [escaped(line) for line in out]


def _budget(share: Share, n: int) -> str:
    zh = f"{SCOPES[share.scope][0]}（epsilon {share.epsilon}）：已用 {share.used:.1%}，批准后 {share.after:.1%}"
    en = f"{SCOPES[share.scope][1]} (epsilon {share.epsilon}): {share.used:.1%} used, {share.after:.1%} with this study"
    return (zh, en)[n]


def standing(found: Sheet, language: str, now: int) -> str:
    """Where the study stands at this city."""
    n = 0 if language == "zh" else 1
    if found.declined is not None:
        codes = ", ".join(found.declined.codes)
        by = ", ".join(found.declined.officers) or ("规则", "a rule")[n]
        said = (f"已拒绝（{by}）：{codes}", f"refused by {by}: {codes}")[n]
        return f"{said}; {found.declined.reason}" if found.declined.reason else said
    late = next((each.said.officer for each in found.opinions if each.said.answer == "decline"), None)
    if late is not None:
        return (
            f"{late} 不同意：自下一次请求起生效，已经送出的不能收回",
            f"{late} said no: it holds from the next request on; what has left cannot be taken back",
        )[n]
    if found.approved is not None and found.approved.expires > now:
        by = ", ".join(found.approved.officers) or ("规则", "rule")[n]
        until = stamp(found.approved.expires)
        return (f"已批准（{by}），有效至 {until}", f"approved by {by} until {until}")[n]
    yes, needed = sum(each.said.answer == "approve" for each in found.opinions), found.decision.needed
    return (f"待审批：{needed} 人中已有 {yes} 人同意", f"waits for officers: {yes} of {needed} said yes")[n]


def stamp(at: int) -> str:
    """A time for people, in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")


def page(found: Sheet, now: int) -> str:
    """The approval sheet as one HTML page, for A4. Texts of the study are escaped; markup comes from the template alone."""
    import jinja2

    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("node", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made = templates.get_template("sheet.html.j2")
    words = {"decisions": DECISIONS, "releases": RELEASES, "roles": ROLES, "scopes": SCOPES}
    return made.render(
        s=found,
        file=found.study.file,
        at=stamp(now),
        stamp=stamp,
        state=(standing(found, "zh", now), standing(found, "en", now)),
        shown=shown,
        **words,
    )


def shown(text: str, most: int = 600) -> str:
    """A text of somebody else's, with what a reader cannot see written out, and no longer than a sheet can hold."""
    plain = escaped(text)
    return plain if len(plain) <= most else plain[: most - 1] + "…"
