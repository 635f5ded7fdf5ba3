"""New tokens: what would be added, how good such rows are, what was written."""

import polars as pl
import streamlit as st

from defemb_core.new_tokens.compare import side_by_side
from defemb_core.new_tokens.findings import Findings
from defemb_core.text import plain
from pages.shared import charts, tables
from pages.shared.downloads import offer_figures
from pages.shared.new_tokens import NAMES
from pages.shared.text import as_text

LONGEST = 300  # characters of a definition that are shown
COLUMNS = {
    "term": st.column_config.TextColumn("term", help="Blanks joined."),
    "pieces": st.column_config.TextColumn("pieces so far", help="What the tokenizer cuts it into."),
    "becomes": st.column_config.TextColumn("becomes", help="Its row of the table, or why it is not added."),
    "count": st.column_config.NumberColumn("count", help="How often the corpus has it.", format="localized"),
    "nearest": st.column_config.TextColumn(
        "nearest tokens", help="Of the table, nearest first: by cosine, exact, in the full space."
    ),
    "definition": st.column_config.TextColumn("definition", help="The first that was found."),
    "source": st.column_config.TextColumn("from", help="The dictionary that it is from."),
}
FIGURES = {
    "start": st.column_config.TextColumn("rows"),
    "cosine": st.column_config.TextColumn("cosine", help="With the true row, the mean row taken out; -1 to 1."),
    "mrr": st.column_config.TextColumn(
        "MRR", help="Mean reciprocal rank of the true row among those of all hidden words; 0 to 1."
    ),
    "overlap": st.column_config.TextColumn(
        "shared nearest", help="Share of the ten nearest tokens that are the true row's too; 0 to 1."
    ),
    "made": st.column_config.TextColumn("how they are made"),
}
CAPTION = "Rows of hidden words by start; in brackets 95 % of resampled words."


def show_terms(found: Findings) -> None:
    """Show every term that was asked for: its row and nearest tokens, or why it is left out."""
    about, added = found.about, found.terms["token_id"].count()
    more = about["new_rows"] - about["rows"]
    grows = f"grows by {more:,} to {about['new_rows']:,} rows" if more else f"keeps its {about['rows']:,} rows"
    st.subheader(f"{added:,} of {found.terms.height:,} terms would be added", anchor=False)
    st.caption(as_text(f"The table of {about['plm']} {grows}. Definitions: {about['dictionary'].replace(',', ', ')}."))
    shown = found.terms
    if found.near is not None:
        shown = shown.join(found.near.select("token_id", "nearest"), on="token_id", how="left", maintain_order="left")
        shown = shown.with_columns(nearest=_joined(shown["nearest"], ", "))
    left_out, row = pl.format("left out: {}", "left_out"), pl.format("row {}", "token_id")
    becomes = pl.when(pl.col("token_id").is_null()).then(left_out).otherwise(row)
    shown = shown.with_columns(pieces=_joined(shown["pieces"], " · "), becomes=becomes)
    columns = ["term", "count", "pieces", "becomes", "nearest", "definition", "source"]
    columns = [name for name in columns if name in shown.columns and not shown[name].is_null().all()]
    shown = tables.as_plain(
        shown.select(columns), "term", "pieces", "nearest", "definition", "becomes", longest=LONGEST
    ).with_columns(pl.col(pl.String).fill_null(""))
    tables.show(shown, "new-tokens", column_config=COLUMNS)
    for note in about["notes"]:
        st.caption(as_text(note[:1].upper() + note[1:] + "."))


def _joined(lists: pl.Series, by: str) -> pl.Series:
    texts = [None if one is None else by.join(plain(text) for text in one) for one in lists.to_list()]
    return pl.Series(lists.name, texts, dtype=pl.String)


def show_comparison(compared: pl.DataFrame) -> None:
    """Show how near the starts come to the true rows of hidden words."""
    st.subheader(
        "How good such rows are", anchor=False,
        help="A fifth of the words that have a definition are taken from tokenizer and table, with all their forms; "
        "their rows are made as a new word's are, by maps that never saw them, and compared with the true ones.",
    )  # fmt: skip
    charts.show(charts.figures().starts_figure(compared, dict(NAMES)), "new-starts")
    wide = side_by_side(compared)
    shown = wide.with_columns(start=pl.col("start").replace_strict(dict(NAMES), return_dtype=pl.String))
    st.dataframe(shown, column_config=FIGURES, hide_index=True, key="new-figures", width="stretch")
    offer_figures("new-token-starts", compared, shown, CAPTION)


def show_written(found: Findings | None) -> None:
    """Say where the checkpoint lies and how it is loaded."""
    if found is None or not found.about["out"]:
        return
    path = found.about["out"]
    st.success(f"Written to {as_text(path)}", icon=":material/check_circle:")
    st.code(
        f"from transformers import AutoModel, AutoTokenizer\n\ntokenizer = AutoTokenizer.from_pretrained({path!r})\n"
        f"model = AutoModel.from_pretrained({path!r})",
        language="python",
    )
