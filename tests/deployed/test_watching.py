"""What an engine says of a study, and how lines of a program that is not ours are kept."""

import json
import signal
import subprocess
import sys
from pathlib import Path

from coordinator import port
from coordinator.engine import looked
from coordinator.watched import Watched
from protocols.logfile import FOLDER, Log
from protocols.logged import Event, Line
from protocols.measured import STEPS
from simulations.children import until
from tests import gates
from tests.deployed.test_engine import town

AT = 1_764_131_831_042


def never(_seconds: float) -> None:
    """Everybody is there and says yes at once: nothing is waited for."""
    raise AssertionError


def test_an_engine_says_of_a_study_what_it_asked_and_that_it_is_released_and_its_figures_follow(tmp_path: Path) -> None:
    kept, figures = list[Line](), port.figures()
    log = Log(lambda: AT, kept.append, figures.heard)
    with town(tmp_path) as made:
        run = made.asks()
        engine = made.engine(never, log=log, alive=lambda: False)
        engine.link = Watched(made, log)
        engine.play(run)
        released = [each for each in kept if each.event is Event.RELEASED]
        assert [each.study for each in released] == [made.study.digest]
        assert {each.study for each in kept if each.study} == {made.study.digest}
        asked = {each.step.value for each in kept if each.step and each.event is Event.ASKED}
        assert asked >= {"offer", "open", "adverts", "deliver", "survivors", "confirms", "receipt", "attest"}
        assert looked(figures, engine) == {"run": False, "roster": True}
        for step in asked:
            assert figures.value("hpfed_exchange_seconds", step) is not None
        assert [figures.value("hpfed_conversations", step) for step in STEPS] == [0.0] * len(STEPS)
        assert [figures.value("hpfed_cities", each) for each in ("active", "present", "revoked")] == [3.0, 3.0, 0.0]
        assert 0 < (figures.value("hpfed_roster_days_left") or 0) <= 90
        made.signs(revoked=(3,))
        engine.look()
        assert kept[-1].event is Event.ROSTER
        looked(figures, engine)
        assert [figures.value("hpfed_cities", each) for each in ("active", "revoked")] == [2.0, 1.0]
    text = "".join(each.text() for each in kept) + figures.text()
    assert not any(f"{city}{row}" in text for city in gates.CITIES for row in range(12))  # keys of holders


PROGRAM = """import sys
from pathlib import Path
from types import SimpleNamespace
from coordinator.supervisor import captured
said = (
    "import sys, time; print('INFO :      row of holder 110101', flush=True); "
    "print('ERROR : 110101 code: 305', file=sys.stderr, flush=True); time.sleep(60)"
)
host = SimpleNamespace(home=Path(sys.argv[1]), command=lambda _piece: [sys.executable, "-c", said])
sys.exit(captured(host, {}))
"""


def test_of_a_superlink_that_a_service_manager_keeps_levels_and_numbers_stay_and_a_signal_ends_it(
    tmp_path: Path,
) -> None:
    path = tmp_path / FOLDER / "superlink.jsonl"
    keeps = subprocess.Popen([sys.executable, "-c", PROGRAM, str(tmp_path)], stderr=subprocess.PIPE)  # noqa: S603 our own text
    try:
        assert until(lambda: path.is_file() and len(path.read_bytes().splitlines()) == 2, 20)
        keeps.send_signal(signal.SIGTERM)
        _, said = keeps.communicate(timeout=20)
    finally:
        keeps.kill()
    assert keeps.returncode == 128 + signal.SIGTERM
    lines = [json.loads(each) for each in path.read_bytes().splitlines()]
    assert [(each["event"], each["level"], each.get("code")) for each in lines] == [
        ("flwr", "info", None),
        ("flwr", "error", "FLWR_305"),
    ]
    assert said == path.read_bytes()
    assert b"110101" not in said
