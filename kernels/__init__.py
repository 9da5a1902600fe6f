"""The numerical core: compiled loops over bars. Installed as `islands.kernels`; knows numpy, numba and llvmlite only.

`steps` is one bar of an indicator, `windows` the last n bars; `loops` and `indicators` make series of them, `signals`
decide by them. `vectors` are many runs, or many bars, in one instruction: `lanes` decide for many genomes at once by
them, `watch` for many bars. `pnl` keeps the account from order to order, `overlays` the one with stops and sizes, `metrics`
sums it up, `batch` runs whole populations, `compile` says how all of it is compiled and cached. No file here
draws random numbers or does any other I/O.
"""
