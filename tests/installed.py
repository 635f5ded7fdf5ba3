"""What tests need besides Python packages, and what becomes of a test where it is not installed."""

import os
from pathlib import Path

import pytest

from defemb_core.cache import cache_folder
from defemb_core.dictionaries import wordnet_files

MUST_RUN = os.environ.get("CI", "").lower() in {"1", "true"}
FOLDERS = [os.environ.get("WNSEARCHDIR", ""), *wordnet_files._SYSTEM_FOLDERS, str(cache_folder() / "wordnet-3.0")]
"""Where ensure_wordnet looks; read on import, before conftest.py gives the tests a cache of their own."""
WORDNET = next((folder for folder in FOLDERS if folder and (Path(folder) / "data.noun").is_file()), None)


def missing(why):
    """A reason to skip, and on a build server, where everything must be installed, one to fail."""
    (pytest.fail if MUST_RUN else pytest.skip)(why)


def real_wordnet():
    """The folder of this machine's WordNet, which tests never download."""
    return WORDNET or missing("WordNet is not on this machine: install it (apt-get install wordnet-base)")
