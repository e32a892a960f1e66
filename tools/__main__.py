import sys

from tools.common.threewire import main

sys.exit(main())
