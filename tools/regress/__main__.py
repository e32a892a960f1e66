import sys

if not __package__:  # python tools/regress/__main__.py
    sys.path[0] += "/../.."

from tools.regress.cli import main

sys.exit(main())
