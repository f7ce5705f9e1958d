"""S0: verifies, seals and reads the upstream; builds the embedded one."""
