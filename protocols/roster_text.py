"""A roster in words, for both programs."""

from datetime import UTC, datetime
from typing import Any

from protocols.enrolment import fingerprint
from protocols.roster import Entries, Roster


def value(entries: Entries, signed: Roster | None) -> dict[str, Any]:
    """What `roster show` prints as data. `signed`: the roster whose entries these are; None for one that is not signed yet."""
    return {
        "consortium": entries.consortium,
        "version": entries.version,
        "signed": signed is not None,
        "digest": "" if signed is None else "sha256:" + signed.sha256.hex(),
        "root": fingerprint(bytes.fromhex(entries.root)),
        "valid_until": datetime.fromtimestamp(entries.valid_until, UTC).date().isoformat(),
        "cities": [
            {
                "city": each.name,
                "id": each.id,
                "state": each.state,
                "reason": each.reason,
                "fingerprint": _of_city(each),
            }
            for each in entries.cities
        ],
        "askers": [
            {
                "asker": each.id,
                "role": each.role,
                "name": each.name,
                "until": datetime.fromtimestamp(each.until, UTC).date().isoformat(),
                "fingerprint": fingerprint(bytes.fromhex(each.identity)),
            }
            for each in entries.askers
        ],
    }


def _of_city(city: Any) -> str:
    keys = (city.identity[-1].key, *city.transport[-1:])
    return fingerprint(*(bytes.fromhex(key) for key in keys))


def lines(found: dict[str, Any], language: str) -> list[str]:
    """The same for people."""
    zh = language == "zh"
    state = ("已签发" if found["signed"] else "未签发") if zh else ("signed" if found["signed"] else "not signed yet")
    head = f"{found['consortium']}  {found['version']}  {state}"
    until = f"{'有效期至' if zh else 'valid until'} {found['valid_until']}"
    words = {"active": "在册", "revoked": "已吊销"} if zh else {"active": "active", "revoked": "revoked"}
    return [
        f"{head}  {until}",
        f"{'根密钥' if zh else 'root'}  {found['root']}",
        *(
            f"{each['id']:>4}  {each['city']:<16}  {words[each['state']]}  {each['fingerprint']}  {each['reason']}".rstrip()
            for each in found["cities"]
        ),
        *(
            f"      {each['asker']:<16}  {each['role']}  {each['fingerprint']}  {each['until']}"
            for each in found["askers"]
        ),
    ]
