"""`python -m defemb_core`."""

import os
import sys

from defemb_core.cli import main

# Read when torch is imported, which no module does at the top. torch's threads would wait for each other by spinning:
# beside another program that does so too, encoding took five times as long (benchmarks/RESULTS.md).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

sys.exit(main())
