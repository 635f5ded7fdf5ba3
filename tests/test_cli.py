import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from tiny_plm import save_gpt2

from defemb_core import analysis, cli, features_files
from defemb_core.analysis import read_analysis
from defemb_core.cli import Request, main
from defemb_core.cli_analyse import read_projection
from defemb_core.cli_options import read_groups
from defemb_core.comparison import open_comparison
from defemb_core.frequency import Groups
from defemb_core.methods import METHODS
from defemb_core.projection import Projection
from defemb_core.projection_settings import ProjectionSettings, keep_rows
from defemb_core.reconstruction import Settings
from defemb_core.reconstruction_files import load_reconstruction
from defemb_core.relevance import relevant_settings
from defemb_core.runs import read_status
from defemb_core.stages import STAGE_SHARES


@pytest.fixture
def words(tiny_bert, tiny_lexicon):
    """What every reconstruct command needs besides --out."""
    return ["reconstruct", "--plm", str(tiny_bert), "--dictionary", f"wordnet:{tiny_lexicon}", "--method", "instant"]


@pytest.fixture
def quick_maps(monkeypatch):
    def project(matrix, *args, progress, **kwargs):
        progress(1, 1)
        return Projection(matrix[:, :2].copy(), "umap")

    monkeypatch.setattr(analysis, "project_umap", project)


def refused(capfd, arguments):
    """The one line on stderr that a mistake ends in."""
    assert main([str(word) for word in arguments]) == 2
    shown = capfd.readouterr()
    assert shown.out == ""
    lines = shown.err.splitlines()
    assert len(lines) == 1, lines
    return lines[0]


# What works


def test_reconstruct(capfd, tmp_path, words):
    assert main([*words, "--out", str(tmp_path / "run")]) == 0
    shown = capfd.readouterr()
    found = load_reconstruction(tmp_path / "run")
    assert found.settings == Settings(method="instant")
    held, covered = found.evidence["held_out"], found.evidence["coverage"]
    assert shown.out == (
        f"rebuilt {covered['rebuilt']} of 403 rows, {covered['without_definition']} have no definition; "
        f"held-out MRR {held['mrr']:.3f} over {held['tokens']} tokens; {tmp_path / 'run'}\n"
    )
    assert shown.err.splitlines() == list(STAGE_SHARES["instant"])  # not a terminal: a plain line a stage
    assert read_status(tmp_path / "run").state == "complete"


SETTINGS = Settings(
    "instant", 0.5, 0.25, False, False, 2, 3, 7, 4, False, True, "respelled", 0.5, "quick", 1.5, 3e-5, True
)


def test_every_option_reaches_the_settings(tmp_path, words):
    options = [
        "--alpha",
        "0.5",
        "--blend",
        "0.25",
        "--no-match-norms",
        "--no-relations",
        "--max-senses",
        "2",
        "--folds",
        "3",
        "--seed",
        "7",
        "--directions",
        "4",
        "--no-mentions",
        "--pieces",
        "--without",
        "respelled",
        "--rare-weight",
        "0.5",
        "--preset",
        "quick",
        "--passes",
        "1.5",
        "--rate",
        "3e-5",
        "--train-table",
    ]
    options += ["--frequency", "wordfreq", "--groups", "0.1,0.15,0.75"]
    assert main([*words, *options, "--out", str(tmp_path / "run")]) == 0
    found = load_reconstruction(tmp_path / "run")
    assert found.provenance["frequency"] == {"source": "wordfreq", "frequent": 0.1, "medium": 0.15, "rare": 0.75}
    groups = found.vocabulary["group"]
    assert abs((groups == "rare").sum() - 0.75 * (groups != "none").sum()) <= 1
    assert found.settings == SETTINGS
    zipf = found.vocabulary.filter(found.vocabulary["group"] != "none").sort("rank")["zipf"].drop_nulls()
    assert zipf.is_sorted(descending=True)


@pytest.mark.parametrize("settings", [Settings(), SETTINGS, Settings(alpha=1e-9, blend=1 / 3, rare_weight=0.0)])
@pytest.mark.parametrize(("frequency", "groups"), [(None, None), ("wordfreq", Groups(0.1, 0.15, 0.75))])
def test_the_apps_command_line_gives_its_settings_back(tmp_path, settings, frequency, groups):
    request = Request("--model", "--x", settings, frequency, groups)
    options = cli._parser().parse_args(request.arguments(tmp_path))
    assert Settings(**{field.name: getattr(options, field.name) for field in dataclasses.fields(Settings)}) == settings
    assert (options.out, options.plm, options.dictionary) == (tmp_path, "--model", "--x")
    assert (options.frequency, options.analyse, options.resume) == (frequency, True, False)
    assert read_groups(options) == (groups or Groups())


@pytest.mark.parametrize(
    ("method", "options", "ignored"),
    [
        (
            "instant",
            ["--preset", "quick", "--train-table", "--directions", "3"],
            "--directions, --preset, --train-table",
        ),
        ("mean-of-definition", ["--no-mentions", "--folds", "3", "--seed", "4"], "--folds, --no-mentions"),
        ("whitening", ["--no-relations", "--pieces", "--alpha", "0.5"], "--no-relations, --pieces"),
        ("all-but-the-top", ["--directions", "3"], ""),
    ],
)
def test_options_that_the_method_ignores_are_named_once(capfd, tmp_path, words, method, options, ignored):
    run = [*words, "--method", method, *options, "--out", str(tmp_path / "run")]
    assert main(run) == 0
    expected = [f"method {method!r} ignores {ignored}"] if ignored else []
    assert [line for line in capfd.readouterr().err.splitlines() if "ignores" in line] == expected
    assert main(["estimate", *run[1:-2]]) == 0
    assert capfd.readouterr().err.splitlines() == expected


@pytest.mark.parametrize("method", METHODS)
def test_the_apps_command_line_names_nothing_that_is_ignored(method, tmp_path):
    arguments = Request("bundled", "wordnet", Settings(method)).arguments(tmp_path)
    named = {word.removeprefix("--").removeprefix("no-").replace("-", "_") for word in arguments if "=" not in word}
    every = {field.name for field in dataclasses.fields(Settings)}
    assert named & every == relevant_settings(method) - {"rare_weight"}  # which says nothing unless it is given


def test_compare(capfd, tiny_run):
    capfd.readouterr()
    assert main(["compare", str(tiny_run)]) == 0
    by_path = capfd.readouterr()
    assert main(["compare", "tiny"]) == 0
    assert capfd.readouterr().out == by_path.out
    lines = by_path.out.splitlines()
    isotropy = load_reconstruction(tiny_run).evidence["isotropy"]
    for group in ("all", "frequent", "medium", "rare"):
        [line] = [line for line in lines if line.startswith(f"  {group:<10} original")]
        for table in ("original", "rebuilt"):
            assert f"{isotropy[table][group]['i_w']:.3f}" in line
    assert any(line.endswith("of 16") for line in lines)
    assert len([line for line in lines if "->" in line]) == 10
    assert by_path.err == ""


def test_analyse(capfd, tiny_run, quick_maps):
    capfd.readouterr()
    for _ in range(2):  # the second time everything is on disk
        assert main(["analyse", "tiny"]) == 0
        assert read_status(tiny_run / "analysis").state == "complete"
        found = read_analysis(open_comparison(tiny_run))
        assert found.maps[0].coordinates.shape == (403, 2)
        lines = capfd.readouterr().out.splitlines()
        for line, name, made in zip(lines, ("original", "rebuilt"), found.maps, strict=True):
            assert line.startswith(f"map of the {name}")
            assert f"trustworthiness {made.trust.trustworthiness:.3f}, continuity" in line
            assert "403 of 403 rows judged" in line


def test_analyse_with_settings(capfd, tiny_run, tmp_path, quick_maps):
    (tmp_path / "rows.txt").write_text("5, 9\n12 80\n100")
    for settings, words in (
        (ProjectionSettings("pca", "place"), ["--method", "pca", "--mode", "place"]),
        (
            ProjectionSettings("umap", "each", 7, 0.5, "euclidean", "rare", 3),
            ["--neighbours", "7", "--min-dist", "0.5", "--metric", "euclidean", "--subset", "rare", "--seed", "3"],
        ),
        (
            ProjectionSettings("pca", subset=keep_rows([5, 9, 12, 80, 100])),
            ["--method", "pca", "--rows", str(tmp_path / "rows.txt")],
        ),
    ):
        assert main(["analyse", "tiny", *words]) == 0
        assert read_analysis(open_comparison(tiny_run), settings).settings == settings
    assert "5 of 5 rows judged" in capfd.readouterr().out


def test_the_words_for_settings_are_read_as_the_same_settings():
    changed = {
        "method": "pca", "mode": "place", "neighbours": 40, "min_dist": 0.25, "metric": "euclidean",
        "subset": "rebuilt", "seed": 2**32 - 1,
    }  # fmt: skip
    assert changed.keys() == {field.name for field in dataclasses.fields(ProjectionSettings)}
    for settings in (ProjectionSettings(), ProjectionSettings(**changed)):
        options = cli._parser().parse_args(["analyse", "run", *settings.arguments()])
        assert read_projection(options) == settings
    assert len(ProjectionSettings(**changed).arguments()) == len(changed)
    assert ProjectionSettings().arguments() == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--method", "tsne"], "unknown method 'tsne' of a map; use one of umap, pca"),
        (["--mode", "both"], "unknown mode 'both'"),
        (["--subset", "nice"], "unknown subset 'nice'; use one of all, rebuilt, frequent"),
        (["--neighbours", "1"], "n_neighbours is 1"),
        (["--min-dist", "2"], "min_dist is 2"),
        (["--metric", "dot"], "unknown metric 'dot'"),
        (["--seed", "-1"], "seed is -1"),
        (["--subset", "byte"], "0 rows are 'byte'; a map needs at least 4"),
        (["--rows", "none.txt"], "cannot read rows from 'none.txt' (FileNotFoundError)"),
    ],
)
def test_settings_of_maps_that_are_refused(capfd, tiny_run, words, message):
    capfd.readouterr()
    assert message in refused(capfd, ["analyse", tiny_run, *words])


def test_a_file_of_rows_holds_numbers_alone(capfd, tiny_run, tmp_path):
    (tmp_path / "rows.txt").write_text("5 six 7")
    capfd.readouterr()
    said = refused(capfd, ["analyse", tiny_run, "--rows", tmp_path / "rows.txt"])
    assert "'six' in " in said
    assert "is no row; write whole numbers, 0 for the first row" in said


def test_reconstruct_and_analyse_at_once(capfd, tmp_path, words, quick_maps):
    assert main([*words, "--seed", "3", "--out", str(tmp_path / "run"), "--analyse"]) == 0
    assert read_analysis(open_comparison(tmp_path / "run")) is not None
    assert read_status(tmp_path / "run").state == "complete"


def test_runs(capfd, tmp_path, monkeypatch, tiny_run):
    capfd.readouterr()
    assert main(["runs"]) == 0
    [line] = [line for line in capfd.readouterr().out.splitlines() if line.startswith("tiny ")]
    assert line.split() == ["tiny", "complete", "100%"]
    monkeypatch.setenv("DEFEMB_RUNS", str(tmp_path / "none"))
    assert main(["runs"]) == 0
    assert capfd.readouterr().out == ""


def test_dictionary(capfd, tiny_lexicon, tiny_dictionary):
    assert main(["dictionary", f"wordnet:{tiny_lexicon}"]) == 0
    assert f"{tiny_dictionary.definitions.height:,} senses" in capfd.readouterr().out


def test_a_large_dictionary_is_read_for_the_vocabularys_words_only(capfd, tmp_path, words, tiny_dictionary):
    dump, out = tmp_path / "dump.jsonl", tmp_path / "run"
    lines = tiny_dictionary.definitions.select("word", "definition").rows()
    with dump.open("w", encoding="utf-8") as file:
        for word, text in [*lines, *((f"{word}zz", text) for word, text in lines)]:  # half of them stand for no row
            file.write(json.dumps({"word": word, "lang_code": "en", "senses": [{"glosses": [text]}]}) + "\n")
    assert main(["dictionary", f"wiktionary:{dump}"]) == 0
    assert capfd.readouterr().out.startswith("wiktionary: ")
    assert main([*words, "--dictionary", f"wiktionary:{dump}", "--out", str(out)]) == 0
    found = load_reconstruction(out)
    assert found.evidence["coverage"]["rebuilt"] > 100
    assert 0 < found.provenance["dictionary"]["senses"] <= len(lines)
    assert main(["estimate", *words[1:], "--dictionary", f"wiktionary:{dump}"]) == 0
    assert "method instant" in capfd.readouterr().out


def test_export(capfd, tmp_path, tiny_run):
    capfd.readouterr()
    assert main(["export", "tiny", "--to", "npy", "--out", str(tmp_path / "table.npy")]) == 0
    assert capfd.readouterr().out.startswith("wrote ")
    [file] = list(tmp_path.rglob("*.npy"))
    np.testing.assert_array_equal(np.load(file, allow_pickle=False), load_reconstruction(tiny_run).matrix)


def test_a_bar_on_a_terminal(capfd, tmp_path, words, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert main([*words, "--out", str(tmp_path / "run")]) == 0
    shown = capfd.readouterr().err
    assert "\r" in shown
    assert all(f"\r{stage} " in shown for stage in STAGE_SHARES["instant"])
    assert len(shown.splitlines()) < 100


# A user's mistakes


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--alpha", "1.5"], "alpha must lie between 0 and 1, is 1.5"),
        (["--alpha", "nan"], "alpha must lie between 0 and 1, is nan"),
        (["--blend", "-1"], "blend must lie between 0 and 1"),
        (["--folds", "1"], "folds must be 2 or more"),
        (["--max-senses", "0"], "max_senses must be 1 or more"),
        (["--seed", "-1"], "seed must be 0 or more"),
        (["--method", "magic"], "unknown method 'magic'; choose one of instant, frozen"),
        (["--plm", "/no/such/model"], "no folder '/no/such/model'"),
        (["--plm", "no-such/model"], "HF_HUB_OFFLINE"),
        (["--dictionary", "klingon"], "unknown dictionary 'klingon'; known: wordnet"),
        (["--dictionary", "wordnet:"], "names no place after the colon"),
        (["--frequency", "magic"], "unknown frequency source 'magic'"),
        (["--groups", "0.5,0.5"], "the shares of frequent, medium and rare rows add up to"),
        (["--groups", "a,b,c"], "--groups 'a,b,c' is no list of three shares"),
        (["--groups", "0.1,0.1,0.1,0.7"], "is no list of three shares"),
    ],
)
def test_mistakes_in_reconstruct(capfd, tmp_path, words, options, message):
    line = refused(capfd, [*words, *options, "--out", tmp_path / "run"])
    assert message in line
    if (tmp_path / "run").exists():
        assert read_status(tmp_path / "run").message in line


def test_a_dictionary_folder_without_files(capfd, tmp_path, words):
    line = refused(capfd, [*words, "--dictionary", f"wordnet:{tmp_path}", "--out", tmp_path / "run"])
    assert "lacks data.noun" in line


def test_a_dictionary_that_is_too_small(capfd, tmp_path, words):
    assert main([*words, "--folds", "5000", "--out", str(tmp_path / "run")]) == 2
    stage, line = capfd.readouterr().err.splitlines()
    assert stage == "definitions"
    assert "too few for 5000 folds; name a larger dictionary or take fewer folds" in line


def test_a_decoder(capfd, tmp_path, words):
    folder = save_gpt2(tmp_path / "gpt2")
    capfd.readouterr()
    assert "'gpt2' is decoder-only" in refused(capfd, [*words, "--plm", folder, "--out", tmp_path / "run"])


def test_a_folder_that_is_there_already(capfd, tmp_path, words, tiny_run):
    capfd.readouterr()
    (tmp_path / "notes.txt").touch()
    assert "exists and is no run ('notes.txt' lies there)" in refused(capfd, [*words, "--out", tmp_path])
    assert "exists and holds a complete run" in refused(capfd, [*words, "--out", tiny_run])
    assert "exists and holds a complete run" in refused(capfd, [*words, "--out", tiny_run, "--resume"])
    assert "File exists" in refused(capfd, [*words, "--out", tmp_path / "notes.txt"])
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("command", [["compare"], ["analyse"], ["export", "--to", "npy", "--out", "x.npy"]])
def test_runs_that_are_not_there(capfd, tmp_path, command):
    for name in ("nothing", tmp_path, tmp_path / "nothing"):
        said = refused(capfd, [command[0], name, *command[1:]])
        assert ("is no run" if command[0] == "analyse" else "config.json is missing") in said
    assert "is no name for a run" in refused(capfd, [command[0], "a b", *command[1:]])


def test_an_unknown_export_format(capfd, tmp_path, tiny_run):
    capfd.readouterr()
    line = refused(capfd, ["export", "tiny", "--to", "xml", "--out", tmp_path / "x"])
    assert "'xml'" in line
    assert "word2vec" in line
    assert not list(tmp_path.iterdir())


def test_an_export_that_is_there_already(capfd, tmp_path, tiny_run):
    (tmp_path / "x.npy").write_text("mine")
    capfd.readouterr()
    refused(capfd, ["export", "tiny", "--to", "npy", "--out", tmp_path / "x.npy"])
    assert (tmp_path / "x.npy").read_text() == "mine"


def test_a_run_whose_model_is_gone(capfd, tmp_path, words, tiny_bert):
    model = shutil.copytree(tiny_bert, tmp_path / "model")
    assert main([*words, "--plm", str(model), "--out", str(tmp_path / "run")]) == 0
    shutil.rmtree(model)
    capfd.readouterr()
    assert "is not on this machine; copy that folder to" in refused(capfd, ["compare", tmp_path / "run"])


def test_usage_errors_exit_with_two(capfd):
    for arguments in ([], ["nonsense"], ["reconstruct"], ["reconstruct", "--out", "x", "--alpha", "much"]):
        with pytest.raises(SystemExit) as exit_:
            main(arguments)
        assert exit_.value.code == 2
        assert "Traceback" not in capfd.readouterr().err


def test_a_full_disk(capfd, tmp_path, words, monkeypatch):
    from defemb_core import reconstruction_files

    def full(path, write):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(reconstruction_files, "write_atomically", full)
    assert main([*words, "--out", str(tmp_path / "run")]) == 2
    last = capfd.readouterr().err.splitlines()
    assert last[:-1] == list(STAGE_SHARES["instant"])
    assert "No space left on device" in last[-1]
    assert read_status(tmp_path / "run").state == "failed"


AS_A_PROCESS = """
import os, runpy, sys
sys.argv = ["defemb_core", "runs"]
try:
    runpy.run_module("defemb_core", run_name="__main__")
except SystemExit:
    print(os.environ.get("GOMP_SPINCOUNT"), "torch" in sys.modules)
"""


@pytest.mark.parametrize(
    ("chosen", "rounds"), [({}, "10000"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "None"), ({"GOMP_SPINCOUNT": "7"}, "7")]
)
def test_threads_spin_little_unless_told_otherwise(tmp_path, chosen, rounds):
    given = {name: value for name, value in os.environ.items() if name not in {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"}}
    given |= {"DEFEMB_RUNS": str(tmp_path), **chosen}
    done = subprocess.run([sys.executable, "-c", AS_A_PROCESS], capture_output=True, text=True, env=given, check=True)
    assert done.stdout.split() == [rounds, "False"]  # torch reads it when it is imported


def test_an_instant_run_waits_for_no_torch(tmp_path, words):
    code = (
        "import sys; from defemb_core.cli import main; code = main(sys.argv[1:]); print(code, 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words, "--out", str(tmp_path / "run")], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "0 False"


# Stopping and going on


def test_the_keyboard_stops_it(capfd, tmp_path, words, monkeypatch):
    from defemb_core import methods

    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(methods, "cross_fit", interrupt)
    assert main([*words, "--out", str(tmp_path / "run")]) == 130
    assert capfd.readouterr().err.splitlines()[-1] == "stopped"
    assert read_status(tmp_path / "run").state == "cancelled"


KILLED = """
import os, signal, sys
from defemb_core import reconstruction_files
from defemb_core.cli import main
real = reconstruction_files.write_json
def write_json(path, value):
    if path.name == "config.json":
        os.kill(os.getpid(), signal.SIGKILL)  # all but the last file is there
    real(path, value)
reconstruction_files.write_json = write_json
main(sys.argv[1:])
"""


def test_a_killed_run_resumed_gives_the_same_bytes(capfd, tmp_path, words):
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    done = subprocess.run(
        [sys.executable, "-c", KILLED, *words, "--out", str(killed)], capture_output=True, check=False
    )
    assert done.returncode == -signal.SIGKILL
    assert read_status(killed).state == "interrupted"
    assert "was interrupted; add --resume" in refused(capfd, [*words, "--out", killed])
    assert main([*words, "--out", str(killed), "--resume"]) == 0
    assert main([*words, "--out", str(whole)]) == 0
    for name in ("reconstruction.safetensors", "vocabulary.parquet", "definitions.parquet"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes()
    for name in ("evidence.json", "config.json"):
        first, second = (json.loads((folder / name).read_text()) for folder in (killed, whole))
        for content in (first, second):
            content.pop("seconds", None)
            content.pop("peak_memory_mb", None)
            content.get("provenance", {}).pop("made", None)
        assert first == second
    assert read_status(killed).state == "complete"


KILLED_WHILE_ENCODING = """
import os, signal, sys
from defemb_core import features_files, runs
features_files.WRITE_EVERY = 0
from defemb_core.cli import main
tell = runs.Reporter.__call__
def die(self, stage, done, total, **figures):
    if stage == "encoder" and done > total // 2:
        os.kill(os.getpid(), signal.SIGKILL)
    tell(self, stage, done, total, **figures)
runs.Reporter.__call__ = die
main(sys.argv[1:])
"""


def test_a_run_killed_while_encoding_goes_on_from_there(capfd, tmp_path, words, monkeypatch):
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    words = [*words, "--method", "frozen"]
    done = subprocess.run(
        [sys.executable, "-c", KILLED_WHILE_ENCODING, *words, "--out", str(killed)], capture_output=True, check=False
    )
    assert done.returncode == -signal.SIGKILL
    assert (killed / "checkpoint" / "prompt-states.npz").is_file()
    assert main([*words, "--out", str(whole)]) == 0
    assert not (whole / "checkpoint").exists()
    read = features_files.KeptStates.read
    found = []
    monkeypatch.setattr(features_files.KeptStates, "read", lambda kept: found.append(read(kept)) or found[-1])
    assert main([*words, "--out", str(killed), "--resume"]) == 0
    assert found[0].any()
    assert (killed / "reconstruction.safetensors").read_bytes() == (whole / "reconstruction.safetensors").read_bytes()
    assert not (killed / "checkpoint").exists()


def test_sigterm_keeps_what_was_encoded(tmp_path, words):
    out = tmp_path / "run"
    slow = "import time; from defemb_core import states; real = states.pad\n"
    slow += "states.pad = lambda *given: time.sleep(0.3) or real(*given)\n"
    slow += "import runpy, sys; sys.argv[0] = 'defemb_core'; runpy.run_module('defemb_core', run_name='__main__')"
    process = subprocess.Popen([sys.executable, "-c", slow, *words, "--method", "frozen", "--out", str(out)])
    limit = time.monotonic() + 60
    while time.monotonic() < limit and not (
        (out / "status.json").exists() and (s := read_status(out)).stage == "encoder" and s.fraction > 0.1
    ):
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 130
    assert read_status(out).state == "cancelled"
    assert (out / "checkpoint" / "prompt-states.npz").is_file()


def test_analysing_what_is_no_run_leaves_nothing(capfd, tmp_path):
    (tmp_path / "no-run").mkdir()
    assert "is no run" in refused(capfd, ["analyse", tmp_path / "no-run"])
    assert not list((tmp_path / "no-run").iterdir())


def test_an_analysis_that_cannot_begin_says_so(capfd, tmp_path, tiny_run):
    run = shutil.copytree(tiny_run, tmp_path / "run")
    (run / "config.json").write_text("{}")
    shutil.rmtree(run / "analysis", ignore_errors=True)
    assert "is damaged" in refused(capfd, ["analyse", run])
    assert read_status(run / "analysis").state == "failed"


def test_the_module_is_a_program(tmp_path, words):
    environment = {**os.environ, "DEFEMB_CACHE": str(tmp_path / "cache")}
    command = [sys.executable, "-m", "defemb_core", *words, "--out", str(tmp_path / "run")]
    started = time.monotonic()
    bad = subprocess.run([*command, "--alpha", "2"], capture_output=True, text=True, env=environment, check=False)
    assert (bad.returncode, bad.stdout, len(bad.stderr.splitlines())) == (2, "", 1)
    assert time.monotonic() - started < 30
    good = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert good.stdout.startswith("rebuilt ")
    assert good.stderr.splitlines() == list(STAGE_SHARES["instant"])


def test_a_reader_that_has_seen_enough(tiny_run):
    code = "import sys; from defemb_core.cli import main; sys.exit(main(['compare', 'tiny']))"
    done = subprocess.run(
        ["bash", "-c", f'"{sys.executable}" -c "{code}" | head -1'], capture_output=True, text=True, check=False
    )
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == ""
