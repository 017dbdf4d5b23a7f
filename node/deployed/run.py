"""`hpfed-node answer`: what is carried to this city's gate by hand."""

from pathlib import Path
from typing import Annotated, Any

import typer

from node.shell import HERE, AsJson, Folder, Home, Lang, guarded, home_of, printed, spoken


def answer(
    asked: Annotated[Path, typer.Argument(metavar="IN", help="The folder with what was carried here.")],
    replies: Annotated[Path, typer.Argument(metavar="OUT", help="The folder to be carried back.")],
    folder: Folder = HERE,
    home: Home = None,
    lang: Lang = None,
    as_json: AsJson = False,
) -> None:
    """Hand every file of IN to the gate, and write its replies to OUT. A study that needs an officer waits: approve it, and run this again.

    Example:  hpfed-node answer /media/usb/out/chongqing /media/usb/in
    """

    def work() -> None:
        from node import carried, city
        from node.running import SOCKET
        from node.serve import ask
        from protocols.errors import ConfigError, Place

        socket = home_of(folder, home) / SOCKET
        if not socket.is_socket():
            raise ConfigError("GATE_AWAY", Place(str(socket)))
        name = city.load(folder).city
        found = carried.answered(asked, replies, name, lambda content: ask(socket, content, carried.PATIENCE_S))
        printed(vars(found), as_json, lambda: "\n".join(_lines(found, spoken(lang) == "zh")))

    guarded(lang, as_json, work)


def _lines(found: Any, zh: bool) -> list[str]:
    words = (
        ("已作答", "须审批（approve 后再运行一次）", "网关不作答", "此前已作答", "未动")
        if zh
        else (
            "answered",
            "waits for an officer (approve, then run this again)",
            "the gate answers nothing",
            "answered before",
            "left alone",
        )
    )
    listed = (found.answered, found.waiting, found.silent, found.before, found.others)
    lines = [f"{word}: {name}" for word, names in zip(words, listed, strict=True) for name in names]
    if found.answered or found.before:
        lines.append(
            "本轮结束前请勿关闭网关：密钥只在内存中，重启即退出本轮"
            if zh
            else "leave the gate up until the round is over: its keys are in memory alone, and a restart is a drop-out"
        )
    return lines
