"""Three (or more) tiny cities with open gates, for tests that talk to a gate message by message."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from coordinator import rounds
from node import ingest
from node.gate import Gate
from node.identity import identity
from protocols import study as studies
from protocols.approval import sign_study
from protocols.canonical import digest_bytes
from protocols.entropy import seeded
from protocols.messages import Body, Identity, Matter, Plan, matter_of, seal
from protocols.plan import Agreement
from protocols.roster import COORDINATOR
from protocols.study import Study
from simulations import world

CITIES: Final = ("east", "north", "west")
DICTIONARY: Final = """dictionary: tiny
version: 1
variables:
  product: {type: category, codes: {monthly: {}, free: {}}}
  sex: {type: category, codes: {male: {}, female: {}}}
  age: {type: integer, range: [16, 80]}
"""
STUDY: Final = """study: tiny-study
title: {zh: 小研究, en: Tiny}
purpose: {zh: 测试, en: a test}
asker: analyst
dictionary: dictionary.yaml
as_of: 2022-05-31
privacy: {mode: dp, epsilon: 1.0, tolerate: {dropouts: 0, colluders: 1}}
questions:
  - {id: all, kind: count}
  - {id: product, kind: frequency, of: product, by: sex}
"""
MAPPING: Final = """mapping: 1
city: {city}
dictionary: ../dictionary.yaml
snapshot: 2022-05-31
sources: {{rows: {{kind: csv, files: data/rows.csv, encoding: utf-8}}}}
tables: {{main: {{source: rows, key: id, main: true, duplicates: fail}}}}
variables:
  product: {{from: main.product, codes: {{m: monthly, f: free}}}}
  sex: {{from: main.sex, codes: {{m: male, f: female}}}}
  age: {{from: main.age}}
"""


def nothing(size: int) -> bytes:
    """Entropy for a key that is there already."""
    raise AssertionError(size)


@dataclass
class Rig:
    """Gates and a coordinator that a test can make lie. `post` numbers and stamps; nothing is sent but by the test."""

    study: Study
    present: world.Everyone
    folder: Path

    @property
    def gates(self) -> Mapping[str, Gate]:
        return self.present.link.gates

    @property
    def gate(self) -> Gate:
        """The gate of the first city, id 1."""
        return self.gates[CITIES[0]]

    @property
    def now(self) -> int:
        return self.present.post.clock()

    def sealed(
        self, body: Body, matter: Matter, *, to: int = 1, seq: int | None = None, identity: Identity | None = None
    ) -> bytes:
        """An envelope of the coordinator (or of `identity`) to one city."""
        post = self.present.post
        stamp = post.stamp()
        return seal(
            body,
            identity=identity or post.identity,
            to=to,
            roster=post.roster,
            matter=matter,
            seq=stamp.seq[to] if seq is None else seq,
            now=stamp.now,
        )

    def matter(self, study: Study | None = None) -> Matter:
        """What an offer of the study is about."""
        return Matter(self.now + 3600, digest_bytes((study or self.study).digest), 1)

    def signed(self, study: Study) -> bytes:
        """Another study, signed by the asker of this one."""
        home = world.coordinator_home(self.folder, self.folder / "homes") / "askers" / study.file.asker
        return sign_study(study, identity(home, nothing))

    def approved(self) -> tuple[rounds.Answers, Agreement]:
        """All cities say yes."""
        answers = rounds.offer(self.present.post, self.study, self.present.signed, self.present.ids)
        return answers, rounds.agreed(self.present.post, self.study, answers)

    def plan(self, agreement: Agreement, conversation: bytes = b"c" * 16, life_s: int = 3600) -> Plan:
        return agreement.plan(
            conversation=conversation,
            roster=self.present.post.roster,
            expires=self.now + life_s,
            cannot=dict.fromkeys(agreement.cities, ()),
        )

    def about(self, plan: Plan) -> Matter:
        return matter_of(plan)


def write(folder: Path, rows: int = 12, study: str = STUDY, cities: Sequence[str] = CITIES) -> None:
    """City folders, dictionary and study."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dictionary.yaml").write_text(DICTIONARY, encoding="utf-8")
    (folder / "study.yaml").write_text(study, encoding="utf-8")
    for number, city in enumerate(cities):
        data = folder / city / "data"
        data.mkdir(parents=True)
        (folder / city / "city.yaml").write_text(
            f'city: {city}\nname: {{zh: {city}, en: {city}}}\ncode: "00000{number}"\nsynthetic: true\n',
            encoding="utf-8",
        )
        (folder / city / "mapping.yaml").write_text(MAPPING.format(city=city), encoding="utf-8")
        lines = [f"{city}{i},{'mf'[i % 2]},{'mf'[(i // 2) % 2]},{20 + i}" for i in range(rows)]
        (data / "rows.csv").write_text("\n".join(["id,product,sex,age", *lines]) + "\n", encoding="utf-8")


@contextmanager
def rig(folder: Path, *, study: Study | None = None, homes: Path | None = None) -> Iterator[Rig]:
    """The tiny world, ingested and open. `folder`: as `write` left it."""
    asked = study or studies.load(folder / "study.yaml")
    homes = homes or folder / "homes"
    found = world.parties(folder, asked)
    for party in found:
        ingest.ingest(party.folder, world.home(party.folder, homes), seeded("tests", party.city.city))
    clock = world.Clock(world.SEEDED_START)
    with world.everyone(asked, found, folder, homes, seed=5, clock=clock) as present:
        yield Rig(asked, present, folder)


__all__ = ["CITIES", "COORDINATOR", "STUDY", "Rig", "rig", "write"]
