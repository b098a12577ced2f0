"""Every snippet of the documentation is run by a test or, where it trains or needs a cluster, understood."""

import importlib.util
import re
import shlex
import sys
from pathlib import Path

import pytest
import tyro
import yaml

from meqc_marl.cli import _command_type, main
from meqc_marl.jobs.space import parse_space

if sys.version_info >= (3, 11):
    import tomllib

ROOT = Path(__file__).parents[1]
PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in (
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "experiments/README.md", "cluster/README.md")),
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "experiments").glob("*/README.md"),
        *(ROOT / "experiments" / "results").glob("*/README.md"),
    )
}
RUN_BY = {
    "README.md": "tests/test_readme.py",
    "docs/frameworks.md": "tests/env/test_frameworks_page.py",
    "docs/own-environment.md": "tests/dqn_ddpg/test_own_environment.py",
    "docs/own-parts.md": "tests/test_registry.py",
    "docs/traces.md": "tests/nature/test_library.py",
}
"""Pages with Python, and the tests that run it."""
SMALL = ["--num-traces", "2", "--num-slots", "10"]


def fences(language):
    """Page and body of every snippet in a language."""
    return [
        (page, body)
        for page, text in PAGES.items()
        for body in re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    ]


def commands():
    """Page and words of every command with arguments, in snippets and in sentences; not those with dots left out."""
    found = []
    for page, written in PAGES.items():
        text = re.sub(r" *\\\n *", " ", written)  # a command of several lines
        lines = [line for body in re.findall(r"```bash\n(.*?)```", text, re.DOTALL) for line in body.splitlines()]
        lines += re.findall(r"^    (meqc-marl .*)$", text, re.MULTILINE)
        lines += [" ".join(inline.split()) for inline in re.findall(r"`(meqc-marl [^`]*)`", text)]
        for line in lines:
            words = shlex.split(line, comments=True)
            words = words[words.index("meqc-marl") + 1 :] if "meqc-marl" in words else []
            is_whole = len(words) > 1 and not words[-1].startswith("--")
            if is_whole and not any(word.isupper() or "..." in word or "|" in word for word in words):
                found += [(page, words)] if (page, words) not in found else []
    return found


COMMANDS = commands()


def test_python_is_run_by_the_tests_of_its_page():
    assert {page for page, _ in fences("python")} == set(RUN_BY)
    for page, test in RUN_BY.items():
        assert Path(page).name in (ROOT / test).read_text(encoding="utf-8"), test


@pytest.mark.parametrize(("page", "words"), COMMANDS, ids=[" ".join(words) for _, words in COMMANDS])
def test_a_command_is_understood(page, words):
    tyro.cli(_command_type(), args=words, config=(tyro.conf.OmitArgPrefixes, tyro.conf.OmitSubcommandPrefixes))


def test_commands_of_pages_without_training_run(tmp_path, monkeypatch):
    """Those that need no file of a reader's; pages with tests of their own apart."""
    monkeypatch.chdir(tmp_path)
    pages = ("docs/what-if.md", "docs/statistics.md", "docs/pooled.md", "docs/one-policy.md")
    alone = [
        words
        for page, words in COMMANDS
        if page in pages
        and words[0] in ("compare", "vary", "scenario")
        and not {"--checkpoints", "--scenario", "--trace"} & set(words)
    ]
    assert len(alone) >= 3
    for words in alone:
        assert main(words + (SMALL if words[0] != "scenario" else [])) == 0, words


def test_modules_that_are_named_are_there():
    named = {
        name for text in PAGES.values() for name in re.findall(r"python -m ((?:meqc_marl|experiments)[\w.]+)", text)
    }
    assert len(named) >= 8
    assert [name for name in named if importlib.util.find_spec(name) is None] == []


def test_other_snippets_are_valid():
    for page, body in fences("yaml"):
        assert parse_space("space", yaml.safe_load(body)), page
    for page, body in fences("toml"):
        if sys.version_info >= (3, 11):
            assert tomllib.loads(body), page


def test_no_snippet_is_in_a_language_that_nothing_runs():
    known = {"bash", "python", "yaml", "toml", "qasm", "text", ""}
    for page, text in PAGES.items():
        opened = re.findall(r"^```(\w*)$", text, re.MULTILINE)[::2]
        assert set(opened) <= known, page
