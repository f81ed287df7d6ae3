"""Single-threaded linear algebra for the whole process.

Place in the flow: bootstrap calls `pin_threads` once, before the first number is computed. More
than one BLAS thread sums in another order and so ends in other last bits.
"""

from __future__ import annotations

import numpy as np
import scipy.linalg
from threadpoolctl import threadpool_info, threadpool_limits

__all__ = ["pin_threads"]


def pin_threads() -> tuple[str, ...]:
    """Limit every loaded BLAS and OpenMP pool to one thread, whatever the environment says.

    The limit stays for the life of the process. Returns the sorted names of the pools pinned.
    Raises RuntimeError when a pool keeps more than one thread.
    """
    # A first call makes sure that both libraries have loaded their pools.
    scipy.linalg.cholesky(np.eye(2))
    threadpool_limits(limits=1)
    pools = threadpool_info()
    loose = sorted(pool["prefix"] for pool in pools if pool["num_threads"] != 1)
    if loose:
        raise RuntimeError(
            f"pin_threads: {', '.join(loose)} did not accept one thread; "
            "set OPENBLAS_NUM_THREADS=1 and OMP_NUM_THREADS=1 before starting"
        )
    return tuple(sorted(pool["prefix"] for pool in pools))
