"""Timings of a run: one row per substep, a summary, a budget check (docs/performance.md)."""
