"""Makes plain .npy files of a .mat's vectors of numbers: a program of its own, run by containers.

usage: mat_program.py FILE.mat FOLDER

Writes FOLDER/0.npy and so on and prints their names as a JSON list. Dies of a damaged file, as
scipy does, in whatever way that may be.
"""

import json
import sys

import numpy as np
from scipy import io


def main(path: str, folder: str) -> None:
    names = []
    for name, value in io.loadmat(path, appendmat=False).items():
        is_array = isinstance(value, np.ndarray) and value.dtype.kind in "fiu"
        if is_array and value.size == max(value.shape, default=0):
            np.save(f"{folder}/{len(names)}.npy", value.reshape(-1))
            names.append(name)
    print(json.dumps(names))


if __name__ == "__main__":
    main(*sys.argv[1:])
