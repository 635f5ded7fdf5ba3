"""What a finished run says about itself."""

import json
from pathlib import Path

import streamlit as st

from defemb_core.errors import RunError


def show_evidence(folder: Path) -> None:
    """Show a run's held-out evidence, coverage and isotropy as a row of numbers."""
    evidence, config = _read(folder, "evidence.json"), _read(folder, "config.json")
    held, covered, isotropy = evidence["held_out"], evidence["coverage"], evidence["isotropy"]
    before, after = (isotropy[table]["rare"]["i_w"] for table in ("original", "rebuilt"))
    columns = st.columns(5)
    columns[0].metric("Held-out MRR", f"{held['mrr']:.3f}", help=f"Mean reciprocal rank of the true row among "
                      f"{held['tokens']:,} held-out rows that the map never saw; 0 to 1, higher is better.")  # fmt: skip
    columns[1].metric("Held-out cosine", f"{held['cosine']:.3f}", help="Predicted with true row, centred; -1 to 1.")
    columns[2].metric("Rows rebuilt", f"{covered['rebuilt']:,}", help=f"Of {covered['rows']:,}; "
                      f"{covered['without_definition']:,} have no definition and keep their rows.")  # fmt: skip
    columns[3].metric("I(W) of rare tokens", f"{after:.3f}", f"{after - before:+.3f}", help="Isotropy, both signs; 1 is "
                      "isotropic. The change is against the original.")  # fmt: skip
    columns[4].metric(
        "Seconds", f"{sum(evidence['seconds'].values()):.1f}", help=f"Peak memory {evidence['peak_memory_mb']:,} MB."
    )
    plm, dictionary = config["provenance"]["plm"], config["provenance"]["dictionary"]
    words = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in config["settings"].items())
    st.text(f"{plm['title']} with {dictionary['name']}; {words}")


def _read(folder: Path, name: str) -> dict:
    try:
        return dict(json.loads((folder / name).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        raise RunError(f"the run {folder.name!r} has no readable {name}; delete it and rebuild") from None
