"""The register of one-round questions. A new kind is one file and one line here."""

from typing import Annotated, Final, TypeAlias, Union

from pydantic import Field

from protocols.statistics.count import Count
from protocols.statistics.crosstab import Crosstab
from protocols.statistics.frequency import Frequency
from protocols.statistics.question import Question
from protocols.statistics.tgi import Tgi

REGISTER: Final[tuple[type[Question], ...]] = (
    Count,
    Frequency,
    Crosstab,
    Tgi,
)

KINDS: Final[dict[str, type[Question]]] = {str(kind.model_fields["kind"].default): kind for kind in REGISTER}
AnyQuestion: TypeAlias = Annotated[Union[REGISTER], Field(discriminator="kind")]  # type: ignore[valid-type] # noqa: UP007 a union made from a register has no static form
