import sys

if not __package__:  # python tools/selftest/__main__.py
    sys.path[0] += "/../.."

from tools.selftest.cli import main

sys.exit(main())
