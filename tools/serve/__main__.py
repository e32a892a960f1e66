import sys

if not __package__:  # python tools/serve/__main__.py
    sys.path[0] += "/../.."

from tools.serve.cli import main

sys.exit(main())
