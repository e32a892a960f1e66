import sys

if not __package__:  # python tools/profile/__main__.py
    sys.path[0] += "/../.."

from tools.profile.cli import main

sys.exit(main())
