"""Exports and reports in the background: processes of their own, what they leave, what the page says of them."""

import json
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import test_pages
from app_support import RUN, work_here
from test_pages import button, clean, one_sentence, unescaped

from defemb_core.cache import file_sha256, temporary_neighbour
from defemb_core.cli import main
from defemb_core.errors import ExportError, RunError
from defemb_core.export_formats.table import Table
from defemb_core.export_jobs import (
    find_report,
    forget_export,
    list_exports,
    retry_export,
    start_export,
    start_report,
)
from defemb_core.export_place import card_path, read_card, whole_path
from defemb_core.processes import cancel_run
from defemb_core.reconstruction_files import load_reconstruction
from defemb_core.runs import Cancelled, delete_run, read_status, write_status

_apart, visit, world = test_pages._apart, test_pages.visit, test_pages.world  # fixtures of the pages' tests
PATIENCE = 90


@pytest.fixture
def run(tiny_run, tmp_path):
    """A copy of the session's tiny run; its PLM lies elsewhere."""
    return Path(shutil.copytree(tiny_run, tmp_path / "runs" / "tiny"))


def ended(folder):
    """The status of a job once it is over."""
    limit = time.monotonic() + PATIENCE
    while (status := read_status(folder)).is_active:
        assert time.monotonic() < limit, status
        time.sleep(0.1)
    return status


def test_an_export_is_a_process_of_its_own_and_is_listed_with_what_it_made(run, tmp_path):
    out = tmp_path / "new" / "table.npy"
    folder = start_export(run, "npy", out)
    with pytest.raises(RunError, match="running already"):
        start_export(run, "npy", out)  # a second click
    with pytest.raises(RunError, match=r"wait for its maps or exports"):
        delete_run(run)
    assert ended(folder).state == "complete"
    (job,) = list_exports(run)
    assert (job.to, job.out, job.is_there) == ("npy", out, True)
    assert np.array_equal(np.load(out), load_reconstruction(run).matrix)
    assert read_card(out)["sha256"] == file_sha256(out)
    assert f"wrote {out}" in (folder / "log.txt").read_text()
    assert sorted(file.name for file in out.parent.iterdir()) == ["table.npy", "table.npy.card.json"]
    out.unlink()
    assert not list_exports(run)[0].is_there
    delete_run(run)


def test_one_place_is_one_job_and_others_are_listed_latest_first(run, tmp_path, monkeypatch):
    work_here(monkeypatch)
    for to, name in (("npy", "a.npy"), ("glove", "b.txt"), ("npy", "c.npy")):
        start_export(run, to, tmp_path / name)
        time.sleep(0.01)
    start_export(run, "npy", tmp_path / "a.npy", force=True)
    assert [(job.to, job.out.name) for job in list_exports(run)] == [
        ("npy", "a.npy"),
        ("npy", "c.npy"),
        ("glove", "b.txt"),
    ]
    assert {job.status.state for job in list_exports(run)} == {"complete"}
    start_export(run, "npy", tmp_path / "a.npy")
    latest = list_exports(run)[0]
    assert latest.status.state == "failed"
    assert "exists; name another place" in latest.status.message
    forget_export(latest)
    assert [job.out.name for job in list_exports(run)] == ["c.npy", "b.txt"]
    assert (tmp_path / "a.npy").is_file()


def test_a_cancelled_export_leaves_nothing_and_can_be_tried_again(run, tmp_path, monkeypatch):
    """The stop file is seen at the next block that is written."""
    out, job = tmp_path / "out" / "table.csv", tmp_path / "job"
    blocks = Table.blocks

    def stop_after_the_first(table, tell, rows=None, share=1):
        for block in blocks(table, tell, rows, share):
            yield block
            (job / "stop").touch()
            tell(1, 2)

    monkeypatch.setattr(Table, "blocks", stop_after_the_first)
    words = ["export", str(run), "--to=csv", f"--out={out}", f"--job={job}"]
    assert main(words) == Cancelled.code
    assert read_status(job).state == "cancelled"
    assert list(out.parent.iterdir()) == []
    monkeypatch.setattr(Table, "blocks", blocks)
    assert main(words) == 0
    assert read_status(job).state == "complete"
    assert not (job / "stop").exists()


def test_cancel_reaches_the_process(run, tmp_path):
    folder = start_export(run, "csv", tmp_path / "out" / "table.csv")
    cancel_run(folder)
    assert ended(folder).state == "cancelled"
    assert not list((tmp_path / "out").glob("*")) if (tmp_path / "out").exists() else True


def test_what_a_killed_process_left_goes_when_it_is_tried_again_or_forgotten(run, tmp_path, monkeypatch):
    work_here(monkeypatch)
    for settle in (retry_export, forget_export):
        out = tmp_path / settle.__name__ / "odd [name] (1).npy"
        folder = start_export(run, "npy", out)
        out.unlink()
        card_path(out).unlink()
        others = [
            out.with_name("mine.npy"),
            out.with_name(f".{out.name}.tmp"),
            out.with_name(".x.npy.0123456789ab.tmp"),
        ]
        left = [temporary_neighbour(out), temporary_neighbour(card_path(out))]
        for file in [*others, *left]:
            file.write_bytes(b"part")
        folder_left = temporary_neighbour(out)
        (folder_left / "in").mkdir(parents=True)
        write_status(folder, type(read_status(folder))("running", "writing npy", 0.4, pid=2**22 + 1, created=1.0))
        (job,) = [job for job in list_exports(run) if job.out == out]
        assert job.status.state == "interrupted"
        settle(job)
        assert not any(file.exists() for file in [*left, folder_left])
        assert all(file.exists() for file in others)
        assert out.exists() == (settle is retry_export)


@pytest.mark.parametrize("state", ["failed", "cancelled", "complete"])
def test_only_what_a_killed_process_left_is_deleted(run, tmp_path, monkeypatch, state):
    """A file with such a name may be another process's, at work on the same place."""
    work_here(monkeypatch)
    out = tmp_path / "table.npy"
    folder = start_export(run, "npy", out)
    other = temporary_neighbour(out)
    other.write_bytes(b"part")
    write_status(folder, type(read_status(folder))(state))
    forget_export(list_exports(run)[0])
    assert other.exists()
    assert not folder.exists()


@pytest.mark.parametrize("name", ["~nobody-here/x.npy", "a\x00b", "/"])
def test_what_is_no_place_is_one_sentence(run, name):
    with pytest.raises(ExportError, match="is no place to write to"):
        start_export(run, "npy", Path(name))
    assert list_exports(run) == []
    with pytest.raises(ExportError, match="is no place to write to"):
        whole_path(Path(name))


def test_damaged_jobs_are_passed_over(run, tmp_path, monkeypatch):
    work_here(monkeypatch)
    folder = start_export(run, "npy", tmp_path / "x.npy")
    for content in ("", "[]", '{"a": 1}', "[1, 2]"):
        (folder / "command.json").write_text(content)
        assert list_exports(run) == []


def test_a_report_lies_in_its_job_until_the_run_is_another_one(run):
    assert find_report(run) is None
    folder = start_report(run)
    assert ended(folder).state == "complete"
    job = find_report(run)
    assert job.is_there
    assert "held-out" in job.out.read_text(encoding="utf-8")
    assert list_exports(run) == []  # it is no export
    os.utime(run / "config.json")
    assert find_report(run) is None


# The page


@pytest.fixture
def here(monkeypatch, world):
    work_here(monkeypatch)
    yield
    shutil.rmtree(world.run / "exports", ignore_errors=True)


def press_export(visit, out, **state):
    app = visit("export", format="npy", **{f"out-npy-{RUN}": str(out)}, **state)
    return button(app, "Export").click().run()


def test_the_page_watches_the_process_and_shows_what_it_made(visit, world, tmp_path):
    app = press_export(visit, tmp_path / "table.npy")
    (job,) = list_exports(world.run)
    assert ended(job.folder).state == "complete"
    app = clean(app.run())
    assert str(tmp_path / "table.npy") in unescaped(app.success[0].value)
    assert not [shown for shown in app.button if shown.label == "Cancel"]
    manifest = next(shown for shown in app.dataframe if "SHA-256" in shown.value)
    assert manifest.value["SHA-256"].to_list() == [file_sha256(tmp_path / "table.npy")]
    clean(button(app, "Remove from list").click().run())
    assert list_exports(world.run) == []
    assert (tmp_path / "table.npy").is_file()


def test_a_place_with_odd_characters_is_shown_as_it_is(visit, world, tmp_path, here):
    out = tmp_path / 'a "b" \\ [c](d) $x$ *.npy'
    app = clean(press_export(visit, out))
    assert str(out).replace("\\", "") in unescaped(app.success[0].value)
    made = eval(app.code[0].value, {"numpy": np})  # what is shown opens it
    assert made.shape == load_reconstruction(world.run).matrix.shape


def test_a_dry_run_refuses_what_the_export_would(run, tmp_path, capsys):
    taken = tmp_path / "x.npy"
    words = ["export", str(run), "--to=npy", f"--out={taken}", "--dry-run"]
    assert main(words) == 0
    assert not taken.exists()
    taken.write_bytes(b"mine")
    assert main(words) == 2
    assert "exists; name another place" in capsys.readouterr().err


def test_an_export_at_work_has_a_bar_and_a_way_to_stop_it(visit, world, tmp_path, here, monkeypatch):
    folder = start_export(world.run, "npy", tmp_path / "table.npy")
    status = read_status(folder)
    write_status(folder, type(status)("running", "writing npy", 0.4, **identity_of_this()))
    stopped = []
    monkeypatch.setattr("pages.shared.progress.cancel_run", stopped.append)
    app = clean(visit("export"))
    assert "writing npy" in app.get("progress")[0].proto.text
    button(app, "Cancel").click().run()
    assert stopped == [folder]
    write_status(folder, type(status)("complete"))


def identity_of_this():
    from defemb_core.runs import identity

    return {**identity(os.getpid()), "started": time.time(), "updated": time.time()}


def test_a_failed_export_says_why_and_can_be_tried_again(visit, world, tmp_path, here):
    out = tmp_path / "table.npy"
    folder = start_export(world.run, "npy", out)
    out.unlink()
    card_path(out).unlink()
    write_status(folder, type(read_status(folder))("failed", message="the disk of <b> is full; free some space"))
    app = visit("export")
    assert "the disk of <b> is full; free some space" in one_sentence(app)
    clean(button(app, "Try again").click().run())
    assert out.is_file()


def test_a_place_that_is_taken_is_said_before_anything_starts(visit, world, tmp_path, here):
    (tmp_path / "table.npy").write_bytes(b"mine")
    assert "exists; name another place" in one_sentence(press_export(visit, tmp_path / "table.npy"))
    assert list_exports(world.run) == []


@pytest.mark.parametrize("name", ["~nobody-here/x.npy", "a\x00b.npy", "x" * 300, "", "."])
def test_names_that_are_no_place_are_one_sentence_on_the_page(visit, world, name, here):
    app = visit("export", format="npy", **{f"out-npy-{RUN}": name})
    app = app if app.error else button(app, "Export").click().run()
    said = one_sentence(app)
    assert "name a" in said
    assert "\x00" not in said
    assert list_exports(world.run) == []


def test_a_made_table_that_is_gone_or_whose_card_is_broken(visit, world, tmp_path, here):
    out = tmp_path / "table.npy"
    press_export(visit, out)
    card_path(out).write_text("[")
    assert any("manifest is missing or damaged" in shown.value for shown in clean(visit("export")).warning)
    out.unlink()
    assert any("no longer there" in shown.value for shown in clean(visit("export")).warning)


def test_the_command_line_keeps_a_job_of_a_mistake(run, tmp_path, capfd):
    job = tmp_path / "job"
    assert main(["export", str(run), "--to=npy", f"--out={tmp_path}", f"--job={job}"]) == 2
    assert json.loads((job / "status.json").read_text())["message"] == capfd.readouterr().err.splitlines()[-1]
