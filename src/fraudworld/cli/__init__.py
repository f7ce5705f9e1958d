"""The command line: one file a command, over `fraudworld.api`."""

import os
import sys

if os.name != "posix":  # before any import of what other systems lack
    sys.stderr.write("fraudworld runs on Linux and macOS; on Windows, use it inside WSL\n")
    sys.exit(2)
