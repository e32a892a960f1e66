"""The host side.  The firmware's pure half runs here as it is: importing any tool makes
`threewire` importable, with `micropython` from the shim.
"""

import sys

# Older ones have to understand this file, Python 2 as well.
if sys.hexversion < 0x030B0000:
    sys.exit(
        "error: " + sys.executable + " is Python " + sys.version.split()[0] + ", and the tools "
        "need 3.11 or later: `make setup` looks for one and makes .venv with it; then use "
        ".venv/bin/python, or .venv/bin/threewire"
    )

from pathlib import Path

from tools.common import start

_ROOT = Path(__file__).resolve().parent.parent
for _path in (_ROOT / "tools" / "shim", _ROOT / "firmware"):
    if str(_path) not in sys.path:
        sys.path.append(str(_path))

if start.is_command():
    start.begin()
