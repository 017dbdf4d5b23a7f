"""Writes the generated pages of the documentation.

    python docs/generate.py            writes docs/what-leaves.md, and the last parts of docs/threat-model.md and docs/protocol.md
    python docs/generate.py --check    exit 1 if one of them is stale
    python docs/generate.py --audit    prints what a city's reviewer reads, with line counts and digests

`what-leaves.md` is made from the register of statistics and from `protocols/messages.py`; the last part of the threat model from the head
of each test file, which begins with the number of the attack or rule that it is about; that of the protocol from the tables of transitions.
"""

import ast
import inspect
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Final

from pydantic import BaseModel

from protocols import approval, attestation, messages
from protocols.models import REGISTER as MODELS
from protocols.models.question import supposed
from protocols.secagg import collector, member
from protocols.secagg.moves import Move
from protocols.statistics import EXAMPLE_DOMAIN, REGISTER

ROOT: Final = Path(__file__).parents[1]
PACKAGES: Final = ("protocols", "node", "coordinator", "simulations")
GENERATED: Final = "<!-- from here to the end of the file: docs/generate.py -->\n"
MOST_DRAWN: Final = 4  # states that a line of the diagram starts from; what can happen in any state stands in the table
READ_FIRST: Final = ("node/gate.py", "protocols/messages.py", "protocols/statistics/measures.py", "node/disclosure.py")
FORMS: Final = {  # named forms of fields, in words
    "U8": "whole number, 1 byte",
    "U16": "whole number, 2 bytes",
    "U32": "whole number, 4 bytes",
    "U64": "whole number, 8 bytes",
    "Sixteen": "16 bytes",
    "Digest": "32 bytes",
    "Sized": "length (4 bytes), then so many bytes",
    "View": "length (4 bytes), then so many bytes",
    "Rest": "all bytes that follow",
    "Ids": "numbers of cities, ascending",
    "Envelopes": "whole signed envelopes",
    "Boxes": "per city a sealed box of 66 R + 16 bytes",
    "Shares33": "per city 33 bytes",
    "Digests": "per city 32 bytes",
    "Seconds": "Unix seconds",
    "Sha256Name": "`sha256:` and 64 hex digits",
    "_Sha": "64 hex digits",
    "_Sha | None": "64 hex digits, or left out",
    "_BodyMark": "length and SHA-256",
    "_RosterMark": "version and SHA-256",
    "_SoftwareMark": "version and SHA-256",
    "Kind": "name of the message",
    "Small": "whole number below 2^16",
    "Cells": "whole number below 2^32",
    "Hex32": "32 hex digits",
    "Hex64": "64 hex digits",
    "Units": "number with six decimals",
    "Epsilon": "number with twenty decimals",
    "Delta": "number",
    "Id": "name of a question or of a variable of the dictionary",
    "tuple[Id, ...]": "names of facts of the dictionary",
    "tuple[Lacked, ...]": "names of variables of the dictionary, and `fact:` before those of facts",
    "dict[Id, FactText]": "by name of a fact, a number: what the city states about itself and publishes",
    "Covered": "who of its holders the files cover: three words, each `included`, `excluded`, `none` or left out",
    "Noise": "listed below",
    "Charged": "listed below",
    "tuple[Sent, ...]": "listed below",
    "tuple[Asked, ...]": "listed below",
    "tuple[OfficerYes, ...]": "listed below",
    "Officer": "name that the city enrolled an officer under",
    "PublicHex": "Ed25519 public key, 64 hex digits",
}


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |\n" for line in lines)


# --- what leaves a city


def what_leaves() -> str:
    parts = [INTRODUCTION, *_kinds(), SESSIONS, *_models(), MESSAGES, *_bodies(), *_records()]
    return "\n".join(["# What leaves a city\n", *parts])


INTRODUCTION: Final = """Made by `docs/generate.py` from the code. A field that is not on this page does not leave a city.

Rows never leave. What leaves is, first, a vector of whole numbers whose cells are declared in advance, with noise or masks or both; second,
the messages that the aggregation needs. Both are listed here in full.

## Cells, by kind of question

Each kind is shown on its example. A cell counts or adds up, over the holders of the cohort, what `measure` says. `low` and `high` are the
least and the most that one holder adds to one cell; one holder changes at most `touches` cells, in all by at most D1, in squares by at most
D2. The noise is made for D1 and D2. Every axis ends with `_missing`.

In mode exact the vector also says, for every sum of amounts and every margin of it, 1 where a few holders are most of the city's own
part, and else 0 (`dominated`); under the masks of the sum, so that only the number of such cities is learnt. And for every figure of
centres that a question asks for, 1 cell (`stated`): there a city that does not publish it adds what it states about itself, every other
city 0. No holder moves that cell: D1 and D2 are 0. Figures that a city publishes stand in its approval. Both are statements of a centre,
outside epsilon.

A question may be about a cohort of its own. Where that is one code of one category, its table has one more axis and holds everybody: the
plan and the approval sheet show it so, and only the part at that code is published. The table of any other cohort says `where …` and holds
that cohort alone. On an axis `city.NAME` a city stands at the one level that the study gives it. A multi-response variable is sent as one
table per code beside the number of those who answered, which is carried `w` times.
"""

SESSIONS: Final = """## Cells, by kind of question of many rounds

Such a question asks for one sum after another, all of them in one session: a conversation of up to 64 rounds, whose round r carries the
r-th asks of every such question of the study. What may be asked is agreed before: the layouts below, how many rounds at most, and how
long a round may be. A later ask holds public numbers (coefficients) and the sums of all earlier rounds, from which the city computes
them again; it answers none that does not follow. An answer is the two integers `parts` and `overflow`, and then each block: `cells`
numbers with `digits` binary digits, in two integers each where `limbs` is 2. `parts` counts roundings, `overflow` the cities one of
whose cells was too large, which sent zeros instead.

In mode dp every city adds its share of noise to each round; all of it is held in its books before round 0. An answer is then whole numbers
alone, without `parts` and `overflow`.

In mode exact these sums carry no noise. The coordinator and every city that answers see all of them, and so does whoever is given the
record of the session. Cells of one holder are not bounded in the sense of the tables above, and there is no mathematical bound on what
the sums allow to infer. What a city looks at before it answers is in `protocols/models/protect.py`: enough rows for each column, and no
ask that leaves all but a few of its rows without weight.

The layouts are those for six cities of at most 1,048,576 rows each.
"""

NOISED: Final = """In mode dp, all that its rounds release, in how many of them, the most that one holder changes in one release, and the
share of the question's budget that all of these releases get:"""

MESSAGES: Final = """## Messages

Every message is one signed envelope: a header and a body. R is the number of rounds of the conversation. A city's own numbers are in
`masked.y`, under masks, and in `counted.cells`, with the city's whole noise, or in mode exact without the cells that it
withholds; nothing else in this list depends on its rows.
"""

TEXTS: Final = """## Texts

The header of every message, the reasons of a refusal, and what a city signs, its approval and its attestation: canonical JSON of a closed
schema.
"""


RECORDS: Final[dict[str, type[BaseModel]]] = {
    "header": messages.Header,
    "reasons": messages.Reasons,
    "approval": approval.Approval,
    "OfficerYes of approval": approval.OfficerYes,
    "attestation": attestation.Attestation,
    "Noise of attestation": attestation.Noise,
    "Sent of attestation": attestation.Sent,
    "Asked of attestation": attestation.Asked,
    "Charged of attestation": attestation.Charged,
}


def _kinds() -> Iterator[str]:
    domain = EXAMPLE_DOMAIN
    for kind in REGISTER:
        question = kind.example()
        head = ("block", "measure", "axes", "cells", "unit", "low", "high", "touches", "D1", "D2")
        rows = [
            (
                f"`{name}`",
                f"`{block.measure}`",
                " × ".join(f"`{axis.name}` ({axis.size})" for axis in block.axes) or "–",
                block.cells,
                block.unit,
                block.low,
                block.high,
                block.touches,
                block.l1,
                block.l2sq,
            )
            for name, block in question.blocks(domain).items()
        ]
        asked = ", ".join(f"{key}: {value}" for key, value in kind.EXAMPLE.question.items() if key != "id")
        about = (inspect.getdoc(sys.modules[kind.__module__]) or "").strip()
        yield f"### {question.kind}\n\n{about}\n\nExample: `{{{asked.replace(chr(39), '')}}}`\n\n{table(head, rows)}"


def _models() -> Iterator[str]:
    for kind in MODELS:
        question = kind.example()
        model = question.planned(supposed(replace(EXAMPLE_DOMAIN, exact=True)))
        rows = [
            (f"`{ask.purpose}`", f"`{block.name}`", block.cells, block.digits, block.limbs)
            for ask in question.example_asks(model)
            for block in model.blocks(ask)
        ]
        asked = ", ".join(f"{key}: {value}" for key, value in kind.EXAMPLE.question.items() if key != "id")
        about_ = (inspect.getdoc(sys.modules[kind.__module__]) or "").strip()
        most = f"At most {model.most_rounds} rounds of at most {model.most_cells} integers; scope `{model.scope}`."
        example = f"Example: `{{{asked.replace(chr(39), '')}}}`"
        shown = table(("round", "block", "cells", "digits", "limbs"), rows)
        draws = [
            (f"`{each.name}`", each.cells, each.times, each.l1, each.l2sq, str(each.share))
            for each in question.draws(EXAMPLE_DOMAIN)
        ]
        if draws:
            shown = f"{shown}\n\n{NOISED}\n\n{table(('released', 'cells', 'rounds', 'D1', 'D2', 'share'), draws)}"
        yield f"### {question.kind}\n\n{about_}\n\n{example}\n\n{most}\n\n{shown}"


def _bodies() -> Iterator[str]:
    kinds = {
        ("roster" if body is messages.RosterFile else body.__name__.lower()): body
        for body in messages.Body.__subclasses__()
        if body.__module__ == messages.__name__
    }
    reply, request = ({kind.value for kind in some} for some in (messages.REPLIES, messages.REQUESTS))
    inside = {name for name in kinds if name not in list(messages.Kind)}
    sides = (
        ("From a city", reply),
        ("From either side", kinds.keys() - reply - request - inside),
        ("From the coordinator", request),
        ("Inside the plan of open", inside),
    )
    for title, names in sides:
        yield f"### {title}\n"
        for name, body in kinds.items():
            if name in names:
                yield f"**{name}** {about(body)}".rstrip() + "\n"
                rows = [
                    (f"`{field}`", FORMS.get(form, "listed in the remark"), remark)
                    for field, form, remark in fields(body)
                ]
                yield table(("field", "form", "remark"), rows) if rows else "No field.\n"


def _records() -> Iterator[str]:
    yield TEXTS
    for name, record in RECORDS.items():
        rows = [
            (f"`{_alias(record, field)}`", FORMS.get(form, f"`{form}`"), remark)
            for field, form, remark in fields(record)
        ]
        yield f"**{name}** {about(record)}\n\n{table(('field', 'form', 'remark'), rows)}"


def _alias(record: type[BaseModel], field: str) -> str:
    return record.model_fields[field].alias or field


def about(written: type) -> str:
    """The docstring in the source; a dataclass without one would make one up."""
    return (ast.get_docstring(_definition(written)) or "").replace("\n", " ")


def fields(written: type) -> Iterator[tuple[str, str, str]]:
    """Name, form and remark of each field, as they stand in the source: `c_pk: Digest  # of this conversation`."""
    lines = _source(written).splitlines()
    for line in _definition(written).body:
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
            remarks = re.findall(r"  # (.*)", "\n".join(lines[line.lineno - 1 : line.end_lineno]))
            yield line.target.id, ast.unparse(_Plain().visit(line.annotation)), " ".join(remarks)


class _Plain(ast.NodeTransformer):
    """`int` for `Annotated[int, Field(ge=0)]`, at any depth."""

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        if ast.unparse(node.value) == "Annotated" and isinstance(node.slice, ast.Tuple):
            return self.visit(node.slice.elts[0])  # type: ignore[no-any-return]  # ast.NodeVisitor.visit gives Any
        return self.generic_visit(node)


@cache
def _source(written: type) -> str:
    return inspect.getsource(written)


def _definition(written: type) -> ast.ClassDef:
    definition = ast.parse(_source(written)).body[0]
    assert isinstance(definition, ast.ClassDef)  # noqa: S101 what getsource of a class gives
    return definition


# --- which test refutes which attack


def threats(page: str) -> str:
    """The page with its last part made anew: what is before the marker stays."""
    written = page[: page.index(GENERATED) + len(GENERATED)]
    named = dict(re.findall(r"^\| (T[0-9]{2}) \|.*\| `([a-z-]+)`(?: ★)? \|$", written, re.MULTILINE))
    rules = re.findall(r"^\| (R[0-9]) ([a-z ]+) \|", written, re.MULTILINE)
    tests = dict(_tested())
    rows = [(f"{number} {name}", _listed(tests, number)) for number, name in (*rules, *sorted(named.items()))]
    shown = table(("attack or rule", "test"), [row for row in rows if row[1]])
    missing = ", ".join(name for name, listed in rows if not listed)
    return f"{written}\n{shown}" + (f"\nWithout a test of its own in this version: {missing}.\n" if missing else "")


def _listed(tests: dict[Path, list[str]], number: str) -> str:
    return ", ".join(f"`{path.as_posix()}`" for path, numbers in tests.items() if number in numbers)


def _tested() -> Iterator[tuple[Path, list[str]]]:
    """Test files whose text begins with numbers of attacks or rules, and those numbers."""
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        head = re.match(
            r"((?:[TR][0-9]+(?:, )?)+)(?: `[a-z-]+`)?[,:]",
            ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "",
        )
        if head:
            yield path.relative_to(ROOT), head[1].removesuffix(", ").split(", ")


# --- how a conversation goes


def transitions(page: str) -> str:
    """The page with the tables of transitions, and a diagram of each, made anew at its end."""
    written = page[: page.index(GENERATED) + len(GENERATED)]
    sides = (
        (
            "A city",
            member.MOVES,
            "What is not signed changes nothing, and an identical request gets the identical reply.",
        ),
        ("The coordinator", collector.MOVES, "What comes late, twice or unsigned changes nothing."),
    )
    return written + "".join(
        f"\n## {title}\n\n{_moves(moves)}\n{said}\n\n{_drawn(moves)}" for title, moves, said in sides
    )


def _moves(moves: Sequence[Move]) -> str:
    rows = [
        (
            ", ".join(each.__name__ for each in move.at),
            f"`{move.on}`" if move.on in list(messages.Kind) else move.on,
            move.when,
            ", else ".join(
                [move.to.__name__, " or ".join(each.__name__ for each in move.instead)][: 1 + bool(move.instead)]
            ),
            f"`{move.sends}`" if move.sends else "",
        )
        for move in moves
    ]
    return table(("state", "event", "checks, condition", "next", "sends"), rows)


def _drawn(moves: Sequence[Move]) -> str:
    """The way from one state to the next where nothing fails."""
    straight = [
        f"    {at.__name__} --> {move.to.__name__}: {move.on} / {move.sends or '-'}".replace("`", "")
        for move in moves
        for at in move.at
        if len(move.at) <= MOST_DRAWN
    ]
    return "\n".join(["```mermaid", "stateDiagram-v2", *straight, "```", ""])


# --- what a reviewer reads


def audit() -> str:
    """The files where data could leave, then all of ours that they rest on."""
    rest = sorted(_rests_on([ROOT / name for name in READ_FIRST]) - {ROOT / name for name in READ_FIRST})
    parts = []
    for title, paths in (("read first", [ROOT / name for name in READ_FIRST]), ("what they rest on", rest)):
        rows = [(path, path.read_bytes()) for path in paths]
        lines = [
            f"{content.count(10):6}  {sha256(content).hexdigest()}  {path.relative_to(ROOT).as_posix()}"
            for path, content in rows
        ]
        parts.append("\n".join([f"# {title}: {sum(content.count(10) for _, content in rows)} lines", *lines]))
    return "\n".join(parts) + "\n"


def _rests_on(paths: Iterable[Path]) -> set[Path]:
    """Files of ours that are imported from `paths`, directly or not, themselves included; packages count as their `__init__.py`."""
    reached, waiting = set(paths), list(paths)
    while waiting:
        for node in ast.walk(ast.parse(waiting.pop().read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            for name in names:
                parts = name.split(".") if name.split(".")[0] in PACKAGES else []
                for depth in range(1, len(parts) + 1):
                    place = ROOT.joinpath(*parts[:depth])
                    found = {
                        path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()
                    } - reached
                    reached |= found
                    waiting += found
    return reached


# --- the program


def main(arguments: Sequence[str]) -> int:
    if list(arguments) not in ([], ["--check"], ["--audit"]):
        print(__doc__, file=sys.stderr)
        return 2
    if list(arguments) == ["--audit"]:
        print(audit(), end="")
        return 0
    pages = {ROOT / "docs" / "what-leaves.md": what_leaves}
    threat_page = ROOT / "docs" / "threat-model.md"
    pages[threat_page] = lambda: threats(threat_page.read_text(encoding="utf-8"))
    protocol_page = ROOT / "docs" / "protocol.md"
    pages[protocol_page] = lambda: transitions(protocol_page.read_text(encoding="utf-8"))
    stale = {
        path: text
        for path, make in pages.items()
        if (text := make()) != (path.read_text("utf-8") if path.exists() else "")
    }
    if arguments:
        for path in stale:
            print(f"{path.relative_to(ROOT)} is stale; run: make docs", file=sys.stderr)
        return 1 if stale else 0
    for path, text in stale.items():
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
