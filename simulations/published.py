"""`hpfed-simulate facts`: the published figures behind the synthetic cities, their contradictions, and the reading taken of each."""

import json
from importlib import resources
from typing import Any

import yaml


def facts() -> dict[str, Any]:
    """The shipped facts file, parsed."""
    found: dict[str, Any] = yaml.safe_load((resources.files("simulations.cities") / "seed-facts.yaml").read_bytes())
    return found


def as_json() -> str:
    return json.dumps(facts(), ensure_ascii=False, indent=2, default=str)


def as_text() -> str:
    """One line per figure, then one per contradiction."""
    city = facts()["q_city"]
    lines = [f"Q = {city['name_zh']}", ""]
    for fact in city["facts"]:
        value = fact["value"] if "share" not in fact else f"{fact['value']} ({fact['share']})"
        lines.append(
            f"  {fact['key']:<26} {_plain(value):<34} {fact['label_zh']}  [{fact['source']} {fact['section']}]"
        )
    table = city["table1_tgi"]
    lines += ["", f"  {table['title_zh']}", f"    {'':<10}{'  '.join(f'{name:>7}' for name in table['columns'])}"]
    lines += [f"    {name:<10}{'  '.join(f'{value:>8.2f}' for value in row)}" for name, row in table["rows"].items()]
    for group, name in (("q_city", "Q"), ("cafi", "C")):
        lines += ["", f"  {name}: contradictions in the source, and the reading taken"]
        for each in facts()[group]["inconsistencies"]:
            lines.append(f"    {each['id']:<4} {each['what']}")
            lines += [f"         -> {each['verdict']}"] if "verdict" in each else []
    return "\n".join(lines)


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_plain(part)}" for name, part in value.items())
    if isinstance(value, list):
        return " ".join(_plain(part) for part in value)
    return f"{value:,}" if isinstance(value, int) else str(value)
