"""S1: the closed population. Who exists, where, of which type and segment, in which home."""
