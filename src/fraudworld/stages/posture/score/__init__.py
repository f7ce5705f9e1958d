"""Scores of entities, their tiers (ranks of scores inside a group), and the scans of S2–S4."""
