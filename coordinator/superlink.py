"""The SuperLink and the gateway as child processes: what starts them, and what they find around them. Imports no flwr.

Both listen where they are told to; in a deployment the SuperLink is on loopback, and only the gateway is reached from outside.
"""

import socket
import ssl
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.request import HTTPSHandler, ProxyHandler, build_opener

HOST: Final = "127.0.0.1"
SECRET_BYTES: Final = 32


@dataclass(frozen=True)
class SuperLink:
    """Where the SuperLink listens, and the files it is started with: authority, certificate and key of loopback TLS, and the secret that
    lets a process take its tasks. `database`: a file for its state; empty keeps it in memory, where an exchange takes a third of the time.
    """

    port: int
    ca: Path
    certificate: Path
    key: Path
    secret: Path
    database: str = ""

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    def command(self) -> list[str]:
        """The command line. Its flags are the whole of its configuration; none is deprecated."""
        return [
            str(Path(sys.executable).with_name("flower-superlink")),
            *("--host", HOST),
            *("--port", str(self.port)),
            *("--isolation", "process"),
            *("--superexec-auth-secret-file", str(self.secret)),
            "--enable-supernode-auth",
            "--disable-runtime-dependency-installation",
            *("--ssl-ca-certfile", str(self.ca)),
            *("--ssl-certfile", str(self.certificate)),
            *("--ssl-keyfile", str(self.key)),
            *(("--database", self.database) if self.database else ()),
        ]


@dataclass(frozen=True)
class Gateway:
    """The gateway in front of a SuperLink. `rate`: requests per second and peer address; `connections`: open at once from one.

    `counted`: a file that it keeps saying what it answered; `log`: the folder of its log. Empty for none.
    """

    host: str
    port: int
    certificate: Path
    key: Path
    superlink: str
    superlink_ca: Path
    rate: int = 50
    connections: int = 64
    courier: bool = False
    counted: str = ""
    log: str = ""

    def command(self) -> list[str]:
        """The command line."""
        return [
            *(sys.executable, "-m", "coordinator.gateway"),
            *("--host", self.host),
            *("--port", str(self.port)),
            *("--certificate", str(self.certificate)),
            *("--key", str(self.key)),
            *("--superlink", self.superlink),
            *("--superlink-ca", str(self.superlink_ca)),
            *("--rate", str(self.rate)),
            *("--connections", str(self.connections)),
            *(("--courier",) if self.courier else ()),
            *(("--counted", self.counted) if self.counted else ()),
            *(("--log", self.log) if self.log else ()),
        ]


def healthy(superlink: SuperLink) -> Callable[[], bool]:
    """Whether it says that it is."""
    trusted = ssl.create_default_context(cafile=str(superlink.ca))
    opener = build_opener(ProxyHandler({}), HTTPSHandler(context=trusted))

    def answers() -> bool:
        with suppress(OSError):
            return bool(opener.open(f"https://{superlink.address}/health", timeout=2).status == 200)
        return False

    return answers


def listens(host: str, port: int) -> Callable[[], bool]:
    """Whether something takes connections there."""

    def answers() -> bool:
        with suppress(OSError), socket.create_connection((host, port), 1):
            return True
        return False

    return answers
