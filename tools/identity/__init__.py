"""Finds the tables of identifiers: one module a table."""
