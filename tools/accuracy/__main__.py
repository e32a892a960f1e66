import sys

if not __package__:  # python tools/accuracy/__main__.py
    sys.path[0] += "/../.."

from tools.accuracy.cli import main

sys.exit(main())
