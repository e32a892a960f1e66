"""The host side.  The firmware's pure half runs here as it is: importing any tool makes
`threewire` importable, with `micropython` from the shim.
"""

import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
for _path in (_ROOT / "tools" / "shim", _ROOT / "firmware"):
    if str(_path) not in sys.path:
        sys.path.append(str(_path))

# `python -m tools.…` looks for its module under this name; the script has its own.
if sys.argv[0] == "-m" or Path(sys.argv[0]).stem == "threewire":
    from tools.common import ends

    ends.begin()
