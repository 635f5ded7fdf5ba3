"""The command evaluate: what it prints, what it writes, what it refuses."""

import polars as pl
import pytest
from app_support import HOSTILE, WORDS, build_world, make_run

from defemb_core.cli import main
from defemb_core.comparison import open_comparison
from defemb_core.evaluate import evaluate_similarity
from defemb_core.evaluation.pair_files import read_pairs
from defemb_core.evaluation.word_similarity import SIMILARITY_SCHEMA, SimilaritySettings
from defemb_core.latex import latex_table, latex_text


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    world = build_world(tmp_path_factory.mktemp("world"))
    with world.entered():
        make_run(world, analyse=False)
        yield world


@pytest.fixture
def pairs(tmp_path):
    file = tmp_path / "=cmd.tsv"
    file.write_text(
        "\n".join(f"{a}\t{b}\t{i % 7}" for i, (a, b) in enumerate(zip(WORDS[::2], WORDS[1::2], strict=False)))
    )
    return file


def evaluate(*arguments):
    return main(["evaluate", *map(str, arguments)])


def test_shipped_sets_are_printed(world, capsys):
    assert evaluate(world.run, "--resamples", 100) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("Spearman's correlation of cosines with human scores")
    assert printed[1].split("  ")[0] == "set"
    for name in ("SimLex-999", "WS-353", "MEN-3000", "MTurk-771", "RG-65", "MC-30", "YP-130"):
        assert any(line.startswith(name) for line in printed[2:])
    assert "100 paired resamples, two-sided, seed 0" in printed[-1]


def test_own_pairs_as_csv_hold_the_figures(world, pairs, tmp_path, capsys):
    out = tmp_path / "figures.csv"
    assert evaluate(world.run.name, "--pairs", pairs, "--resamples", 200, "--seed", 3, "--out", out) == 0
    assert f"wrote {out}" in capsys.readouterr().out
    written = pl.read_csv(out, schema_overrides=SIMILARITY_SCHEMA)
    comparison = open_comparison(world.run)
    expected, _ = evaluate_similarity(comparison, [read_pairs(pairs)], SimilaritySettings(resamples=200, seed=3))
    assert written["spearman"].to_list() == pytest.approx(expected["spearman"].to_list())
    assert set(written["set"]) == {"'=cmd"}  # no formula


def test_latex_is_written_once_and_replaced_when_forced(world, pairs, tmp_path, capsys):
    out = tmp_path / "figures.tex"
    assert evaluate(world.run, "--pairs", pairs, "--resamples", 100, "--out", out) == 0
    table = out.read_text()
    assert table.count(r"\\") == 1 + 4  # a heading; all pairs and three parts
    assert r"\begin{tabular}{llrllll}" in table
    capsys.readouterr()
    assert evaluate(world.run, "--pairs", pairs, "--out", out) == 2
    assert "exists; name another file or add --force" in capsys.readouterr().err
    assert evaluate(world.run, "--pairs", pairs, "--resamples", 100, "--out", out, "--force") == 0


def test_words_in_pieces_are_skipped_on_demand(world, tmp_path, capsys):
    file = tmp_path / "mine.csv"
    lines = [f"{a},{b},{i}" for i, (a, b) in enumerate(zip(WORDS[:20], WORDS[20:40], strict=True))]
    file.write_text("\n".join([*lines, f"{WORDS[0]}{WORDS[1]},{WORDS[2]},3"]))
    assert evaluate(world.run, "--pairs", file, "--word-pieces", "skip", "--resamples", 100) == 0
    assert "mine: 20 of 21 pairs; 1 left out for a word of several pieces" in capsys.readouterr().out


def test_one_table_against_another(world, pairs, capsys):
    other = make_run(world, "other-run", analyse=False)
    assert evaluate(world.run, "--against", other, "--pairs", pairs, "--resamples", 100) == 0
    printed = capsys.readouterr().out
    assert "+0.000 (+0.000 to +0.000)" in printed  # made alike
    assert "tiny-run - other-run" in printed
    assert evaluate(world.run, "--against", world.run, "--pairs", pairs) == 2
    assert "both tables are those of" in capsys.readouterr().err


def test_several_runs_one_after_the_other(world, pairs, tmp_path, capsys):
    other = make_run(world, "third-run", analyse=False)
    capsys.readouterr()
    assert evaluate(world.run, other, "--pairs", pairs, "--resamples", 100) == 0
    printed = capsys.readouterr().out.splitlines()
    assert [line for line in printed if line in (str(world.run), str(other))] == [str(world.run), str(other)]
    assert len(list((other / "evaluations").iterdir())) == 1
    assert evaluate(world.run, other, "--pairs", pairs, "--out", tmp_path / "all.csv") == 2
    assert "--against and --out are for one run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--pairs", "gone.tsv"], "cannot read word pairs from 'gone.tsv'"),
        (["--out", "figures.xlsx"], "is neither .csv nor .tex"),
        (["--resamples", "3"], "resamples must lie between"),
        (["--what", "relations", "--pairs", "x.tsv"], "--pairs belong to --what similarity"),
        (["--word", "bank"], "--word and --sentence belong together"),
        (["--word", "b", "--sentence", "b"], "belong together, and to --what probing"),
        (["--what", "probing"], "has no head that fills masks"),
        (["--what", "relations"], "none of the new rows is a word that WordNet relates"),
    ],
)
def test_mistakes_get_one_sentence(world, arguments, said, capsys):
    assert evaluate(world.run, *arguments) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1


def test_probing_a_plm_with_a_head(world, tmp_path, tiny_lexicon, capsys):
    from tiny_plm import save_bert_mlm

    run = tmp_path / "masked"
    plm = ["--plm", str(save_bert_mlm(tmp_path / "plm")), "--dictionary", f"wordnet:{tiny_lexicon}"]
    assert main(["reconstruct", *plm, "--method", "instant", "--out", str(run)]) == 0
    assert evaluate(run, "--what", "probing", "--out", tmp_path / "probes.csv") == 0
    assert "rare tokens with a new row, each in its first definition" in capsys.readouterr().out
    written = pl.read_csv(tmp_path / "probes.csv")
    assert written["table"].unique(maintain_order=True).to_list() == ["original", "rebuilt"]
    assert evaluate(run, "--what", "probing", "--word", "the", "--sentence", "see the [b]x[/b]") == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[2].startswith("see [MASK] [b]x[/b]  rank ")


def test_words_that_no_tokenizer_knows(world, tmp_path, capsys):
    (tmp_path / "foreign.tsv").write_text("日\t本\t1\n語\t文\t2\n")
    assert evaluate(world.run, "--pairs", tmp_path / "foreign.tsv") == 2
    assert "of the 2 pairs in 'foreign' there is none" in capsys.readouterr().err


def test_no_run(world, tmp_path, capsys):
    assert evaluate(tmp_path / "nothing") == 2
    assert "is no run: it has no readable status.json" in capsys.readouterr().err


def test_latex_sets_any_text_letter_by_letter():
    assert latex_text("50 % of a_b & {c}~^\\ $x$ #1") == (
        r"50 \% of a\_b \& \{c\}\textasciitilde{}\textasciicircum{}\textbackslash{} \$x\$ \#1"
    )
    for text in HOSTILE:
        assert not set(latex_text(text).replace("\\", "")) & {"\u202e", "\x07"}
    frame = pl.DataFrame({"a_b": ["x & y", None], "n": [1200, None], "f": [-0.12345, 2.0]})
    table = latex_table(frame, "100 %")
    assert r"\caption{100 \%}" in table
    assert r"\begin{tabular}{lrr}" in table
    assert r"a\_b & n & f \\" in table
    assert r"x \& y & 1,200 & $-$0.123 \\" in table
    assert r"-- & -- & 2.000 \\" in table
