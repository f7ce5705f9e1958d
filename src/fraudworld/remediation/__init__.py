"""The remediation ladder P0–P6 (page 4.1): from a world that fails to one that is B+.

    phases.py    the phases as data: what each adds, reruns, and when it is done
    law.py       the conditions of a phase, each a finding over published evidence
    climb.py     makes what a phase must rerun, has it judged, decides, records
    ablation.py  every control alone on the baseline
    table.py     phases down, tests across

A phase rests on files, never on what this process remembers: a ladder that was interrupted
goes on where it was, and one whose evidence changed begins there again.
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
