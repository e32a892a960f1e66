import sys

if not __package__:  # python tools/linearity/__main__.py
    sys.path[0] += "/../.."

from tools.linearity.cli import main

sys.exit(main())
