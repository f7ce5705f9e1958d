"""Layer 6P: profiles beside a published world.

    P0 places, merchants, outlets, terminals → P1 parties → P2 accounts → P3 instruments
    → P4 devices and endpoints → check, seal

The layer reads the published tables of a world and never changes them. Read `layer.py` first.
"""
