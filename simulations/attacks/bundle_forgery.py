"""T50: a forged result: files changed, exchanged, added or removed; and a whole consortium's result under somebody else's root key."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from coordinator import verify
from protocols import manifest
from protocols.canonical import canonical, parse_canonical
from protocols.entropy import Entropy, exactly
from protocols.roster import self_declared
from simulations import world as worlds
from simulations.attacks.outcome import Outcome
from simulations.attacks.parties import Weaken, World
from simulations.attacks.towns import lay_out, written

THREAT: Final = "T50"
WHAT: Final = {"zh": "伪造结果包", "en": "a forged results bundle"}
HOLDS: Final = {"zh": "结果文件，没有任何参与方的密钥", "en": "the files of a result, no party's key"}
WEAKENED: Final[tuple[Weaken, ...]] = (lambda world: replace(world, root=lambda _pinned, shown: shown.file),)


def run(world: World, entropy: Entropy) -> Outcome:
    """Forgeries that verification against the pinned roster does not find. The true result holds."""
    with TemporaryDirectory() as place:
        true, false = (made(Path(place) / name, entropy) for name in ("true", "false"))
        pinned = (true / manifest.ROSTER).read_bytes()
        assert holds(world, true, pinned)  # noqa: S101 a verifier that refuses everything would prove nothing
        believed = sum(holds(world, forged, pinned) for forged in altered(true, Path(place) / "altered"))
        return Outcome(believed + holds(world, false, pinned), 0, "forgeries")


def made(folder: Path, entropy: Entropy) -> Path:
    """A sealed result of three tiny cities: results.json and its bundle, without the pages."""
    lay_out(folder / "cities", entropy, 3, (), 40)
    study = written(folder / "cities", "sealed", dropouts=0)
    outcome = worlds.run(study, folder / "cities", folder / "homes", seed=int.from_bytes(exactly(entropy, 6), "big"))
    assert outcome.sealer is not None  # noqa: S101 a fresh answer has one
    files = {manifest.RESULTS: outcome.results}
    for path, content in {**files, **outcome.sealer.sealed(files, ())}.items():
        (folder / "out" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "out" / path).write_bytes(content)
    return folder / "out"


def holds(world: World, out: Path, pinned: bytes) -> bool:
    """Whether a reader who goes by this roster believes the result."""
    shown = self_declared((out / manifest.ROSTER).read_bytes())
    return all(step.holds for step in verify.verify(out, world.root(pinned, shown)))


def altered(true: Path, place: Path) -> Iterator[Path]:
    """Copies of the result with one thing changed."""
    files = sorted(path.relative_to(true) for path in true.rglob("*") if path.is_file() and path.name != "roster.json")
    for path in files:
        shutil.copytree(true, place)
        content = bytearray((place / path).read_bytes())
        content[len(content) // 2] ^= 1
        (place / path).write_bytes(bytes(content))
        yield place
        shutil.rmtree(place)
    shutil.copytree(true, place)
    (place / files[0]).unlink()
    yield place
    shutil.copyfile(true / files[0], place / files[0])
    tree = parse_canonical((place / manifest.RESULTS).read_bytes(), "results")
    tree["questions"]["jobs"]["rows"][0]["estimate"] += 1
    (place / manifest.RESULTS).write_bytes(canonical(tree))
    yield place
    (place / "more.csv").write_bytes(b"trust me")
    yield place
