"""How long the stages of each method take, as shares of the whole work: what progress bars move by."""

from __future__ import annotations

_QUICK = {"definitions": 0.05, "bags": 0.2, "map": 0.2, "held-out": 0.25, "rows": 0.05, "isotropy": 0.25}
# Share of each stage in the whole work, measured on the bundled PLM and WordNet; the progress bar moves by these.
STAGE_SHARES: dict[str, dict[str, float]] = {
    "instant": _QUICK,
    "random": _QUICK,
    "frozen": {
        "definitions": 0.01,
        "bags": 0.02,
        "encoder": 0.9,
        "map": 0.03,
        "held-out": 0.02,
        "rows": 0.01,
        "isotropy": 0.01,
    },
    "trained": {
        "definitions": 0.005,
        "bags": 0.01,
        "encoder": 0.09,
        "start": 0.015,
        "training": 0.76,
        "states": 0.09,
        "map": 0.01,
        "held-out": 0.01,
        "rows": 0.005,
        "isotropy": 0.005,
    },
    "mean-of-definition": {"definitions": 0.1, "bags": 0.45, "held-out": 0.15, "rows": 0.05, "isotropy": 0.25},
    "all-but-the-top": {"definitions": 0.2, "map": 0.25, "rows": 0.05, "isotropy": 0.5},
    "whitening": {"definitions": 0.2, "map": 0.25, "rows": 0.05, "isotropy": 0.5},
}


DECODER = "decoder's "
"""What the stages begin with that rebuild a decoder's own table, after the encoder's."""


def stage_shares(method: str, has_decoder_table: bool = False) -> dict[str, float]:
    """Return each stage's share of the whole work, in order; they sum to 1."""
    shares = STAGE_SHARES[method]
    if not has_decoder_table:
        return shares
    again = {f"{DECODER}{stage}": share for stage, share in shares.items() if stage != "definitions"}
    total = sum(shares.values()) + sum(again.values())
    return {stage: share / total for stage, share in (shares | again).items()}
