"""`hpfed-coordinator roster software`: which software the roster accepts."""

from typing import Annotated

import typer

from coordinator.shell import HERE, AsJson, Home, Lang, guarded, printed, spoken


def roster_software(
    version: Annotated[str, typer.Argument(help="A version to accept; none: say what is accepted.")] = "",
    sha256: Annotated[
        str, typer.Option("--sha256", help="Its digest, as `software` prints it there; none: that of this host.")
    ] = "",
    drop: Annotated[list[str] | None, typer.Option("--drop", help="A version to accept no longer.")] = None,
    home: Home = HERE,
    lang: Lang = None,
    as_json: AsJson = False,
) -> None:
    """The software that this host has, and what the roster accepts: an empty list accepts any. Changes go on the next roster.

    A node whose software is not on the list does not start. Accept the new version first, and drop the old one when every city has it.

    Example:  hpfed-coordinator roster software 0.2.0 --sha256 5f0c…
    """

    def work() -> None:
        from coordinator import roster
        from protocols.distribution import software

        own = software()
        if version or drop:
            digest = sha256.removeprefix("sha256:") or (own.sha256 if version == own.version else "")
            listed = roster.accept_software(home, version, digest, drop or ())
        else:
            listed = roster.following(home).software
        value = {"own": own.model_dump(), "accepted": [each.model_dump() for each in listed]}
        zh = spoken(lang) == "zh"
        lines = [f"{'本机' if zh else 'this host'}  {own.version}  sha256:{own.sha256}"]
        lines += [f"{'认可' if zh else 'accepted'}  {each.version}  sha256:{each.sha256}" for each in listed]
        none = "名册未列软件：任何版本都可运行" if zh else "the roster lists no software: any may run"
        printed(value, as_json, lambda: "\n".join(lines if listed else [*lines, none]))

    guarded(lang, as_json, work, peer=5)
