"""Segments that lie beside a published world and never change it."""
