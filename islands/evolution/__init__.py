"""How one island evolves: pure functions of a world, a deme and an epoch."""
