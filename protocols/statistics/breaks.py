"""Breaks of a series: from a day on, what a variable means is another thing, so that months before and after are not to be compared."""

from collections.abc import Iterable

from protocols.dictionary import Break
from protocols.statistics.layout import Domain


def touching(domain: Domain, names: Iterable[str]) -> tuple[Break, ...]:
    """The breaks of the dictionary that affect one of `names` (full names), or what it is made of; of a break in some cities, where one
    of them is in the sums."""
    dictionary, reached = domain.dictionary, set[str]()
    for name in names:
        reached |= {name, name.partition(".")[0], *dictionary.needs(name)}
        reached |= {
            each for given in dictionary.needs(name) & dictionary.of_events.keys() for each in dictionary.made_of(given)
        }
    return tuple(
        each
        for each in dictionary.breaks
        if reached & {dictionary.event_name(name) if dictionary.event_of(name) else name for name in each.affects}
        and (not each.cities or not domain.cities or set(each.cities) & set(domain.cities))
    )


def after(breaks: Iterable[Break], first: int, month: int) -> bool:
    """Whether a series that begins with the month `first` has had a break when it comes to `month`."""
    return any(each.between(first, month) for each in breaks)
