"""`pip install .` brings the command and what the package needs besides code."""

import os
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

from installed import missing

from defemb_core.version import VERSION

ROOT = Path(__file__).parents[1]
PARTS = ("pyproject.toml", "requirements.txt", "README.md", "LICENSE", "defemb_core")


def test_an_installed_package_has_its_command_its_data_and_its_dependencies(tmp_path):
    try:
        if int(version("setuptools").split(".")[0]) < 77:
            missing("setuptools is older than 77: pip install --upgrade setuptools")
    except PackageNotFoundError:
        missing("setuptools is not installed: pip install setuptools")
    source, place = tmp_path / "source", tmp_path / "place"  # a build leaves files where it works
    source.mkdir()
    for part in PARTS:
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        copy(ROOT / part, source / part)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--target", place, source], check=True, capture_output=True)
    for file in ("py.typed", "dictionaries/function_words.csv", "export_formats/__init__.py"):
        assert (place / "defemb_core" / file).is_file(), file
    known = next(place.glob("defemb-*.dist-info"))
    assert known.name == f"defemb-{VERSION}.dist-info"
    needs = [line for line in (known / "METADATA").read_text().splitlines() if line.startswith("Requires-Dist: ")]
    pinned = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if line and line[0] != "#"]
    assert len(needs) == len(pinned)
    assert f"Requires-Dist: numpy=={distribution('numpy').version}" in needs
    said = subprocess.run(
        [place / "bin" / "defemb", "--help"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(place)},
    )
    assert said.returncode == 0
    assert said.stdout.startswith("usage: defemb ")
