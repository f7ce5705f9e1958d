"""Certification: the full chain per seed, T1–T10 over all of them, one decision.

    evidence.py   the files of a runs root that a certificate rests on
    summary.py    the summary, a pure function of that evidence and the sealed policy
    features.py   what a bank can see of each entity, joined over tables
    leakage.py    guard `leakage_joined`: what boosted trees learn from that, measured and judged
    leakage_report.py  its evidence file
    chain.py      makes or finds the worlds of the seeds, then their T10, then the summary

Verification reads the same evidence and works the same summary out again.
"""

from fraudworld.certification.chain import certify, require_seeds
from fraudworld.certification.evidence import SUMMARY, SeedEvidence, read_evidence
from fraudworld.certification.summary import not_judged, summarise

__all__ = [
    "SUMMARY",
    "SeedEvidence",
    "certify",
    "not_judged",
    "read_evidence",
    "require_seeds",
    "summarise",
]
