import pytest
import torch

from defemb_core import methods, plm, trained
from defemb_core.cli import main
from defemb_core.errors import NoMemoryError, SettingsError, is_out_of_memory
from defemb_core.progress import Clock
from defemb_core.reconstruction import Settings, reconstruct
from defemb_core.runs import read_status

ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 4 bytes"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
    MemoryError("Unable to allocate 7 GiB"),
]
OTHERS = [RuntimeError("a mistake of ours"), SettingsError("out of memory"), KeyError("x")]


def raising(error):
    def fail(*given, **more):
        raise error

    return fail


@pytest.mark.parametrize("error", ERRORS)
def test_lack_of_memory_is_said_in_a_sentence_with_its_stage(error):
    clock = Clock(part="decoder's ")
    assert is_out_of_memory(error)
    with pytest.raises(NoMemoryError) as caught, clock.stage("map"):
        raise error
    assert str(caught.value).startswith(f'memory does not suffice for stage "decoder\'s map" ({error}); ')
    assert "--resume" in str(caught.value)
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("error", OTHERS)
def test_other_errors_stay_as_they_are(error):
    with pytest.raises(type(error)) as caught, Clock().stage("map"):
        raise error
    assert caught.value is error


@pytest.mark.parametrize("error", ERRORS[1:3])
@pytest.mark.parametrize(
    ("method", "stage", "where", "name"),
    [
        ("frozen", "encoder", plm, "build_model"),
        ("frozen", "encoder", methods, "read_prompts"),
        ("trained", "encoder", plm, "build_model"),
        ("trained", "start", trained, "Student"),
        ("trained", "start", trained, "fit_map"),
        ("instant", "map", methods, "cross_fit"),
    ],
)
def test_wherever_memory_ends(
    tiny_plm, tiny_vocabulary, tiny_dictionary, monkeypatch, error, method, stage, where, name
):
    monkeypatch.setattr(where, name, raising(error))
    with pytest.raises(NoMemoryError, match=f"^memory does not suffice for stage '{stage}' "):
        reconstruct(tiny_plm, tiny_vocabulary, tiny_dictionary, Settings(method, preset="quick"))


def test_what_was_trained_is_kept_if_memory_ends_after_it(tmp_path, capfd, tiny_bert, tiny_lexicon, monkeypatch):
    real, states = trained.read_prompts, []

    def read(*given, **more):
        states.append(given)
        return real(*given, **more) if len(states) == 1 else raising(ERRORS[0])()  # the first are for the start

    words = ["reconstruct", f"--plm={tiny_bert}", f"--dictionary=wordnet:{tiny_lexicon}", "--method=trained"]
    words += ["--preset=quick", "--passes=1", "--folds=3", f"--out={tmp_path / 'run'}"]
    with monkeypatch.context() as patch:
        patch.setattr(trained, "read_prompts", read)
        assert main(words) == 2
    last = capfd.readouterr().err.splitlines()[-1]
    assert last.startswith(
        "memory does not suffice for stage 'states' (CUDA out of memory. Tried to allocate 2.00 GiB)"
    )
    assert read_status(tmp_path / "run").message == last
    assert (tmp_path / "run" / "checkpoint" / "training.pt").is_file()
    assert main([*words, "--resume"]) == 0


def test_a_plm_that_memory_does_not_suffice_for(tmp_path, capfd, tiny_bert, monkeypatch):
    monkeypatch.setattr(plm, "read_plm", raising(ERRORS[3]))
    assert main(["reconstruct", f"--plm={tiny_bert}", f"--out={tmp_path / 'run'}"]) == 2
    assert "memory does not suffice for stage 'reading PLM and dictionary'" in capfd.readouterr().err
