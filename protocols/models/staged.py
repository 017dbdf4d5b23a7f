"""Kinds of which a part is another model: its asks are theirs, with what they add."""

from typing import Any, TypeVar

from protocols.models.interface import Ask

Wider = TypeVar("Wider", bound=Ask)


def widened(kind: type[Wider], ask: Ask, **more: Any) -> Wider:
    """An ask of the inner model as one of the outer kind."""
    return kind(**{name: getattr(ask, name) for name in Ask.model_fields}, **more)


def plain(ask: Ask) -> Ask:
    """The ask of the inner model in one of the outer kind."""
    return Ask(**{name: getattr(ask, name) for name in Ask.model_fields})
