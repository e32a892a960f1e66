import sys

from tools.calibrate.cli import main

sys.exit(main())
