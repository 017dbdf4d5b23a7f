"""A coordinator in a process of its own that kills itself: `python -m tests.conversations.killed LOG NTH`.

Requests go out on standard output, replies come in on standard input, one a line, in hex. After the NTH record is on disk: SIGKILL.
"""

import os
import signal
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from coordinator.exchange import Failure
from coordinator.log import Log
from tests.conversations.line import Line, begun
from tests.conversations.table import table_of


class Streams(Line):
    """The line to cities in another process."""

    def each(self, kind: str, requests: Mapping[str, bytes], timeout_s: float) -> Iterator[tuple[str, bytes | Failure]]:
        del kind, timeout_s
        for name, content in requests.items():
            sys.stdout.write(content.hex() + "\n")
            sys.stdout.flush()
            yield name, bytes.fromhex(sys.stdin.readline())


def main(path: str, nth: str) -> None:
    left = int(nth)

    def written() -> None:
        nonlocal left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    begun(Streams(table_of((1, 2, 3, 4, 5))), Log(Path(path), written)).play()


if __name__ == "__main__":
    main(*sys.argv[1:])
