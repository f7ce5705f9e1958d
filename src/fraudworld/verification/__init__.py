"""Verification: recomputes every claim of a run from its bytes.

Checks are plain functions that yield findings, in the list CHECKS: bytes first, then identity,
tables, laws, randomness, inputs, verdict and attestation. A group runs only while all earlier ones
hold, so that a wrong byte is reported as such and not as the hundred laws it breaks.
"""

from fraudworld.verification.attest import attested
from fraudworld.verification.certificate import is_certificate, verify_certificate
from fraudworld.verification.checks import verify
from fraudworld.verification.deep import regenerated, verify_deeply
from fraudworld.verification.verdict import Check, Verdict

__all__ = [
    "Check",
    "Verdict",
    "attested",
    "is_certificate",
    "regenerated",
    "verify",
    "verify_certificate",
    "verify_deeply",
]
