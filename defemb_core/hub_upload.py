"""Send an exported folder to the hub: what its manifest lists, after its sums were checked, with the user's token."""

from __future__ import annotations

import re
from pathlib import Path

from defemb_core.cache import file_sha256
from defemb_core.errors import ExportError, first_line
from defemb_core.export_place import MANIFEST, read_card

_NAME = re.compile(r"[\w.-]+/[\w.-]+")


def upload(folder: Path, repository: str, token: str | None = None, public: bool = False) -> str:
    """Upload an exported folder as a model; nothing but the files that its manifest lists leaves the machine.

    Args:
        folder: what `export` wrote, a checkpoint or another folder.
        repository: "owner/name" on the hub, made if it is not there.
        token: the user's, used for this one upload and kept nowhere; None for the one that the machine is logged in
            with (`hf auth login`, or the environment variable HF_TOKEN).
        public: whether a repository that is made now may be seen by all.

    Returns:
        The repository's address.

    Raises:
        ExportError: no export of ours, a file that changed since, no such name, no permission, or no connection.
    """
    files = _checked_files(folder)
    if not _NAME.fullmatch(repository):
        raise ExportError(f"{repository!r} is no hub name; write 'owner/name'")
    from huggingface_hub import HfApi

    api = HfApi(token=token or None)
    try:
        address = api.create_repo(repository, private=not public, exist_ok=True)
        api.upload_folder(
            repo_id=repository,
            folder_path=folder,
            allow_patterns=[*map(_literal, files)],
            commit_message="Upload an export of defemb",
        )
    except Exception as exc:  # of whichever HTTP library is underneath, besides the hub's own kinds
        said = first_line(exc).replace(token, "...") if token else first_line(exc)
        raise ExportError(
            f"{repository!r} cannot be uploaded ({said}); check the name, the connection and that your token may write"
        ) from None
    return str(address)


def uploadable(out: Path) -> list[str]:
    """Return the names of the files that `upload` would send, the manifest the last; none for what is no folder."""
    return [*read_card(out)["files"], MANIFEST] if out.is_dir() else []


def _checked_files(folder: Path) -> list[str]:
    """Return those names once the files' SHA-256 sums are checked."""
    try:
        listed = read_card(folder)["files"] if folder.is_dir() else {}
        wrong = [name for name, known in listed.items() if file_sha256(folder / name) != known]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
        raise ExportError(f"{str(folder)!r} is no complete export ({first_line(exc)}); export again") from None
    if not listed:
        raise ExportError(f"{str(folder)!r} is no folder that export wrote; only such a folder can be uploaded")
    if wrong:
        raise ExportError(f"{wrong[0]!r} in {str(folder)!r} changed after the export; export again")
    return [*listed, MANIFEST]


def _literal(name: str) -> str:
    """Return a name as a pattern that matches nothing else."""
    return re.sub(r"([*?[])", r"[\1]", name)
