import sys

from tools.drawings.cli import main

sys.exit(main())
