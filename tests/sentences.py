"""What every message about bad input must look like."""

import re


def is_one_sentence(text: str) -> bool:
    """One line that ends with a full stop, with no other sentence before it but in what is quoted."""
    said = re.sub(r"(?<!\w)('[^']*'|\"[^\"]*\")(?!\w)", "''", text)
    return "\n" not in text and text.endswith(".") and not text.endswith("..") and ". " not in said
