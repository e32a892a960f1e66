import sys

if not __package__:  # python tools/calibrate/__main__.py
    sys.path[0] += "/../.."

from tools.calibrate.cli import main

sys.exit(main())
