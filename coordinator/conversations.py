"""The many-round questions of a study as its asker sees them beforehand: rounds, messages, and what every round has of a city.

Known from the study alone: rounds and the most cells do not depend on cities, and how a fit goes on is a matter of its first sums. All are
the most that can come; a fit usually ends long before. A number takes one cell, or two where the range of a sum is wide for one of 64 bits.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from protocols.models.question import supposed
from protocols.models.session import Models
from protocols.secagg.plan import MOST_ROUNDS
from protocols.session import RING
from protocols.study import Study

FIRST, LATER = 5, 3  # exchanges of the first round of a conversation, and of each further one
WORDS: Final[dict[str, dict[str, str]]] = {
    "rounds": {
        "zh": "多轮问题：至多 {rounds} 轮，{sessions} 次会话，{exchanges} 次往返（首轮 5 次，其后每轮 3 次）；"
        "每轮至多 {cells} 个单元格，{bytes} 字节",
        "en": "of many rounds: at most {rounds} rounds in {sessions} session, {exchanges} exchanges (5 for the first round, 3 for each "
        "later one); a round has at most {cells} cells, {bytes} bytes",
    },
    "question": {
        "zh": "{id}（{kind}）：至多 {rounds} 轮",
        "en": "{id} ({kind}): at most {rounds} rounds",
    },
    "after": {"zh": "，在 {names} 之后", "en": ", after {names}"},
    "round": {"zh": "{purpose}：{numbers} 个数：{blocks}", "en": "{purpose}: {numbers} numbers: {blocks}"},
    "unsaid": {
        "zh": "带噪声时不作答的要求：{keys}（其余照常作答；exact 模式下全部作答）",
        "en": "asked for and not answered with noise: {keys} (the rest is; mode exact answers all)",
    },
    "noised": {
        "zh": "每轮的合计带噪声；其费用在首轮之前整体预留",
        "en": "sums of every round carry noise; all rounds are reserved before the first",
    },
    "exact": {
        "zh": "每轮的合计不带噪声，协调方与每座作答城市都看到全部各轮；缺一市即无结果",
        "en": "sums of every round carry no noise; the coordinator and every city that answers see all of them, and no city may drop out",
    },
    "by_fits": {
        "zh": "各轮依次由此前各轮的合计推出，各市逐轮核对",
        "en": "what a round asks follows from the sums before it, which every city checks",
    },
}


def published(study: Study) -> dict[str, Any] | None:
    """The sessions of one run as a value for machines; none where no question takes many rounds."""
    if not study.many:
        return None
    models = Models.of(study.file.questions, supposed(study.domain))
    rounds, cells = models.most_rounds, models.most_cells
    sessions = -(-rounds // MOST_ROUNDS)
    return {
        "sessions": sessions,
        "rounds": rounds,
        "exchanges": LATER * rounds + (FIRST - LATER) * sessions,
        "cells": cells,
        "bytes": cells * RING // 8,
        "ring": RING,
        "noised": not study.exact,
        "questions": [
            {
                "id": name,
                "kind": models.questions[name].kind,
                "after": [each for each in models.questions[name].named() if each in models.models],
                "rounds": model.most_rounds,
                "cells": model.most_cells,
                "unsaid": list(models.questions[name].unsaid(study.domain)),
                "reads": list(study.reads(models.questions[name])),
                "layouts": [
                    {
                        "purpose": ask.purpose,
                        "numbers": sum(block.cells for block in model.blocks(ask)),
                        "blocks": [{"block": block.name, "numbers": block.cells} for block in model.blocks(ask)],
                    }
                    for ask in models.questions[name].example_asks(model)
                ],
            }
            for name, model in models.models.items()
        ],
    }


def said(value: Mapping[str, Any] | None, language: str) -> list[str]:
    """The same in words, a line each; nothing where there is nothing of the kind."""
    return [] if value is None else list(_said(value, lambda key, **of: WORDS[key][language].format(**of)))


def _said(value: Mapping[str, Any], say: Callable[..., str]) -> Iterator[str]:
    given = {name: value[name] for name in ("rounds", "sessions", "exchanges")}
    yield say("rounds", **given, cells=f"{value['cells']:,}", bytes=f"{value['bytes']:,}")
    for each in value["questions"]:
        after = say("after", names=", ".join(each["after"])) if each["after"] else ""
        yield "  " + say("question", **{name: each[name] for name in ("id", "kind", "rounds")}) + after
        if each["unsaid"]:
            yield "    " + say("unsaid", keys=", ".join(each["unsaid"]))
        for layout in each["layouts"]:
            blocks = ", ".join(f"{block['block']} {block['numbers']:,}" for block in layout["blocks"])
            yield "    " + say("round", purpose=layout["purpose"], numbers=f"{layout['numbers']:,}", blocks=blocks)
    yield "  " + say("noised" if value["noised"] else "exact")
    yield "  " + say("by_fits")
