"""What runs pieces: `processes` on this machine, `dask_cluster` on others. Another engine is one file more, here.

`workers.Engine` says what it has to be. `standstill` tells when a process of either does not go on.
"""
