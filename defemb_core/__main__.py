"""`python -m defemb_core`."""

import sys

from defemb_core.cli import main

sys.exit(main())
