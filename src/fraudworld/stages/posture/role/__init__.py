"""Roles: drawn per stratum, with risk propagated along ownership and links."""
