import sys

from tools.power_cuts.cli import main

sys.exit(main())
