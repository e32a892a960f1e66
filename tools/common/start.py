"""How a process that is a command begins: before any of its packages is imported.

Flow: tools/__init__.py -> START -> ends, and the line on a package that is not there.
"""

import sys
from pathlib import Path
from types import TracebackType

from tools.common import ends

_TOOLS = Path(__file__).resolve().parents[1]


def is_command() -> bool:
    """Whether this process is one of the tools: by their script, by a file or folder of theirs, or
    as `python -m tools.…`, which has that name while it looks for the module."""
    called = Path(sys.argv[0])
    is_ours = (called.suffix == ".py" or called.is_dir()) and _TOOLS in called.resolve().parents
    return sys.argv[0] == "-m" or called.stem == "threewire" or is_ours


def begin() -> None:
    """Before all else."""
    ends.begin()
    sys.excepthook = _tell


def _tell(kind: type[BaseException], problem: BaseException, trace: TracebackType | None) -> None:
    """For want of a package one line, in place of a traceback."""
    from tools.common import groups  # nothing else needs it

    said = groups.missing(problem, trace) if isinstance(problem, ImportError) else None
    if said:
        print(f"error: {said}", file=sys.stderr)
    else:
        sys.__excepthook__(kind, problem, trace)
