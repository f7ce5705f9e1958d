"""START HERE: one run, from sealed inputs to a published, judged world.

    S0 intake → S1 parties → S2 accounts → S3 instruments → S4 network → S5 posture
       → gates T1–T8 → seal → publish

A stage is a pure function of (input columns, policy, key). What is not pure lives here or
below `store/`: files, clocks, threads. Rows stream into writers while stages compute, all of
it in a staging folder that is renamed into place at the very end.
"""

from __future__ import annotations
