"""The parts of a report that are words and tables, as HTML; every text that is not ours is escaped."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from defemb_core.changes import token_changes
from defemb_core.comparison import Comparison, Side, isotropy_of
from defemb_core.evaluation.held_out import chance_mrr
from defemb_core.export_card import card
from defemb_core.import_table import ImportedTable
from defemb_core.isotropy import MEASURES
from defemb_core.neighbours import Neighbours
from defemb_core.plm import PLM
from defemb_core.reconstruction import Reconstruction
from defemb_core.relevance import relevant_settings
from defemb_core.text import plain
from defemb_core.version import VERSION

TOKENS = 10
NEAREST = 5
_DEFINITIONEMB = """@article{zhang2024reconsidering,
  title   = {Reconsidering Degeneration of Token Embeddings with Definitions for Encoder-based Pre-trained Language
             Models},
  author  = {Zhang, Ying and Li, Dongyuan and Okumura, Manabu},
  journal = {arXiv preprint arXiv:2408.01308},
  year    = {2024}
}"""


def escaped(value: object) -> str:
    """Return any value as HTML text of one line."""
    return html.escape(plain(str(value), 400))


def provenance(comparison: Comparison) -> str:
    """Return a card for each table: where it is from and how it was made."""
    sides = comparison.first or comparison.plm, comparison.second
    return f'<div class="pairs">{"".join(map(_card, comparison.names, sides))}</div>'


def _card(name: str, side: Side) -> str:
    if isinstance(side, ImportedTable):
        facts: dict[str, object] = {"table from a file": str(side)}
    else:
        facts = _of_run(card(side)) if isinstance(side, Reconstruction) else _of_plm(side)
    lines = "".join(f"<dt>{escaped(term)}</dt><dd>{escaped(fact)}</dd>" for term, fact in facts.items() if fact)
    return f'<section class="card"><h3>{escaped(name)}</h3><dl>{lines}</dl></section>'


def _of_plm(plm: PLM) -> dict[str, object]:
    return {
        "model": plm.title,
        "revision": plm.revision,
        "architecture": plm.architecture,
        "table": f"{plm.rows:,} rows x {plm.width:,} columns",
        "licence": plm.licence,
        "SHA-256": plm.digest,
    }


def _of_run(made: Mapping[str, Any]) -> dict[str, object]:
    relevant = relevant_settings(made["method"]) - {"method"}
    settings = {name: value for name, value in made["settings"].items() if name in relevant and value not in (None, "")}
    dictionary, rows = made["dictionary"], made["rows"]
    return {
        "made from": made["plm"]["name"],
        "method": made["method"],
        "dictionary": dictionary.get("name"),
        "its senses": f"{dictionary['senses']:,}" if "senses" in dictionary else "",
        "its SHA-256": dictionary.get("sha256"),
        "rows rebuilt": f"{rows['rebuilt']:,} of {rows['all']:,}",
        "settings": ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in settings.items()),
        "made on": made["date"],
        "by": f"{made['made_by']['package']} {made['made_by']['version']}",
        "packages": ", ".join(f"{name} {version}" for name, version in made["packages"].items()),
    }


def evidence(comparison: Comparison) -> str:
    """Return the run's held-out figures beside chance, in all and by where definitions come from."""
    if comparison.evidence is None:
        return "<p>Two tables that are not a model's own and a run's have no common evidence on held-out tokens.</p>"
    held = comparison.evidence["held_out"]
    if not held:
        return "<p>This method turns the table as a whole: there is no prediction to judge.</p>"
    tokens = held["tokens"]
    lines = [("all", held)]
    for by, figures in comparison.evidence.get("held_out_by", {}).items():
        lines += [(f"{by.replace('how', 'found')} {value}", found) for value, found in figures.items()]
    rows = [
        [name, f"{of['tokens']:,}", f"{of['mrr']:.3f}", f"{of['cosine']:.3f}", f"{of['median_rank']:g}"]
        for name, of in lines
    ]
    rows.append(["chance", f"{tokens:,}", f"{chance_mrr(tokens):.3f}", "0", f"{(tokens + 1) / 2:g}"])
    return (
        f"<p>{tokens:,} tokens with a definition were kept from the map, which was fitted on the others. Their rows, "
        "predicted from their definitions alone, were compared with the true rows. MRR is the mean reciprocal rank of "
        "the true row among all held-out rows; 1 is best, for the median rank too. Cosines are centred, 1 is best.</p>"
        + table(["definitions", "tokens", "MRR", "cosine", "median rank"], rows, 1)
    )


def isotropy(comparison: Comparison) -> str:
    """Return every measure by frequency group for both tables, and what each measure is."""
    both = isotropy_of(comparison)
    rows = [
        [name, group, f"{measured[group]['rows']:,}"]
        + [f"{measured[group][key]:.{of.decimals}f}" for key, of in MEASURES.items()]
        for group in both[0]
        for name, measured in zip(comparison.names, both, strict=True)
        if group in measured
    ]
    told = "".join(
        f"<dt>{escaped(of.name)}</dt><dd>{escaped(of.scale)}. {escaped(of.meaning)}</dd>" for of in MEASURES.values()
    )
    head = ["table", "group", "rows", *(of.name for of in MEASURES.values())]
    return table(head, rows, 2) + f"<details><summary>What these measure</summary><dl>{told}</dl></details>"


def tokens(comparison: Comparison, neighbours: tuple[Neighbours, Neighbours]) -> str:
    """Return the ten low-frequency tokens whose ten nearest neighbours changed most, with the nearest five each."""
    changes = token_changes(comparison, neighbours)
    rare = changes.filter((pl.col("group") == "rare") & pl.col("rebuilt"))
    texts = comparison.vocabulary["text"]
    rows = [
        [token["text"], f"{token['turnover']:.0%}", f"{token['cosine']:.2f}"]
        + [", ".join(plain(texts[int(i)]) for i in of.indices[token["token_id"]][:NEAREST]) for of in neighbours]
        for token in rare.sort("turnover", "cosine", descending=[True, False]).head(TOKENS).iter_rows(named=True)
    ]
    first, second = comparison.names
    if not rows:
        return "<p>No low-frequency token has another row.</p>"
    return (
        f"<p>The first {len(rows)} of {rare.height:,} low-frequency tokens with another row, by the share of "
        f"their ten nearest neighbours that are new; the nearest {NEAREST} are shown. Neighbours are exact, by cosine "
        "in the full space.</p>"
        + table(["token", "new", "cosine", f"nearest, {first}", f"nearest, {second}"], rows, None)
    )


def left_out(comparison: Comparison, method: str) -> str:
    """Return what is not rebuilt and what this report does not show, each with its count."""
    vocabulary, kept = comparison.vocabulary, ~comparison.changed
    aside = (vocabulary["group"] == "none").to_numpy()
    lines = [f"{int(np.count_nonzero(kept & aside)):,} special and unused rows are the same in both tables."]
    if comparison.definitions is not None:
        defined = vocabulary["token_id"].is_in(comparison.definitions["token_id"].unique().implode()).to_numpy()
        without, spared = (int(np.count_nonzero(kept & ~aside & of)) for of in (~defined, defined))
        lines.append(f"{without:,} rows have no definition and are the same in both.")
        if spared:
            lines.append(f"{spared:,} rows have a definition but kept their values: only a share was to be rebuilt.")
    lines += [
        f"All {vocabulary.height:,} rows are on the maps ({method}); dots that fall on the same half pixel as another "
        "of their group are drawn once. A map in two dimensions is a shadow: distances in it are a hint at most.",
        "Spectra, cosines and norms are of the rows that are neither special nor unused. Where a histogram of cosines "
        "is of a sample, its heading says so; mean cosines in the table of isotropy are exact.",
    ]
    return f"<ul>{''.join(f'<li>{escaped(line)}</li>' for line in lines)}</ul>"


def citation(comparison: Comparison) -> str:
    """Return what to cite: the method, the model, the dictionary, the tool."""
    made = card(comparison.second) if isinstance(comparison.second, Reconstruction) else None
    said = f"Made with defemb {VERSION}. "
    if made:
        paper = escaped(made["paper"])
        said = f'The method is that of <a href="{paper}">{paper}</a>. Please cite it, the original model and the ' + (
            f"dictionary. Made with defemb {VERSION}. "
        )
    return f"<p>{said}The paper of DefinitionEMB:</p><pre>{html.escape(_DEFINITIONEMB)}</pre>"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], words: int | None) -> str:
    """Return an HTML table, its cells escaped; the columns after the first `words` are numbers, none if it is None."""

    def cell(tag: str, at: int, text: str) -> str:
        kind = ' class="number"' if words is not None and at >= words else ""
        scope = ' scope="col"' if tag == "th" else ""
        return f"<{tag}{scope}{kind}>{escaped(text)}</{tag}>"

    lines = "".join(f"<tr>{''.join(cell('td', at, text) for at, text in enumerate(row))}</tr>\n" for row in rows)
    titles = "".join(cell("th", at, text) for at, text in enumerate(head))
    return f'<div class="scroll"><table><thead><tr>{titles}</tr></thead><tbody>\n{lines}</tbody></table></div>'
