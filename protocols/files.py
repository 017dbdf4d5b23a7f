"""What an envelope is called as a file that people carry. The name only speaks to them: nothing is believed for it."""

from typing import Final

from protocols.messages import peek

ENDING: Final = ".hpfe"


def file_name(content: bytes, city: str) -> str:
    """Conversation, or the first half of the study's digest outside one; round, or run; kind; city. Pre-condition: it is an envelope."""
    header = peek(content)
    inside = any(bytes.fromhex(header.conversation))
    about, number = (header.conversation, header.round) if inside else (header.study[:32], header.run)
    return f"{about}-{number}-{header.kind.value}-{city}{ENDING}"
