"""Every figure of the report as a Vega-Lite specification over named rows of the facts.

Colours are names of CSS variables, so one drawing serves light, dark and print. Shape or
text repeats whatever colour says.
"""

from __future__ import annotations

from fraudworld.report.figures import (
    accounts,
    gates,
    joints,
    neighbourhood,
    network,
    population,
    profiles,
    risk,
    runs,
)
from fraudworld.report.figures.figure import Figure

__all__ = ["FIGURES", "Figure"]

FIGURES = (
    *gates.FIGURES,
    *population.FIGURES,
    *accounts.FIGURES,
    *network.FIGURES,
    *risk.FIGURES,
    *joints.FIGURES,
    *profiles.FIGURES,
    *neighbourhood.FIGURES,
    *runs.FIGURES,
)
"""All of them; the page puts each into its section."""
