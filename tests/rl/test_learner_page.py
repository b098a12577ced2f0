from pathlib import Path

from meqc_marl.rl.learner_page import learner_page


def test_the_page_is_that_of_the_parameters() -> None:
    """Write it anew with: python -m meqc_marl.rl.learner_page > docs/learner.md."""
    assert (Path(__file__).parents[2] / "docs" / "learner.md").read_text() == learner_page()
