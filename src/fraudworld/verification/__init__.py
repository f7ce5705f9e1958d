"""Verification: what a run claims, worked out again from its bytes, trusting nothing else.

Checks are plain functions that yield findings, in the visible list CHECKS: bytes first, then
who the run is, what its tables say of each other, its randomness, its inputs, its verdict.
A group is only entered while everything before it holds: a wrong byte is named as such, and
not as the hundred laws it breaks.
"""

from fraudworld.verification.attest import attested
from fraudworld.verification.certificate import is_certificate, verify_certificate
from fraudworld.verification.checks import verify
from fraudworld.verification.deep import regenerated
from fraudworld.verification.verdict import Check, Verdict

__all__ = [
    "Check",
    "Verdict",
    "attested",
    "is_certificate",
    "regenerated",
    "verify",
    "verify_certificate",
]
