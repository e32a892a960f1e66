import sys

from tools.solve.cli import main

sys.exit(main())
