import sys

if not __package__:  # python tools/capture/__main__.py
    sys.path[0] += "/../.."

from tools.capture.cli import main

sys.exit(main())
