"""Looking at a published run from outside: its Parquet, its sealed policy, and SQL.

Nothing here imports a stage or a kernel. What an auditor sees is what is on disk.
"""
