"""Every field of a scenario as people read it: for ``meqc-marl scenario show`` and for the page ``docs/scenario.md``.

``python -m meqc_marl.config.describe > docs/scenario.md`` writes the page anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from meqc_marl.config.circuits import Circuit
from meqc_marl.config.quantity import bounds_of, plain
from meqc_marl.config.scenario import Scenario


class FieldRow(NamedTuple):
    """A field of a scenario as it is shown."""

    name: str
    value: Any
    unit: str
    allowed: str
    source: str
    meaning: str
    reason: str
    """Why the bounds are where they are."""


def scenario_rows(part: BaseModel, prefix: str = "") -> Iterator[FieldRow]:
    """All fields of a scenario in order, with dotted names."""
    for name, info in type(part).model_fields.items():
        value = getattr(part, name)
        if isinstance(value, BaseModel):
            yield from scenario_rows(value, f"{prefix}{name}.")
            continue
        extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
        unit = str(extra.get("unit", ""))
        if unit in type(part).model_fields:  # the unit is itself a field: tx_power_unit
            unit = str(getattr(part, unit))
        bounds = bounds_of(info)
        yield FieldRow(
            f"{prefix}{name}",
            value,
            unit,
            allowed=str(extra.get("allowed", _allowed(info))),
            source=str(extra.get("source", "")),
            meaning=info.description or "",
            reason="" if bounds is None else bounds.reason,
        )


def _allowed(info: FieldInfo) -> str:
    if (bounds := bounds_of(info)) is not None:
        return f"{plain(bounds.low)} to {plain(bounds.high)}"
    return ", ".join(get_args(info.annotation)) if get_origin(info.annotation) is Literal else "text"


def format_value(value: Any) -> str:
    """Short text of a field's value; numbers as they can be given to ``--set``."""
    if isinstance(value, Circuit):
        return f"{value.name} ({value.qubits}, {value.depth}, {value.gates_1} + {value.gates_2})"
    if isinstance(value, tuple):
        return "[" + ", ".join(format_value(item) for item in value) + "]"
    if isinstance(value, float):
        mantissa, _, exponent = f"{value:.9e}".partition("e")
        large = abs(value) >= 1e6
        return f"{float(mantissa):.10g}e{int(exponent)}" if large else f"{value:.10g}"
    return "" if value is None else str(value)


def scenario_page() -> str:
    """The page ``docs/scenario.md``, in Markdown."""
    lines = [
        "# The fields of a scenario",
        "",
        "Every number of the system model: its default (preset `paper`), what is allowed, its unit, its source and why "
        "the bounds are where they are. Change one with `--set field=value` or in a YAML file, which may hold any part "
        "of them. A value outside its bounds is refused: within them every result is finite. Both ends of a range must "
        "be within the bounds. Source: equation or section of Ye et al., arXiv 2306.14588, unless it says otherwise.",
        "",
        "This page is written by `python -m meqc_marl.config.describe > docs/scenario.md`.",
    ]
    section = None
    for row in scenario_rows(Scenario()):
        part, _, _ = row.name.rpartition(".")
        if part != section:
            title = part or "the whole"
            about = (type(getattr(Scenario(), part)).__doc__ or "").strip() if part else (Scenario.__doc__ or "")
            lines += ["", f"## {title}", "", about, ""]
            lines += ["| field | default | allowed | unit | meaning | source | why these bounds |", "|" + "---|" * 7]
            section = part
        cells = (f"`{row.name}`", format_value(row.value), row.allowed, row.unit, row.meaning, row.source, row.reason)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    lines += [
        "",
        "## Between fields",
        "",
        "- `devices.lambda_t` and `devices.lambda_e` are one number or one for each of `num_devices` devices, and not "
        "all of them 0.",
        "- With any of `resources` pooled or queued, `lyapunov.sign` is `corrected` and `cost.deadline` is "
        "`penalty`, which is the default then.",
        "- A field that has no effect in the system that the others make (`lyapunov.discount` where nothing is queued, "
        "`resources.server_hz` of a lease) is refused where the command line gives it, and named by "
        "`meqc-marl scenario check FILE` where a file does.",
        "- The lower end of a range does not exceed its upper end.",
        "- Whatever is drawn, the channel's gain is at most 1 (what arrives is no more than what was sent), at least "
        "1e-36.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(scenario_page(), end="")
