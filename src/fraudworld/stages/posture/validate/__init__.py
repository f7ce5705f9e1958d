"""The validation checks of S5."""
