"""Packages that only some formats need: imported when they are, named when missing.

Flow: an optional format's reader -> EXTRAS -> the package, or the way to get it.
"""

import importlib
from pathlib import Path
from typing import Any

from tools.common.errors import InputError

# What pip calls the package that is imported by another name.
_PIP_NAMES = {"nptdms": "npTDMS"}


def needs(path: Path, module: str) -> Any:
    """The module that reads `path`. Raises InputError, with the way to get it, without it."""
    try:
        return importlib.import_module(module)
    except (ImportError, OSError) as error:  # OSError: a library that the package brings is not
        name = _PIP_NAMES.get(module, module)
        raise InputError(
            f"{path}: {path.suffix} files need the package {name}, which is not installed; to "
            "get it: make setup GROUP=recordings"
        ) from error
