"""Helpers that several tests share: small inputs, worlds, clusters, and ways to break them."""
