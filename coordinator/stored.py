"""An answer that is kept, written again: results, reports, and the bundle with the coordinator's signature."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from coordinator import bundle, output, rotation
from coordinator import store as stores
from protocols.errors import ConfigError, Place
from protocols.manifest import ROSTER
from protocols.roster import self_declared
from protocols.study import Study


def again(study: Study, home: Path, out: Path, now: int, events: Sequence[dict[str, Any]] = ()) -> None:
    """Write the answer that is kept to `out`. `events`: how it came about, where that is told. Errors: `ConfigError STUDY_UNANSWERED`."""
    kept = stores.store(study, home)
    if not kept.answered:
        raise ConfigError("STUDY_UNANSWERED", Place(study.file.study))
    unsealed, sealer = kept.unsealed(), None
    if unsealed is not None:
        key = rotation.own(home, self_declared(unsealed.files[ROSTER]))  # the one that its readers know
        sealer = bundle.Sealer(unsealed, key, now)
    output.write(out, kept.results(), events, sealer, stored=not events)
