"""A run: from sealed inputs through S1–S5 to a published, judged world. Start with `pipeline`."""
