"""How the holders spread over the bins of an integer or an amount, in all or by group.

Leaves the city: one number per bin and group, holders without a value on `_missing`. One holder moves one cell by 1.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BeforeValidator

from protocols.dictionary import Dictionary
from protocols.statistics import smoothed
from protocols.statistics.estimates import Estimates
from protocols.statistics.example import Example
from protocols.statistics.layout import Axis, Blocks, Domain, count
from protocols.statistics.question import Fault, Names, Question, Value, amount_fault, axis_faults, bounds_fault
from protocols.statistics.rates import Rates, of_counts
from protocols.statistics.rows import Answer
from protocols.statistics.tables import count_rows, share_rows

MOST_BINS: Final = 1_000  # beyond, few hold anybody and none can be read


def _bins(given: Any) -> Any:
    """A number of bins, or the list of their cuts."""
    if isinstance(given, str):
        given = [given]
    return tuple(given) if isinstance(given, list) else given


class Histogram(Question):
    """`bins`: cuts, from each of which a bin reaches to the next, the last one to the end of the range; a bin below the first is added
    where the range begins lower. A single number is that many bins of equal width over the range.
    """

    EXAMPLE = Example(
        {"id": "incomes", "kind": "histogram", "of": "income", "bins": ["0", "3000", "6000.5"], "by": "owner"},
        holder={"income": "300000", "owner": "true"},
    )

    kind: Literal["histogram"] = "histogram"
    of: str
    bins: Annotated[tuple[Value, ...], BeforeValidator(_bins)]
    by: Names = ()

    def variables(self) -> tuple[str, ...]:
        return (self.of, *self.by)

    def faults(self, dictionary: Dictionary) -> Iterator[Fault]:
        yield from axis_faults("by", self.by, dictionary, beside=(self.of,))
        found = list(amount_fault("of", self.of, dictionary, beside=()))
        yield from found
        if not found:
            yield from self._unfit(Domain(dictionary))

    def _unfit(self, domain: Domain) -> Iterator[Fault]:
        low, high = domain.range(self.of)
        if len(self.bins) != 1:
            if not self.bins:
                yield Fault("bins", "STUDY_EMPTY", {})
            elif len(self.bins) > MOST_BINS:
                yield Fault("bins", "STUDY_BINS", {"found": len(self.bins), "most": MOST_BINS})
            else:
                yield from bounds_fault("bins", self.of, self.bins, domain)
        elif self.bins[0] != int(self.bins[0]) or not 2 <= self.bins[0] <= min(MOST_BINS, high - low + 1):
            yield Fault("bins", "STUDY_BINS", {"found": f"{self.bins[0]:f}", "most": min(MOST_BINS, high - low + 1)})

    def _axis(self, domain: Domain) -> Axis:
        low, high = domain.range(self.of)
        if len(self.bins) == 1:
            number = int(self.bins[0])
            return domain.bins(self.of, [low + at * (high - low + 1) // number for at in range(number)])
        return domain.bins(self.of, [int(Decimal(cut) * domain.per(self.of)) for cut in self.bins])

    def blocks(self, domain: Domain) -> Blocks:
        return {"holders": count([self._axis(domain), *map(domain.axis, self.by)])}

    def finalize(self, sums: Estimates, domain: Domain) -> Answer:
        """Counts and shares of the holders of a group whose `of` is known; of ages, their smoothed curve too, to be drawn."""
        table = sums["holders"].renamed(self._axis(domain).name, self.of).ordered(self.variables())
        rows, drawn = count_rows(table, sums, sampling=self.sampling is True), self.sampling is not False
        rows += share_rows("share", table, range(1, len(table.axes)), sums, drawn)
        pictured = sums.tested and smoothed.is_smoothed(self.of, domain)
        return Answer(rows, tuple(smoothed.curves(table, self.of, domain, sums, drawn=drawn)) if pictured else ())

    def compared(self) -> Self:
        return self

    def rates(self, sums: Estimates, domain: Domain) -> Rates:
        table = sums["holders"].renamed(self._axis(domain).name, self.of).ordered(self.variables())
        codes = {code: slice(at, at + 1) for at, code in enumerate(table.axes[0].codes)}
        return of_counts("share", self.of, table, codes)
