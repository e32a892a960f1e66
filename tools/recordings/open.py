"""Opens a recorded waveform, whatever its format: the first stage of a replay.

The extension decides which reader is asked; what comes back streams (tools/recordings/types.py).
The readers' own docstrings define the formats.
"""

from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path

from tools.common.errors import InputError
from tools.common.files import check_file, reason
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

# What each is read by, of tools.recordings: a module, whose function is `open_` and the name. It
# is imported for a file of its kind: all of them take as long as numpy does.
_READERS = {
    ".npz": ("npz", "npz"),
    ".csv": ("csv", "csv"),
    ".tsv": ("csv", "csv"),
    ".wav": ("pcm", "wav"),
    ".flac": ("pcm", "flac"),
    ".mat": ("containers", "mat"),
    ".h5": ("containers", "hdf5"),
    ".hdf5": ("containers", "hdf5"),
    ".tdms": ("containers", "tdms"),
    ".cfg": ("comtrade", "comtrade"),
    ".dat": ("comtrade", "comtrade"),
    ".cff": ("comtrade", "comtrade"),
}
SUFFIXES = tuple(_READERS)


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
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(
            f"{path}: unknown kind of recording {path.suffix!r}; known are {' '.join(SUFFIXES)}"
        )
    module, kind = reader
    opener: Callable[[Path], Recording | Capture] = getattr(
        import_module(f"tools.recordings.{module}"), f"open_{kind}"
    )
    try:
        return opener(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({reason(error)})") from error
