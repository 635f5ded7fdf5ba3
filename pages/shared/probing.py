"""Masked-word probing with both tables: rare tokens in their definitions, or the user's word in sentences."""

import polars as pl
import streamlit as st

from defemb_core.comparison import Comparison
from defemb_core.errors import SettingsError
from defemb_core.evaluate import Question
from pages.shared.downloads import offer_figures
from pages.shared.evaluations import evaluation_of
from pages.shared.tables import as_plain
from pages.shared.text import as_text

WHAT = """A PLM that fills masks is asked for a token where it belongs: how probable it finds it, and at which rank
among all tokens (1 is best), with the original and with the rebuilt rows in place."""
CAPTION = "Rank and probability of a token at the mask."
COLUMNS = {
    "table": st.column_config.TextColumn("table"),
    "prompts": st.column_config.NumberColumn("prompts", help="One a token: its first definition."),
    "median_rank": st.column_config.NumberColumn(
        "median rank", help="Among all tokens, 1 is best.", format="localized"
    ),
    "mrr": st.column_config.NumberColumn("MRR", help="Mean reciprocal rank, 0 to 1, 1 is best.", format="%.4f"),
    "probability": st.column_config.NumberColumn("probability", help="Geometric mean, 0 to 1.", format="scientific"),
    "low": None, "high": None, "difference": None, "difference_low": None, "difference_high": None,
    "p": st.column_config.NumberColumn("p", help="Of the difference in MRR, two-sided.", format="%.3f"),
}  # fmt: skip


def show_probing(comparison: Comparison) -> None:
    """Show the form and, once it has been sent, what the PLM answers."""
    plm = comparison.plm
    if plm.output_rows == "none" or plm.is_encoder_decoder:
        st.info(
            f"{as_text(plm.title)} ({plm.architecture}) has no head that fills masks. Choose a PLM that was saved with "
            "its head, a BertForMaskedLM say.",
            icon=":material/info:",
        )
        return
    with st.form("probe", border=True):
        word = st.text_input("Word", key="probed", help="One token; none: 200 rare tokens, in their own definitions.")
        sentences = st.text_area("Sentences with the word", key="probed-in", help="One a line.")
        sent = st.form_submit_button("Probe", icon=":material/play_arrow:")
    if sent:
        st.session_state["probe-asked"] = (comparison.key, word.strip(), tuple(filter(None, sentences.splitlines())))
    key, word, lines = st.session_state.get("probe-asked", ("", "", ()))
    if key != comparison.key:
        return
    try:
        question = Question("probing", word=word, sentences=lines)
    except SettingsError:
        st.error("Write a word and, one a line, sentences with it; or neither.", icon=":material/error:")
        return
    measured = evaluation_of(comparison, question, "Filling masks with both tables")
    if measured is None:
        return
    shown = measured.shown
    texts = [name for name, kind in shown.schema.items() if kind == pl.String]
    st.dataframe(
        as_plain(shown, *texts, longest=200), column_config=None if word else COLUMNS, hide_index=True, key="probes"
    )
    offer_figures("masked-words", measured.figures, shown, CAPTION)
    for note in measured.notes:
        st.caption(as_text(note))
