import sys

if not __package__:  # python tools/power_cuts/__main__.py
    sys.path[0] += "/../.."

from tools.power_cuts.cli import main

sys.exit(main())
