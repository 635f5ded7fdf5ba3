import dataclasses
import os
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import polars as pl
import pytest
import test_pages
from app_support import serve_world, work_here
from test_pages import button, clean

from defemb_core import analysis, report
from defemb_core.changes import token_changes
from defemb_core.cli import main
from defemb_core.comparison import Comparison, open_comparison
from defemb_core.errors import ExportError
from defemb_core.figures import map_figure
from defemb_core.figures.axes import Axis
from defemb_core.figures.static import figure_html
from defemb_core.isotropy import MEASURES
from defemb_core.palette import colour_by_group
from defemb_core.projection import Projection
from defemb_core.report import report_html, write_report

visit, world = test_pages.visit, test_pages.world  # fixtures of the pages' tests
NASTY = '<script>alert("1")</script>&amp;\u202e'


class Page(HTMLParser):
    """What a browser makes of a page: its elements with their attributes, its text."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.text, self.cells, self.in_cell = [], "", [], False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self.in_cell = tag == "td"
        if tag == "td":
            self.cells.append("")

    def handle_endtag(self, tag):
        self.in_cell = False

    def handle_data(self, data):
        self.text += data
        if self.in_cell:
            self.cells[-1] += data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def pair(tmp_path_factory, tiny_plm, tiny_reconstruction):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEFEMB_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield Comparison(tiny_plm, tiny_reconstruction)


@pytest.fixture(scope="module")
def page(pair):
    return report_html(pair)


def test_nothing_is_asked_of_anybody(page):
    seen = Page(page)
    assert not {"script", "link", "img", "iframe", "object", "base", "form"} & {tag for tag, _ in seen.elements}
    named = {key for _, attributes in seen.elements for key in attributes}
    assert not {name for name in named if name.startswith("on")} | ({"src", "srcset", "style"} & named)
    assert {link["href"] for link in seen.all("a")} == {"https://arxiv.org/abs/2408.01308"}
    assert "url(" not in page
    assert "@import" not in page
    policy = next(meta for meta in seen.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert policy["content"].startswith("default-src 'none'")


def test_every_part_is_there(page, pair):
    seen = Page(page)
    assert page.count("<h2>") == 8
    assert len(seen.all("figure")) == 6 + 2
    told = [svg["aria-label"] for svg in seen.all("svg") if svg.get("role") == "img"]
    assert len(told) == 8
    assert all(re.search(r"\d", text) for text in told)
    for measure in MEASURES.values():
        assert measure.name in seen.text
    evidence = pair.evidence
    assert f"{evidence['held_out']['mrr']:.3f}" in seen.cells
    for table in ("original", "rebuilt"):
        assert f"{evidence['isotropy'][table]['all']['i_w']:.3f}" in seen.cells
    assert pair.plm.digest in seen.text
    assert "PCA" in seen.text  # no UMAP map has been found
    assert "max-width" in page
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page


def test_the_tokens_are_those_whose_neighbours_changed_most(page, pair):
    neighbours = analysis.neighbours_of_both(pair)
    rare = token_changes(pair, neighbours).filter((pl.col("group") == "rare") & pl.col("rebuilt"))
    seen = Page(page)
    first = rare.sort("turnover", "cosine", descending=[True, False]).row(0, named=True)
    near = ", ".join(pair.vocabulary["text"][i] for i in neighbours[1].indices[first["token_id"]][:5].tolist())
    at = seen.cells.index(near)
    assert seen.cells[at - 4 : at - 2] == [first["text"], f"{first['turnover']:.0%}"]
    assert f"The first {min(10, rare.height)} of {rare.height} low-frequency tokens" in seen.text


def test_what_was_left_out_adds_up(page, pair):
    counts = [int(n) for n in re.findall(r"<li>([\d,]+) (?:special|rows)", page)]
    assert sum(counts) == np.count_nonzero(~pair.reconstruction.rebuilt)


def test_hostile_texts_stay_texts(pair, tmp_path):
    run = pair.reconstruction
    vocabulary = run.vocabulary.with_columns(text=pl.lit(NASTY), token=pl.lit(NASTY))
    provenance = run.provenance | {"dictionary": {"name": NASTY, "senses": 1}}
    plm = dataclasses.replace(pair.plm, name=NASTY, licence=NASTY, revision=NASTY)
    seen = Page(report_html(Comparison(plm, dataclasses.replace(run, vocabulary=vocabulary, provenance=provenance))))
    shown = '<script>alert("1")</script>&amp;<U+202E>'
    assert shown in seen.cells
    assert seen.text.count(shown) > 20
    assert not seen.all("script")
    assert "\u202e" not in seen.text


def test_maps_are_umap_where_they_are_known(pair, monkeypatch):
    def project(matrix, *args, progress, **options):
        return Projection(np.ascontiguousarray(matrix[:, :2]), "umap", {}, 0.0)

    monkeypatch.setattr(analysis, "project_umap", project)
    monkeypatch.setenv("DEFEMB_CACHE", str(os.environ["DEFEMB_CACHE"]))
    made = analysis.analyse(pair)
    told = report_html(pair)
    assert "original, UMAP" in told
    assert f"rebuilt {made.maps[1].trust.trustworthiness:.2f}.</p>" in told


def test_every_row_is_a_dot(pair):
    random = np.random.default_rng(0)
    places = random.permutation(pair.plm.rows)  # no two in one half pixel
    coordinates = np.stack([places, random.permutation(pair.plm.rows)], axis=1).astype(np.float32)
    drawn = figure_html(map_figure(coordinates, colour_by_group(pair.vocabulary), "a map"))
    assert drawn.count("h0") == pair.plm.rows
    twice = figure_html(map_figure(np.zeros_like(coordinates), colour_by_group(pair.vocabulary), "a map"))
    assert twice.count("h0") == pair.vocabulary["group"].n_unique()  # one dot a colour


def test_marks_of_axes():
    assert [say for _, say in Axis(0, 1.05, 0, 100, percent=True).marks()] == ["0%", "50%", "100%"]
    assert [say for _, say in Axis(-0.4, 0.4, 0, 100).marks()] == ["-0.4", "-0.2", "0", "0.2", "0.4"]
    assert [say for _, say in Axis(0, 1, 0, 100, logarithmic=True).marks()] == ["1", "2", "5", "10"]
    assert Axis(0, 2, 10, 30, logarithmic=True).place(np.array([1, 10, 100])).tolist() == [10, 20, 30]


def test_another_pair_has_no_evidence_and_both_names(pair, tmp_path):
    doubled = dataclasses.replace(pair.reconstruction, matrix=pair.rebuilt * np.float32(2))
    found = report_html(Comparison(pair.plm, doubled, pair.reconstruction, ("one", "two")))
    seen = Page(found)
    assert "token embeddings, one and two" in seen.text
    assert "no common evidence on held-out tokens" in seen.text
    assert {"one", "two"} <= set(seen.cells)
    assert "rebuilt, " not in seen.text


# The command


@pytest.fixture
def quiet(monkeypatch):
    monkeypatch.setattr(report, "report_html", lambda *_: f"<!doctype html>{report._MARK}\n")


def refused(capfd, *arguments):
    assert main(["report", *map(str, arguments)]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    return line


def test_the_command_writes_one_small_file(tiny_run, tmp_path, capfd, pair):
    out = tmp_path / "new" / "report.html"
    assert main(["report", str(tiny_run), "--out", str(out)]) == 0
    assert capfd.readouterr().out == f"wrote {out}, {out.stat().st_size / 1e6:.1f} MB\n"
    assert out.stat().st_size < 1_000_000
    assert list(out.parent.iterdir()) == [out]
    assert "held-out" in out.read_text(encoding="utf-8")


def test_an_earlier_report_is_replaced_by_force_and_nothing_else_is(tiny_run, tmp_path, capfd, quiet):
    out = tmp_path / "report.html"
    assert main(["report", str(tiny_run), "--out", str(out)]) == 0
    assert "exists; name another place, or add --force" in refused(capfd, tiny_run, "--out", out)
    assert main(["report", str(tiny_run), "--out", str(out), "--force"]) == 0
    for content in (b"a letter", b"\xff\xfe"):
        out.write_bytes(content)
        assert "is no report of defemb, so it stays" in refused(capfd, tiny_run, "--out", out, "--force")
        assert out.read_bytes() == content


def test_places_that_cannot_be_written(tiny_run, tmp_path, capfd, quiet):
    assert "is a folder; name a file in it" in refused(capfd, tiny_run, "--out", tmp_path, "--force")
    (tmp_path / "file").write_text("")
    assert "no file can be written in" in refused(capfd, tiny_run, "--out", tmp_path / "file" / "report.html")
    said = refused(capfd, tiny_run, "--out", "/proc/report.html")
    assert re.search("no file can be written in '/proc'|cannot write '/proc/report.html' ", said)  # root may try


def test_a_full_disk_is_one_sentence(pair, tmp_path, monkeypatch, quiet):
    def full(path, text):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(report, "write_text", full)
    with pytest.raises(ExportError, match=r"cannot write .*No space left on device\); name another place"):
        write_report(pair, tmp_path / "report.html")


def test_what_is_no_complete_run(tiny_run, tmp_path, capfd):
    assert "no complete run: config.json is missing" in refused(capfd, tmp_path, "--out", tmp_path / "x.html")
    assert not (tmp_path / "x.html").exists()
    assert "run" in refused(capfd, "no-such-run", "--out", tmp_path / "x.html")


def test_a_run_against_another(tiny_run, tiny_bert, tmp_path, quiet, monkeypatch):
    seen = []
    monkeypatch.setattr(report, "report_html", lambda comparison, _: seen.append(comparison.names) or "")
    assert main(["report", str(tiny_run), "--against", str(tiny_bert), "--out", str(tmp_path / "x.html")]) == 0
    assert seen == [("original", "rebuilt")]


# The page


def test_the_export_page_makes_it_and_offers_it(visit, world, monkeypatch, tmp_path):
    serve_world(monkeypatch, world)
    work_here(monkeypatch)
    app = clean(visit("export"))
    assert offered(app) == []
    button(app, "Make the report").click().run()
    assert len(offered(clean(app))) == 1
    made = (world.run / "exports" / "report" / "report.html").read_text(encoding="utf-8")
    assert made == report_html(open_comparison(world.run))
    assert "original, UMAP" in made
    os.utime(world.run / "config.json")  # the run is another one by now
    assert offered(clean(visit("export"))) == []
    shutil.rmtree(world.run / "exports")


def offered(app):
    return [b for b in app.get("download_button") if b.proto.label == "Download the report"]
