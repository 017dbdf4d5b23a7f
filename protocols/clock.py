"""The wall clock of this machine, for the programs that write a log. Nothing that computes, decides or releases reads it."""

import time


def wall_ms() -> int:
    """Unix time in milliseconds."""
    return time.time_ns() // 1_000_000
