"""YAML as this package reads it: the scalars of YAML 1.2, plain data only, and every mistake in one sentence.

YAML 1.1, which PyYAML speaks, reads ``yes`` as true, ``010`` as 8, ``1:30`` as 90, ``2001-13-45`` as a date that does
not exist, and ``1e9`` as text; it lets the last of two equal keys win, and a page of aliases stand for a
billion values.
"""

from __future__ import annotations

import math
import re
from typing import Any

import yaml

from meqc_marl.errors import InputError, shown

MAX_BYTES = 4_000_000
"""Of a file: a weight for each of 100,000 devices is half of it."""
_MAX_DEPTH = 40
_MAX_VALUES = 500_000
"""Values that a document may stand for, aliases written out."""


class _Loader(yaml.SafeLoader):
    """SafeLoader without what YAML 1.1 adds, and with limits."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._depth = 0
        self._size: dict[int, float] = {}

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Compose a node, not too deep and not standing for too much."""
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if self._depth >= _MAX_DEPTH:
            raise yaml.constructor.ConstructorError(
                None, None, f"more than {_MAX_DEPTH} levels of nesting", event.start_mark
            )
        self._depth += 1
        node: Any = super().compose_node(parent, index)
        self._depth -= 1
        if not isinstance(event, yaml.AliasEvent):
            self._size[id(node)] = 1 + sum(self._size.get(id(part), math.inf) for part in _parts(node))
        if self._size.get(id(node), math.inf) > _MAX_VALUES:  # one that holds itself is not measured yet
            raise yaml.constructor.ConstructorError(
                None, None, f"it stands for more than {_MAX_VALUES:,} values", event.start_mark
            )
        return node

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        """Construct a value; what its tag promises and its text does not hold is an error with its line."""
        try:
            return super().construct_object(node, deep)
        except (ValueError, TypeError, AttributeError, LookupError, ArithmeticError):
            raise yaml.constructor.ConstructorError(
                None, None, f"{shown(node.value)} is not of the kind {node.tag.rpartition(':')[2]}", node.start_mark
            ) from None

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """Construct a mapping, each of whose keys stands there once."""
        seen = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                name = self.construct_object(key, deep=True)
                if name in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {shown(name)} stands there twice", key.start_mark
                    )
                seen.add(name)
        return super().construct_mapping(node, deep)

    def construct_integer(self, node: Any) -> int:
        """Decimal, or hexadecimal and octal by their prefix."""
        text = self.construct_scalar(node).replace("_", "")
        return int(text, 0 if re.match("[-+]?0[xo]", text) else 10)


def _parts(node: Any) -> list[Any]:
    if isinstance(node, yaml.SequenceNode):
        return list(node.value)
    return [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else []


_TAG = "tag:yaml.org,2002:"
_Loader.yaml_implicit_resolvers = {}
_SCALARS = {
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (r"[-+]?[0-9][0-9_]*|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    "float": (
        r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
    "merge": (r"<<", ["<"]),
}
for _name, (_pattern, _first) in _SCALARS.items():
    _Loader.add_implicit_resolver(_TAG + _name, re.compile(rf"^(?:{_pattern})$"), _first)
_Loader.yaml_constructors = {
    tag: constructor
    for tag, constructor in yaml.SafeLoader.yaml_constructors.items()
    if tag is None or tag in {_TAG + name for name in ("null", "bool", "float", "str", "seq", "map")}
}
_Loader.add_constructor(_TAG + "int", _Loader.construct_integer)


def parse_yaml(text: str, what: str) -> Any:
    """Read one YAML document.

    Args:
        text: The document.
        what: Names it in the sentence of a mistake, as in ``scenario file 'mine.yaml'``.

    Raises:
        InputError: It is too large, or not valid.
    """
    if len(text) > MAX_BYTES:
        raise InputError(f"{what} has {len(text):,} characters; at most {MAX_BYTES:,} are allowed.")
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "unreadable"
        raise InputError(f"{what} is not valid YAML{where}: {' '.join(str(problem).split())}.") from None
    except (ValueError, OverflowError, RecursionError) as error:  # such as an escape for a character past the last one
        raise InputError(f"{what} is not valid YAML: {' '.join(str(error).split())}.") from None


class _Dumper(yaml.SafeDumper):
    """SafeDumper that quotes text which this package would read as something else."""


_Dumper.yaml_implicit_resolvers = {
    first: [*yaml.SafeDumper.yaml_implicit_resolvers.get(first, ()), *_Loader.yaml_implicit_resolvers.get(first, ())]
    for first in {*yaml.SafeDumper.yaml_implicit_resolvers, *_Loader.yaml_implicit_resolvers}
}


def dump_yaml(content: Any) -> str:
    """Text of plain data, which ``parse_yaml`` reads as the same."""
    return str(yaml.dump(content, Dumper=_Dumper, sort_keys=False, default_flow_style=None, width=120))
