import os
import shutil
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from defemb_core.cli import main
from defemb_core.devices import Devices, _put_in, _taken_out, devices
from defemb_core.reconstruction_files import load_reconstruction
from defemb_core.runs import read_status

ROOT = Path(__file__).parents[1]
# `accelerate launch` starts several processes on accelerators only; on CPUs torchrun does, as Accelerate understands.
LAUNCH = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
ALONE = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "1", "--num_machines", "1"]
ALONE += ["--mixed_precision", "no", "--dynamo_backend", "no", "-m", "defemb_core"]
# Small parts and every process's share told, so that both are seen to work.
SPIED = """
import os
import sys
from defemb_core import devices, training_loop
training_loop.AT_ONCE["cpu"] = 64
share = devices.Devices.share
def told(self, items):
    found = share(self, items)
    line = f"share {self.rank} {self.processes} {len(found)} {len(items)}\\n"
    os.write(2, line.encode())  # at once: the other process writes there too
    return found
devices.Devices.share = told
from defemb_core.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def words(tiny_bert, tiny_lexicon):
    plm, dictionary = f"--plm={tiny_bert}", f"--dictionary=wordnet:{tiny_lexicon}"
    return ["reconstruct", plm, dictionary, "--folds=3", "--preset=quick", "--passes=3", "--rate=1e-3"]


def launched(tmp_path, words):
    script = tmp_path / "spied.py"
    script.write_text(SPIED, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "ACCELERATE_USE_CPU": "true"}
    return subprocess.run(
        [*LAUNCH, script, *words], env=environment, capture_output=True, text=True, check=False, timeout=300
    )


def test_without_a_launcher_a_process_is_alone(monkeypatch):
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    alone = devices.__wrapped__()
    assert (alone.rank, alone.processes, alone.is_first) == (0, 1, True)
    tensor, array = torch.tensor([1.0, 2.0]), np.array([3.0], dtype=np.float32)
    alone.sum([tensor])
    alone.sum_arrays([array])
    assert (tensor.tolist(), array.tolist()) == ([1.0, 2.0], [3.0])
    assert alone.share([5, 6, 7]) == [5, 6, 7]


def test_the_launchers_environment_says_which_process_this_is(monkeypatch):
    monkeypatch.setenv("RANK", "2")
    monkeypatch.setenv("WORLD_SIZE", "3")
    third = devices.__wrapped__()
    assert (third.rank, third.processes, third.is_first) == (2, 3, False)


@pytest.mark.parametrize("processes", [1, 2, 3, 7])
def test_shares_hold_every_item_once(processes):
    items = list(range(5))
    shares = [Devices(rank, processes).share(items) for rank in range(processes)]
    assert sorted(item for share in shares for item in share) == items
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_a_cpu_multiplies_in_float32():
    with Devices(0, 1).autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


@pytest.mark.parametrize("method", ["frozen", "trained"])
def test_two_processes_make_the_same_table(tmp_path, words, method):
    alone, together = tmp_path / "alone", tmp_path / "together"
    assert main([*words, f"--method={method}", f"--out={alone}"]) == 0
    done = launched(tmp_path, [*words, f"--method={method}", f"--out={together}"])
    assert done.returncode == 0, done.stderr
    shares = {tuple(map(int, line.split()[1:])) for line in done.stderr.splitlines() if line.startswith("share ")}
    assert {rank for rank, processes, found, _ in shares if processes == 2 and found} == {0, 1}
    assert all(found < of or of < 2 for _, _, found, of in shares)
    first, second = (load_file(folder / "reconstruction.safetensors")["matrix"] for folder in (alone, together))
    np.testing.assert_allclose(second, first, atol=2e-4)
    assert not np.array_equal(load_reconstruction(together).matrix, 0 * first)
    if method == "trained":
        losses = [
            [line["validation"] for line in load_reconstruction(folder).evidence["training"]["history"]]
            for folder in (alone, together)
        ]
        np.testing.assert_allclose(*losses, rtol=1e-3)
    assert done.stdout.count("rebuilt ") == 1  # one of them speaks


def test_accelerate_launches_the_command(tmp_path, words):
    out = tmp_path / "run"
    done = subprocess.run(
        [*ALONE, *words, "--method=frozen", f"--out={out}"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert load_reconstruction(out).rebuilt.any()


# What one process alone has, or does


ONE_OF_TWO = """
import os
import sys
from pathlib import Path
import defemb_core
from defemb_core import cli, features, frequency, training, training_loop, trained
from defemb_core.errors import PLMError, TrainingError
training_loop.AT_ONCE["cpu"] = 64
words = sys.argv[1:]
if os.environ["RANK"] == "1":
    {odd}
sys.exit(cli.main(words))
"""


def two(tmp_path, words, odd, seconds=240):
    """Start two processes without a launcher, of which the second first does `odd`; return (code, stderr) of each."""
    with closing(socket.create_server(("127.0.0.1", 0))) as found:
        port = found.getsockname()[1]
    known = {**os.environ, "PYTHONPATH": str(ROOT), "ACCELERATE_USE_CPU": "true"}
    known |= {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    command = [sys.executable, "-c", ONE_OF_TWO.format(odd=odd), *words]
    started = []
    try:
        for rank in ("0", "1"):
            environment = {**known, "RANK": rank, "LOCAL_RANK": rank}
            with (tmp_path / f"said-{rank}").open("w") as said:
                started.append(subprocess.Popen(command, env=environment, stdout=said, stderr=said))
        codes = [process.wait(seconds) for process in started]
    finally:
        for process in started:
            process.kill()
    return list(zip(codes, ((tmp_path / f"said-{rank}").read_text() for rank in "01"), strict=True))


RAISE_AT_UPDATE = """
    real, calls = training_loop.Loop.update, []
    def update(self, examples):
        calls.append(1)
        if len(calls) == 3:
            {what}
        return real(self, examples)
    training_loop.Loop.update = update
"""


@pytest.mark.parametrize(
    ("method", "odd", "said", "code"),
    [
        ("instant", 'words = [*words, "--plm=/no/such/folder"]', "no folder '/no/such/folder'", 2),
        ("trained", RAISE_AT_UPDATE.format(what='raise TrainingError("the cable is cut")'), "the cable is cut", 2),
        ("trained", RAISE_AT_UPDATE.format(what='raise KeyError("a mistake of ours")'), "KeyError: 'a mistake of", 1),
    ],
)
def test_an_error_of_one_process_ends_all_with_a_sentence_that_names_it(tmp_path, words, method, odd, said, code):
    out = tmp_path / "run"
    first, second = two(tmp_path, [*words, f"--method={method}", f"--out={out}"], odd)
    assert (first[0], second[0]) == (code, code), (first[1], second[1])
    last = first[1].splitlines()[-1]
    assert last.startswith(f"rank 1 of 2 processes: {said}")
    assert read_status(out).message == last
    assert "Traceback" not in first[1]
    assert ("Traceback" in second[1]) == (code == 1)  # a mistake of ours is to be found
    assert code == 1 or said not in second[1]


def test_a_process_that_is_killed_ends_the_other(tmp_path, words):
    odd = RAISE_AT_UPDATE.format(what="os.kill(os.getpid(), 9)")
    first, second = two(tmp_path, [*words, "--method=trained", f"--out={tmp_path / 'run'}"], odd)
    assert (first[0], second[0]) == (1, -9), first[1]
    assert first[1].splitlines()[-1].startswith("rank 0 of 2 processes lost the others (")
    assert read_status(tmp_path / "run").state == "failed"


def test_a_mistake_of_the_first_process_is_heard_by_the_others(tmp_path, words, tiny_run):
    taken = shutil.copytree(tiny_run, tmp_path / "taken")
    first, second = two(tmp_path, [*words, "--method=frozen", f"--out={taken}"], "pass")
    assert (first[0], second[0]) == (2, 2), (first[1], second[1])
    said = f"rank 0 of 2 processes: {str(taken)!r} exists and holds a complete run; name a new folder"
    assert first[1].splitlines()[-1] == said
    assert "complete run" not in second[1]


LEARNS = ["--method=trained", "--rate=1e-5", "--rare-weight=1"]  # slowly: no evaluation is the best by a hair


@pytest.fixture
def alone(tmp_path, words):
    """What one process makes of method trained."""
    assert main([*words, *LEARNS, f"--out={tmp_path / 'alone'}"]) == 0
    training = load_reconstruction(tmp_path / "alone").evidence["training"]
    assert training["updates"] > 8
    assert training["best"] > 0
    return load_file(tmp_path / "alone" / "reconstruction.safetensors")["matrix"]


OTHER_START = """
    real, build = trained.fit_map, trained.Student
    def fit_map(*given):
        return dataclasses.replace(real(*given), weights=0 * given[1].T @ given[1])
    def student(*given):
        made = build(*given)
        for value in made.model.parameters():
            value.data.mul_(1.5)
        return made
    import dataclasses
    trained.fit_map, trained.Student = fit_map, student
"""


def test_the_first_process_has_the_start(tmp_path, words, alone):
    out = tmp_path / "run"
    found = two(tmp_path, [*words, *LEARNS, f"--out={out}"], OTHER_START)
    assert [code for code, _ in found] == [0, 0], found
    np.testing.assert_allclose(load_file(out / "reconstruction.safetensors")["matrix"], alone, atol=2e-4)


STOPPED = """
import sys
from defemb_core import training
from defemb_core.cli import main
from defemb_core.training_loop import Loop
training.CHECKPOINT_EVERY = training.CHECKPOINT_TIMES = 0
update = Loop.update
def stop(self, examples):
    if self.done > self.plan.updates // 2:
        raise KeyboardInterrupt
    return update(self, examples)
Loop.update = stop
sys.exit(main(sys.argv[1:]))
"""


def test_the_first_process_has_the_checkpoint(tmp_path, words, alone):
    """The second looks for it in a folder of its own, as on another machine."""
    out = tmp_path / "run"
    words = [*words, *LEARNS, f"--out={out}"]
    stopped = subprocess.run([sys.executable, "-c", STOPPED, *words], cwd=ROOT, capture_output=True, check=False)
    assert stopped.returncode == 130, stopped.stderr
    assert (out / "checkpoint" / "training.pt").is_file()
    odd = RAISE_AT_UPDATE.format(what="Path(words[-1].partition('=')[2] + '-updates').write_text(str(self.done))")
    odd += f'    words = [*words, "--out={tmp_path / "elsewhere"}"]'
    found = two(tmp_path, [*words, "--resume"], odd)
    assert [code for code, _ in found] == [0, 0], found
    assert not (tmp_path / "elsewhere").exists()
    updates = load_reconstruction(out).evidence["training"]["updates"]
    assert int((tmp_path / "elsewhere-updates").read_text()) > updates // 2  # it went on from there, too
    np.testing.assert_allclose(load_file(out / "reconstruction.safetensors")["matrix"], alone, atol=2e-4)


@pytest.mark.parametrize(
    "value", [None, {"a": [1, "b", (torch.arange(6).reshape(2, 3), None)], "c": torch.tensor(2.5)}]
)
def test_what_is_sent_is_put_together_again(value):
    tensors = []
    form = _taken_out(value, tensors)
    assert "tensor(" not in repr(form)
    left = iter(tensors)
    assert repr(_put_in(form, lambda one: next(left).reshape(one.shape).to(one.dtype))) == repr(value)
    assert Devices(0, 1).from_first(value) is value


def test_a_mistake_is_said_once_and_ends_all_processes(tmp_path, words):
    done = launched(tmp_path, [*words, "--method=trained", "--preset=nonsense", f"--out={tmp_path / 'run'}"])
    assert done.returncode != 0
    assert done.stderr.count("unknown preset 'nonsense'") == 1


def test_a_taken_folder_ends_all_processes(tmp_path, words, tiny_run):
    taken = shutil.copytree(tiny_run, tmp_path / "taken")
    done = launched(tmp_path, [*words, "--method=trained", f"--out={taken}"])
    assert done.returncode != 0
    assert "holds a complete run" in done.stderr
