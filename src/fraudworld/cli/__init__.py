"""The command line: one file a command, over `fraudworld.api`."""
