"""Scores and tiers: what entities show, and their rank inside their group."""
