"""Who computes: the process itself, or Ray actors. A thin, replaceable shell around the machine and the journal."""
