"""What a finished run says about itself."""

import json
from pathlib import Path

import polars as pl
import streamlit as st

from defemb_core.errors import RunError
from defemb_core.relevance import relevant_settings
from pages.shared.charts import figures, show
from pages.shared.text import as_text

NOTHING_PREDICTED = "This method turns the table as a whole: there is no prediction to judge."


PARTS = (
    "Which definitions carry meaning. A token counts by its first definition; ranks are those among all held-out rows, "
    "so that lines compare. Word pieces are judged among themselves."
)
_COLUMNS = {
    "MRR": st.column_config.NumberColumn(format="%.3f"),
    "cosine": st.column_config.NumberColumn(format="%.3f"),
    "median rank": st.column_config.NumberColumn(format="%.1f"),
}


def show_evidence(folder: Path) -> None:
    """Show a run's held-out evidence, coverage and isotropy as a row of numbers."""
    evidence, config = _read(folder, "evidence.json"), _read(folder, "config.json")
    try:
        metrics, words, parts = _metrics(evidence), _settings(config), _held_out_by(evidence)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise RunError(
            f"the run {folder.name!r} lacks figures in its evidence.json or config.json; delete it and rebuild"
        ) from None
    for column, (label, (value, explanation)) in zip(st.columns([2, 2, 2, 3, 2]), metrics.items(), strict=True):
        column.metric(label, value, help=explanation)
    st.text(words)
    if parts.height:
        st.markdown("**Held-out tokens by where their definitions come from**", help=PARTS)
        st.dataframe(parts, key=f"held-out-by-{folder.name}", column_config=_COLUMNS, hide_index=True, width="content")
    if training := evidence.get("training"):
        _show_training(training, evidence.get("student_share"), folder.name)


def show_evidence_or_error(folder: Path) -> None:
    """Show a run's evidence, or what is wrong with it, so that the rest of the page stands."""
    try:
        show_evidence(folder)
    except RunError as exc:
        st.error(as_text(str(exc)), icon=":material/error:")


def _show_training(training: dict, share: float | None, run: str) -> None:
    """Show how a student was trained, its share in the rows (None: not known, all) and its loss curve."""
    made = f"{training['updates']:,} of {training['planned']:,} updates in {training['seconds'] / 60:.1f} min"
    st.caption(
        f"Training: preset {training['preset']}, {made}, {training['examples']:,} examples; "
        f"the weights are those after update {training['best']:,}, best on validation tokens."
    )
    if share is not None:
        st.caption(
            f"The rows are to {share:.0%} those of the student's map and to {1 - share:.0%} those of a map from the "
            "PLM's own states: the share that ranks the validation tokens best."
        )
    if not training["best"]:
        st.warning(
            "Training did not lower the loss on validation tokens, so the rows come from the PLM's own states. "
            "Try more passes or another rate.",
            icon=":material/school:",
        )
    show(figures().loss_figure(training["history"]), key=f"loss-{run}")


def _held_out_by(evidence: dict) -> pl.DataFrame:
    """Return a line a source and a way of matching; none of runs that have not kept them."""
    parts = {
        f"{by} {value}": found
        for by, figures in evidence.get("held_out_by", {}).items()
        for value, found in figures.items()
    }
    if "held_out_pieces" in evidence:
        pieces = evidence.get("held_out_pieces_by", {}).get("how", {"piece": evidence["held_out_pieces"]})
        parts |= {f"found {how}": found for how, found in pieces.items()}
    return pl.DataFrame(
        {
            "definitions": [name.replace("how ", "found ") for name in parts],
            "tokens": [int(found["tokens"]) for found in parts.values()],
            "MRR": [float(found["mrr"]) for found in parts.values()],
            "cosine": [float(found["cosine"]) for found in parts.values()],
            "median rank": [float(found["median_rank"]) for found in parts.values()],
        }
    )


def _metrics(evidence: dict) -> dict[str, tuple[str, str]]:
    """Return each number's label, value and explanation."""
    held, covered, isotropy = evidence["held_out"], evidence["coverage"], evidence["isotropy"]
    # A group with fewer than two rows has no isotropy.
    rare = [isotropy[table]["rare"]["i_w"] for table in ("original", "rebuilt") if "rare" in isotropy[table]]
    judged = f"{held['tokens']:,} held-out rows that the map never saw" if held else ""
    kept = f"{covered['without_definition']:,} have no definition" + (" and keep their rows" if held else "")
    return {
        "Held-out MRR": (
            f"{held['mrr']:.3f}" if held else "–",
            f"Mean reciprocal rank of the true row among {judged}; 0 to 1, 1 is best." if held else NOTHING_PREDICTED,
        ),
        "Held-out cosine": (
            f"{held['cosine']:.3f}" if held else "–",
            f"Predicted with true row of {judged}, centred; -1 to 1." if held else NOTHING_PREDICTED,
        ),
        "Rows rebuilt": (f"{covered['rebuilt']:,}", f"Of {covered['rows']:,}; {kept}."),
        "I(W) of rare tokens": (
            " → ".join(f"{value:.3f}" for value in rare) or "–",
            "Isotropy before and after, both signs; 1 is isotropic.",
        ),
        "Seconds": (f"{sum(evidence['seconds'].values()):.1f}", f"Peak memory {evidence['peak_memory_mb']:,} MB."),
    }


def _settings(config: dict) -> str:
    """Return what was rebuilt, with which dictionary and settings, as one line."""
    plm, dictionary = config["provenance"]["plm"], config["provenance"]["dictionary"]
    relevant = relevant_settings(config["settings"]["method"])
    settings = {name: value for name, value in config["settings"].items() if name in relevant}
    words = ", ".join(
        _in_words(name, value)
        for name, value in settings.items()
        if value is not None and not (name in ("passes", "rate", "without") and not value)
    )
    return f"{plm['title']} with {dictionary['name']}: {words}"


def _in_words(name: str, value: object) -> str:
    words = name.replace("_", " ")
    return f"{'' if value else 'no '}{words}" if isinstance(value, bool) else f"{words} {value}"


def _read(folder: Path, name: str) -> dict:
    try:
        return dict(json.loads((folder / name).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        raise RunError(f"the run {folder.name!r} has no readable {name}; delete it and rebuild") from None
