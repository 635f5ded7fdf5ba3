"""What all tests share: no network, folders of their own, and one small finished run."""

import os

# Read when the libraries are imported, hence before any test is.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "2")

import pytest
from lexicon import write_lexicon


@pytest.fixture(scope="session", autouse=True)
def apart(tmp_path_factory):
    """Cache and runs lie in folders of this session, for subprocesses too."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("DEFEMB_CACHE", "DEFEMB_RUNS", "DEFEMB_DATA"):
            patch.setenv(name, str(tmp_path_factory.mktemp(name.lower())))
        patch.delenv("WNSEARCHDIR", raising=False)
        yield


@pytest.fixture(scope="session")
def tiny_lexicon(tmp_path_factory):
    """The folder of a small WordNet; load_dictionary(f"wordnet:{folder}") reads it."""
    return write_lexicon(tmp_path_factory.mktemp("lexicon"))


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory):
    """The folder of a tiny BERT; tests must not write to it."""
    from tiny_plm import save_bert

    return save_bert(tmp_path_factory.mktemp("models") / "tiny-bert")


@pytest.fixture(scope="session")
def tiny_plm(tiny_bert):
    from defemb_core.plm import load_plm

    return load_plm(str(tiny_bert))


@pytest.fixture(scope="session")
def tiny_vocabulary(tiny_plm):
    from defemb_core.frequency import plm_vocabulary

    return plm_vocabulary(tiny_plm)


@pytest.fixture(scope="session")
def tiny_dictionary(tiny_lexicon):
    from defemb_core.dictionaries import load_dictionary

    return load_dictionary(f"wordnet:{tiny_lexicon}")


@pytest.fixture(scope="session")
def tiny_reconstruction(tiny_plm, tiny_vocabulary, tiny_dictionary):
    from defemb_core.reconstruction import Settings, reconstruct

    return reconstruct(tiny_plm, tiny_vocabulary, tiny_dictionary, Settings(method="instant"))


@pytest.fixture(scope="session")
def tiny_run(tiny_bert, tiny_lexicon):
    """The directory of a complete run "tiny" in the session's runs folder; tests must not write to it."""
    from defemb_core.cli import main
    from defemb_core.runs import run_path

    folder = run_path("tiny")
    plm, dictionary = str(tiny_bert), f"wordnet:{tiny_lexicon}"
    assert main(["reconstruct", "--plm", plm, "--dictionary", dictionary, "--out", str(folder), "--folds", "3"]) == 0
    return folder
