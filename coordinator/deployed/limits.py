"""`hpfed-coordinator limits`: what the product does not do."""

from coordinator.shell import AsJson, Lang, guarded, printed, spoken


def limits(lang: Lang = None, as_json: AsJson = False) -> None:
    """What is not protected, what models over sums cannot know, and what one host runs: before somebody relies on it.

    Example:  hpfed-coordinator limits
    """

    def work() -> None:
        from coordinator import limits

        value = [
            {"name": each.name, "part": each.part, "zh": each.said.zh, "en": each.said.en} for each in limits.limits()
        ]
        printed(value, as_json, lambda: "\n".join(limits.lines(spoken(lang))))

    guarded(lang, as_json, work)
