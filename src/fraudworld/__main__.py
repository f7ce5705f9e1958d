"""`python -m fraudworld` is the command line."""

from fraudworld.cli import main

main()
