import sys

from tools.linearity.cli import main

sys.exit(main())
