"""`python -m defemb_core`, and the command `defemb` where the package is installed."""

import signal
import sys

from defemb_core.cli import main
from defemb_core.process_setup import set_up_process


def run() -> int:
    """Set the process up, run one command and return the exit code."""
    set_up_process()  # before torch is imported, which no module does at the top
    # Whoever ends this process lets it say so, and keep what it has.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    return main()


if __name__ == "__main__":
    sys.exit(run())
