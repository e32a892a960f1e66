import sys

from tools.emulate.cli import main

sys.exit(main())
