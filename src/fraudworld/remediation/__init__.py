"""The remediation ladder P0–P6 (docs/ladder.md): from a failing world to one that is B+.

    phases.py    the phases as data: overlays, reruns, definition of done, decision
    law.py       the conditions of a phase, each a finding over published evidence
    climb.py     reruns states, judges, decides, records
    ablation.py  every control alone on the baseline
    table.py     phases × tests, as a table

A phase depends on files only, not on the memory of this process: an interrupted ladder continues
at the phase it had reached, and one whose evidence changed restarts at that phase.
"""

from fraudworld.remediation.ablation import Ablation, ablate
from fraudworld.remediation.climb import climb
from fraudworld.remediation.phases import LADDER, NAMES, Phase, chosen
from fraudworld.remediation.table import publish_ablation, publish_ladder

__all__ = [
    "LADDER",
    "NAMES",
    "Ablation",
    "Phase",
    "ablate",
    "chosen",
    "climb",
    "publish_ablation",
    "publish_ladder",
]
