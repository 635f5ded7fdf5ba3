import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from defemb_core.cli import main
from defemb_core.devices import Devices, devices
from defemb_core.reconstruction_files import load_reconstruction

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
        [*LAUNCH, script, *words], env=environment, capture_output=True, text=True, check=False, timeout=120
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


def test_a_mistake_is_said_once_and_ends_all_processes(tmp_path, words):
    done = launched(tmp_path, [*words, "--method=trained", "--preset=nonsense", f"--out={tmp_path / 'run'}"])
    assert done.returncode != 0
    assert done.stderr.count("unknown preset 'nonsense'") == 1


def test_a_taken_folder_ends_all_processes(tmp_path, words, tiny_run):
    taken = shutil.copytree(tiny_run, tmp_path / "taken")
    done = launched(tmp_path, [*words, "--method=trained", f"--out={taken}"])
    assert done.returncode != 0
    assert "holds a complete run" in done.stderr
