import sys

if not __package__:  # python tools/drawings/__main__.py
    sys.path[0] += "/../.."

from tools.drawings.cli import main

sys.exit(main())
