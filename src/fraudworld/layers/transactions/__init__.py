"""Segment 6B: transactions over a published world, and what only their maker knows of them.

    S0 intake → S1 attach → S2 flows → S3 campaigns → S4 labels, bank view → S5 checks, seal

A stream reads the world's published tables and never changes them.
"""
