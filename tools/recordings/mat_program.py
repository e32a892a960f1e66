"""Makes plain .npy files of a .mat's vectors of numbers: a program of its own, run by containers.

usage: mat_program.py FILE.mat FOLDER

Writes FOLDER/0.npy and so on and prints their names as a JSON list. Dies of a damaged file, as
scipy does, in whatever way that may be: but within so much memory and processor time.
"""

import contextlib
import json
import math
import sys

import numpy as np
from scipy import io

# Of all that is in it: scipy holds it in memory whole.
MOST_BYTES = 1 << 30
SECONDS = 120


def limit() -> None:
    """Bounds what is taken beyond what Python and scipy have by now, where there is a way."""
    try:
        import resource
    except ImportError:  # Windows has none
        return
    with open("/proc/self/statm") as file:
        taken = int(file.read().split()[0]) * resource.getpagesize()
    most = taken + 3 * MOST_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))


def main(path: str, folder: str) -> None:
    with contextlib.suppress(OSError):  # macOS has neither
        limit()
    size = sum(8 * math.prod(shape) for _, shape, _ in io.whosmat(path, appendmat=False))
    if size > MOST_BYTES:
        raise ValueError(f"it holds {size} bytes, save it as version 7.3 (-v7.3)")
    names = []
    for name, value in io.loadmat(path, appendmat=False).items():
        is_array = isinstance(value, np.ndarray) and value.dtype.kind in "fiu"
        if is_array and value.size == max(value.shape, default=0):
            np.save(f"{folder}/{len(names)}.npy", value.reshape(-1))
            names.append(name)
    print(json.dumps(names))


if __name__ == "__main__":
    main(*sys.argv[1:])
