import sys

if not __package__:  # python tools/monitor/__main__.py
    sys.path[0] += "/../.."

from tools.monitor.cli import main

sys.exit(main())
