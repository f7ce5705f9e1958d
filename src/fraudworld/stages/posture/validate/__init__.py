"""S5's checks of a world, judged on what its scans counted."""
