"""What every message about bad input must look like."""


def is_one_sentence(text: str) -> bool:
    """One line that ends with a full stop, with no other sentence before it."""
    return "\n" not in text and text.endswith(".") and not text.endswith("..") and ". " not in text
