import sys

if not __package__:  # python tools/reliability/__main__.py
    sys.path[0] += "/../.."

from tools.reliability.cli import main

sys.exit(main())
