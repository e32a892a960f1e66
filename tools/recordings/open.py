"""Opens a recorded waveform, whatever its format: the first stage of a replay.

The extension decides which reader is asked; what comes back streams (tools/recordings/types.py).
The readers' own docstrings define the formats.
"""

from collections.abc import Iterable
from pathlib import Path

from tools.common.errors import InputError
from tools.common.files import check_file, reason
from tools.recordings.comtrade import open_comtrade
from tools.recordings.containers import open_hdf5, open_mat, open_tdms
from tools.recordings.csv import open_csv
from tools.recordings.npz import open_npz
from tools.recordings.pcm import open_flac, open_wav
from tools.recordings.types import INPUTS, Capture, Recording, check_rate

__all__ = [
    "INPUTS",
    "SUFFIXES",
    "Capture",
    "InputError",
    "Recording",
    "check_rate",
    "open_recording",
    "recordings_among",
]

_OPENERS = {
    ".npz": open_npz,
    ".csv": open_csv,
    ".tsv": open_csv,
    ".wav": open_wav,
    ".flac": open_flac,
    ".mat": open_mat,
    ".h5": open_hdf5,
    ".hdf5": open_hdf5,
    ".tdms": open_tdms,
    ".cfg": open_comtrade,
    ".dat": open_comtrade,
    ".cff": open_comtrade,
}
SUFFIXES = tuple(_OPENERS)


def recordings_among(paths: Iterable[Path]) -> list[Path]:
    """Those that are recordings by their extension, in their order; a COMTRADE .dat whose .cfg is
    among them is part of that one."""
    known = [path for path in paths if path.suffix.lower() in SUFFIXES]
    headed = {path.with_suffix("") for path in known if path.suffix.lower() == ".cfg"}
    return [
        path
        for path in known
        if path.suffix.lower() != ".dat" or path.with_suffix("") not in headed
    ]


def open_recording(path: str | Path) -> Recording | Capture:
    """Open a recording by its extension, in any case: .npz .csv/.tsv .wav .flac .cfg/.dat .cff
    .mat .h5/.hdf5 .tdms.

    A Capture comes back for an .npz of raw ADC codes, a Recording for all else. Only headers are
    read here, but the lines of a .csv are counted, and times, and COMTRADE's marks of missing
    samples, are looked at once. Raises InputError for a file that cannot be used; what is wrong
    deep in the data is raised by blocks().
    """
    path = Path(path)
    check_file(path)
    opener = _OPENERS.get(path.suffix.lower())
    if opener is None:
        raise InputError(
            f"{path}: unknown kind of recording {path.suffix!r}; known are {' '.join(SUFFIXES)}"
        )
    try:
        return opener(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({reason(error)})") from error
