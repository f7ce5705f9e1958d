"""S0: the frozen upstream, read and sealed; the embedded one, built."""
