"""A comparison as one HTML file: no scripts, no requests, readable anywhere, from the same figures as the app's."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from defemb_core.analysis import neighbours_of_both, read_analysis
from defemb_core.cache import write_text
from defemb_core.comparison import Comparison, isotropy_of
from defemb_core.cosines import cosine_histogram
from defemb_core.errors import ExportError
from defemb_core.export_place import whole_path
from defemb_core.hubness import Hubness, measure_hubness
from defemb_core.neighbours import Neighbours
from defemb_core.palette import colour_by_group, table_colours
from defemb_core.progress import Clock, Progress
from defemb_core.projection import Projection, project_pca
from defemb_core.report_parts import citation, escaped, evidence, isotropy, left_out, provenance, tokens
from defemb_core.report_style import STYLE
from defemb_core.spectrum import singular_values

if TYPE_CHECKING:
    import plotly.graph_objects as go

DRAWING = "drawing figures"
_FIGURES = 8  # of a report
_MARK = "<!-- a report of defemb -->"
# A page that asks for nothing: should a text ever get through as markup, it could neither run nor load anything.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def write_report(
    comparison: Comparison, out: Path | str, force: bool = False, progress: Progress | None = None
) -> Path:
    """Write the report of two tables.

    Args:
        comparison: the two tables.
        out: the file, new.
        force: replace an earlier report of defemb's; anything else is never replaced.
        progress: told while neighbours are found, if they are not known yet, and of each figure; what it raises ends
            the work, and nothing is left behind.

    Returns:
        The absolute path of the file.

    Raises:
        ExportError: `out` is taken or cannot be written.

    Example:
        >>> de.write_report(pair, "report.html").name  # doctest: +SKIP
        'report.html'
    """
    out = whole_path(Path(out))
    check_place(out, force)
    text = report_html(comparison, progress)
    try:
        write_text(out, text)
    except OSError as exc:
        raise ExportError(f"cannot write {str(out)!r} ({exc.strerror or exc}); name another place") from exc
    return out


def check_place(out: Path, force: bool) -> None:
    """Refuse a place that is taken or cannot be written, before any work is done."""
    if out.is_dir():
        raise ExportError(f"{str(out)!r} is a folder; name a file in it, report.html say")
    if os.path.lexists(out) and not force:
        raise ExportError(f"{str(out)!r} exists; name another place, or add --force to replace an earlier report")
    if os.path.lexists(out) and not _is_report(out):
        raise ExportError(f"{str(out)!r} exists and is no report of defemb, so it stays; name another place")
    folder = next(parent for parent in out.parents if os.path.lexists(parent))
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise ExportError(f"no file can be written in {str(folder)!r}; name another place or change its permissions")


def _is_report(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8") as file:
            return _MARK in file.read(200)
    except (OSError, UnicodeDecodeError):
        return False


def report_html(comparison: Comparison, progress: Progress | None = None) -> str:
    """Return the report of two tables as one page of HTML.

    The maps are UMAP where these are known (`analyse`), else PCA. Neighbours that are not known take some ten seconds
    for 30,000 rows.
    """
    neighbours = neighbours_of_both(comparison, progress)
    analysis = read_analysis(comparison)
    maps = analysis.maps if analysis else project_pca([comparison.original, comparison.rebuilt])
    method = "UMAP" if analysis else "PCA, on the first table's principal directions"
    first, second = comparison.names
    title = f"{comparison.plm.title}: token embeddings, {first} and {second}"
    drawn = _Drawn(progress or Clock().tell)
    charts = "".join(map(drawn, _charts(comparison, neighbours)))
    places = "".join(map(drawn, _maps(comparison, maps)))
    parts = {
        "The two tables": provenance(comparison),
        "Evidence on held-out tokens": evidence(comparison),
        "Isotropy by frequency group": isotropy(comparison),
        "Spectra, cosines, norms": f'<div class="pairs">{charts}</div>',
        "Maps": f'{_trust(comparison, maps)}<div class="pairs">{places}</div>',
        "Low-frequency tokens whose neighbours changed most": tokens(comparison, neighbours),
        "What was left out": left_out(comparison, method),
        "How to cite": citation(comparison),
    }
    return _page(title, "".join(f"<section><h2>{name}</h2>\n{part}\n</section>\n" for name, part in parts.items()))


def _page(title: str, body: str) -> str:
    return (
        f'<!doctype html>{_MARK}\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escaped(title)}</title>\n<style>{STYLE}</style></head>\n"
        f"<body><main><h1>{escaped(title)}</h1>\n{body}</main></body></html>\n"
    )


class _Drawn:
    """Draws one figure after the other as SVG, and tells how many are done."""

    def __init__(self, progress: Progress) -> None:
        self.progress, self.done = progress, 0

    def __call__(self, figure: go.Figure) -> str:
        from defemb_core.figures.static import figure_html

        self.done += 1
        self.progress(DRAWING, self.done, _FIGURES)
        return figure_html(figure)


def _parts(comparison: Comparison) -> Mapping[str, np.ndarray]:
    """Rows (int) of all and of rare tokens, by the end of their name in a chart."""
    groups = comparison.vocabulary["group"]
    members = {"": groups != "none", "/rare": groups == "rare"}
    return {end: np.flatnonzero(member) for end, member in members.items() if member.sum() > 1}


def _charts(comparison: Comparison, neighbours: tuple[Neighbours, Neighbours]) -> Iterator[go.Figure]:
    """Every chart of the spectrum page, of all rows and of rare ones."""
    from defemb_core import figures

    tables = dict(zip(comparison.names, (comparison.original, comparison.rebuilt), strict=True))
    members = _parts(comparison)
    rows = {name + end: table[at] for name, table in tables.items() for end, at in members.items()}
    colours = table_colours(comparison.names)
    by_group = dict(zip(comparison.names, isotropy_of(comparison), strict=True))
    yield figures.isotropy_figure(by_group, colours=colours)
    spectra = {name: singular_values(part, centred=True) for name, part in rows.items()}
    yield figures.spectrum_figure(spectra, True, "Singular values", colours=colours)
    yield figures.variance_figure(spectra, "Cumulative variance", colours)
    cosines = {name: cosine_histogram(part) for name, part in rows.items()}
    yield figures.cosine_figure(cosines, "Cosines between rows", colours)
    norms = {name: np.linalg.norm(part, axis=1) for name, part in rows.items()}
    yield figures.norm_figure(norms, "Norms of the rows", colours=colours)
    found = {name: measure_hubness(of) for name, of in zip(comparison.names, neighbours, strict=True)}
    hubness = {
        name + end: Hubness(of.occurrence[at], of.k) for name, of in found.items() for end, at in members.items()
    }
    yield figures.hubness_figure(hubness, "Hubness", colours)


def _maps(comparison: Comparison, maps: tuple[Projection, ...]) -> Iterator[go.Figure]:
    """Both maps within the same limits, coloured by frequency group."""
    from defemb_core.figures import map_figure

    together = np.concatenate([projection.coordinates for projection in maps])
    low, high = together.min(axis=0).tolist(), together.max(axis=0).tolist()
    colour = colour_by_group(comparison.vocabulary)
    for name, projection in zip(comparison.names, maps, strict=True):
        figure = map_figure(projection.coordinates, colour, f"{name}, {projection.method.upper()}")
        yield figure.update_xaxes(range=[low[0], high[0]]).update_yaxes(range=[low[1], high[1]])


def _trust(comparison: Comparison, maps: tuple[Projection, ...]) -> str:
    """Return how far each map is to be believed, where that was measured."""
    told = [
        f"{name} {projection.trust.trustworthiness:.2f}"
        for name, projection in zip(comparison.names, maps, strict=True)
        if projection.trust
    ]
    what = "Trustworthiness, 1 where all neighbours on a map are neighbours in the full space"
    return f"<p>{what}: {escaped(', '.join(told))}.</p>" if told else ""
