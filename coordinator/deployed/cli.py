"""`hpfed-coordinator init`, `roster`, `identity`: who takes part."""

from pathlib import Path
from typing import Annotated

import typer

from coordinator.shell import HERE, AsJson, Home, Lang, guarded, printed, spoken

roster_app = typer.Typer(help="Who takes part.", no_args_is_help=True)
identity_app = typer.Typer(help="The keys of root and coordinator.", no_args_is_help=True)


def now() -> int:
    import time

    return int(time.time())  # noqa: TID251 a command-line shell reads the clock


def init(
    name: Annotated[str, typer.Option("--name", help="Of the consortium: 3 to 64 of a-z, 0-9 and -.")],
    address: Annotated[
        list[str] | None, typer.Option("--address", help="HOST:PORT of the gateway, if there is one; may be repeated.")
    ] = None,
    superlink_port: Annotated[
        int, typer.Option("--superlink-port", envvar="HPFED_SUPERLINK_PORT", help="Of loopback, for the SuperLink.")
    ] = 8000,
    home: Home = HERE,
    lang: Lang = None,
    as_json: AsJson = False,
) -> None:
    """Make the keys of root and coordinator, an empty roster and, with an address, a certificate. Move the root key off this machine.

    Example:  hpfed-coordinator init --name provident --address hpf.example.cn:8443
    """

    def work() -> None:
        from coordinator import home as homes
        from coordinator import roster
        from protocols.enrolment import fingerprint
        from protocols.entropy import operating_system

        for each in address or ():
            homes.address(each)
        entries = roster.begun(home, name, address or (), now(), operating_system)
        if address:
            ca = homes.prepared(home, address, superlink_port, entropy=operating_system, now=now())
            roster.reached(home, address, ca)
        root = fingerprint(bytes.fromhex(entries.root))
        value = {"consortium": name, "root": root, "root_key": str(home / roster.ROOT)}
        zh = f"{name}  根密钥指纹 {root}\n请把 {home / roster.ROOT} 移到离线介质"
        en = f"{name}  root fingerprint {root}\nmove {home / roster.ROOT} to a medium that is kept offline"
        printed(value, as_json, lambda: zh if spoken(lang) == "zh" else en)

    guarded(lang, as_json, work)


@identity_app.command("show")
def identity_show(home: Home = HERE, lang: Lang = None, as_json: AsJson = False) -> None:
    """The fingerprints of root and coordinator: tell every city that of the root by telephone.

    Example:  hpfed-coordinator identity show
    """

    def work() -> None:
        from coordinator import roster
        from protocols.enrolment import fingerprint

        entries = roster.following(home)
        root, own = (fingerprint(bytes.fromhex(key)) for key in (entries.root, entries.coordinator[-1].key))
        value = {"root": root, "coordinator": own}
        words = ("根密钥", "协调方") if spoken(lang) == "zh" else ("root", "coordinator")
        printed(value, as_json, lambda: f"{words[0]}  {root}\n{words[1]}  {own}")

    guarded(lang, as_json, work)


@identity_app.command("rotate")
def identity_rotate(
    out: Annotated[Path, typer.Option("--out", help="The file that says so.")] = Path("coordinator.rotate.json"),
    home: Home = HERE,
    lang: Lang = None,
    as_json: AsJson = False,
) -> None:
    """Make a key of the coordinator that follows the one in use, and the file that says so, signed by both: for `roster add`.

    It is used from the roster on that lists it. The key of before is good for 30 days more, and finishes what it opened.

    Example:  hpfed-coordinator identity rotate
    """

    def work() -> None:
        from coordinator import rotation
        from protocols.enrolment import fingerprint
        from protocols.entropy import operating_system
        from protocols.rotation import read_rotation

        file = rotation.rotated(home, operating_system)
        part = out.with_name(f"{out.name}.part")
        part.write_bytes(file)
        part.rename(out)
        found = read_rotation(file)
        told = fingerprint(bytes.fromhex(found.identity))
        value = {"fingerprint": told, "identity": found.identity, "file": str(out)}
        zh, en = f"coordinator  新指纹 {told}  {out}", f"coordinator  new fingerprint {told}  {out}"
        printed(value, as_json, lambda: zh if spoken(lang) == "zh" else en)

    guarded(lang, as_json, work)


@roster_app.command("add")
def roster_add(
    file: Annotated[Path, typer.Argument(help="The enrolment of a city or an asker.")],
    fingerprint: Annotated[
        str, typer.Option("--fingerprint", help="All eight groups, heard by telephone; not for a new transport key.")
    ] = "",
    home: Home = HERE,
    lang: Lang = None,
    as_json: AsJson = False,
) -> None:
    """Put a city or an asker on the next roster. A fingerprint that differs, or a signature that does not hold: exit 5, nothing written.

    Example:  hpfed-coordinator roster add chongqing.enrol.json --fingerprint 3f2a-91d0-…
    """

    def work() -> None:
        from dataclasses import asdict

        from coordinator import roster

        added = roster.add(home, file.read_bytes(), fingerprint, now())
        zh = f"{added.name} 将列入下一版名册：运行 roster sign 签发"
        en = f"{added.name} is on the next roster: sign it with roster sign"
        printed(asdict(added), as_json, lambda: zh if spoken(lang) == "zh" else en)

    guarded(lang, as_json, work, peer=5)


@roster_app.command("revoke")
def roster_revoke(
    name: Annotated[str, typer.Argument(help="A city or an asker of the roster.")],
    reason: Annotated[str, typer.Option("--reason", help="Every party reads it.")],
    home: Home = HERE,
    lang: Lang = None,
    as_json: AsJson = False,
) -> None:
    """A city or an asker takes part no more from the next roster on. Its line, its id and its name stay.

    Example:  hpfed-coordinator roster revoke chongqing --reason "key stolen"
    """

    def work() -> None:
        from coordinator import roster

        roster.revoke(home, name, reason, now())
        zh, en = f"{name} 将被吊销：运行 roster sign 签发", f"{name} will be revoked: sign it with roster sign"
        printed({"revoked": name, "reason": reason}, as_json, lambda: zh if spoken(lang) == "zh" else en)

    guarded(lang, as_json, work, peer=5)


@roster_app.command("sign")
def roster_sign(
    root_key: Annotated[Path | None, typer.Option("--root-key", help="The root key; else root/ of the home.")] = None,
    new_root_key: Annotated[
        Path | None, typer.Option("--new-root-key", help="A root key that follows this one: both sign.")
    ] = None,
    home: Home = HERE,
    lang: Lang = None,
    as_json: AsJson = False,
) -> None:
    """Sign the next roster: send roster.json to every city. Without a change it renews the one in force for 90 days.

    Example:  hpfed-coordinator roster sign --root-key /media/usb/root.key
    """

    def work() -> None:
        from coordinator import roster

        root = roster.key_of(root_key or home / roster.ROOT)
        follows = None if new_root_key is None else roster.key_of(new_root_key)
        made = roster.sign(home, root, now(), follows)
        value = {
            "file": str(home / roster.ROSTER),
            "version": made.entries.version,
            "digest": "sha256:" + made.sha256.hex(),
        }
        printed(value, as_json, lambda: f"{value['file']}  {value['version']}  {value['digest']}")

    guarded(lang, as_json, work, peer=5)


@roster_app.command("show")
def roster_show(home: Home = HERE, lang: Lang = None, as_json: AsJson = False) -> None:
    """The roster as it stands: what is signed, or what would be signed next.

    Example:  hpfed-coordinator roster show
    """

    def work() -> None:
        from coordinator import roster
        from protocols import roster_text

        changed, found = (home / roster.NEXT).is_file(), roster.held(home)
        entries = roster.following(home) if changed or found is None else found.entries
        value = roster_text.value(entries, None if changed else found)
        printed(value, as_json, lambda: "\n".join(roster_text.lines(value, spoken(lang))))

    guarded(lang, as_json, work, peer=5)
