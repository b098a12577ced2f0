"""The figures of the paper, one module each, with a verdict on every claim."""
