import sys

if not __package__:  # python tools/console/__main__.py
    sys.path[0] += "/../.."

from tools.console.cli import main

sys.exit(main())
