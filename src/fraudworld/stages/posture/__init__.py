"""S5, the fraud posture: scores, tiers and roles of entities, and how risk propagates."""
