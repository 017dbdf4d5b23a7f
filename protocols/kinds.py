"""Every kind of question that a study can ask: those of one round (`statistics/`), and those of many (`models/`)."""

from typing import TYPE_CHECKING, Annotated, Final, TypeAlias, Union

from pydantic import Field

from protocols import models, statistics
from protocols.statistics.question import Question

KINDS: Final[dict[str, type[Question]]] = {**statistics.KINDS, **models.KINDS}

if TYPE_CHECKING:
    AnyQuestion: TypeAlias = Question
else:  # a union made from registers has no static form
    AnyQuestion = Annotated[Union[tuple(KINDS.values())], Field(discriminator="kind")]  # noqa: UP007 the same
