import sys

from tools.engines.cli import main

sys.exit(main())
