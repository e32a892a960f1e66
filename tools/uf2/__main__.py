import sys

if not __package__:  # python tools/uf2/__main__.py
    sys.path[0] += "/../.."

from tools.uf2.cli import main

sys.exit(main())
