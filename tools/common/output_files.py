"""Files that a tool leaves behind: there whole, or as they were before.

Flow: solve, linearity, golden, accuracy, capture and the plots -> OUTPUT FILES -> disk.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.common.errors import InputError
from tools.common.files import reason

if TYPE_CHECKING:
    from matplotlib.figure import Figure  # takes a second to import


def check_writable(path: str | Path, suffixes: tuple[str, ...]) -> Path:
    """The path of a file that is to be written, with one of these suffixes (".npz"). Raises
    InputError where it cannot be: found out before the work, not after.
    """
    file = Path(path)
    if not file.name:
        raise InputError(f"{str(path)!r}: expected the name of a file")
    if file.suffix not in suffixes:
        *others, last = suffixes
        listed = f"{', '.join(others)} or {last}" if others else last
        raise InputError(f"{path}: expected a name that ends in {listed}")
    if file.is_dir():
        raise InputError(f"{path}: is a directory; name a file in it")
    if not file.parent.is_dir():
        raise InputError(f"{path}: there is no folder {file.parent}")
    # Files are written beside what they replace.
    if not os.access(file.parent, os.W_OK):
        raise InputError(f"{path}: nothing may be written in {file.parent}; name another folder")
    return file


def check_plot_path(path: str) -> Path:
    """As check_writable, of a plot."""
    return check_writable(path, (".png", ".svg", ".pdf"))


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a path beside `path` to write to, which takes its name at the end of the `with`.

    Left with an error, `path` is as it was.  Raises InputError for what the system refuses.
    """
    aside = path.with_name(f".{path.name}.new")
    try:
        yield aside
        os.replace(aside, path)
    except OSError as problem:
        raise InputError(
            f"{path}: cannot be written ({reason(problem)}); name a file in a folder that can"
        ) from None
    finally:
        with suppress(OSError):
            aside.unlink()


def write_constants(path: Path, constants: dict[str, Any]) -> None:
    """Writes a calibration file, a constant a line, and waits until it is on the disk. Raises
    InputError.
    """
    rows = [f" {json.dumps(key)}: {json.dumps(value)}" for key, value in constants.items()]
    with replacing(path) as aside, aside.open("w", encoding="utf-8") as file:
        file.write("{\n" + ",\n".join(rows) + "\n}\n")
        file.flush()
        os.fsync(file.fileno())


def save_plot(figure: Figure, path: str | Path) -> None:
    """Writes a figure in the format that the suffix names (.png, .svg or .pdf). Raises
    InputError.
    """
    path = Path(path)
    with replacing(path) as aside:
        figure.savefig(aside, format=path.suffix[1:], dpi=110)
