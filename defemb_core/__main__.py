"""`python -m defemb_core`."""

import os
import signal
import sys

from defemb_core.cli import main

# Read when torch is imported, which no module does at the top. torch's threads wait for each other by spinning 300,000
# rounds: beside another program that does so too, encoding took up to five times as long (benchmarks/RESULTS.md). With
# 10,000 it does not, and alone it is no slower, as it would be without any spinning.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")

# Whoever ends this process lets it say so, and keep what it has.
signal.signal(signal.SIGTERM, signal.default_int_handler)
sys.exit(main())
