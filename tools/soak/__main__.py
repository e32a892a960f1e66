import sys

if not __package__:  # python tools/soak/__main__.py
    sys.path[0] += "/../.."

from tools.soak.cli import main

sys.exit(main())
