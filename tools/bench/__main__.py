import sys

if not __package__:  # python tools/bench/__main__.py
    sys.path[0] += "/../.."

from tools.bench.cli import main

sys.exit(main())
