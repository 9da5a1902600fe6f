"""Is it luck? What a campaign proposes, and on what evidence."""
