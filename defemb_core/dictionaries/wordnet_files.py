"""WordNet's files in the WNDB format of Princeton's releases: find or fetch them, walk through their lines."""

import hashlib
import http.client
import os
import re
import shutil
import subprocess
import tarfile
import time
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, TypeVar

from defemb_core.cache import cache_folder, temporary_neighbour
from defemb_core.errors import DictionaryError

T = TypeVar("T")
TagCounts = Mapping[str, Mapping[str, int]]  # lemma, then the rest of its sense key, to tag count

PARTS_OF_SPEECH: Final = {"noun": "noun", "verb": "verb", "adj": "adjective", "adv": "adverb"}
"""File suffix to part of speech, in the order that breaks ties between senses."""

MARKER: Final = re.compile(r"\((?:a|p|ip)\)")
"""Where an adjective may stand, part of its spelling in the files: galore(ip)."""

_REQUIRED: Final = tuple(f"{kind}.{suffix}" for kind in ("data", "index") for suffix in PARTS_OF_SPEECH)
_TAG_COUNTS: Final = "cntlist.rev"
_EXCEPTIONS: Final = tuple(f"{suffix}.exc" for suffix in PARTS_OF_SPEECH)
_OPTIONAL: Final = (_TAG_COUNTS, *_EXCEPTIONS)
_SYSTEM_FOLDERS: Final = (
    "/usr/share/wordnet",  # Debian, Ubuntu
    "/usr/share/wordnet-3.0/dict",  # Fedora
    "/usr/share/wordnet/dict",
    "/opt/homebrew/opt/wordnet/dict",  # Homebrew on Apple silicon, on Intel, on Linux
    "/usr/local/opt/wordnet/dict",
    "/home/linuxbrew/.linuxbrew/opt/wordnet/dict",
    "/usr/local/WordNet-3.0/dict",  # Princeton's own installer
    "/usr/local/wordnet/dict",
)

_ARCHIVE: Final = "https://wordnetcode.princeton.edu/3.0/WNdb-3.0.tar.gz"
# SHA-256 of that archive; whatever else a server or proxy sends under its name is not unpacked.
_ARCHIVE_SHA256: Final = "658b1ba191f5f98c2e9bae3e25c186013158f30ef779f191d2a44e5d25046dc8"
_ARCHIVE_LIMIT: Final = 40_000_000  # bytes; more is not the archive, whoever sends it
_SILENCE_LIMIT: Final = 30  # seconds that a server may send nothing
_FETCH_LIMIT: Final = 300  # seconds for a download or a package command as a whole

_FETCH_ERRORS: Final = (
    DictionaryError,
    OSError,
    subprocess.SubprocessError,
    http.client.HTTPException,
    tarfile.TarError,
    EOFError,
)


def ensure_wordnet(folder: str | Path | None = None) -> Path:
    """Folder with WordNet's WNDB files: data.* and index.* for sure, cntlist.rev and *.exc where the release has them.

    The first of: `folder`; the folder that the environment variable WNSEARCHDIR names; where systems install WordNet;
    `wordnet-3.0` in the cache folder. If that one is missing too, WordNet 3.0 is obtained into it without root:
    Debian's package by apt-get and dpkg-deb where these exist, else Princeton's archive (checked by SHA-256).

    Raises:
        DictionaryError: A folder that the user named lacks files (there is no silent fallback then), or WordNet is
            not on this machine and cannot be obtained.
    """
    if folder is not None:
        return checked_folder(Path(folder).expanduser(), "wordnet folder")
    if found := installed_wordnet():
        return found
    cached = cache_folder() / "wordnet-3.0"
    _obtain(cached)
    return cached


def installed_wordnet() -> Path | None:
    """Return the folder that ensure_wordnet finds on this machine by itself, None if there is none.

    Raises:
        DictionaryError: the folder that WNSEARCHDIR names lacks files.
    """
    if named := os.environ.get("WNSEARCHDIR"):
        return checked_folder(Path(named).expanduser(), "wordnet folder (WNSEARCHDIR)")
    candidates = (*map(Path, _SYSTEM_FOLDERS), cache_folder() / "wordnet-3.0")
    return next((candidate for candidate in candidates if not _missing(candidate)), None)


def _missing(folder: Path) -> list[str]:
    return [name for name in _REQUIRED if not (folder / name).is_file()]


def missing_exceptions(folder: Path) -> list[str]:
    """Return which lists of irregular forms a folder lacks; a release has them, but nothing depends on it."""
    return [name for name in _EXCEPTIONS if not (folder / name).is_file()]


def checked_folder(folder: Path, what: str) -> Path:
    """Return `folder` if no file that WordNet must have is missing; else a DictionaryError that calls it `what`."""
    if missing := _missing(folder):
        raise DictionaryError(f"{what} {folder} lacks {', '.join(missing)}; name the folder that holds all these files")
    return folder


def _obtain(target: Path) -> None:
    """Fill a folder beside `target` from the first source that works and put it in the place of `target`."""
    tried = []
    for what, fetch in (("the Debian package", _fetch_package), (_ARCHIVE, _fetch_archive)):
        work = temporary_neighbour(target)
        try:
            staging = work / "files"
            staging.mkdir(parents=True)
            fetch(work, staging)
            _publish(staging, target)
            return
        except _FETCH_ERRORS as error:
            tried.append(f"{what} ({error})")
        finally:
            shutil.rmtree(work, ignore_errors=True)
    if not _missing(target):
        return  # another process was luckier
    raise DictionaryError(
        f"wordnet is not on this machine and cannot be obtained; tried {' and '.join(tried)}; install it "
        "(apt install wordnet-base, or brew install wordnet) or set WNSEARCHDIR to a folder with its data.* and "
        "index.* files"
    )


def _publish(staging: Path, target: Path) -> None:
    """Rename a complete folder to `target`, unless another process has put a complete one there meanwhile."""
    if missing := _missing(staging):
        raise DictionaryError(f"it lacks {', '.join(missing)}")
    for path in staging.iterdir():
        with path.open("rb+") as file:
            os.fsync(file.fileno())
    try:
        if target.exists() and _missing(target):
            os.rename(target, staging.parent / "incomplete")  # removed together with the work folder
        os.rename(staging, target)
    except OSError:
        if _missing(target):
            raise


def _fetch_package(work: Path, staging: Path) -> None:
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise DictionaryError("no apt-get and dpkg-deb here")
    _command("apt-get", "download", "wordnet-base", cwd=work)
    package = next(work.glob("wordnet-base_*.deb"), None)
    if package is None:
        raise DictionaryError("apt-get download left no package")
    _command("dpkg-deb", "-x", package.name, "unpacked", cwd=work)
    for name in (*_REQUIRED, *_OPTIONAL):
        path = work / "unpacked" / "usr" / "share" / "wordnet" / name
        if path.is_file() and not path.is_symlink():
            shutil.copyfile(path, staging / name)


def _command(*words: str, cwd: Path) -> None:
    done = subprocess.run(
        words, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=_FETCH_LIMIT
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise DictionaryError(f"{' '.join(words[:2])} failed: {last}")


def _fetch_archive(work: Path, staging: Path) -> None:
    archive = work / "archive.tar.gz"
    digest = _download(_ARCHIVE, archive)
    if digest != _ARCHIVE_SHA256:
        raise DictionaryError(f"its SHA-256 is {digest}, expected {_ARCHIVE_SHA256}")
    with tarfile.open(archive, "r:gz") as packed:
        for member in packed:
            name = member.name.rpartition("/")[2]
            if member.isfile() and name in (*_REQUIRED, *_OPTIONAL):
                packed.extract(member.replace(name=name, deep=False), staging, filter="data")


def _download(address: str, path: Path) -> str:
    """Write what `address` sends, at most `_ARCHIVE_LIMIT` bytes, to `path`; return its SHA-256."""
    deadline = time.monotonic() + _FETCH_LIMIT
    digest, size = hashlib.sha256(), 0
    with urllib.request.urlopen(address, timeout=_SILENCE_LIMIT) as response, path.open("wb") as file:
        while block := response.read(1 << 16):
            size += len(block)
            if size > _ARCHIVE_LIMIT:
                raise DictionaryError(f"larger than {_ARCHIVE_LIMIT:,} bytes")
            if time.monotonic() > deadline:
                raise DictionaryError(f"not complete after {_FETCH_LIMIT} s")
            digest.update(block)
            file.write(block)
    return digest.hexdigest()


def parsed_lines(path: Path, parse: Callable[[str], T]) -> Iterator[tuple[int, T]]:
    """What `parse` makes of every line after the licence, whose lines begin with two blanks, with the line's number.

    Raises:
        DictionaryError: The file cannot be read or decoded, a line is not as `parse` expects, or the last has no end.
    """
    try:
        content = path.read_bytes()
        text = content.decode()
    except UnicodeDecodeError as error:
        raise garbled(path, content.count(b"\n", 0, error.start) + 1, "not UTF-8") from None
    except OSError as error:
        raise DictionaryError(f"cannot read {path}: {error.strerror or error}") from error
    *lines, rest = text.split("\n")
    for number, line in enumerate(lines, start=1):
        if not line.startswith("  "):
            try:
                yield number, parse(line)
            except (ValueError, IndexError, KeyError):
                raise garbled(path, number, f"not in WNDB format: {line[:40]!r}") from None
    if rest:
        raise garbled(path, len(lines) + 1, "the line is cut short")


def garbled(path: Path, number: int, what: str) -> DictionaryError:
    """The error for a line (counted from 1) that is not as it should be, to be raised by the caller."""
    return DictionaryError(f"{path} line {number}: {what}; take the folder's files from one whole WordNet release")


def content_digest(folder: Path) -> str:
    """SHA-256 over the name, size and content of each file that definitions are read from."""
    digest = hashlib.sha256()
    for name in (*_REQUIRED, *_OPTIONAL):
        path = folder / name
        try:
            content = path.read_bytes() if name in _REQUIRED or path.is_file() else b""
        except OSError as error:
            raise DictionaryError(f"cannot read {path}: {error.strerror or error}") from error
        digest.update(f"{name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def parse_lemma(line: str) -> tuple[str, list[str]]:
    """Parse "lemma pos synset_cnt p_cnt symbol... sense_cnt tagsense_cnt offset..." into lemma and offsets."""
    fields = line.split()
    count = int(fields[2])
    if count < 1 or len(fields) != 6 + int(fields[3]) + count:
        raise ValueError
    return fields[0].lower(), fields[-count:]


def read_tag_counts(folder: Path) -> TagCounts:
    """What cntlist.rev says; the sense numbers in it are partly stale, so only its sense keys are used."""
    path = folder / _TAG_COUNTS
    counts: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for _, (lemma, key, count) in parsed_lines(path, _parse_count) if path.is_file() else ():
        counts[lemma][key] = count
    return counts


def _parse_count(line: str) -> tuple[str, str, int]:
    """Parse "lemma%sense_key sense_number tag_cnt"; some head words in the keys keep their markers."""
    name, _, count = line.split()
    lemma, _, key = name.partition("%")
    return lemma, (MARKER.sub("", key) if ")" in key else key), int(count)
