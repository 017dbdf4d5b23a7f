"""Kinds of which a part is another model: its asks are theirs, with what they add."""

from typing import Any, TypeVar

from protocols.models.interface import Ask

Wider = TypeVar("Wider", bound=Ask)
Inner = TypeVar("Inner", bound=Ask)


def widened(kind: type[Wider], ask: Ask, **more: Any) -> Wider:
    """An ask of the inner model as one of the outer kind."""
    return kind(**{**{name: getattr(ask, name) for name in type(ask).model_fields}, **more})


def plain(ask: Ask) -> Ask:
    """The ask of the inner model in one of the outer kind."""
    return inner(Ask, ask)


def inner(kind: type[Inner], ask: Ask, **other: Any) -> Inner:
    """The same of an inner model whose asks are of a kind of their own; `other`: fields that the outer one says otherwise."""
    return kind(**{**{name: getattr(ask, name) for name in kind.model_fields}, **other})
