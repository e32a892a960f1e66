import sys

from tools.accuracy.cli import main

sys.exit(main())
