"""What can be evolved: genes and their search spaces, families, and the strategies that are their points."""
