"""Installs one hash-pinned requirements file into the running interpreter's environment, then hpfed itself.

    .venv/bin/python requirements/install.py requirements/test.txt

Uses uv, which pip fetches first. uv does not read pip's configuration, so the index, the extra indexes, the folders of wheels
and the certificate that pip is configured with are handed on. If uv cannot be had or fails, pip does the same work.
"""

import os
import subprocess
import sys

PASSED_ON = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "cert": "SSL_CERT_FILE",
}


def pip_settings() -> dict[str, str]:
    """pip's own view of its configuration (files and environment), by option name; later lines win as they do in pip."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    )
    settings = {}
    for line in listed.stdout.splitlines():
        name, _, value = line.partition("=")
        settings[name.rsplit(".", 1)[-1]] = value.strip().strip("'\"")
    return settings


def uv_environment(settings: dict[str, str]) -> dict[str, str]:
    """The environment in which uv finds what pip would find. Folders that do not exist are left out: uv stops at them, pip does not."""
    environment = dict(os.environ, VIRTUAL_ENV=sys.prefix, UV_INDEX_STRATEGY="unsafe-best-match", UV_LINK_MODE="copy")
    for option, variable in PASSED_ON.items():
        words = [word for word in settings.get(option, "").replace("\\n", " ").split() if exists(word)]
        if words and variable not in os.environ:
            environment[variable] = " ".join(words) if option != "find-links" else ",".join(words)
    return environment


def exists(place: str) -> bool:
    path = place.removeprefix("file://")
    return path.startswith(("http://", "https://")) or os.path.exists(path)


def main(requirements: str) -> int:
    itself = ["--no-deps", "--no-build-isolation", "--editable", "."]
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    bootstrapped = subprocess.run([*pip, "install", "uv"], check=False).returncode == 0
    if bootstrapped:
        uv = [sys.executable, "-m", "uv", "--quiet", "pip", "install", "--python", sys.executable]
        environment = uv_environment(pip_settings())
        if all(
            subprocess.run(step, env=environment, check=False).returncode == 0
            for step in ([*uv, "--require-hashes", "--requirements", requirements], [*uv, *itself])
        ):
            return 0
        print("uv could not install the requirements; trying pip", file=sys.stderr)
    for step in ([*pip, "install", "--require-hashes", "--requirement", requirements], [*pip, "install", *itself]):
        code = subprocess.run(step, check=False).returncode
        if code:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
