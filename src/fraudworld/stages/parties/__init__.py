"""S1: the closed population — who exists, where, of which type and segment, in which home."""
