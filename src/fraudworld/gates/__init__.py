"""The judge: realism gates T1–T9, guards and their evidence.

Gates read published tables and the sealed policy, nothing of the generator. A missing input, a
NaN, or a stratum without support means that the gate does not pass.
"""

from fraudworld.gates.board import Gateboard, judge
from fraudworld.gates.schema import write_evidence

__all__ = ["Gateboard", "judge", "write_evidence"]
