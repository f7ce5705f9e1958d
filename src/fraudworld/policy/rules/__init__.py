"""Rules of `policy.lint`, one module per part of the pack; each rule yields findings."""
