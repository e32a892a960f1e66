import sys

if not __package__:  # python tools/__main__.py
    sys.path[0] += "/.."

from tools.common.threewire import main

sys.exit(main())
