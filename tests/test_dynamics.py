"""Recordings of real trainings: every table to the bit, what was seen, what weight decay explains, what is refused."""

import logging
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import tiny_plm
import torch
from dynamics_support import BATCH, EXAMPLES, PADDING, STEPS, WORDS, Watcher, one_thread, record, trainer_of
from transformers import BertForMaskedLM, T5ForConditionalGeneration, TrainerState

from defemb_core.cli import main
from defemb_core.dynamics import EmbeddingRecorder, recording_writer
from defemb_core.dynamics.displacement import DISPLACEMENT_SCHEMA, displacement_lines, displacement_of, parts_of
from defemb_core.dynamics.dynamics_files import read_dynamics, save_dynamics
from defemb_core.dynamics.measures import ISOTROPY_SCHEMA, SPECTRUM_SCHEMA, measure_dynamics
from defemb_core.dynamics.opening import open_with_vocabulary
from defemb_core.dynamics.recordings import Frame, find_recordings, open_recording
from defemb_core.dynamics.snapshots import (
    RULES,
    applied,
    decayed,
    following,
    read_snapshot,
    snapshot_file,
    snapshot_steps,
)
from defemb_core.dynamics.summary import cautions, findings, moved_most, movement_table, percent
from defemb_core.dynamics.svd_map import map_axes, mapped_rows, place_rows
from defemb_core.errors import EvaluationError, PLMError, TrainingError
from defemb_core.isotropy import measure_isotropy
from defemb_core.plm import load_plm

DECAY = 0.1
SEEN = {30, 31, 40, *WORDS}
VOCABULARY = pl.DataFrame({"group": ["frequent", "medium", "rare", "none"], "seen": [True, False, True, False]})


@pytest.fixture(scope="module", autouse=True)
def _quick():
    with one_thread():
        yield


@pytest.fixture(scope="module")
def plm(tmp_path_factory):
    return tiny_plm.save_bert(tmp_path_factory.mktemp("plm"))


@pytest.fixture(scope="module", params=[0.0, DECAY], ids=["no decay", "decay"])
def trained(request, plm, tmp_path_factory):
    """A folder with a recording and checkpoints at steps 4 and 8, and who watched the training."""
    folder = tmp_path_factory.mktemp("trained")
    watcher = record(plm, folder, weight_decay=request.param, save_strategy="steps", save_steps=4)
    return SimpleNamespace(folder=folder, watcher=watcher, decay=request.param, recording=folder / "recording")


@pytest.fixture(scope="module")
def measured(plm, tmp_path_factory):
    folder = tmp_path_factory.mktemp("measured")
    record(plm, folder, weight_decay=DECAY)
    recording, vocabulary = open_with_vocabulary(folder / "recording")
    return SimpleNamespace(recording=recording, dynamics=measure_dynamics(recording, vocabulary), vocabulary=vocabulary)


# What the recorder writes


def test_every_table_comes_back_to_the_bit(trained):
    recording = open_recording(trained.recording)
    assert recording.steps == (0, 2, 4, 6, 8)
    for frame in recording.frames():
        assert np.array_equal(frame.table, trained.watcher.tables[frame.step].numpy())
    assert np.array_equal(recording.table(6), trained.watcher.tables[6].numpy())


def test_later_snapshots_hold_the_rows_that_got_a_gradient_and_no_others(trained):
    for step in (2, 4, 6, 8):
        assert set(read_snapshot(trained.recording, step).ids.tolist()) == SEEN


def test_counts_are_those_of_the_batches_with_padding_apart(trained):
    recording = open_recording(trained.recording)
    ids = torch.cat([example["input_ids"] for example in EXAMPLES])
    assert recording.counts.tolist() == torch.bincount(ids, minlength=recording.rows).tolist()
    assert recording.counts[PADDING] == 2 * BATCH * STEPS
    assert set(np.flatnonzero(recording.seen)) == SEEN
    assert read_snapshot(trained.recording, 2).counts.sum() == 2 * BATCH * 5, "so far, not a batch ahead"


def test_unseen_rows_stay_or_are_scaled_by_the_product(trained):
    recording = open_recording(trained.recording)
    unseen, first = ~recording.seen, trained.watcher.tables[0].numpy()
    expected = first.copy()
    for step, rate in enumerate(trained.watcher.shrink, 1):
        expected *= np.float32(1 - rate)
        assert np.array_equal(trained.watcher.tables[step].numpy()[unseen], expected[unseen])
    *_, last = recording.frames()
    assert last.untouched.tolist() == unseen.tolist()
    assert last.decay == pytest.approx(np.prod(1 - np.array(trained.watcher.shrink)), abs=1e-12)
    assert np.array_equal(last.table[unseen], first[unseen]) == (trained.decay == 0)


def test_evaluation_is_not_counted(plm, tmp_path):
    other = [example | {"input_ids": torch.full((5,), 50)} for example in EXAMPLES[:4]]
    record(plm, tmp_path, evaluated=other, eval_strategy="steps", eval_steps=2)
    assert open_recording(tmp_path / "recording").counts[50] == 0


def test_about_twenty_snapshots_without_a_wish(plm, tmp_path):
    trainer_of(plm, tmp_path, [EmbeddingRecorder(tmp_path / "r")], max_steps=60).train()
    assert snapshot_steps(tmp_path / "r") == list(range(0, 61, 3))


def test_the_last_step_is_recorded_and_not_the_best_one(plm, tmp_path):
    watcher, saving = Watcher(), {"eval_strategy": "steps", "eval_steps": 4, "save_strategy": "steps", "save_steps": 4}
    trainer = trainer_of(
        plm, tmp_path / "out", [watcher, EmbeddingRecorder(tmp_path / "r", every=3)], evaluated=EXAMPLES[:4],
        load_best_model_at_end=True, metric_for_best_model="eval_loss", greater_is_better=True, **saving,
    )  # fmt: skip
    trainer.train()
    assert trainer.state.best_global_step == 4, "by the highest loss, which training lowers"
    recording = open_recording(tmp_path / "r")
    assert recording.steps == (0, 3, 4, 6, 8)
    assert np.array_equal(recording.table(8), watcher.tables[8].numpy())


def test_tied_output_rows_are_noted_and_move_every_row(tmp_path):
    plm = tiny_plm.save_bert_mlm(tmp_path / "plm")
    data = [{**example, "labels": example["input_ids"]} for example in EXAMPLES]
    record(plm, tmp_path, model=BertForMaskedLM.from_pretrained(plm), data=data)
    recording = open_recording(tmp_path / "recording")
    assert recording.about["tied"]
    assert len(read_snapshot(recording.folder, 2).ids) == recording.rows
    dynamics = measure_dynamics(*open_with_vocabulary(recording.folder))
    assert "output rows" in cautions(dynamics, recording)[0]


def test_an_encoder_decoder_counts_what_both_sides_read(tmp_path):
    plm = tiny_plm.save_t5(tmp_path / "plm")
    model = T5ForConditionalGeneration.from_pretrained(plm)
    data = [{"input_ids": torch.tensor([21, 22]), "labels": torch.tensor([33, 34])} for _ in range(BATCH * STEPS)]
    record(plm, tmp_path, model=model, data=data)
    counts = open_recording(tmp_path / "recording").counts
    start = model.config.decoder_start_token_id
    # The decoder reads its start and the first label.
    assert {21: BATCH * STEPS, 22: BATCH * STEPS, 33: BATCH * STEPS, start: BATCH * STEPS} == {
        int(row): int(counts[row]) for row in np.flatnonzero(counts)
    }


# Interrupted, resumed, refused


def test_an_interrupted_training_leaves_a_readable_recording(plm, tmp_path):
    watcher = record(plm, tmp_path, stop_at=5)
    recording = open_recording(tmp_path / "recording")
    assert recording.steps == (0, 2, 4)
    assert np.array_equal(recording.table(4), watcher.tables[4].numpy())
    dynamics = measure_dynamics(*open_with_vocabulary(recording.folder))
    assert cautions(dynamics, recording) == [
        "The training has not finished, or was interrupted: 4 of 8 updates are recorded."
    ]


def test_a_resumed_training_goes_on_as_if_it_had_never_stopped(plm, tmp_path):
    settings = {"weight_decay": DECAY, "save_strategy": "steps", "save_steps": 3}
    whole = record(plm, tmp_path / "whole", **settings)
    record(plm, tmp_path / "cut", stop_at=5, **settings)
    assert snapshot_steps(tmp_path / "cut" / "recording") == [0, 2, 3, 4]
    record(plm, tmp_path / "cut", resume=str(tmp_path / "cut" / "out" / "checkpoint-3"), **settings)
    one, other = (open_recording(tmp_path / name / "recording") for name in ("whole", "cut"))
    assert one.steps == other.steps == (0, 2, 3, 4, 6, 8)
    assert one.counts.tolist() == other.counts.tolist()
    assert other.about["gaps"] == []
    assert np.array_equal(other.table(8), whole.tables[8].numpy())


def test_a_recorder_that_joins_late_says_which_batches_it_did_not_count(plm, tmp_path):
    trainer_of(plm, tmp_path / "out", [], save_strategy="steps", save_steps=4).train()
    record(plm, tmp_path, resume=str(tmp_path / "out" / "checkpoint-4"))
    recording = open_recording(tmp_path / "recording")
    assert (recording.steps, recording.about["gaps"]) == ((4, 6, 8), [[0, 4]])
    dynamics = measure_dynamics(*open_with_vocabulary(recording.folder))
    assert any("updates 0 to 4 were not watched" in caution for caution in cautions(dynamics, recording))


def test_an_unfinished_recording_is_begun_anew_and_a_finished_one_refused(plm, tmp_path):
    record(plm, tmp_path, stop_at=3)
    record(plm, tmp_path, every=4)
    assert snapshot_steps(tmp_path / "recording") == [0, 4, 8]
    with pytest.raises(TrainingError, match="finished training; name a new folder"):
        record(plm, tmp_path)
    assert snapshot_steps(tmp_path / "recording") == [0, 4, 8]


def test_a_training_that_resumes_from_another_table_is_refused(plm, tmp_path):
    settings = {"save_strategy": "steps", "save_steps": 4}
    record(plm, tmp_path, **settings)
    record(plm, tmp_path / "other", weight_decay=DECAY, **settings)
    with pytest.raises(TrainingError, match="records another training: at step 4"):
        record(plm, tmp_path, resume=str(tmp_path / "other" / "out" / "checkpoint-4"), **settings)


def test_a_disk_that_fails_ends_the_recording_and_not_the_training(plm, tmp_path, monkeypatch, caplog):
    write = recording_writer.write_snapshot

    def full(folder, snapshot):
        if snapshot.step > 2:
            raise OSError(28, "No space left on device")
        write(folder, snapshot)

    monkeypatch.setattr(recording_writer, "write_snapshot", full)
    with caplog.at_level(logging.WARNING):
        watcher = record(plm, tmp_path)
    assert max(watcher.tables) == STEPS
    assert caplog.text.count("No space left on device") == 1
    assert open_recording(tmp_path / "recording").steps == (0, 2)


def test_of_several_processes_the_first_writes_what_all_have_counted(plm, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda counts: counts.mul_(2))
    model = SimpleNamespace(modules=lambda: [])
    second = EmbeddingRecorder(tmp_path / "second")
    bert = trainer_of(plm, tmp_path, []).model
    state = TrainerState(max_steps=4, is_world_process_zero=False)
    second.on_train_begin(None, state, None, model=bert)
    second.on_step_end(None, state, SimpleNamespace(should_training_stop=True))
    assert not (tmp_path / "second").exists()
    first = EmbeddingRecorder(tmp_path / "first")
    first.on_train_begin(None, TrainerState(max_steps=4), None, model=bert)
    bert.train()(torch.tensor([[21, 21, 22]]))
    first.on_step_end(None, TrainerState(max_steps=4, global_step=4), SimpleNamespace(should_training_stop=True))
    first.on_train_end(SimpleNamespace(load_best_model_at_end=True), TrainerState(global_step=4), None)
    assert open_recording(tmp_path / "first").counts[[21, 22]].tolist() == [4, 2]
    with pytest.raises(TrainingError, match="no input embedding table"):
        first.on_train_begin(None, state, None, model=model)


def test_every_is_a_number_of_updates(tmp_path):
    with pytest.raises(TrainingError, match="every is -1"):
        EmbeddingRecorder(tmp_path, every=-1)


# Snapshots


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("rule", RULES)
def test_any_precision_and_rule_comes_back_with_the_rows_that_moved(dtype, rule):
    torch.manual_seed(0)
    last, shrink, counts = (
        torch.randn(1100, 3).to(dtype),
        torch.full((7,), 3e-3, dtype=torch.float64),
        torch.zeros(1100),
    )
    table = decayed(last, shrink, rule)
    counts[5] = 1
    table[5] += 1
    snapshot = following(7, table, last, counts, shrink)
    assert snapshot.ids.tolist() == [5]
    assert torch.equal(applied(snapshot, last), table)
    assert not torch.equal(table[:5], last[:5])


def test_minus_zero_and_not_a_number_are_bits_like_others():
    last = torch.tensor([[0.0], [float("nan")], [1.0]])
    table = torch.tensor([[-0.0], [float("nan")], [1.0]])
    snapshot = following(1, table, last, torch.zeros(3), torch.zeros(0, dtype=torch.float64))
    assert snapshot.ids.tolist() == [0]
    assert torch.signbit(applied(snapshot, last))[0]


def test_a_damaged_snapshot_is_named(trained, tmp_path):
    folder = shutil.copytree(trained.recording, tmp_path / "copy")
    snapshot_file(folder, 6).write_bytes(b"nothing")
    with pytest.raises(EvaluationError, match=r"step-00000006\.safetensors' is damaged"):
        list(open_recording(folder).frames())
    (folder / "recording.json").write_text("{")
    with pytest.raises(EvaluationError, match=r"no readable recording\.json"):
        open_recording(folder)


# Checkpoints


def test_checkpoints_read_like_the_recording(trained, plm):
    recording = open_recording(trained.folder / "out", load_plm(str(plm)))
    assert recording.steps == (0, 4, 8)
    recorded = open_recording(trained.recording)
    for frame in recording.frames():
        assert np.array_equal(frame.table, recorded.table(frame.step))
        assert (frame.untouched, frame.decay) == (None, None)
    assert recording.seen is None
    assert open_recording(trained.folder / "out").steps == (4, 8)


def test_checkpoints_need_no_name_of_their_plm_and_say_what_they_do_not_know(trained):
    recording, vocabulary = open_with_vocabulary(trained.folder / "out")
    dynamics = measure_dynamics(recording, vocabulary)
    assert dynamics.displacement["seen"].unique().to_list() == ["every"]
    told = " ".join(cautions(dynamics, recording))
    assert "seen and unseen are not told apart" in told
    assert "Movement counts from step 4" in told


def test_sharded_and_pickled_checkpoints(tmp_path):
    tiny_plm.save_sharded_bert(tmp_path / "checkpoint-10", seed=1)
    tiny_plm.save_bin_bert(tmp_path / "checkpoint-9", seed=2)
    tiny_plm.save_sharded_bin_bert(tmp_path / "checkpoint-200", seed=3)
    recording = open_recording(tmp_path)
    assert recording.steps == (9, 10, 200), "by number, not by name"
    for name, frame in zip(("checkpoint-9", "checkpoint-10", "checkpoint-200"), recording.frames(), strict=True):
        assert np.array_equal(frame.table, load_plm(str(tmp_path / name)).matrix)


def test_what_cannot_be_read_together_is_refused(plm, tmp_path):
    with pytest.raises(EvaluationError, match="neither a recording nor folders named checkpoint-N"):
        open_recording(tmp_path)
    tiny_plm.save_bert(tmp_path / "checkpoint-1")
    with pytest.raises(EvaluationError, match="has one checkpoint, two are needed"):
        open_recording(tmp_path)
    tiny_plm.save_bert(tmp_path / "checkpoint-2", padding=5)
    with pytest.raises(EvaluationError, match=r"step 1 .* is 403 x 16, that of step 2 405 x 16"):
        open_recording(tmp_path)
    tiny_plm.save_bert(tmp_path / "checkpoint-2")
    file = tmp_path / "checkpoint-2" / "tokenizer.json"
    file.write_text(file.read_text().replace('"cat"', '"kat"'))
    with pytest.raises(EvaluationError, match="checkpoint-2 and checkpoint-1 have other tokens"):
        open_recording(tmp_path)
    (tmp_path / "checkpoint-2" / "model.safetensors").write_bytes(b"half")
    with pytest.raises(PLMError, match="damaged"):
        open_recording(tmp_path)


def test_recordings_are_found_and_hinted_at(trained):
    assert set(find_recordings(trained.folder)) == {trained.recording, trained.folder / "out"}
    with pytest.raises(EvaluationError, match="there is one in"):
        open_recording(trained.folder)


# Measures


def frame_of(table, **more):
    return Frame(1, np.asarray(table, np.float32), **more)


def test_rows_under_one_scale_are_explained_by_it():
    first = np.eye(4, dtype=np.float32)
    found = displacement_of(0.5 * first, first)
    lines = pl.DataFrame(displacement_lines(frame_of(0.5 * first), found, parts_of(VOCABULARY)), DISPLACEMENT_SCHEMA)
    line = lines.row(0, named=True)
    assert (line["group"], line["seen"], line["rows"], line["moved"]) == ("all", "every", 3, 1)
    for name, value in {"l2": 0.5, "relative": 0.5, "cosine": 1, "scale": 0.5, "explained": 1}.items():
        assert line[name] == pytest.approx(value)
    assert lines.filter(pl.col("group") == "none")["seen"].to_list() == ["every", "unseen"]


def test_rows_that_turn_or_stay_are_not():
    first = np.eye(4, dtype=np.float32)
    turned = first[[1, 0, 2, 3]]
    lines = displacement_lines(frame_of(turned), displacement_of(turned, first), parts_of(VOCABULARY))
    by = {(line["group"], line["seen"]): line for line in lines}
    assert by["frequent", "seen"]["cosine"] == 0
    assert by["frequent", "seen"]["l2"] == pytest.approx(np.sqrt(2))
    # c = 0 is least squares: it removes 1 of the squared displacement 2.
    assert (by["frequent", "seen"]["scale"], by["frequent", "seen"]["explained"]) == (0, pytest.approx(0.5))
    assert (by["rare", "seen"]["moved"], by["rare", "seen"]["explained"]) == (0, None)


def test_axes_are_those_of_the_first_table():
    table = np.diag([3.0, 1.0, 2.0]).astype(np.float32)
    axes = map_axes(table)
    assert np.allclose(axes, [[1, 0], [0, 0], [0, 1]])
    places, share = place_rows(table, axes)
    assert np.allclose(places, [[3, 0], [0, 0], [0, 2]])
    assert share == pytest.approx(13 / 14)


def test_rows_on_the_map_are_those_that_moved_and_others_but_no_unmoved_special_ones():
    vocabulary = pl.DataFrame({"group": ["none", "rare", "none", "frequent"]})
    assert mapped_rows(np.array([0.0, 0.0, 5.0, 1.0]), vocabulary).tolist() == [1, 2, 3]


def test_measures_have_their_schemas_and_agree_with_the_library(measured):
    dynamics, recording = measured.dynamics, measured.recording
    assert dynamics.isotropy.schema == ISOTROPY_SCHEMA
    assert dynamics.spectrum.schema == SPECTRUM_SCHEMA
    assert dynamics.displacement.schema == DISPLACEMENT_SCHEMA
    last, kept = recording.table(8), measured.vocabulary["group"] != "none"
    isotropy = dynamics.isotropy.filter((pl.col("step") == 8) & (pl.col("group") == "all"))
    assert isotropy["i_w"].item() == pytest.approx(measure_isotropy(last[kept.to_numpy()]).i_w)
    values = dynamics.spectrum.filter(pl.col("step") == 8)["value"]
    assert values.to_list() == pytest.approx(np.linalg.svd(last, compute_uv=False).tolist(), rel=1e-5)
    moved = np.linalg.norm(last.astype(float) - recording.table(0), axis=1)
    assert dynamics.tokens["l2"].to_list() == pytest.approx(moved.tolist())
    assert dynamics.svd.coordinates.shape == (5, dynamics.svd.rows.size, 2)


def test_unseen_rows_are_explained_by_weight_decay_alone(measured):
    last = measured.dynamics.displacement.filter((pl.col("step") == 8) & (pl.col("group") == "all"))
    unseen = last.filter(pl.col("seen") == "unseen").row(0, named=True)
    seen = last.filter(pl.col("seen") == "seen").row(0, named=True)
    assert (unseen["only_decay"], seen["only_decay"]) == (1, 0)
    assert unseen["scale"] == pytest.approx(unseen["decay"], abs=1e-7)
    assert unseen["explained"] > 0.999
    assert seen["explained"] < 0.5
    assert any("gives 100% of these rows back to the bit" in sentence for sentence in findings(measured.dynamics))


def test_tokens_that_moved_most_come_first_with_their_counts(measured):
    most = moved_most(measured.dynamics, 5)
    assert most["relative"].is_sorted(descending=True)
    assert set(most["token_id"]) < SEEN
    assert most["count"].to_list() == [measured.recording.counts[row] for row in most["token_id"]]


def test_movement_is_told_by_counts_where_enough_rows_were_seen(measured):
    assert not any("Spearman" in sentence for sentence in findings(measured.dynamics))
    few, often = pl.int_range(pl.len()) < 15, pl.int_range(pl.len()) < 30
    changes = {
        "group": pl.lit("rare"),
        "seen": often,
        "count": pl.when(few).then(1).when(often).then(200).otherwise(0),
        "relative": pl.when(few).then(0.01).when(often).then(0.02).otherwise(0.0),
    }
    made = replace(measured.dynamics, tokens=measured.dynamics.tokens.with_columns(**changes))
    (told,) = [sentence for sentence in findings(made) if "Spearman" in sentence]
    assert told == (
        "The 15 rows seen once moved by 1%, the 15 seen 100 times or more by 2%; Spearman's correlation of count and "
        "movement 1.00."
    )


def test_measures_are_kept_until_the_recording_goes_on(measured, tmp_path):
    folder = shutil.copytree(measured.recording.folder, tmp_path / "copy")
    recording = open_recording(folder)
    assert read_dynamics(recording, "") is None
    save_dynamics(measured.dynamics, recording, "")
    kept = read_dynamics(recording, "")
    assert kept.displacement.equals(measured.dynamics.displacement)
    assert np.array_equal(kept.svd.coordinates, measured.dynamics.svd.coordinates)
    assert read_dynamics(recording, "bundled") is None
    (folder / "dynamics" / "map.npz").write_bytes(b"half")
    assert read_dynamics(recording, "") is None
    save_dynamics(measured.dynamics, recording, "")
    snapshot_file(folder, 8).unlink()
    assert read_dynamics(open_recording(folder), "") is None


def test_a_vocabulary_that_does_not_fit_is_refused(measured):
    with pytest.raises(EvaluationError, match="the vocabulary has 1 rows, the recorded table 403"):
        measure_dynamics(measured.recording, measured.vocabulary.head(1))


def test_percentages_never_round_almost_all_to_all():
    assert [percent(share) for share in (0, 1, 0.99999, 0.5, 0.000123456, None)] == [
        "0%", "100%", "100%", "50%", "0.0123%", "–",
    ]  # fmt: skip


# The command


def test_the_command_prints_and_writes(trained, tmp_path, capsys):
    out = tmp_path / "figures.csv"
    assert main(["dynamics", str(trained.recording), "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "8 updates in 5 snapshots of 403 rows." in printed
    assert "of these rows back to the bit" in printed if trained.decay else "not one changed in any bit" in printed
    assert pl.read_csv(out)["step"].unique().sort().to_list() == [0, 2, 4, 6, 8]
    for what in ("isotropy", "spectrum", "tokens"):
        assert main(["dynamics", str(trained.recording), "--what", what, "--out", str(tmp_path / f"{what}.tex")]) == 0
        assert r"\begin{table}" in (tmp_path / f"{what}.tex").read_text()
    assert main(["dynamics", str(trained.recording), "--out", str(out)]) == 2


def test_the_command_says_what_is_wrong(tmp_path, capsys):
    assert main(["dynamics", str(tmp_path)]) == 2
    assert "neither a recording nor folders named checkpoint-N" in capsys.readouterr().err
    tiny_plm.save_bert(tmp_path / "checkpoint-1")
    tiny_plm.save_bert(tmp_path / "checkpoint-2", seed=1)
    for name in ("checkpoint-1", "checkpoint-2"):
        (tmp_path / name / "tokenizer.json").unlink()
    assert main(["dynamics", str(tmp_path)]) == 2
    assert "name the PLM that was trained with --plm" in capsys.readouterr().err


def test_movement_of_all_groups_is_in_the_table(measured):
    shown = movement_table(measured.dynamics)
    assert shown["number"].sum() == measured.recording.rows + int((measured.vocabulary["group"] != "none").sum())
