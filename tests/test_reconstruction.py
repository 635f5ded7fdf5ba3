import dataclasses
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import load_file, save_file
from sklearn.feature_extraction.text import TfidfTransformer
from tiny_plm import save_roberta, save_t5

from defemb_core import definitionemb
from defemb_core.cache import write_json
from defemb_core.definitionemb import cross_fit
from defemb_core.definitions import describe_matches, match_definitions
from defemb_core.dictionaries import Dictionary
from defemb_core.errors import PLMError, RunError, SettingsError
from defemb_core.evaluation.held_out import split_words
from defemb_core.features import definition_texts
from defemb_core.frequency import plm_vocabulary
from defemb_core.mentions import bag_of_mentions
from defemb_core.methods import METHODS
from defemb_core.plm import load_plm
from defemb_core.progress import peak_memory_mb
from defemb_core.reconstruction import (
    Settings,
    reconstruct,
)
from defemb_core.reconstruction_files import FILES, load_reconstruction, save_reconstruction
from defemb_core.stages import STAGE_SHARES

INSTANT = Settings(method="instant", match_norms=False)


def token_shares(plm, senses, texts):
    """Defined rows, and how much each row of the table counts for them: the mean over a token's senses' bags."""
    counts = np.array(
        [np.bincount(plm.tokenizer.encode(text, add_special_tokens=False).ids, minlength=plm.rows) for text in texts]
    )
    bags = counts * TfidfTransformer().fit(counts).idf_ ** 2
    weighted = bags / bags.sum(axis=1, keepdims=True) * senses["weight"].to_numpy()[:, None]
    token = senses["token_id"].to_numpy()
    rows = senses["token_id"].unique(maintain_order=True).to_numpy()
    return rows, np.array([weighted[token == row].sum(axis=0) for row in rows])


@pytest.fixture(scope="module")
def plm(tiny_plm, tiny_vocabulary, tiny_dictionary):
    """The tiny PLM with another table: a word's row is a turned mean of its definitions' rows, and a little noise."""
    random = np.random.default_rng(0)
    turn = np.linalg.qr(random.normal(size=(tiny_plm.width,) * 2))[0]
    noise = 0.05 * random.normal(size=tiny_plm.matrix.shape)
    senses = describe_matches(tiny_vocabulary, match_definitions(tiny_vocabulary, tiny_dictionary), tiny_dictionary)
    _, texts = definition_texts(senses, True, "")
    rows, shares = token_shares(tiny_plm, senses, texts)
    matrix = random.normal(size=tiny_plm.matrix.shape)
    for _ in range(100):  # definitions are made of defined words: until nothing changes any more
        matrix[rows] = shares @ matrix @ turn + noise[rows]
    matrix = matrix.astype(np.float32)
    matrix.setflags(write=False)
    return dataclasses.replace(tiny_plm, matrix=matrix)


@pytest.fixture(scope="module")
def made(plm, tiny_vocabulary, tiny_dictionary):
    return reconstruct(plm, tiny_vocabulary, tiny_dictionary, INSTANT)


@pytest.fixture(scope="module")
def rebuild(plm, tiny_vocabulary, tiny_dictionary):
    """Rebuild the tiny PLM's table with other settings."""

    def run(vocabulary=tiny_vocabulary, **settings):
        return reconstruct(plm, vocabulary, tiny_dictionary, dataclasses.replace(INSTANT, **settings))

    return run


@pytest.fixture(scope="module")
def covered(made):
    return made.definitions["token_id"].unique().sort().to_numpy()


# Which rows, and what becomes of them


def test_everything_with_a_definition_is_rebuilt(made, covered):
    assert len(covered) > 50
    assert np.flatnonzero(made.rebuilt).tolist() == covered.tolist()


def test_rows_that_are_not_rebuilt_stay_to_the_bit(plm, made):
    kept = ~made.rebuilt
    assert made.matrix[kept].tobytes() == plm.matrix[kept].tobytes()
    untouchable = made.vocabulary["kind"].is_in(["special", "unused"]).to_numpy()
    assert untouchable.sum() > 8
    assert kept[untouchable].all()
    assert (~kept).any()
    assert (made.matrix[~kept] != plm.matrix[~kept]).any(axis=1).all()


@pytest.mark.parametrize("alpha", [0, 0.004, 0.1, 0.5, 0.99, 1])
def test_alpha_takes_the_rows_of_lowest_frequency(rebuild, covered, tiny_vocabulary, plm, alpha):
    found = rebuild(alpha=alpha)
    rank = tiny_vocabulary["rank"].to_numpy()
    rarest = sorted(covered, key=lambda row: -rank[row])[: round(alpha * len(covered))]
    assert np.flatnonzero(found.rebuilt).tolist() == sorted(rarest)
    assert found.matrix[~found.rebuilt].tobytes() == plm.matrix[~found.rebuilt].tobytes()
    assert found.evidence["coverage"]["rebuilt"] == len(rarest)


def test_alpha_follows_the_ranks_and_not_the_row_order(rebuild, tiny_vocabulary, covered):
    turned = tiny_vocabulary.with_columns(rank=tiny_vocabulary.height - 1 - pl.col("token_id"))
    found = rebuild(vocabulary=turned, alpha=0.5)
    assert np.flatnonzero(found.rebuilt).tolist() == covered[: round(0.5 * len(covered))].tolist()


def test_a_rows_prediction_does_not_depend_on_alpha(rebuild, made):
    half = rebuild(alpha=0.5)
    np.testing.assert_array_equal(half.matrix[half.rebuilt], made.matrix[half.rebuilt])


def test_special_and_unused_rows_with_a_definition_are_left_alone(rebuild, tiny_vocabulary, covered):
    # group "none" is what protects a row, whatever its kind: here the word in the middle.
    row = int(covered[len(covered) // 2])
    group = pl.when(pl.col("token_id") == row).then(pl.lit("none")).otherwise(pl.col("group").cast(pl.String))
    found = rebuild(vocabulary=tiny_vocabulary.with_columns(group.cast(tiny_vocabulary.schema["group"]).alias("group")))
    assert row in found.definitions["token_id"]
    assert np.flatnonzero(found.rebuilt).tolist() == [i for i in covered if i != row]


def test_a_blend_of_zero_is_the_original_to_the_bit(rebuild, plm):
    found = rebuild(blend=0, match_norms=True)
    assert found.matrix.tobytes() == plm.matrix.tobytes()
    assert not found.rebuilt.any()


@pytest.mark.parametrize("blend", [0.5, 0.2, 1e-3])
@pytest.mark.parametrize("match_norms", [False, True])
def test_a_blend_lies_between_original_and_rebuilt(rebuild, plm, blend, match_norms):
    whole, part = (rebuild(blend=b, match_norms=match_norms) for b in (1, blend))
    np.testing.assert_allclose(part.matrix, (1 - blend) * plm.matrix + blend * whole.matrix, atol=1e-6)
    assert (part.rebuilt == whole.rebuilt).all()


def test_matched_norms_keep_the_direction_from_the_mean_row(rebuild, plm, made, covered):
    found = rebuild(match_norms=True)
    centre = plm.matrix[covered].mean(axis=0)
    away = [table[covered] - centre for table in (plm.matrix, found.matrix, made.matrix)]
    norms = [np.linalg.norm(rows, axis=1) for rows in away]
    np.testing.assert_allclose(norms[1], norms[0], rtol=1e-4)
    assert np.abs(norms[2] - norms[0]).max() > 0.01
    cosine = (away[1] * away[2]).sum(axis=1) / (norms[1] * norms[2])
    np.testing.assert_allclose(cosine, 1, atol=1e-5)


def test_rows_are_what_the_cross_fitted_map_predicts(plm, made, covered, tiny_dictionary):
    _, texts = definition_texts(made.definitions, True, "")
    rows, shares = token_shares(plm, made.definitions, texts)
    assert rows.tolist() == covered.tolist()
    mentions = bag_of_mentions(plm, made.vocabulary, covered, tiny_dictionary.definitions)
    expected = cross_fit([shares @ plm.matrix, mentions], plm.matrix[covered])
    np.testing.assert_allclose(made.matrix[covered], expected.predictions, atol=1e-4)


def test_rows_of_one_word_share_a_fold(rebuild, tiny_vocabulary, covered, monkeypatch):
    """A cased tokenizer has rows for "The" and "the"; the one must not tell of the other."""
    real, folds = definitionemb.RidgeProblem.__init__, []

    def fit(self, *given):
        real(self, *given)
        folds.append(self.folds)

    monkeypatch.setattr(definitionemb.RidgeProblem, "__init__", fit)
    texts = tiny_vocabulary["text"].to_numpy().copy()
    texts[covered[1::2]] = [text.title() for text in texts[covered[: len(covered) // 2 * 2 : 2]]]
    cased = tiny_vocabulary.with_columns(text=pl.Series(texts))
    made = rebuild(vocabulary=cased)
    words = np.char.lower(texts[made.definitions["token_id"].unique().sort().to_numpy()].astype(str))
    fit, _ = split_words(words, INSTANT.seed)
    for each, found in zip((words, words[fit]), folds, strict=True):  # the table's, the evidence's
        assert len(each) > 1.9 * len(set(each))
        assert sum(len(set(each[fold])) for fold in found) == len(set(each))


def test_twice_the_same_to_the_bit_and_another_seed_another_table(rebuild, made):
    assert rebuild().matrix.tobytes() == made.matrix.tobytes()
    other = rebuild(seed=1)
    assert other.matrix.tobytes() != made.matrix.tobytes()
    assert other.evidence["held_out"] != made.evidence["held_out"]


def test_the_original_stays_as_it_is(plm, rebuild):
    before = plm.matrix.tobytes()
    made = rebuild(match_norms=True, blend=0.5)
    assert plm.matrix.tobytes() == before
    assert not np.shares_memory(made.matrix, plm.matrix)
    assert made.matrix.flags.writeable
    assert made.matrix.dtype == np.float32


@pytest.mark.parametrize("save", [save_roberta, save_t5])
@pytest.mark.parametrize("method", METHODS)
def test_other_families(tmp_path, tiny_dictionary, save, method):
    plm = load_plm(str(save(tmp_path)))
    found = reconstruct(plm, plm_vocabulary(plm), tiny_dictionary, Settings(method=method))
    assert found.rebuilt.sum() > 30
    assert np.isfinite(found.matrix).all()
    assert not found.rebuilt[sorted(plm.special_ids)].any()


def test_frozen_states_change_the_prediction(rebuild, made):
    frozen = rebuild(method="frozen")
    assert (frozen.rebuilt == made.rebuilt).all()
    assert np.abs(frozen.matrix - made.matrix).max() > 1e-3


def test_frozen_needs_a_mask_token(plm, tiny_vocabulary, tiny_dictionary):
    plm = dataclasses.replace(plm, mask_token=None)
    with pytest.raises(PLMError, match="no mask token; method 'instant' works"):
        reconstruct(plm, tiny_vocabulary, tiny_dictionary, Settings(method="frozen"))
    assert reconstruct(plm, tiny_vocabulary, tiny_dictionary, INSTANT).rebuilt.any()


def test_definitions_find_rows_and_shuffled_ones_do_not(plm, made, tiny_vocabulary, tiny_dictionary, covered):
    frame = tiny_dictionary.definitions
    order = np.random.default_rng(0).permutation(frame.height)
    shuffled = Dictionary(frame.with_columns(definition=frame["definition"][order]), "shuffled", "0" * 64, "here")
    control = reconstruct(plm, tiny_vocabulary, shuffled, INSTANT)
    assert made.evidence["held_out"]["mrr"] > 0.8
    assert made.evidence["held_out"]["cosine"] > 0.8
    assert control.evidence["held_out"]["mrr"] < 0.5
    error, worse = (((table - plm.matrix)[covered] ** 2).sum() for table in (made.matrix, control.matrix))
    assert error < worse / 3


# Definition texts


def senses(**columns):
    frame = {"gloss": ["a bank by a river"], "pos": ["noun"], "related": ["river bank; slope"], "text": ["bank"]}
    return pl.DataFrame(
        frame | {key: [value] for key, value in columns.items()}, schema_overrides={"related": pl.String}
    )


def test_texts_hide_the_word_and_name_what_belongs_to_it():
    assert definition_texts(senses(), True, "[M]") == (["a [M] by a river"], ["noun a  by a river; river ; slope"])
    assert definition_texts(senses(), False, "[M]") == (["a [M] by a river"], ["noun a  by a river"])
    assert definition_texts(senses(pos=None, related=None), True, "")[1] == ["a  by a river"]


def test_relations_are_used_when_asked_for(plm, tiny_vocabulary, tiny_dictionary):
    frame = tiny_dictionary.definitions
    related = Dictionary(frame.with_columns(related=frame["word"].reverse()), "related", "0" * 64, "here")
    bare = Dictionary(frame.with_columns(related=pl.lit(None, dtype=pl.String)), "bare", "0" * 64, "here")
    tables = [
        reconstruct(plm, tiny_vocabulary, dictionary, dataclasses.replace(INSTANT, relations=relations)).matrix
        for dictionary, relations in ((related, True), (related, False), (bare, True))
    ]
    assert (tables[0] != tables[1]).any()
    np.testing.assert_array_equal(tables[1], tables[2])


# Evidence and provenance


def test_evidence(plm, made, tiny_vocabulary, covered):
    evidence = made.evidence
    assert set(evidence) == {"held_out", "held_out_by", "coverage", "isotropy", "strength", "seconds", "peak_memory_mb"}
    assert set(evidence["held_out"]) == {"tokens", "cosine", "mrr", "median_rank"}
    assert evidence["held_out"]["tokens"] == len(covered) // 5
    assert evidence["held_out_by"]["source"] == {"wordnet": evidence["held_out"]}  # all tokens are found there
    assert sum(part["tokens"] for part in evidence["held_out_by"]["how"].values()) == evidence["held_out"]["tokens"]
    taking_part = tiny_vocabulary.filter(pl.col("group") != "none").height
    assert evidence["coverage"] == {
        "rows": plm.rows, "rebuilt": len(covered), "without_definition": taking_part - len(covered),
    }  # fmt: skip
    assert set(evidence["isotropy"]) == {"original", "rebuilt"}
    for table in evidence["isotropy"].values():
        assert list(table) == ["all", "frequent", "medium", "rare"]
    assert evidence["isotropy"]["original"] != evidence["isotropy"]["rebuilt"]
    assert list(evidence["seconds"]) == list(STAGE_SHARES["instant"])
    assert 50 < evidence["peak_memory_mb"] < 1e5
    assert json.loads(json.dumps(evidence, allow_nan=False)) == evidence


def test_rows_without_a_definition(made, tiny_vocabulary, covered):
    without = made.without_definition
    assert without.height == made.evidence["coverage"]["without_definition"]
    groups = dict(tiny_vocabulary.select("token_id", "group").iter_rows())
    assert without["token_id"].to_list() == [i for i, g in groups.items() if g != "none" and i not in set(covered)]


def test_provenance(tiny_bert, plm, tiny_dictionary, made):
    found = made.provenance
    assert found["plm"]["name"] == str(tiny_bert)
    assert found["plm"]["table_sha256"] == plm.digest
    assert found["dictionary"] == {
        "name": "wordnet", "sha256": tiny_dictionary.digest, "senses": tiny_dictionary.definitions.height,
    }  # fmt: skip
    assert found["seed"] == 0
    assert {"defemb", "torch", "numpy"} <= set(found["packages"])
    assert sum(found["groups"].values()) == plm.rows


def test_a_local_plm_is_recorded_by_its_whole_path(tiny_bert, tiny_vocabulary, tiny_dictionary, monkeypatch):
    monkeypatch.chdir(tiny_bert.parent)
    plm = load_plm(tiny_bert.name)
    found = reconstruct(plm, tiny_vocabulary, tiny_dictionary, INSTANT)
    assert found.provenance["plm"]["name"] == str(tiny_bert.resolve())


@pytest.mark.parametrize("method", METHODS)
def test_progress_tells_every_stage_that_has_a_share(plm, tiny_vocabulary, tiny_dictionary, method):
    told = []
    reconstruct(
        plm, tiny_vocabulary, tiny_dictionary, Settings(method=method), lambda *event, **figures: told.append(event)
    )
    stages = list(dict.fromkeys(stage for stage, _, _ in told))
    assert stages == list(STAGE_SHARES[method])
    assert all((stage, 1, 1) in told for stage in stages)
    assert sum(STAGE_SHARES[method].values()) == pytest.approx(1)


def test_progress_can_stop_the_work(plm, tiny_vocabulary, tiny_dictionary):
    def stop(stage, done, total):
        if stage == "map":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reconstruct(plm, tiny_vocabulary, tiny_dictionary, INSTANT, stop)


def test_peak_memory_counts_bytes_that_were_used():
    before = peak_memory_mb()
    block = np.ones(int(before * 1e6 / 8) + 30_000_000)  # more than the peak so far
    assert peak_memory_mb() > before + 200
    del block


# Settings


@pytest.mark.parametrize("name", ["alpha", "blend"])
@pytest.mark.parametrize("value", [-0.01, 1.01, float("nan"), float("inf"), -float("inf")])
def test_shares_out_of_range(name, value):
    with pytest.raises(SettingsError, match=f"{name} must lie between 0 and 1, is {value}"):
        Settings(**{name: value})


@pytest.mark.parametrize(("name", "value", "least"), [("folds", 1, 2), ("max_senses", 0, 1), ("seed", -1, 0)])
def test_counts_out_of_range(name, value, least):
    with pytest.raises(SettingsError, match=f"{name} must be {least} or more, is {value}"):
        Settings(**{name: value})
    assert getattr(Settings(**{name: least}), name) == least


def test_an_unknown_method():
    with pytest.raises(SettingsError, match="no definition is found 'magic'; leave out some of exact, case-folded"):
        Settings(without="lemma, magic")
    assert Settings(without=" lemma,").left_out == ["lemma"]
    with pytest.raises(SettingsError, match="unknown method 'magic'; choose one of instant, frozen"):
        Settings(method="magic")


def test_too_few_definitions_for_the_folds(rebuild, covered):
    with pytest.raises(SettingsError, match=rf"only {len(covered)} of 403 rows .* too few for 500 folds"):
        rebuild(folds=500)


def test_no_definition_at_all(plm, tiny_vocabulary, tiny_dictionary):
    empty = Dictionary(tiny_dictionary.definitions.clear(), "empty", "0" * 64, "here")
    with pytest.raises(SettingsError, match="only 0 of 403 rows have a definition in empty"):
        reconstruct(plm, tiny_vocabulary, empty, INSTANT)


def test_counts_of_rows_must_agree(made):
    with pytest.raises(RunError, match="403 rows, the rebuilt marks 402 and the vocabulary 403"):
        dataclasses.replace(made, rebuilt=made.rebuilt[1:])


# Files


@pytest.fixture
def saved(tmp_path, made):
    save_reconstruction(made, tmp_path / "run")
    return tmp_path / "run"


def test_what_is_saved_is_loaded(saved, made):
    found = load_reconstruction(saved)
    assert found.matrix.tobytes() == made.matrix.tobytes()
    assert found.rebuilt.dtype == bool
    assert (found.rebuilt == made.rebuilt).all()
    for name in ("settings", "evidence", "provenance"):
        assert getattr(found, name) == getattr(made, name)
    for name in ("vocabulary", "definitions"):
        assert getattr(found, name).equals(getattr(made, name))
        assert getattr(found, name).schema == getattr(made, name).schema
    assert sorted(path.name for path in saved.iterdir()) == sorted(FILES)


def test_saving_again_replaces(saved, made):
    other = dataclasses.replace(made, matrix=made.matrix + 1)
    save_reconstruction(other, saved)
    assert (load_reconstruction(saved).matrix == other.matrix).all()


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(saved, name):
    (saved / name).unlink()
    with pytest.raises(RunError, match=f"no complete run: {name} is missing.*--resume"):
        load_reconstruction(saved)


@pytest.mark.parametrize("place", ["nothing", "run/config.json"])
def test_no_folder(saved, place):
    with pytest.raises(RunError, match=r"no complete run: config\.json is missing"):
        load_reconstruction(saved.parent / place)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("keep", [0, 0.5, 0.9])
def test_a_truncated_file(saved, name, keep):
    content = (saved / name).read_bytes()
    (saved / name).write_bytes(content[: int(keep * len(content))])
    with pytest.raises(RunError, match=r"is damaged .*run reconstruct again"):
        load_reconstruction(saved)


@pytest.mark.parametrize("change", [{"alpha": 7}, {"folds": 0}, {"novel": 1}])
def test_settings_that_cannot_be(saved, change):
    config = json.loads((saved / "config.json").read_text())
    config["settings"].update(change)
    (saved / "config.json").write_text(json.dumps(config))
    with pytest.raises(RunError, match="is damaged"):
        load_reconstruction(saved)


def test_a_table_of_other_size(saved):
    tensors = load_file(saved / "reconstruction.safetensors")
    save_file({**tensors, "matrix": tensors["matrix"][:-2].copy()}, saved / "reconstruction.safetensors")
    with pytest.raises(RunError, match="401 rows, the rebuilt marks 403"):
        load_reconstruction(saved)


def test_a_folder_whose_name_reads_as_a_pattern(tmp_path, made):
    folder = tmp_path / "run [1] *"
    save_reconstruction(made, folder)
    assert load_reconstruction(folder).vocabulary.equals(made.vocabulary)


def test_config_is_written_last(tmp_path, made, monkeypatch):
    written = []
    real = os.replace
    monkeypatch.setattr(os, "replace", lambda source, target: (written.append(target.name), real(source, target)))
    save_reconstruction(made, tmp_path)
    assert sorted(written) == sorted(FILES)
    assert written[-1] == "config.json"


def test_json_holds_no_nan(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "x.json", {"a": float("nan")})
    assert not list(tmp_path.iterdir())


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from defemb_core import definitionemb
from defemb_core.cache import write_json
from defemb_core.reconstruction_files import load_reconstruction, save_reconstruction
from defemb_core.errors import DefembError
run = load_reconstruction(Path(sys.argv[1]))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]),) * 2)
try:
    save_reconstruction(run, Path(sys.argv[2]))
except OSError as exc:
    print("OSError", exc)
"""


@pytest.mark.parametrize("name", ["reconstruction.safetensors", "vocabulary.parquet"])
def test_no_space_is_an_os_error_whoever_writes(saved, tmp_path, name):
    out = tmp_path / "out"
    if name == "vocabulary.parquet":  # let the table be the smaller file
        shutil.copytree(saved, tmp_path / "other")
        frame = pl.read_parquet(saved / name)
        noise = pl.Series([np.random.default_rng(i).bytes(200).hex() for i in range(frame.height)])
        frame.with_columns(noise=noise).write_parquet(saved / name)
    size = (saved / "reconstruction.safetensors").stat().st_size
    limit = size - 1 if name.startswith("reconstruction") else size + 1
    assert (saved / name).stat().st_size > limit
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(saved), str(out), str(limit)], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("OSError")
    assert not (out / name).exists()
    assert not (out / "config.json").exists()
    assert not [path for path in out.iterdir() if path.suffix == ".tmp"]
