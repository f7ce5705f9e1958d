"""Measuring a child process: status, output, time and memory."""

from __future__ import annotations

import sys

from fraudworld.perf.child import measure


def test_status_output_and_cost_of_a_process() -> None:
    work = "import sys; x = bytearray(80 << 20); sum(range(3_000_000)); print('a'); sys.exit(3)"
    done = measure([sys.executable, "-c", work])
    assert (done.status, done.out, done.err) == (3, "a\n", "")
    assert 0 < done.cpu_s < 60
    assert done.wall_s > 0
    assert done.peak_rss_mib > 80


def test_the_environment_is_extended() -> None:
    say = "import os, sys; print(os.environ['GIVEN'], 'PATH' in os.environ, file=sys.stderr)"
    assert measure([sys.executable, "-c", say], {"GIVEN": "x"}).err == "x True\n"


def test_a_killed_process_has_a_negative_status() -> None:
    end = "import os, signal; os.kill(os.getpid(), signal.SIGTERM)"
    assert measure([sys.executable, "-c", end]).status == -15
