"""docs/equations.md: every numbered equation is there, and every function and test that it names exists."""

import ast
import re
from importlib import import_module
from pathlib import Path

import pytest

from meqc_marl.config import Scenario, load_scenario
from meqc_marl.config.describe import scenario_rows

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "equations.md").read_text(encoding="utf-8")
SECTIONS = re.findall(r"^### (.*?)\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL)
CODE = sorted(set(re.findall(r"`(meqc_marl\.[\w.]+)`", PAGE)))
TESTS = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))


def test_every_numbered_equation_has_code_and_a_test():
    numbered = [match[1] for title, _ in SECTIONS if (match := re.match(r"\((\d+[a-d]?)\)", title))]
    assert numbered == [*map(str, range(1, 13)), *(f"12{part}" for part in "abcd"), *map(str, range(13, 22))]
    for title, text in SECTIONS:
        assert re.search(r"^- code: \[`meqc_marl\.", text, re.MULTILINE), title
        assert re.search(r"^- corrected or settled: \S", text, re.MULTILINE), title
        assert re.search(r"^- test: `tests/", text, re.MULTILINE), title


@pytest.mark.parametrize("name", CODE)
def test_the_code_is_there(name):
    module, _, attribute = name.rpartition(".")
    assert getattr(import_module(module), attribute).__doc__


def test_a_click_leads_to_the_code():
    listed = set(re.findall(r"^::: (\S+)$", (ROOT / "docs" / "api.md").read_text(encoding="utf-8"), re.MULTILINE))
    for name in CODE:
        assert f"[`{name}`](api.md#{name})" in PAGE
        assert name.rpartition(".")[0] in listed, name


@pytest.mark.parametrize(("file", "name"), TESTS)
def test_the_test_is_there(file, name):
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_equations_named_in_docstrings_are_on_the_page():
    """Who reads a function of the formulas finds its equation here, and the function under it."""
    for folder in ("physics", "lyapunov", "nature"):
        for path in (ROOT / "meqc_marl" / folder).glob("*.py"):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                    first = (ast.get_docstring(node) or "").partition("\n")[0]
                    for number in re.findall(r"\((\d+[a-d]?)\)", first):
                        where = f"meqc_marl.{folder}.{path.stem}.{node.name}"
                        under = [text for title, text in SECTIONS if title.startswith(f"({number})")]
                        assert under, (where, number)
                        assert f"`{where}`" in under[0], (where, number)


def test_the_options_are_those_of_the_preset_with_the_printed_formulas():
    usual, printed = (
        {row.name: row.value for row in scenario_rows(one)} for one in (Scenario(), load_scenario("paper-literal"))
    )
    for name, value in printed.items():
        if value == "literal":
            assert usual[name] != "literal"
            assert f"`{name}=literal`" in PAGE, name
