"""A study that the engine of this home is asked: listed, waited for, written."""

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from coordinator.deployed.cli import now
from coordinator.shell import printed, spoken

if TYPE_CHECKING:
    from coordinator.asked import Asked, Task
    from protocols.study import Study

LOOK_S: Final = 0.2
AWAY_S: Final = 60.0  # an engine that is away for so long is said to be
UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
LONGEST_S: Final = 90 * 86_400
STEPS: Final = {
    "zh": {"asked": "已提出", "offer": "等待批准", "disk": "磁盘空间不足，等待", "turn": "等待其他研究"},
    "en": {
        "asked": "asked",
        "offer": "waits for approval",
        "disk": "waits for room on the disk",
        "turn": "waits for other studies",
    },
}
WHY: Final = {
    "zh": {"pending": "待审批", "unreachable": "未连接", "files": "以文件传递"},
    "en": {"pending": "to be decided there", "unreachable": "not connected", "files": "over files"},
}


def seconds(text: str) -> int:
    """30s, 90m, 12h, 14d. Errors: `ConfigError WAIT`."""
    from protocols.errors import ConfigError

    found = re.fullmatch(r"([1-9][0-9]{0,6})([smhd])", text)
    if found is None or (given := int(found[1]) * UNITS[found[2]]) > LONGEST_S:
        raise ConfigError("WAIT", text=text)
    return given


def listed(home: Path, study: "Study", signed: bytes, task: "Task", *, accept_noisy: bool) -> "Asked":
    """Ask the engine. Nothing is asked that cannot be answered. Errors: `ConfigError` ENGINE_AWAY, STUDY_CITIES, PLAN_NOISY; `PeerError
    ROSTER_EXPIRED`; `Refusal APPROVAL_ASKER`."""
    from coordinator import asked, beforehand, plan, roster, supervisor
    from protocols.approval import check_asker
    from protocols.errors import ConfigError, PeerError, Place

    held = roster.signed(home)
    if not supervisor.running(home, now()):
        raise ConfigError("ENGINE_AWAY", Place(str(home)))
    if not held.in_force(now()):
        raise PeerError("ROSTER_EXPIRED")
    check_asker(signed, study, held, now())
    known = {city.name for city in held.entries.cities if held.active(city.id)}
    strange = sorted({*(study.file.cities.names or ()), *task.hand} - known)
    if strange:
        raise ConfigError("STUDY_CITIES", Place(task.named), names=", ".join(strange))
    if not accept_noisy and not study.exact:
        source, cities = beforehand.chosen(study, home / roster.ROSTER, beforehand.Beforehand())
        plan.refuse_noise(plan.planned(study, cities, source, lambda _names: None))
    return asked.ask(home, study, task, signed)


def waited(run: "Asked", home: Path, language: str, tell: Callable[[str], None]) -> dict[str, Any]:
    """Wait until a run is over; how it ended. `tell`: what it waits for, whenever that changes. Ctrl-C ends the waiting alone."""
    from coordinator import supervisor

    said, away = "", 0.0
    while (ended := run.over) is None:
        line = state_line(run.state, language)
        away = 0.0 if supervisor.running(home, now()) else away + LOOK_S
        if AWAY_S <= away < AWAY_S + LOOK_S:
            tell(
                "引擎没有运行：请运行 start，研究将接着进行"
                if language == "zh"
                else "the engine is away: start it, and the study goes on"
            )
        if line != said:
            said = line
            tell(line)
        time.sleep(LOOK_S)
    return ended


def state_line(state: dict[str, Any], language: str) -> str:
    """What a run waits for, in words."""
    step = STEPS[language].get(state["step"], state["step"])
    cities = [
        f"{city} ({WHY[language].get(why, why)})" if why else city for city, why in sorted(state["cities"].items())
    ]
    return f"{step}  {', '.join(cities)}" if cities else step


def left_running(named: str, lang: str | None, as_json: bool) -> None:
    """What is said to whoever does not wait."""
    value = {"study": named, "detached": True}
    zh = f"{named} 在后台进行：study watch 查看，study results 取结果"
    en = f"{named} goes on: study watch says how it stands, study results writes its result"
    printed(value, as_json, lambda: zh if spoken(lang) == "zh" else en)


def stopped(ended: dict[str, Any], language: str, as_json: bool) -> None:
    """A run without an answer: what the engine said of it. Raises the exit."""
    from protocols.errors import json_text, lines

    if as_json:
        typer.echo(json_text({"error": ended["error"]}))
    typer.echo(lines(ended["error"][language]), err=True)
    raise typer.Exit(ended["exit"])
