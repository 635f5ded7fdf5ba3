"""The page Dynamics: which recording, measuring it in the background, what it says in words."""

from pathlib import Path

import polars as pl
import streamlit as st

from defemb_core.dynamics.dynamics_files import FOLDER, read_dynamics
from defemb_core.dynamics.measures import Dynamics
from defemb_core.dynamics.recordings import Recording, find_recordings, open_recording
from defemb_core.dynamics.summary import cautions, findings, last_movement, movement_table, percent
from defemb_core.errors import DefembError
from defemb_core.plm import PLM
from defemb_core.processes import start_run
from defemb_core.runs import STATUS, Status, read_status, runs_folder
from pages.shared import state
from pages.shared.downloads import offer_figures
from pages.shared.progress import watch_job
from pages.shared.text import as_duration, as_text

# Seconds a snapshot takes to measure, for each number in its table, on two cores.
_SECONDS = 1.0 / (30_522 * 384)
LINES = """from defemb_core.dynamics import EmbeddingRecorder
trainer.add_callback(EmbeddingRecorder("runs/my-recording"))"""
COMMAND = "python -m defemb_core dynamics runs/my-recording"
ELSEWHERE = "A folder on this machine"
FIGURES = {
    "rows": st.column_config.TextColumn(
        "rows", help="Seen: the token was in a training batch. Padding does not count."
    ),
    "moved": st.column_config.TextColumn("moved", help="Share of the rows that differ from the start in any bit."),
    "by (of length)": st.column_config.TextColumn(
        "by (of length)", help="Mean length of row - first row, over the length of the first row."
    ),
    "cosine to start": st.column_config.TextColumn(
        "cosine to start", help="Mean cosine with the first row; 1: unturned."
    ),
    "one scale explains": st.column_config.TextColumn(
        "one scale explains",
        help="Share of the squared displacement that goes away when all these first rows are multiplied by one common "
        "number, chosen by least squares. Weight decay alone gives nearly 100%: each row's rounding is its own.",
    ),
    "weight decay alone": st.column_config.TextColumn(
        "weight decay alone",
        help="Share of the rows that the recorded weight decay alone makes of the first rows, to the last bit.",
    ),
}


def choose_recording() -> tuple[Recording, str]:
    """Return the recording that is chosen and whose vocabulary it is; say how to make one if there is none."""
    found = {_name(path): path for path in find_recordings(runs_folder())}
    left, middle, right = st.columns([3, 3, 3], vertical_alignment="bottom")
    name = left.selectbox(
        "Recording", [*found, ELSEWHERE], key="recording", bind="query-params",
        help="Recordings and folders of checkpoint-N below the runs folder, newest first.",
    )  # fmt: skip
    typed = ""
    if name == ELSEWHERE:
        typed = middle.text_input(
            "Folder", key="recording_folder", bind="query-params", placeholder="a recording, or a Trainer's output_dir"
        )
    plm = ""
    if typed:
        plm = right.text_input(
            "PLM", key="recording_plm", bind="query-params", placeholder="what lies with it",
            help="Whose vocabulary it is and what checkpoints began from: 'bundled', a hub name or a folder. A "
            "recording mostly knows.",
        )  # fmt: skip
    elif name == ELSEWHERE:
        _say_how(bool(found))
        st.stop()
    try:
        start: PLM | None = state.plm_named(plm) if plm else None
        return open_recording(Path(typed).expanduser() if typed else found[name], start), plm
    except DefembError as exc:
        st.error(as_text(str(exc)), icon=":material/error:")
        st.stop()


def measured_or_stop(recording: Recording, plm: str) -> Dynamics:
    """Return what the recording says, or offer to measure it, watch that, and end the page."""
    job = recording.folder / FOLDER
    status = read_status(job) if (job / STATUS).exists() else None
    if status and status.is_active:
        watch_job(job, "Measuring")
        st.stop()
    known = read_dynamics(recording, plm)
    if known is None:
        _offer(recording, plm, status)
        st.stop()
    return known


def show_findings(dynamics: Dynamics, recording: Recording) -> None:
    """Show some numbers, what stands in the measures in sentences, and the table of movement."""
    metrics = _metrics(dynamics)
    for column, (label, value, change, explained) in zip(st.columns(len(metrics)), metrics, strict=True):
        column.metric(label, value, change, help=explained, delta_color="off")
    st.markdown("\n".join(f"- {as_text(sentence)}" for sentence in findings(dynamics)))
    for caution in cautions(dynamics, recording):
        st.warning(as_text(caution), icon=":material/priority_high:")
    shown = movement_table(dynamics)
    with st.expander("Movement of each group", icon=":material/table_rows:"):
        st.dataframe(shown, key="movement-figures", hide_index=True, column_config=FIGURES)
        offer_figures("movement", dynamics.displacement, shown, "How far rows have moved by the last step.")


def _metrics(dynamics: Dynamics) -> list[tuple[str, str, str | None, str]]:
    """Return label, value, change and explanation of the numbers that say most."""
    parts, metrics = last_movement(dynamics), []
    for kind in ("seen", "unseen") if dynamics.knows_seen else ("every",):
        if line := parts.get(kind):
            told = f"Mean, of their own length. {percent(line['moved'])} of {line['rows']:,} changed in any bit."
            metrics.append((f"{kind.capitalize()} rows moved by", percent(line["relative"]), None, told))
    if (line := parts.get("unseen")) and line["explained"] is not None:
        told = "Share of the unseen rows' squared displacement that one common shrinking explains: weight decay."
        metrics.append(("Explained by one scale", percent(line["explained"]), None, told))
    values = dynamics.isotropy.filter(pl.col("group") == "all")["i_w"]
    told = "Isotropy of all rows after the last step, and its change from the first; 1 is isotropic."
    return [*metrics, ("I(W) of all rows", f"{values[-1]:.4f}", f"{values[-1] - values[0]:+.1e}", told)]


def _say_how(others: bool) -> None:
    """Say how to make a recording; `others` tells whether there are some to choose from."""
    what = "Name a folder, or make a recording with" if others else "There is no recording here yet. It takes"
    st.info(f"{what} two lines in your training script:", icon=":material/info:")
    st.code(LINES, language="python")
    st.caption(
        "For any Trainer of transformers; it costs little time and keeps only rows that changed. A folder of "
        "checkpoint-N that a Trainer has left can be read too, without counts of the tokens seen. Then choose it above "
        "or ask on the command line:"
    )
    st.code(COMMAND, language="bash")


def _offer(recording: Recording, plm: str, status: Status | None) -> None:
    """Offer to measure a recording, in the background."""
    if status and status.state == "failed":
        st.error(as_text(status.message), icon=":material/error:")
    steps = recording.steps
    about = as_duration(max(1.0, len(steps) * recording.rows * recording.width * _SECONDS))
    st.text(
        f"{len(steps)} snapshots, steps {steps[0]:,} to {steps[-1]:,}, of {recording.rows:,} x {recording.width:,}."
    )
    label = "Measure again" if status and status.state == "complete" else "Measure"
    if st.button(
        label, icon=":material/play_arrow:", type="primary", key="measure_dynamics", help=f"About {about}, once."
    ):
        words = ["dynamics", str(recording.folder)] + ([f"--plm={plm}"] if plm else [])
        start_run(words, recording.folder / FOLDER, join=True)
        st.rerun()


def _name(path: Path) -> str:
    """Return a recording's name: its place below the runs folder."""
    return str(path.relative_to(runs_folder())) if path != runs_folder() else path.name
