"""Work that was interrupted, and how to go on with it."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM, told in a sentence: how far the work is, and how it goes on. The command line prints it."""
