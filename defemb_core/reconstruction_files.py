"""A reconstruction's files in its run's directory: written whole, read with every doubt said."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import polars as pl

from defemb_core.cache import write_atomically, write_json
from defemb_core.errors import PLMError, RunError
from defemb_core.reconstruction import Reconstruction, Settings

FILES = ("config.json", "reconstruction.safetensors", "vocabulary.parquet", "definitions.parquet", "evidence.json")


def save_reconstruction(reconstruction: Reconstruction, folder: Path | str) -> None:
    """Write the run's files into `folder`: config.json last, so that a folder with it holds all the others.

    Raises:
        OSError: a file cannot be written; the disk is full, say.

    Example:
        >>> from pathlib import Path
        >>> Path("run").mkdir()
        >>> de.save_reconstruction(made, Path("run"))
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    folder = Path(folder)
    tensors = {"matrix": reconstruction.matrix, "rebuilt": reconstruction.rebuilt.astype(np.uint8)}
    if reconstruction.decoder_matrix is not None:
        tensors["decoder_matrix"] = reconstruction.decoder_matrix
    try:
        write_atomically(folder / "reconstruction.safetensors", lambda to: save_file(tensors, to))
        write_atomically(folder / "vocabulary.parquet", reconstruction.vocabulary.write_parquet)
        write_atomically(folder / "definitions.parquet", reconstruction.definitions.write_parquet)
    except (SafetensorError, pl.exceptions.PolarsError) as exc:  # how these two report a full disk
        raise OSError(str(exc)) from exc
    write_json(folder / "evidence.json", reconstruction.evidence)
    write_json(
        folder / "config.json",
        {"settings": dataclasses.asdict(reconstruction.settings), "provenance": reconstruction.provenance},
    )


def load_reconstruction(folder: Path | str) -> Reconstruction:
    """Read what save_reconstruction wrote.

    Raises:
        RunError: a file is missing or damaged.

    Example:
        >>> again = de.load_reconstruction(Path("run"))
        >>> bool((again.matrix == made.matrix).all())
        True
    """
    from safetensors.numpy import load_file

    folder = Path(folder)
    missing = next((name for name in FILES if not (folder / name).is_file()), None)
    if missing:
        raise RunError(
            f"{str(folder)!r} holds no complete run: {missing} is missing; run reconstruct again with --resume"
        )
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        tensors = load_file(folder / "reconstruction.safetensors")
        return Reconstruction(
            matrix=tensors["matrix"],
            rebuilt=tensors["rebuilt"].astype(bool),
            settings=Settings(**config["settings"]),
            vocabulary=pl.read_parquet(folder / "vocabulary.parquet", glob=False),
            definitions=pl.read_parquet(folder / "definitions.parquet", glob=False),
            evidence=json.loads((folder / "evidence.json").read_text(encoding="utf-8")),
            provenance=config["provenance"],
            decoder_matrix=tensors.get("decoder_matrix"),
        )
    except RunError:
        raise
    except Exception as exc:  # safetensors, polars and json each raise their own kinds for damaged files
        raise RunError(f"the run in {str(folder)!r} is damaged ({type(exc).__name__}); run reconstruct again") from None


def plm_place(name: str, run: Path) -> str:
    """Return where the PLM of a run is: where the run has it from, or in a folder of that name beside or in the run.

    A run keeps the whole path of a local folder, which is another one on another machine. What is found there is the
    PLM only if its table has the run's digest, which Comparison checks.

    Raises:
        PLMError: the run was made from a local folder, and that is in none of these places.
    """
    made_from = Path(name)
    if not made_from.is_absolute() or made_from.is_dir():
        return name
    places = [folder / made_from.name for folder in (run.absolute().parent, run.absolute())]
    found = next((place for place in places if (place / "config.json").is_file()), None)
    if found is None:
        raise PLMError(
            f"run {run.name!r} was made from the PLM in {name!r}, which is not on this machine; copy that folder to "
            f"{str(places[0])!r}"
        )
    return str(found)
