import sys

if not __package__:  # python tools/emulate/__main__.py
    sys.path[0] += "/../.."

from tools.emulate.cli import main

sys.exit(main())
