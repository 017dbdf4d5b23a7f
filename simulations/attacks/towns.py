"""A few tiny cities with real gates, books and files, and a coordinator that a dishonest plan can be put into the hands of."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np

from coordinator import rounds, sessions
from coordinator.exchange import Failure
from node import ingest, snapshot
from node.gate import Gate, encoded
from node.identity import identity
from protocols import study as studies
from protocols.approval import sign_study
from protocols.entropy import Entropy, exactly, seeded
from protocols.errors import ABORT_NUMBERS, HpfedError
from protocols.messages import Kind
from protocols.plan import Agreement, agree
from protocols.ring import Vector
from protocols.session import Session
from protocols.study import Study
from simulations import world as worlds
from simulations.attacks.parties import World

CODES: Final = 60  # of the variable `job`
FIRST_DATE: Final = "2022-05-31"  # of the snapshots
DICTIONARY: Final = f"""dictionary: towns
version: 1
variables:
  sex: {{type: category, codes: {{male: {{}}, female: {{}}}}}}
  job: {{type: category, codes: {{{", ".join(f"j{at}: {{}}" for at in range(CODES))}}}}}
"""
AGE: Final = "  age: {type: integer, range: [16, 80]}\n  left: {type: boolean}\n"  # of towns whose holders have one
STUDY: Final = """study: {name}
title: {{zh: 攻击, en: An attack}}
purpose: {{zh: 攻击, en: an attack}}
asker: analyst
dictionary: {folder}/dictionary.yaml
as_of: {as_of}
cities: {{least: 3{names}}}
privacy: {{mode: {mode}, {epsilon}tolerate: {{dropouts: {dropouts}, colluders: 1}}}}
{cohort}questions:
  - {{id: jobs, {question}}}
"""
QUESTION: Final = "kind: crosstab, by: [job, sex]"
CITY: Final = 'city: {city}\nname: {{zh: {city}, en: {city}}}\ncode: "000000"\nsynthetic: true\n'
POLICY: Final = """policy: 1
kinds: {exact: all}
exact: {min_cohort: 1, min_pooled: 1, min_cell: 1, min_column: 1, min_unmapped: 1}
"""
MAPPING: Final = """mapping: 1
city: {city}
dictionary: ../dictionary.yaml
snapshot: {as_of}
sources: {{rows: {{kind: csv, files: data/rows.csv, encoding: utf-8}}}}
tables: {{main: {{source: rows, key: id, main: true, duplicates: fail}}}}
variables:
  sex: {{from: main.sex}}
  job: {job}
"""
AGED: Final = "  age: {from: main.age}\n  left: {from: main.left}\n"
ABORTS: Final = {number: code for code, number in ABORT_NUMBERS.items()}
UNMAPPED: Final = "{status: impossible, reason: {zh: 没有, en: not kept}}"


@dataclass
class Towns:
    """Cities `t1`, `t2`, ... by roster id 1, 2, ...; all gates are open. `homes`: where everyone keeps keys and books."""

    folder: Path
    homes: Path
    present: worlds.Everyone

    @property
    def post(self) -> rounds.Post:
        return self.present.post

    def gate(self, city: int) -> Gate:
        return self.present.link.gates[f"t{city}"]

    def study(
        self,
        name: str,
        cities: Sequence[int] = (),
        mode: str = "dp",
        cohort: str = "",
        *,
        as_of: str = FIRST_DATE,
        question: str = QUESTION,
    ) -> Study:
        """A study over these cities, all by default. `cohort`: a filter as a study file has it."""
        return written(self.folder, name, cities, mode, cohort=cohort, as_of=as_of, question=question)

    def refreshed(self, as_of: str) -> None:
        """Every city takes its rows in again, as of another date."""
        for number in self.present.ids:
            place = self.folder / f"t{number}" / "mapping.yaml"
            place.write_text(place.read_text(encoding="utf-8").replace(FIRST_DATE, as_of), encoding="utf-8")
            home = self.gate(number).station.home
            ingest.ingest(place.parent, home, seeded("refreshed", number))

    def signed(self, study: Study) -> bytes:
        """What the asker makes of it."""
        asker = identity(
            worlds.coordinator_home(self.folder, self.homes) / "askers" / study.file.asker, seeded("attacks")
        )
        return sign_study(study, asker)

    def approved(self, study: Study, cities: Sequence[int]) -> rounds.Answers:
        """Offer the study to these cities."""
        return rounds.offer(self.post, study, self.signed(study), cities)

    def meanwhile(self, act: Callable[[], object]) -> None:
        """Do this once, in the middle of the next conversation: all its cities have been asked to open it."""
        post, link = self.post, self.present.link

        class Between:
            """The link, with something else to carry first."""

            def each(
                self, kind: str, requests: Mapping[str, bytes], timeout_s: float
            ) -> Iterator[tuple[str, bytes | Failure]]:
                if kind == Kind.ADVERTS.value:
                    post.link = link
                    act()
                return link.each(kind, requests, timeout_s)

            def close(self) -> None:
                link.close()

        post.link = Between()

    def summed(self, study: Study, cities: Sequence[int], lost: Sequence[int] = ()) -> rounds.Summing:
        """One conversation over these cities, whatever an honest coordinator would have minded. Errors: as `rounds.summed`."""
        answers = self.approved(study, cities)
        link = self.present.link
        link.drops = [worlds.Drop(f"t{city}", "masked") for city in lost]
        try:
            return rounds.summed(self.post, agree(study, cities, self.post.roster), answers, {})
        finally:
            link.drops, link.lost = (), set()

    def fitted(self, study: Study, cities: Sequence[int]) -> sessions.Fitted:
        """The session of its many-round questions. Errors: as `sessions.fitted`."""
        answers = self.approved(study, cities)
        return sessions.fitted(self.post, Session(agree(study, cities, self.post.roster)), answers, {})

    def table(self, agreement: Agreement, city: int) -> Vector:
        """What the city's rows give, without noise: what the attack is after."""
        station = self.gate(city).station
        rows = snapshot.open_for(station.home, agreement.study.file.as_of)
        return encoded(agreement.study, agreement.layout, rows, station.city.city)


def said(fault: HpfedError) -> set[str]:
    """The codes of a refusal, those of the cities that declined among them."""
    found = set[str]()
    for each in fault.every():
        declined = str(each.values.get("codes") or each.code)
        found |= {word(code) for code in declined.split(", ")}
    return found


def word(code: str) -> str:
    """A code as the tables of the specification write it."""
    return code.removeprefix("SECAGG_").lower()


def written(
    folder: Path,
    name: str,
    cities: Sequence[int] = (),
    mode: str = "dp",
    epsilon: str = "1.0",
    dropouts: int = 1,
    cohort: str = "",
    as_of: str = FIRST_DATE,
    question: str = QUESTION,
) -> Study:
    """A study file, read back."""
    names = f", names: [{', '.join(f't{city}' for city in cities)}]" if cities else ""
    text = STUDY.format(
        name=name,
        folder=folder,
        names=names,
        mode=mode,
        epsilon=f"epsilon: {epsilon}, " if mode == "dp" else "",
        dropouts=dropouts if mode == "dp" else 0,
        cohort=f"cohort: {cohort}\n" if cohort else "",
        as_of=as_of,
        question=question,
    )
    path = folder / f"{name}.yaml"
    path.write_text(text, encoding="utf-8")
    return studies.load(path)


def lay_out(
    folder: Path,
    entropy: Entropy,
    n: int,
    unmapped: Sequence[int],
    rows: int,
    policy: str = POLICY,
    *,
    aged: bool = False,
) -> None:
    """The files of n cities. `unmapped`: cities that do not keep the variable `job`; `aged`: whether their holders have an `age`, at which
    some `left`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dictionary.yaml").write_text(DICTIONARY + AGE * aged, encoding="utf-8")
    for number in range(1, n + 1):
        city = f"t{number}"
        (folder / city / "data").mkdir(parents=True)
        job = UNMAPPED if number in unmapped else "{from: main.job}"
        files: Mapping[str, str] = {
            "city.yaml": CITY.format(city=city),
            "policy.yaml": policy,
            "mapping.yaml": MAPPING.format(city=city, job=job, as_of=FIRST_DATE) + AGED * aged,
        }
        for name, text in files.items():
            (folder / city / name).write_text(text, encoding="utf-8")
        drawn = np.frombuffer(exactly(entropy, 2 * rows), np.uint8)
        lines = [
            f"{city}-{at},{'male' if sex % 2 else 'female'},j{job_ % CODES}"
            for at, (sex, job_) in enumerate(zip(drawn[:rows].tolist(), drawn[rows:].tolist(), strict=True))
        ]
        header = "id,sex" if number in unmapped else "id,sex,job"
        kept = [line.rsplit(",", 1)[0] if number in unmapped else line for line in lines]
        if aged:
            header += ",age,left"
            drawn_too = zip(kept, exactly(entropy, rows), strict=True)
            kept = [f"{line},{16 + each % 64},{'true' if each >= 128 else 'false'}" for line, each in drawn_too]
        (folder / city / "data" / "rows.csv").write_text("\n".join([header, *kept]) + "\n", encoding="utf-8")


@contextmanager
def towns(
    world: World,
    entropy: Entropy,
    n: int,
    *,
    unmapped: Sequence[int] = (),
    rows: int = 300,
    policy: str = POLICY,
    aged: bool = False,
) -> Iterator[Towns]:
    """n tiny cities, ingested, their gates open, each as `world` has it; gone on leaving."""
    seed = int.from_bytes(exactly(entropy, 6), "big")
    with TemporaryDirectory() as place:
        folder, homes = Path(place) / "cities", Path(place) / "homes"
        lay_out(folder, entropy, n, unmapped, rows, policy, aged=aged)
        first = written(folder, "first")
        found = worlds.parties(folder, first)
        for party in found:
            ingest.ingest(party.folder, worlds.home(party.folder, homes), seeded(seed, party.city.city))
        clock = worlds.Clock(worlds.SEEDED_START)
        with worlds.everyone(first, found, folder, homes, seed=seed, clock=clock) as present:
            gates = {name: world.gate(gate) for name, gate in present.link.gates.items()}
            present.link.gates = gates
            yield Towns(folder, homes, present)
