"""`hpfed-node init`, `roster`, `identity`: the city's place in a consortium."""

from pathlib import Path
from typing import Annotated

import typer

from node.shell import HERE, AsJson, Folder, Home, Lang, guarded, home_of, printed, spoken

roster_app = typer.Typer(help="Who takes part.", no_args_is_help=True)
identity_app = typer.Typer(help="This city's keys.", no_args_is_help=True)


def now() -> int:
    import time

    return int(time.time())  # noqa: TID251 a command-line shell reads the clock


def init(
    name: Annotated[str, typer.Option("--city", help="As city.yaml names it.")] = "",
    out: Annotated[Path, typer.Option("--out", help="The file that enrols this city.")] = Path("enrol.json"),
    folder: Folder = HERE,
    home: Home = None,
    lang: Lang = None,
    as_json: AsJson = False,
) -> None:
    """Make this city's two keys, and the file that enrols it, signed by both. Read the fingerprint out by telephone.

    Example:  hpfed-node init --city chongqing
    """

    def work() -> None:
        from node import city, membership, policy
        from protocols.enrolment import read_enrolment
        from protocols.entropy import operating_system
        from protocols.errors import ConfigError, Place

        here = city.load(folder)
        if name not in ("", here.city):
            raise ConfigError("CITY_FOLDER", Place(str(folder / city.FILE), 1, "city"), name=here.city, folder=name)
        policy.load(folder, loose=here.synthetic or here.open_data)
        file = membership.enrolment(here, home_of(folder, home), operating_system)
        part = out.with_name(f"{out.name}.part")
        part.write_bytes(file)
        part.rename(out)
        found = read_enrolment(file)
        value = {
            "city": found.city,
            "fingerprint": found.fingerprint,
            "identity": found.identity,
            "transport": found.transport,
            "file": str(out),
        }
        zh = f"{found.city}  指纹 {found.fingerprint}  {out}"
        en = f"{found.city}  fingerprint {found.fingerprint}  {out}"
        printed(value, as_json, lambda: zh if spoken(lang) == "zh" else en)

    guarded(lang, as_json, work)


@identity_app.command("show")
def identity_show(folder: Folder = HERE, home: Home = None, lang: Lang = None, as_json: AsJson = False) -> None:
    """The public keys of this city, and the fingerprint to read out by telephone. Makes none.

    Example:  hpfed-node identity show
    """

    def work() -> None:
        from node import city, identity, transport
        from protocols.enrolment import fingerprint
        from protocols.errors import ConfigError, Place

        where = home_of(folder, home)
        own, path = identity.public(where), where / transport.KEY
        if not own or not path.is_file():
            raise ConfigError("KEY_NONE", Place(str(where)))
        link = transport.public(transport.read(path))
        value = {
            "city": city.load(folder).city,
            "fingerprint": fingerprint(own, bytes.fromhex(link)),
            "identity": own.hex(),
            "transport": link,
        }
        printed(value, as_json, lambda: "  ".join((value["city"], value["fingerprint"], value["identity"])))

    guarded(lang, as_json, work)


@identity_app.command("rotate")
def identity_rotate(
    out: Annotated[Path, typer.Option("--out", help="The file that the coordinator needs.")] = Path("rotate.json"),
    link: Annotated[
        bool, typer.Option("--transport", help="The transport key instead: nobody need be telephoned.")
    ] = False,
    folder: Folder = HERE,
    home: Home = None,
    lang: Lang = None,
    as_json: AsJson = False,
) -> None:
    """Make a new identity key that follows the one in use, and the file that says so, signed by both. `roster accept` puts it to use.

    Both are valid for 30 days at most. The ledger stays with the city: a new key is no new budget. With --transport it is the key that
    lets the link in; the link uses it from its next start on.

    Example:  hpfed-node identity rotate --out rotate.json
    """

    def work() -> None:
        from node import city, membership
        from protocols.enrolment import read_enrolment
        from protocols.entropy import operating_system

        made = membership.transport_rotation if link else membership.rotation
        file = made(city.load(folder), home_of(folder, home), operating_system)
        part = out.with_name(f"{out.name}.part")
        part.write_bytes(file)
        part.rename(out)
        found = read_enrolment(file)
        value = {"city": found.city, "fingerprint": found.fingerprint, "identity": found.identity, "file": str(out)}
        zh = f"{found.city}  新指纹 {found.fingerprint}  {out}"
        en = f"{found.city}  new fingerprint {found.fingerprint}  {out}"
        printed(value, as_json, lambda: zh if spoken(lang) == "zh" else en)

    guarded(lang, as_json, work)


@identity_app.command("rotate-holder-key")
def rotate_holder_key(
    accepted: Annotated[
        bool, typer.Option("--accept-history-loss", help="Exact studies can be held against earlier ones no more.")
    ] = False,
    folder: Folder = HERE,
    home: Home = None,
    lang: Lang = None,
    as_json: AsJson = False,
) -> None:
    """Make a new key that names this city's holders in its own home. Stop the gate first, and ingest again afterwards.

    Example:  hpfed-node identity rotate-holder-key --accept-history-loss
    """

    def work() -> None:
        from node import holders
        from protocols.entropy import operating_system
        from protocols.errors import ConfigError

        if not accepted:
            raise ConfigError("HOLDER_HISTORY")
        holders.rotate(home_of(folder, home), now=now(), entropy=operating_system)
        zh, en = "已更换对象密钥：请重新 ingest", "the holder key is a new one: ingest again"
        printed({"rotated": True}, as_json, lambda: zh if spoken(lang) == "zh" else en)

    guarded(lang, as_json, work)


@roster_app.command("accept")
def roster_accept(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="A roster; where versions lie between, all.")],
    root: Annotated[
        str | None, typer.Option("--root", help="Fingerprint of the root key, heard by telephone; the first time.")
    ] = None,
    folder: Folder = HERE,
    home: Home = None,
    lang: Lang = None,
    as_json: AsJson = False,
) -> None:
    """Accept a newer roster. One that is not signed by the pinned root, or does not follow the stored one, changes nothing: exit 5.

    Example:  hpfed-node roster accept roster.json --root 9c41-07be-…
    """

    def work() -> None:
        from node import city, membership
        from node.transport import followed

        where, here, at = home_of(folder, home), city.load(folder), now()
        found = membership.accepted(where, [file.read_bytes() for file in files], root, at)
        fresh = membership.followed(where, here, found, at)
        fresh = followed(where, found) or fresh
        mine = membership.listed(where, here, found, at)
        value = {
            "consortium": found.entries.consortium,
            "version": found.entries.version,
            "digest": "sha256:" + found.sha256.hex(),
            "valid_until": found.entries.valid_until,
            "listed": mine,
            "new_key": fresh,
        }
        zh = f"已采用 {found.entries.consortium} 名册第 {found.entries.version} 版；" + (
            "本市在册" if mine else "本市未以现有密钥在册"
        )
        en = f"accepted roster {found.entries.version} of {found.entries.consortium}; " + (
            "this city is on it" if mine else "this city is not on it under the key it has"
        )
        printed(value, as_json, lambda: zh if spoken(lang) == "zh" else en)

    guarded(lang, as_json, work, peer=5)


@roster_app.command("show")
def roster_show(folder: Folder = HERE, home: Home = None, lang: Lang = None, as_json: AsJson = False) -> None:
    """The roster that this city holds: who takes part, and who may ask.

    Example:  hpfed-node roster show
    """

    def work() -> None:
        from node.held import ROSTER, held
        from protocols import roster_text
        from protocols.errors import ConfigError, Place

        where = home_of(folder, home)
        found = held(where)
        if found is None:
            raise ConfigError("ROSTER_FIRST", Place(str(where / ROSTER)))
        value = roster_text.value(found.entries, found)
        printed(value, as_json, lambda: "\n".join(roster_text.lines(value, spoken(lang))))

    guarded(lang, as_json, work, peer=5)
