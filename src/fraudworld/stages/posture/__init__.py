"""S5: the static fraud posture — scores, tiers, roles, and how risk spreads."""
