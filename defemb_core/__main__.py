"""`python -m defemb_core`."""

import signal
import sys

from defemb_core.cli import main
from defemb_core.process_setup import set_up_process

set_up_process()  # before torch is imported, which no module does at the top
# Whoever ends this process lets it say so, and keep what it has.
signal.signal(signal.SIGTERM, signal.default_int_handler)
sys.exit(main())
