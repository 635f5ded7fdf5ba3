"""Selections kept by name: take one back, put it together with the present one, keep the present one."""

from collections.abc import Callable
from typing import Final

import numpy as np
import streamlit as st

from defemb_core.comparison import Comparison
from defemb_core.errors import SettingsError
from defemb_core.selections import LONGEST_NAME, WAYS, combine, forget_selection, keep_selection, kept_selections
from pages.shared.selection import chosen_rows, select
from pages.shared.text import as_text

WORDS: Final = {"replace": "take it", "intersect": "only what both have", "add": "add", "subtract": "take away"}


def show_kept_selections(comparison: Comparison) -> None:
    """Show the selections kept for the comparison's vocabulary, and what can be done with them."""
    kept, present = kept_selections(comparison.vocabulary), chosen_rows(comparison.key).rows
    if not kept and not present.size:
        return
    with st.expander(f"Kept selections · {len(kept)}", icon=":material/bookmarks:"):
        if told := st.session_state.pop("selection-told", None):
            st.error(as_text(told), icon=":material/error:")
        if present.size:
            _keep(comparison, present)
        if kept:
            _use(comparison, kept, present)


def _keep(comparison: Comparison, present: np.ndarray) -> None:
    with st.form("keep-selection", border=False, clear_on_submit=True):
        left, right = st.columns([4, 2], vertical_alignment="bottom")
        left.text_input(
            "Name", key="selection-name", max_chars=LONGEST_NAME, placeholder="chemistry, say",
            help="The same name replaces what it stood for. Selections serve every run and checkpoint with this "
            "vocabulary.",
        )  # fmt: skip
        right.form_submit_button(
            f"Keep these {present.size:,} tokens", icon=":material/bookmark_add:", width="stretch",
            on_click=_kept, args=(comparison, present),
        )  # fmt: skip


def _use(comparison: Comparison, kept: dict[str, np.ndarray], present: np.ndarray) -> None:
    left, middle, take, forget = st.columns([4, 4, 2, 2], vertical_alignment="bottom")
    name = left.selectbox(
        "Selection", list(kept), format_func=lambda one: f"{one} · {kept[one].size:,}", key="selection-kept"
    )
    how = middle.selectbox(
        "With the present one", WAYS, format_func=WORDS.__getitem__, key="selection-how", disabled=not present.size
    )
    rows = combine(present, kept[name], how if present.size else "replace")
    take.button(
        f"Select {rows.size:,}", icon=":material/select_all:", width="stretch",
        on_click=select, args=(rows, comparison.key),
    )  # fmt: skip
    forget.button(
        "Forget it", icon=":material/bookmark_remove:", width="stretch", on_click=_forget, args=(comparison, name)
    )


def _kept(comparison: Comparison, present: np.ndarray) -> None:
    _or_told(lambda: keep_selection(comparison.vocabulary, st.session_state["selection-name"], present))


def _forget(comparison: Comparison, name: str) -> None:
    _or_told(lambda: forget_selection(comparison.vocabulary, name))


def _or_told(work: Callable[[], object]) -> None:
    """Do it; what went wrong is shown by the next run of the page."""
    try:
        work()
    except SettingsError as exc:
        st.session_state["selection-told"] = str(exc)
