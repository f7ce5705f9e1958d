"""Plain twins of layer 6P: the laws of profiles, row by row."""
