import sys

if not __package__:  # python tools/engines/__main__.py
    sys.path[0] += "/../.."

from tools.engines.cli import main

sys.exit(main())
