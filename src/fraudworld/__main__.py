"""`python -m fraudworld` is the command line."""

from fraudworld.cli.app import main

main()
