"""Scenarios from presets, YAML files and ``field=value`` overrides; every mistake becomes one clear sentence."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from meqc_marl.config.circuits import unbuilt
from meqc_marl.config.qpus import QPU_FIELDS, REBUILD
from meqc_marl.config.scenario import Scenario
from meqc_marl.config.sentences import locate, sentence_of
from meqc_marl.config.yaml_text import MAX_BYTES, dump_yaml, parse_yaml
from meqc_marl.errors import InputError, did_you_mean, shown
from meqc_marl.files import read_text, replacing
from meqc_marl.registry import is_place

PRESETS: tuple[str, ...] = (
    "paper",
    "paper-literal",
    "static",
    "fast-folders",
    "small",
    "large",
    "pooled",
    "pooled-large",
    "queued",
    "queued-light",
)


def load_scenario(
    source: str | Path | Scenario, overrides: Sequence[str] = (), *, context: dict[str, bool] | None = None
) -> Scenario:
    """Load a preset or a YAML file and apply overrides.

    Args:
        source: One of ``PRESETS``, or the path of a YAML file with any part of the fields, the rest are defaults;
            or a scenario, to override some of its fields.
        overrides: ``"dotted.field=value"`` each, the value in YAML: ``"cost.latency=sequential"``.
        context: :data:`~meqc_marl.registry.WITHOUT_CODE` to import no module that a field names.

    Raises:
        InputError: The source, a field or a value is not allowed; the message names it and says what is.
    """
    fields = _read_fields(source)
    if (
        not isinstance(overrides, Sequence)
        or isinstance(overrides, (str, bytes))
        or not all(isinstance(override, str) for override in overrides)
    ):
        raise InputError(f"overrides is {shown(overrides)}; it must be a list of texts such as 'lyapunov.v=10'.")
    # A QPU sets what is not given, wherever its name stands among the overrides.
    for override in sorted(overrides, key=lambda one: one.partition("=")[0].strip() != "quantum.qpu"):
        _apply_override(fields, override)
    return scenario_of(fields, context)


def scenario_of(fields: Any, context: dict[str, bool] | None = None) -> Scenario:
    """A scenario from what should be a mapping of its fields; ``context`` as for :func:`load_scenario`.

    Raises:
        InputError: A field or a value is not allowed.
    """
    try:
        return Scenario.model_validate(fields, context=context)
    except ValidationError as error:
        raise InputError(sentence_of(error.errors()[0])) from None


def places(scenario: Scenario) -> dict[str, str]:
    """Fields that name code from outside the package, ``module:function``, and the names."""
    named = (assignment.partition("=") for assignment in changes(Scenario(), scenario))
    found = {field: json.loads(value) for field, _, value in named if _is_part(field)}
    return {field: name for field, name in found.items() if is_place(name)}


def _is_part(field: str) -> bool:
    _, part = locate(field.split(".")[:-1])
    extra: Any = None if part is None else part.model_fields[field.split(".")[-1]].json_schema_extra
    return isinstance(extra, dict) and "part" in extra


def changes(before: Scenario, after: Scenario) -> list[str]:
    """The overrides that make one scenario of another: ``load_scenario(before, changes(before, after)) == after``."""
    old, new = before.model_dump(mode="json"), after.model_dump(mode="json")
    found = dict(override.split("=", 1) for override in _changes(old, new, ""))
    # A QPU's name and a new basis change other fields, which are then told as well, after them.
    forced = [*QPU_FIELDS] if "quantum.qpu" in found else []
    if set(REBUILD) & set(found):
        forced.append("tasks.circuits")
    for name in forced:
        part, _, field = name.partition(".")
        found.pop(name, None)
        found[name] = json.dumps(new[part][field])
    return [f"{name}={value}" for name, value in found.items()]


def _changes(before: dict[str, Any], after: dict[str, Any], prefix: str) -> Iterator[str]:
    for key, value in after.items():
        if isinstance(value, dict) and isinstance(before.get(key), dict):
            yield from _changes(before[key], value, f"{prefix}{key}.")
        elif value != before.get(key):
            yield f"{prefix}{key}={json.dumps(value)}"


def save_scenario(scenario: Scenario, path: str | Path) -> None:
    """Write all fields as YAML; the file is complete or, after a crash, untouched."""
    with replacing(path) as file:
        file.write(dump_yaml(scenario.model_dump(mode="json")).encode())


def parse_assignment(option: str, text: str, example: str = "gamma=0.9") -> tuple[str, Any]:
    """Read ``name=value``, the value in YAML.

    Raises:
        InputError: If it is not of this form.
    """
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise InputError(f"{option} {shown(text)} is not of the form field=value, as in {example}.")
    return name.strip(), parse_yaml(value, f"the value of {option} {shown(text)}")


def read_yaml(path: str | Path, what: str) -> Any:
    """Read a YAML file.

    Args:
        path: A regular file.
        what: Names it in sentences, as in ``scenario file 'mine.yaml'``.

    Raises:
        InputError: If it cannot be read, is too large, is no text or not valid.
    """
    return parse_yaml(read_text(path, what, MAX_BYTES), what)


def _read_fields(source: str | Path | Scenario) -> dict[str, Any]:
    if isinstance(source, Scenario):
        return source.model_dump(mode="json")
    if isinstance(source, str) and source in PRESETS:
        text = (resources.files("meqc_marl.config") / "presets" / f"{source}.yaml").read_text(encoding="utf-8")
        fields = parse_yaml(text, f"preset '{source}'")
    else:
        if not isinstance(source, (str, Path)):
            raise InputError(f"scenario is {shown(source)}; it must be a preset's name, a path or a Scenario.")
        if isinstance(source, str) and not source.strip():
            raise InputError(f"scenario is {shown(source)}; it must be a preset ({', '.join(PRESETS)}) or a file.")
        if not os.path.lexists(source):
            sentence = f"scenario {shown(str(source))} is neither a preset ({', '.join(PRESETS)}) nor a file"
            hint = did_you_mean(str(source), PRESETS)
            raise InputError(sentence + (hint if "did you mean" in hint else "."))
        fields = read_yaml(source, f"scenario file '{source}'")
    fields = {} if fields is None else fields
    if not isinstance(fields, dict):
        raise InputError(f"scenario file '{source}' holds a {type(fields).__name__}; it must be a mapping of fields.")
    return fields


def _apply_override(fields: dict[str, Any], override: str) -> None:
    name, value = parse_assignment("override", override, "cost.latency=sequential")
    keys = name.split(".")
    if not all(keys):
        raise InputError(f"override {shown(override)} has an empty name in it; an example is cost.latency=sequential.")
    whole = fields
    for depth, key in enumerate(keys[:-1]):
        below = fields.setdefault(key, {})
        if not isinstance(below, dict):
            raise InputError(
                f"override {shown(override)} goes into {shown('.'.join(keys[: depth + 1]))}, which has no parts."
            )
        fields = below
    fields[keys[-1]] = value
    _also_change(whole, name)


def _also_change(fields: dict[str, Any], name: str) -> None:
    """What goes with an override: the QPU's own numbers take the place of others, and circuits are built anew."""
    if name == "quantum.qpu":
        for other in QPU_FIELDS:
            part, _, field = other.partition(".")
            if isinstance(fields.get(part), dict):
                fields[part].pop(field, None)
    tasks = fields.get("tasks")
    if name in REBUILD and isinstance(tasks, dict) and tasks.get("source") == "circuits" and "circuits" in tasks:
        tasks["circuits"] = unbuilt(tasks["circuits"])
