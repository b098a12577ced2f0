"""The documentation builds without a warning, and its pages hold what they are to hold."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_site_builds_strictly_with_the_api_from_the_docstrings(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    api = (tmp_path / "site" / "api" / "index.html").read_text(encoding="utf-8")
    for name in ("OffloadingParallelEnv", "DiscreteActions", "VirtualQueues", "generate_trace", "load_policy"):
        assert f".{name}" in api
    for page in (ROOT / "docs").glob("*.md"):
        parts = () if page.stem == "index" else (page.stem,)
        assert tmp_path.joinpath("site", *parts, "index.html").is_file(), page
    assert not (ROOT / "site").exists()


def test_every_page_is_found_from_the_first():
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    missing = [
        page.name for page in (ROOT / "docs").glob("*.md") if page.stem != "index" and f"({page.name})" not in index
    ]
    assert missing == []
