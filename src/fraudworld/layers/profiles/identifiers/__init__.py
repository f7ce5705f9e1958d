"""Judges of published identifiers: guard `P1_VALID_AND_UNREAL`.

Every judge takes an Arrow column and returns a mask, bool (n,): True for a row that is null where
an identifier must be, present where none may be, malformed, or outside the range that nobody is
given. Judges read the policy's templates and automata and share no code with the laws that write
identifiers.

| module | identifiers |
|---|---|
| `forms` | tax ids, postal codes, IBANs |
| `digits` | phone numbers, card numbers, tokens |
| `emails` | e-mail addresses |
| `networks` | IP addresses, autonomous systems |
| `counts` | all of them, over the published tables |
"""
