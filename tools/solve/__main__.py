import sys

if not __package__:  # python tools/solve/__main__.py
    sys.path[0] += "/../.."

from tools.solve.cli import main

sys.exit(main())
