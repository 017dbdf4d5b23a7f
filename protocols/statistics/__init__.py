"""The register of one-round questions. A new kind is one file, and one line among the imports below."""

from typing import Final

# The kinds, one line each: to be imported here is to be registered.
from protocols.statistics.association import Association as Association
from protocols.statistics.compare import Compare as Compare
from protocols.statistics.count import Count as Count
from protocols.statistics.crosstab import Crosstab as Crosstab
from protocols.statistics.example import EXAMPLE_AS_OF, example_dictionary
from protocols.statistics.frequency import Frequency as Frequency
from protocols.statistics.histogram import Histogram as Histogram
from protocols.statistics.layout import Domain, Layout
from protocols.statistics.mean import Mean as Mean
from protocols.statistics.moments import Moments as Moments
from protocols.statistics.quantiles import Quantiles as Quantiles
from protocols.statistics.question import Question
from protocols.statistics.ratio import Ratio as Ratio
from protocols.statistics.series import Series as Series
from protocols.statistics.survival import Survival as Survival
from protocols.statistics.tgi import Tgi as Tgi
from protocols.statistics.top import Top as Top
from protocols.statistics.transitions import Transitions as Transitions
from protocols.statistics.vintage import Vintage as Vintage
from protocols.statistics.workload import Workload

REGISTER: Final[tuple[type[Question], ...]] = tuple(Question.__subclasses__())
KINDS: Final[dict[str, type[Question]]] = {str(kind.model_fields["kind"].default): kind for kind in REGISTER}

# Made at import, so that a kind whose blocks declare too little (`ConfigError LAYOUT_EFFECT`) stops before any study is read.
EXAMPLES: Final[tuple[Question, ...]] = tuple(kind.example() for kind in REGISTER)
EXAMPLE_DOMAIN: Final = Domain(
    example_dictionary(), as_of=EXAMPLE_AS_OF, questions={question.id: question for question in EXAMPLES}
)
EXAMPLE_LAYOUT: Final[Layout] = Workload.of(EXAMPLES, EXAMPLE_DOMAIN).layout
