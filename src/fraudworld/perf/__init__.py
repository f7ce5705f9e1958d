"""Timings of a run: one row per substep, a summary, a budget check (domain page 4.3)."""
