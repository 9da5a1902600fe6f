"""The numerical core: compiled loops over bars. Installed as `islands.kernels`; knows numpy, numba and llvmlite only.

`indicators` and `signals` decide, `pnl` keeps the account, `metrics` sums it up, `batch` runs whole populations,
`compile` says how all of it is compiled and cached. No file here draws random numbers or does any other I/O.
"""
