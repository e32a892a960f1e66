import sys

if not __package__:  # python tools/replay/__main__.py
    sys.path[0] += "/../.."

from tools.replay.cli import main

sys.exit(main())
