"""The small world in which every kind shows itself: its EXAMPLE, over one dictionary of a few variables.

Laws and vectors are run on the examples of all registered kinds, so that a new kind is tested by being registered.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from typing import Final

from protocols import dictionary as dictionaries
from protocols.dictionary import Dictionary
from protocols.yamltext import read


@dataclass(frozen=True)
class Example:
    """`question`: as a study writes it. `holder`: one who moves its blocks as far as anyone can, by variable; the rest is unknown.

    `events`: the holder's event rows by table, in consecutive months up to that of EXAMPLE_AS_OF.
    """

    question: Mapping[str, str | list[str]]
    holder: Mapping[str, str]
    events: Mapping[str, Sequence[Mapping[str, str]]] = field(default_factory=dict)


DICTIONARY: Final = """
dictionary: example
version: 1
unit: account_holder
variables:
  sex: {type: category, codes: {male: {}, female: {}, unknown: {}}}
  birth_year: {type: integer, unit: year, range: [1930, 2010]}
  product: {type: category, codes: {lump_sum: {}, monthly: {}, free: {}}}
  owner: {type: boolean}
  income: {type: money, unit: CNY, range: [0, 200000]}
  months_paying: {type: integer, unit: month, range: [0, 36]}
  worries: {type: set, codes: {illness: {}, pension: {}, accident: {}}}
  opened: {type: date, range: [2021-08-01, 2045-12-31]}
derived:
  generation: {of: birth_year, bands: {80s: [1980, 1989], 90s: [1990, 1999]}, else: other}
events:
  contributions:
    month: month
    variables:
      amount: {type: money, unit: CNY, range: [0, 80000]}
      state: {type: category, codes: {normal: {}, sealed: {}}}
      active: {type: boolean}
    most_rows_per_holder: 6
"""
EXAMPLE_AS_OF: Final = date(2022, 5, 31)


@cache
def example_dictionary() -> Dictionary:
    return dictionaries.parse(read(DICTIONARY.encode(), "example.yaml"))
