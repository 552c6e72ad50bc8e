"""`python -m simgpt`."""

from simgpt.cli import main

main()
