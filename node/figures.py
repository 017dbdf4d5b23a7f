"""What an approval sheet says of the figures that a city states about itself: which leave, which are only added up, which it has not."""

from collections.abc import Iterator
from typing import Final

from protocols.dictionary import Dictionary
from protocols.facts import UNSAID, Said
from protocols.study import Study

Both = tuple[str, str]
OUTSIDE: Final = (
    "这是本市的陈述，不加噪声、不占 epsilon，随结果公布",
    "statements of this city, without noise and outside epsilon, which are published",
)


def fact_words(terms: Dictionary, name: str) -> Both:
    """Label and name of a fact."""
    label = terms.facts[name].label
    zh, en = label.text("zh", name), label.text("en", name)
    return (f"{zh}（{name}）" if zh != name else name), (f"{en} ({name})" if en != name else name)


def figures(study: Study, said: Said) -> Iterator[Both]:
    """Sentences of what would leave. `said`: what the city states, of the facts that the study asks for."""
    terms = study.dictionary
    words = {name: fact_words(terms, name) for name in study.facts}
    public = {
        name: f"{said[name]} {terms.facts[name].unit}" for name in study.facts if said.get(name, UNSAID) != UNSAID
    }
    summed = [name for name in study.facts if said.get(name) == UNSAID]
    lacked = [name for name in study.facts if name not in said]
    if public:
        zh = "；".join(f"{words[name][0]} {value}" for name, value in public.items())
        en = "; ".join(f"{words[name][1]} {value}" for name, value in public.items())
        yield (
            f"批准书写明本市公布的数字：{zh}。{OUTSIDE[0]}。",
            f"the approval says figures of this city: {en}. {OUTSIDE[1].capitalize()}.",
        )
    if summed:
        zh, en = "、".join(words[name][0] for name in summed), ", ".join(words[name][1] for name in summed)
        yield (
            f"{zh}：只在掩码之下参加各市合计，本市的数不单独送出；只有合计公布，不加噪声。",
            f"{en}: added up under the masks and never said by itself; the sum alone is published, without noise.",
        )
    if lacked:
        zh, en = "、".join(words[name][0] for name in lacked), ", ".join(words[name][1] for name in lacked)
        yield (
            f"本市没有当日的 {zh}：用到它的问题不含本市。",
            f"this city states no {en} of that day: questions about it are without this city.",
        )
