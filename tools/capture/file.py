"""The .npz of a capture, written as the codes come: what has come is on the disk, not in memory.

Flow: receive -> CAPTURE FILE -> .npz, as tools/recordings/npz.py describes it.
"""

import contextlib
import json
import zipfile
from array import array
from collections.abc import Sequence
from typing import IO, Any

import msgspec
import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from tools.cable.shapes import Announced, Captured

_INT64 = "q"
_PIECE = 1 << 14  # integers


class CaptureFile(contextlib.ExitStack):
    """Codes on their way into an .npz.  Use it as a context manager.

    file       opened for writing
    announced  what the board has said is to come: as many frames as the codes' array has

    frames  that have come
    ticks   that they took
    spans   the runs of frames of one length so far

    Whatever it does may raise OSError.
    """

    def __init__(self, file: IO[bytes], announced: Announced) -> None:
        super().__init__()
        self._announced = announced
        self._zip = zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED)
        self._codes = self._zip.open("codes.npy", "w", force_zip64=True)
        shape = (announced.frames, len(announced.slots))
        header = {"descr": "<u2", "fortran_order": False, "shape": shape}
        npy.write_array_header_1_0(self._codes, header)
        self.callback(self._close)
        self.frames = self.ticks = 0
        # Frames and ticks of each, in turn.
        self._spans = array(_INT64)

    def _close(self) -> None:
        """Where it has not been ended it is of no use, nor is what its end would raise."""
        for part in (self._codes, self._zip):
            with contextlib.suppress(OSError):
                part.close()

    @property
    def spans(self) -> int:
        return len(self._spans) // 2

    def add(self, codes: NDArray[np.uint16], spans: Sequence[tuple[int, int]]) -> None:
        """Adds codes of shape (frames, slots), which in all are spans of (frames, ticks of each).
        Each span that differs from the one before takes 16 bytes of memory."""
        self._codes.write(codes.astype("<u2").tobytes())
        self.frames += len(codes)
        self.ticks += sum(frames * ticks for frames, ticks in spans)
        kept = self._spans
        for frames, ticks in spans:
            if kept and kept[-1] == ticks:
                kept[-2] += frames
            else:
                kept.extend((frames, ticks))

    def end(self, energy: Captured) -> None:
        """Ends the file, when all frames have come."""
        self._codes.close()
        announced = self._announced
        arrays: dict[str, Any] = {
            "slots": np.array(announced.slots),
            "board": np.array(announced.board),
            "id": np.array(announced.id),
            "firmware": np.array(announced.version),
            "tick_hz": np.array(announced.tick_hz),
            "frame_ticks": np.array(announced.frame_ticks),
            "calibration": np.array(json.dumps(announced.calibration)),
            "energy": np.array(msgspec.json.encode(energy).decode()),
        }
        for name, value in arrays.items():
            with self._zip.open(f"{name}.npy", "w", force_zip64=True) as file:
                npy.write_array(file, value, allow_pickle=False)
        if self.spans > 1 or self._spans[1] != announced.frame_ticks:
            self._end_spans()
        self._zip.close()

    def _end_spans(self) -> None:
        """A piece at a time, where numpy would copy them all."""
        header = {"descr": "<i8", "fortran_order": False, "shape": (self.spans, 2)}
        with self._zip.open("spans.npy", "w", force_zip64=True) as file:
            npy.write_array_header_1_0(file, header)
            for k in range(0, len(self._spans), _PIECE):
                file.write(np.array(self._spans[k : k + _PIECE], "<i8").tobytes())
