"""The question `kind: hazard`: when an event of a holder's months comes, whose rounds are those of `hazard.py`.

Leaves the city, under masks, as sums over the months in which its holders were at risk: first how many these are and of how many holders,
sums of the columns and of their squares, and how many holders have each code and had the event; then, at coefficients that all cities were
told, deviance, score and information, and once how many holders have each pair of codes. In mode exact all of these sums are seen by the
coordinator and by every city.
"""

from collections.abc import Iterator
from typing import ClassVar, Literal

from protocols.errors import HpfedError
from protocols.models import glm, hazard, private, private_hazard
from protocols.models.design import Columns, parse
from protocols.models.hazard import HOLDER, MONTH, Hazard, HazardPlan
from protocols.models.interface import Ask, Draw
from protocols.models.newton import Fitting
from protocols.models.private import PrivateAsk
from protocols.models.private_hazard import PrivateHazard
from protocols.models.question import ManyRounds, Setting, supposed
from protocols.statistics.example import Example
from protocols.statistics.layout import Blocks, Domain, Months
from protocols.statistics.question import Fault, Release


class HazardQuestion(ManyRounds, Hazard):
    EXAMPLE: ClassVar[Example] = Example(
        {"id": "stopping", "kind": "hazard", "event": "contributions.active", "terms": ["sex"]},
        holder={"sex": "male"},
        events={"contributions": tuple({"amount": "0", "state": "sealed", "active": "true"} for _ in range(6))},
    )
    STATE = Fitting
    MODES = ("dp", "exact")

    kind: Literal["hazard"] = "hazard"

    def variables(self) -> tuple[str, ...]:
        """The event first, then those of the terms in their order, as the study writes them."""
        named = [factor.variable for text in self.terms for factor in parse(text).factors]
        clustered = self.errors.cluster if isinstance(self.errors, glm.Clustered) else "city"
        beside = (self.opened, None if clustered in ("city", HOLDER) else clustered)
        return tuple(
            dict.fromkeys((self.happening.variable, *(name for name in (*named, *beside) if name and name != MONTH)))
        )

    def reads(self, domain: Domain) -> tuple[str, ...]:
        """Variables of the events table by their full names."""
        full = self.shortened(domain)
        return tuple(dict.fromkeys(full.get(name, name) for name in self.variables()))

    def shortened(self, domain: Domain) -> dict[str, str]:
        """A name that holders have too is theirs."""
        dictionary = domain.dictionary
        table, event = dictionary.event_of(self.happening.variable) or ("", "")
        terms = [name for name in self.variables()[1:] if name not in dictionary.known() and "." not in name]
        return {self.happening.variable: f"{table}.{event}"} | {name: f"{table}.{name}" for name in terms}

    def blocks(self, domain: Domain) -> Blocks:
        """None. Errors: `ConfigError STUDY_WINDOW` where the study does not say which months there are."""
        self._months(domain)
        return {}

    def _months(self, domain: Domain) -> Months:
        found = domain.dictionary.event_of(self.happening.variable)
        if (
            found is not None and domain.as_of is None and domain.window is None
        ):  # nobody has said yet: as many as a holder has
            return Months(0, domain.dictionary.events[found[0]].most_rows_per_holder)
        return domain.months_of(None if found is None else found[0])

    def planned(self, setting: Setting) -> HazardPlan | PrivateHazard:
        months = self._months(setting.domain) if setting.dictionary.event_of(self.happening.variable) else Months(0, 1)
        made = hazard.plan(
            self,
            setting.dictionary,
            setting.cities,
            setting.most_rows,
            setting.study,
            (months.first, months.last),
            confidence=setting.confidence,
            labels=setting.labels,
        )
        return made if setting.domain.exact else private_hazard.plan(made, setting, self.id)

    def discloses(self) -> tuple[str, ...]:
        return ("city_constants",) if self.city_effects == "fixed" else ()

    def asks_of(self, model: object) -> type[Ask]:
        return PrivateAsk if isinstance(model, PrivateHazard) else Ask

    def draws(self, domain: Domain) -> tuple[Draw, ...]:
        plan = self.planned(supposed(domain))
        return plan.draws if isinstance(plan, PrivateHazard) else ()

    def faults_beside(self, domain: Domain, release: Release) -> Iterator[Fault]:
        """Of mode dp, links and keys that have no bound on what one holder changes."""
        yield from super().faults_beside(domain, release)
        table = domain.dictionary.event_of(self.happening.variable) if not domain.exact else None
        what = None if table is None else private.not_offered(self.regression)
        if what is not None:
            yield Fault("kind", "MODEL_DP_NOT_OFFERED", {"kind": f"{self.kind} ({what})"})

    def example_asks(self, model: HazardPlan) -> tuple[Ask, ...]:
        """Around 0, with every column in the fit."""
        q = len(model.inner.design.pieces)
        columns = Columns(groups=tuple((number,) for number in range(q)), centre=(0.5,) * q, scale=(0.5,) * q)
        first = Ask(round=0, purpose="standardise", study="", layout="", chain="")
        later = first.model_copy(update={"round": 1, "purpose": "step", "columns": columns, "point": (0.0,) * (q + 1)})
        return (first, later, later.model_copy(update={"round": 2, "purpose": "final"}))

    def key_of(self, fault: HpfedError) -> str:
        keys = {"MODEL_CLUSTERS_FEW": "errors", "MODEL_TOGETHER": "kind"}
        named = {self.happening.variable: "event", self.opened: "opened"}
        return keys.get(fault.code) or named.get(str(fault.values.get("name")), "terms")
