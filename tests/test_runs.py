import errno
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import psutil
import pytest

from defemb_core import runs
from defemb_core.cache import temporary_neighbour
from defemb_core.errors import RunError, SettingsError
from defemb_core.processes import cancel_run, start_run
from defemb_core.runs import (
    ANALYSIS,
    Cancelled,
    Reporter,
    Status,
    delete_run,
    list_runs,
    read_status,
    run_path,
    runs_folder,
    working_in,
)

SHARES = {"first": 0.25, "second": 0.75}
SLOW = """
import sys, time
from pathlib import Path
from defemb_core.runs import working_in
with working_in(Path(sys.argv[1]), {"work": 1.0}, resume="--resume" in sys.argv) as report:
    for done in range(int(sys.argv[2])):
        report("work", done, int(sys.argv[2]))
        time.sleep(0.02)
"""


def own():
    return {"pid": os.getpid(), "created": psutil.Process().create_time()}


def write(folder, **fields):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "status.json").write_text(json.dumps({"state": "running", **fields}))
    return folder


def wait_for(condition, seconds=10.0):
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "waited in vain"
        time.sleep(0.02)


def state(folder):
    return read_status(folder).state if (folder / "status.json").exists() else None


@pytest.fixture
def slow(tmp_path):
    """A process that works in tmp_path / "run" until it is stopped."""
    folder = tmp_path / "run"
    process = subprocess.Popen([sys.executable, "-c", SLOW, str(folder), "100000"], start_new_session=True)
    wait_for(lambda: state(folder) == "running" and read_status(folder).stage == "work")
    yield folder, process
    process.kill()
    process.wait()


# A run's life


def test_a_run_from_first_to_last(tmp_path):
    folder = tmp_path / "new" / "run"
    with working_in(folder, SHARES) as report:
        assert read_status(folder).state == "running"
        assert read_status(folder).pid == os.getpid()
        seen = []
        for stage, done in (("first", 0), ("first", 1), ("second", 0), ("second", 1)):
            report.status = replace(report.status, updated=0)  # as if the last write were long ago
            report(stage, done, 1)
            seen.append((read_status(folder).stage, read_status(folder).fraction))
    assert seen == [("first", 0), ("first", 0.25), ("second", 0.25), ("second", 1)]
    last = read_status(folder)
    assert (last.state, last.fraction, last.message, last.is_active) == ("complete", 1, "", False)
    assert last.started <= last.updated <= time.time()
    history = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    assert [event["stage"] for event in history] == ["first", "second"]


def test_the_bar_never_moves_back(tmp_path):
    with working_in(tmp_path / "run", SHARES) as report:
        fractions = []
        for stage, done, total in (("second", 1, 2), ("unknown", 0, 1), ("first", 0, 1), ("first", 0, 0)):
            report(stage, done, total)
            fractions.append(report.status.fraction)
    assert fractions == sorted(fractions)
    assert max(fractions) <= 1


def test_the_status_is_not_written_for_every_step(tmp_path, monkeypatch):
    with working_in(tmp_path / "run", SHARES) as report:
        report("first", 0, 1000)
        written = []
        monkeypatch.setattr(runs, "write_status", lambda folder, status: written.append(status))
        for done in range(100):
            report("first", done, 1000)
        assert len(written) <= 2
        monkeypatch.undo()


def test_remaining_time_follows_the_share_done():
    status = Status("running", fraction=0.25, started=100, updated=110)
    assert status.remaining == pytest.approx(30)
    assert replace(status, fraction=0.01).remaining is None
    assert replace(status, state="complete", fraction=1).remaining is None


@pytest.mark.parametrize(
    ("error", "raised", "found", "message"),
    [
        (SettingsError("alpha must be less"), SettingsError, "failed", "alpha must be less"),
        (ZeroDivisionError("by zero"), ZeroDivisionError, "failed", "ZeroDivisionError: by zero"),
        (KeyboardInterrupt(), KeyboardInterrupt, "cancelled", "stopped from the keyboard or by the system"),
        (Cancelled("cancelled by the user"), Cancelled, "cancelled", "cancelled by the user"),
        (MemoryError(), MemoryError, "failed", "MemoryError: "),
    ],
)
def test_errors_are_written_down_and_go_on(tmp_path, error, raised, found, message):
    with pytest.raises(raised), working_in(tmp_path / "run", SHARES):
        raise error
    status = read_status(tmp_path / "run")
    assert (status.state, status.message) == (found, message)
    assert status.fraction < 1


def test_a_full_disk_is_one_sentence(tmp_path):
    sentence = r"^cannot write to .*No space left on device.*--resume$"
    with pytest.raises(RunError, match=sentence), working_in(tmp_path / "run", SHARES):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert read_status(tmp_path / "run").state == "failed"
    assert "No space left" in read_status(tmp_path / "run").message


@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_disk_that_fills_up_at_any_status(tmp_path, monkeypatch, at):
    written = []
    real = runs.write_text

    def full(path, text):
        written.append(path)
        if len(written) >= at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(path, text)

    monkeypatch.setattr(runs, "write_text", full)
    with pytest.raises(RunError, match="No space left on device"), working_in(tmp_path / "run", SHARES) as report:
        report("first", 0, 1)
    monkeypatch.undo()
    if at > 1:
        assert read_status(tmp_path / "run").state != "complete"


# Taking a folder


@pytest.mark.parametrize("before", ["failed", "cancelled", "running"])
def test_an_unfinished_run_is_taken_over_with_resume_alone(tmp_path, before):
    folder = write(tmp_path / "run", state=before, pid=2**22 + 1)
    (folder / "stop").touch()
    read = state(folder)
    assert read == ("cancelled" if before == "running" else before)
    with pytest.raises(RunError, match=f"was {read}; add --resume"), working_in(folder, SHARES):
        pytest.fail("it took the folder")
    assert state(folder) == read
    with working_in(folder, SHARES, resume=True) as report:
        report("first", 0, 1)
    assert state(folder) == "complete"


@pytest.mark.parametrize("resume", [False, True])
def test_a_complete_run_is_never_taken_over(tmp_path, resume):
    folder = write(tmp_path / "run", state="complete")
    with pytest.raises(RunError, match="holds a complete run; name a new folder"), working_in(folder, SHARES, resume):
        pytest.fail("it took the folder")


@pytest.mark.parametrize("resume", [False, True])
def test_a_folder_that_holds_something_else_stays_as_it_is(tmp_path, resume):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(RunError, match=r"is no run \('thesis.tex' lies there\)"), working_in(tmp_path, SHARES, resume):
        pytest.fail("it took the folder")
    with pytest.raises(RunError, match="is no run"):
        start_run(["runs"], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_what_another_process_is_just_writing_makes_a_folder_no_other_thing(tmp_path):
    """Ten sessions that ask for the same evaluation at once look into its folder while the first writes its status."""
    for name in ("status.json", "command.json"):
        temporary_neighbour(tmp_path / name).write_text("{")
    with working_in(tmp_path, SHARES):
        pass
    assert read_status(tmp_path).state == "complete"
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / ".thesis.tmp").write_text("years of work")
    with (
        pytest.raises(RunError, match=r"is no run \('.thesis.tmp' lies there\)"),
        working_in(tmp_path / "other", SHARES),
    ):
        pytest.fail("it took the folder")


def test_files_named_like_ours_are_not_emptied(tmp_path):
    (tmp_path / "lock").write_text("mine")
    with working_in(tmp_path, SHARES):
        pass
    assert (tmp_path / "lock").read_text() == "mine"


def test_a_file_in_the_place_of_the_folder(tmp_path):
    (tmp_path / "run").touch()
    for take in (lambda: working_in(tmp_path / "run", SHARES).__enter__(), lambda: start_run([], tmp_path / "run")):
        with pytest.raises(RunError, match=r"cannot write to .*File exists"):
            take()


def test_an_unwritable_folder(tmp_path, monkeypatch):
    def refuse(self, *args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(runs.Path, "mkdir", refuse)
    for take in (lambda: working_in(tmp_path / "run", SHARES).__enter__(), lambda: start_run([], tmp_path / "run")):
        with pytest.raises(RunError, match=r"^cannot write to .*Permission denied.*name another folder"):
            take()


def test_a_running_folder_is_not_taken_over(slow):
    folder, process = slow
    for resume in (False, True):
        with pytest.raises(RunError, match="'run' is running already"), working_in(folder, SHARES, resume):
            pytest.fail("it took the folder")
    with pytest.raises(RunError, match="'run' is running already"):
        start_run(["runs"], folder)
    before = read_status(folder).pid
    start_run(["runs"], folder, join=True)  # as of a second page that asks for the same
    assert read_status(folder).pid == before
    with pytest.raises(RunError, match="is running; cancel it"):
        delete_run(folder)
    assert process.poll() is None
    assert not (folder / "command.json").exists()


def claim(folder, barrier, answers):
    barrier.wait()
    try:
        with working_in(folder, SHARES):
            time.sleep(1)
        answers.put("had it")
    except RunError:
        answers.put("refused")


def test_of_several_processes_one_has_the_folder(tmp_path):
    context = multiprocessing.get_context("fork")
    barrier, answers = context.Barrier(4), context.Queue()
    workers = [context.Process(target=claim, args=(tmp_path / "run", barrier, answers)) for _ in range(4)]
    for worker in workers:
        worker.start()
    assert sorted(answers.get(timeout=20) for _ in workers) == ["had it", "refused", "refused", "refused"]
    for worker in workers:
        worker.join()


# Processes that are gone


def test_a_killed_run_reads_as_interrupted_and_can_be_resumed(slow):
    folder, process = slow
    assert read_status(folder).is_active
    process.kill()
    wait_for(lambda: state(folder) == "interrupted")  # unreaped: a zombie is not alive
    process.wait()
    status = read_status(folder)
    assert (status.state, status.is_active, status.pid) == ("interrupted", False, process.pid)
    subprocess.run([sys.executable, "-c", SLOW, str(folder), "3", "--resume"], check=True)
    assert state(folder) == "complete"


@pytest.mark.parametrize("shift", [60.0, -60.0, 1e6])
def test_a_reused_process_id_is_another_process(tmp_path, shift):
    write(tmp_path / "same", **own())
    write(tmp_path / "other", **(own() | {"created": own()["created"] + shift}))
    assert state(tmp_path / "same") == "running"
    assert state(tmp_path / "other") == "interrupted"


def test_clocks_that_differ_by_a_second_are_one_process(tmp_path):
    write(tmp_path / "run", **(own() | {"created": own()["created"] + 1}))
    assert state(tmp_path / "run") == "running"


@pytest.mark.parametrize("pid", [0, -1, 2**22 + 1, "x", 1.5, None])
def test_process_ids_that_are_none(tmp_path, pid):
    write(tmp_path / "run", pid=pid, created=1.0)
    assert state(tmp_path / "run") == "interrupted"


# Cancelling


def test_a_stop_file_stops_the_work(tmp_path):
    def work(report):
        report("first", 0, 1)
        (tmp_path / "run" / "stop").touch()
        report("first", 1, 1)
        pytest.fail("it went on")

    with pytest.raises(Cancelled), working_in(tmp_path / "run", SHARES) as report:
        work(report)
    status = read_status(tmp_path / "run")
    assert (status.state, status.message) == ("cancelled", "cancelled by the user")


def test_cancel_stops_the_process(slow):
    folder, process = slow
    cancel_run(folder)
    process.wait(timeout=5)
    assert read_status(folder).state == "cancelled"
    cancel_run(folder)  # again does no harm
    assert read_status(folder).state == "cancelled"


DEAF = """
import subprocess, sys, time
from pathlib import Path
from defemb_core.runs import working_in
with working_in(Path(sys.argv[1]), {"work": 1.0}):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    (Path(sys.argv[1]) / "child").write_text(str(child.pid))
    time.sleep(60)
"""


def test_cancel_ends_the_group_of_a_process_that_does_not_listen(tmp_path):
    folder = tmp_path / "run"
    process = subprocess.Popen([sys.executable, "-c", DEAF, str(folder)], start_new_session=True)
    wait_for(lambda: (folder / "child").exists() and (folder / "child").read_text())
    child = int((folder / "child").read_text())
    cancel_run(folder, patience=0.2)
    assert process.wait(timeout=5) == -signal.SIGTERM
    assert state(folder) == "cancelled"
    wait_for(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE)


def test_cancel_spares_a_process_that_has_the_number_by_now(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    write(tmp_path / "run", pid=process.pid, created=psutil.Process(process.pid).create_time() - 1000)
    cancel_run(tmp_path / "run", patience=0)
    assert process.poll() is None
    process.kill()
    process.wait()


def test_delete(tmp_path):
    folder = write(tmp_path / "run", state="failed")
    (folder / "deep").mkdir()
    delete_run(folder)
    assert not folder.exists()
    (tmp_path / "other").mkdir()
    with pytest.raises(RunError, match="is no run"):
        delete_run(tmp_path / "other")
    assert (tmp_path / "other").exists()


# Starting in the background


def test_start_runs_the_command_line_and_says_when_it_is_over(tmp_path):
    folder = tmp_path / "run"
    start_run(["reconstruct", "--plm", "/no/such/model", "--out", str(folder), "--method", "instant"], folder)
    assert state(folder) in {"queued", "running", "failed"}
    wait_for(lambda: state(folder) == "failed")
    assert "no folder '/no/such/model'" in read_status(folder).message
    wait_for(lambda: "no folder '/no/such/model'" in (folder / "log.txt").read_text())
    assert "Traceback" not in (folder / "log.txt").read_text()
    first = read_status(folder).pid
    start_run(None, folder)  # the same again
    wait_for(lambda: state(folder) == "failed" and read_status(folder).pid != first)


def test_a_process_that_ends_before_it_begins_reads_as_interrupted(tmp_path):
    start_run(["nonsense"], tmp_path / "run")
    wait_for(lambda: state(tmp_path / "run") == "interrupted")
    assert "invalid choice" in (tmp_path / "run" / "log.txt").read_text()


@pytest.mark.parametrize("content", [None, "", "{", "3"])
def test_a_run_that_does_not_say_how_it_was_started(tmp_path, content):
    folder = write(tmp_path / "run", state="failed")
    if content is not None:
        (folder / "command.json").write_text(content)
    with pytest.raises(RunError, match=r"does not say how it was started; .*--resume"):
        start_run(None, folder)
    assert state(folder) == "failed"


def test_a_second_start_does_not_undo_a_cancel(slow):
    folder, process = slow
    os.kill(process.pid, signal.SIGSTOP)  # it does not see the stop file yet
    (folder / "stop").touch()
    with pytest.raises(RunError, match="running already"):
        start_run(["runs"], folder)
    assert (folder / "stop").exists()
    os.kill(process.pid, signal.SIGCONT)
    process.wait(timeout=5)
    assert state(folder) == "cancelled"


# Names and lists


@pytest.mark.parametrize("name", ["a", "0", "my-run_2.b", "A" * 80])
def test_names_of_runs(tmp_path, name):
    assert run_path(name, tmp_path) == tmp_path / name


@pytest.mark.parametrize(
    "name", ["", ".", "..", ".hidden", "../x", "a/b", "/etc", "a\\b", "a\0", "a\n", "é", "-x", "A" * 81, "a b"]
)
def test_names_that_could_leave_the_folder(tmp_path, name):
    with pytest.raises(RunError, match="is no name for a run"):
        run_path(name, tmp_path)


def test_a_run_whose_maps_are_being_found_is_not_deleted(tmp_path):
    folder = write(tmp_path / "run", state="complete")
    write(folder / ANALYSIS, state="running", **own())
    with pytest.raises(RunError, match="wait for its maps"):
        delete_run(folder)
    write(folder / ANALYSIS, state="complete")
    delete_run(folder)
    assert not folder.exists()


def test_complete_work_is_done_again_when_asked_for(tmp_path):
    folder = write(tmp_path / "run", state="complete")
    with working_in(folder, SHARES, again=True) as report:
        assert state(folder) == "running"
        report("first", 0, 1)
    assert state(folder) == "complete"


def test_the_runs_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("DEFEMB_RUNS", str(tmp_path))
    assert run_path("x") == tmp_path / "x"
    monkeypatch.delenv("DEFEMB_RUNS")
    monkeypatch.chdir(tmp_path)
    assert runs_folder() == tmp_path / "runs"


def test_the_list_is_newest_first_and_skips_what_is_no_run(tmp_path):
    for name, started in (("old", 1.0), ("new", 3.0), ("b", 2.0), ("a", 2.0)):
        write(tmp_path / name, state="complete", started=started)
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    write(tmp_path / ".hidden", state="complete")
    (write(tmp_path / "damaged") / "status.json").write_text("{")
    write(tmp_path / "alien", unknown=1)
    assert [path.name for path, _ in list_runs(tmp_path)] == ["new", "a", "b", "old"]
    assert list_runs(tmp_path / "nothing") == []


@pytest.mark.parametrize("content", ["", "{", "[]", "3", "{}", '{"state": "running", "novel": 1}', "\x80"])
def test_an_unreadable_status(tmp_path, content):
    (tmp_path / "status.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(RunError, match=r"is no run: it has no readable status\.json"):
        read_status(tmp_path)


def test_a_status_is_replaced_and_never_half_there(tmp_path):
    reporter = Reporter(tmp_path, SHARES)
    stop = time.monotonic() + 0.5
    pid = os.fork()
    if pid == 0:
        while time.monotonic() < stop:
            reporter.finish("failed", "x" * 5000)
        os._exit(0)
    reads = 0
    while time.monotonic() < stop:
        assert read_status(tmp_path).state in {"running", "failed"}
        reads += 1
    os.waitpid(pid, 0)
    assert reads > 20
    assert [path.name for path in tmp_path.iterdir()] == ["status.json"]
