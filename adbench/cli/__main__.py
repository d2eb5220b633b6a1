"""`python -m adbench.cli` is `adbench`."""

from adbench.cli import main

main()
