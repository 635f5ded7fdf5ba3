"""What the maps are made with, how far they can be trusted, and the search for them."""

from pathlib import Path

import numpy as np
import streamlit as st

from defemb_core.analysis import Analysis
from defemb_core.comparison import Comparison
from defemb_core.errors import SettingsError
from defemb_core.neighbours import METRICS
from defemb_core.processes import analysed_with, cancel_run, start_analysis
from defemb_core.projection_settings import (
    METHODS,
    MODES,
    SUBSETS,
    ProjectionSettings,
    is_list,
    keep_rows,
    subset_rows,
)
from defemb_core.runs import ANALYSIS, analysis_status
from defemb_core.umap_projection import FEWEST_UMAP_ROWS
from pages.shared.progress import watch_analysis
from pages.shared.text import as_text

# The URL holds what a control shows.
MODE_NAMES = {"each": "fit each", "place": "place rebuilt"}
MODE_HELP = """
- **fit each**: both tables have a map of their own; the rebuilt one starts from the original's places and is turned
  onto it. Points move because their rows changed, and because the whole layout did.
- **place rebuilt**: one map, of the original. A kept row stays where it is; a rebuilt row lies among the
  original rows that are nearest to it in the full space. Points move only because their rows changed.
"""
TRUST_HELP = """
Of rows drawn at random, each compared with all others (Venna and Kaski 2001).

- **Trustworthiness** falls where rows lie close on the map that are far apart in the full space: false neighbours.
- **Continuity** falls where rows that are close in the full space lie far apart on the map: torn neighbourhoods.

1 is best; a map at random has about 0.5.
"""
# From what trustworthiness on a sentence holds.
READINGS = (
    (0.95, "What lies close together on the map mostly is close in the full space."),
    (0.85, "Some of what lies close together on the map is not close in the full space."),
    (0.0, "Much of what lies close together on the map is not close in the full space: check neighbours in the lists."),
)
_ROWS = "rows"


def projection_settings(comparison: Comparison) -> ProjectionSettings:
    """Show what the maps of a comparison can be made with; the URL holds it."""
    usual = ProjectionSettings()
    left, middle, right, more = st.columns([2, 3, 3, 2.4], vertical_alignment="bottom")
    method = left.segmented_control(
        "Projection", METHODS, format_func=str.upper, default=usual.method, required=True, key="map",
        bind="query-params", help="UMAP shows neighbourhoods; PCA the two directions of largest variance.",
    )  # fmt: skip
    mode = middle.segmented_control(
        "Rebuilt table", MODES, format_func=MODE_NAMES.__getitem__, default=usual.mode, required=True, key="fit",
        bind="query-params", help=MODE_HELP,
    )  # fmt: skip
    with right:
        subset = _subset(comparison)
    with more.popover("UMAP settings", icon=":material/tune:", disabled=method != "umap", width="stretch"):
        neighbours, min_dist, metric = _umap_settings(usual)
    return ProjectionSettings(method, mode, neighbours, min_dist, metric, subset)


def offer_map_of(selected: np.ndarray) -> None:
    """Offer a map of the selected rows alone, if they are enough for one; above the maps it would push them down."""
    if selected.size >= FEWEST_UMAP_ROWS:
        st.button(
            f"Map the {selected.size:,} selected rows by themselves", icon=":material/filter_alt:", type="tertiary",
            on_click=_map_only, args=(selected,),
        )  # fmt: skip


def trust_line(analysis: Analysis, names: tuple[str, str] = ("original", "rebuilt")) -> str:
    """Return how far both maps, of tables with these names, can be trusted; TRUST_HELP explains the figures."""
    before, after = (made.trust for made in analysis.maps)
    if not (before and after):
        return ""
    total = len(analysis.neighbours[0].indices)
    part = f"{before.rows:,} of {total:,} rows are on the maps. " if before.rows < total else ""
    judged = f"{before.sample:,} of {before.rows:,}" if before.sample < before.rows else f"all {before.rows:,}"
    lower = min(before.trustworthiness, after.trustworthiness)
    reading = next(sentence for limit, sentence in READINGS if lower >= limit)
    first, second = (as_text(name) for name in names)
    return (
        f"{part}{reading} Trustworthiness: {first} {before.trustworthiness:.2f}, {second} {after.trustworthiness:.2f}; "
        f"continuity: {before.continuity:.2f}, {after.continuity:.2f} (1 is best; {before.k} neighbours, {judged} rows "
        "judged)."
    )


def named_regions(analysis: Analysis) -> list[list[tuple[float, float, str]]]:
    """Return x, y and name of the regions of each map that have a name, the largest first."""
    named = analysis.regions.drop_nulls("name").sort("rows", descending=True, maintain_order=True)
    return [list(named.filter(map=number).select("x", "y", "name").iter_rows()) for number in range(2)]


def find_maps(folder: Path, settings: ProjectionSettings) -> None:
    """Show the search for a run's maps with these settings, which are not known; start it unless it failed before."""
    status, ours = analysis_status(folder), analysed_with(folder, settings)
    if status is None or (not status.is_active and (status.state == "complete" or not ours)):
        # Complete with these settings: its cache has been cleared since.
        start_analysis(folder, settings)
        st.rerun()
    elif status.is_active:
        st.info(
            "The maps appear here as soon as they are done." if ours
            else "Maps with other settings are being made; these come next.",
            icon=":material/hourglass_top:",
        )  # fmt: skip
        if not ours and st.button("Stop the others and make these", icon=":material/skip_next:"):
            cancel_run(folder / ANALYSIS)
            st.rerun()
        watch_analysis(folder)
    else:
        st.warning(as_text(f"The search for these maps was {status.state}. {status.message}"), icon=":material/error:")
        if st.button("Make the maps", icon=":material/play_arrow:"):
            start_analysis(folder, settings)
            st.rerun()


def _umap_settings(usual: ProjectionSettings) -> tuple[int, float, str]:
    """Show UMAP's own settings as a form, so that several can be changed before the maps are made anew."""
    with st.form("umap-settings", border=False):
        neighbours = st.number_input(
            "Neighbours", 3, 200, usual.neighbours, key="neighbours", bind="query-params",
            help="How many rows around each one shape the map: few show detail, many the whole. When rebuilt rows are "
            "placed, so many original rows say where.",
        )  # fmt: skip
        min_dist = st.slider(
            "Least distance", 0.0, 1.0, usual.min_dist, 0.05, key="min-dist", bind="query-params",
            help="How close points may lie: 0 packs neighbourhoods tightly, 1 spreads them.",
        )  # fmt: skip
        metric = st.segmented_control(
            "Metric", METRICS, default=usual.metric, required=True, key="metric", bind="query-params",
            help="Distance in the full space: the angle between rows, or the straight line, which norms count in.",
        )  # fmt: skip
        st.form_submit_button("Make these maps", width="stretch")
    return int(neighbours), float(min_dist), str(metric)


def _subset(comparison: Comparison) -> str:
    """Show the choice of rows; only subsets with enough rows for a map are offered, and a list that was selected."""
    offered = [subset for subset in SUBSETS if _has_rows(comparison, subset)]
    named = st.session_state.get(_ROWS) or st.query_params.get(_ROWS, "")
    if is_list(named):
        offered.append(named)
    return st.selectbox(
        "Rows on the maps", offered, key=_ROWS, bind="query-params",
        help="All rows, only those rebuilt, of one frequency group or of one kind. Neighbourhoods are among them.",
    )  # fmt: skip


def _has_rows(comparison: Comparison, subset: str) -> bool:
    """Return whether there are enough rows for a map."""
    try:
        return subset_rows(subset, comparison.vocabulary, comparison.changed).size > 0
    except SettingsError:
        return False


def _map_only(selected: np.ndarray) -> None:
    st.session_state[_ROWS] = keep_rows(selected)
