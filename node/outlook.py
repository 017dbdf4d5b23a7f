"""When a cap will be used up, if things go on as in the last twelve months. Information for people; no decision looks at it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from node.entries import Reservation, Room
from node.policy import Scope
from protocols import privacy

DAY: Final = 86_400
YEAR_DAYS: Final = 365
LEAST_DAYS: Final = 30  # a ledger that is younger tells too little about its pace


@dataclass(frozen=True)
class Outlook:
    """`days`: how far back the pace looks. `per_day`: cost at the cap's order, in 2**-64. `ends`: None where the pace is 0."""

    days: int
    per_day: float
    ends: date | None


SCOPES: Final[dict[Scope, tuple[str, str]]] = {
    "per_asker_year": ("该提问方本年度", "this asker, this year"),
    "per_year": ("本市本年度", "this city, this year"),
    "total": ("本市全部数据累计", "this city's data, in all"),
}
WORDS: Final = {
    "cap": (
        "{name}：epsilon {epsilon}，已用 {used:.1%}，余 {left:.1%}",
        "{name}: epsilon {epsilon}, {used:.1%} used, {left:.1%} left",
    ),
    "renews": ("，{renews} 更新", ", renews {renews}"),
    "none": ("    近 12 个月没有花费", "    nothing was charged in the last 12 months"),
    "ends": (
        "    照近 {pace_days} 天的速度，{ends} 用完",
        "    at the pace of the last {pace_days} days used up on {ends}",
    ),
    "holds": (
        "    照近 {pace_days} 天的速度，更新前用不完",
        "    at the pace of the last {pace_days} days not used up before it renews",
    ),
    "waiting": (
        "    policy.yaml 提高了这一上限：须两名审批人 hpfed-node policy sign，节点重启后生效",
        "    policy.yaml raises this cap: two officers run hpfed-node policy sign, then the node is started again",
    ),
}


def value(room: Room, held: Sequence[Reservation], waiting: bool, now: int) -> dict[str, Any]:
    """One cap as data; used, left and pace are parts of its room. `waiting`: the policy raises it, and officers have not signed."""
    ahead, whole = outlook(room, held, now), room.cap.room
    return {
        "scope": room.scope,
        "asker": room.asker,
        "epsilon": str(room.cap.epsilon),
        "delta": str(room.cap.delta),
        "used": round(1 - room.left / whole, 6),
        "left": round(room.left / whole, 6),
        "renews": room.renews,
        "pace_days": ahead.days,
        "pace_per_year": round(ahead.per_day * YEAR_DAYS / whole, 4),
        "ends": ahead.ends,
        "waiting": waiting,
    }


def lines(rooms: Sequence[dict[str, Any]], language: str) -> list[str]:
    """Caps for a terminal."""
    n, found = 0 if language == "zh" else 1, []
    for room in rooms:
        name = SCOPES[room["scope"]][n] + (f" ({room['asker']})" if room["asker"] else "")
        renews = WORDS["renews"][n].format_map(room) if room["renews"] else ""
        found.append(WORDS["cap"][n].format_map({**room, "name": name}) + renews)
        late = room["ends"] and room["renews"] and room["ends"] >= room["renews"]
        found.append(WORDS["holds" if late else "ends" if room["ends"] else "none"][n].format_map(room))
        if room["waiting"]:
            found.append(WORDS["waiting"][n])
    return found


def outlook(room: Room, held: Sequence[Reservation], now: int) -> Outlook:
    """The pace of what was charged under a cap in the last 365 days, and the day on which the cap ends at that pace.

    Where the first charge is more recent, the pace is since then, but over 30 days at least. A cap of a year that does not end before it
    renews has a day all the same: the reader sees that it lies behind the renewal. The asker of the room, if it has one, counts alone.
    """
    own = [each for each in held if each.claim.mode == "dp" and room.asker in ("", each.claim.asker)]
    first = min((each.at for each in own), default=now)
    days = min(YEAR_DAYS, max(LEAST_DAYS, -(-(now - first) // DAY)))
    since = now - days * DAY
    used = sum(privacy.cost_at(each.charged.curve, room.cap.order) for each in own if since < each.at <= now)
    if not used:
        return Outlook(days, 0.0, None)
    whole = room.left * days // used  # days that what is left will last
    today = datetime.fromtimestamp(now, UTC).date()
    return Outlook(days, used / days, today + timedelta(whole) if whole < 3_000_000 - today.toordinal() else None)
