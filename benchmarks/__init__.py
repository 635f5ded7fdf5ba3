"""Speed and quality, printed as tables: measured, target, and a peer in the same run. Never asserted on a clock."""
