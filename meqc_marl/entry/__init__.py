"""From the words of a command line to work and an exit code, for ``meqc-marl`` and for modules run by themselves."""
