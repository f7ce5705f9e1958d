"""Segment 6B: transactions over a published world, and their labels.

    S0 open the run → S1 visits → S2 flows → S3 campaigns → S4 labels, bank view → S5 check, seal

A stream reads the published tables of a world and never changes them. Read `stream.py` first.
"""
