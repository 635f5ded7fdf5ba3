"""WordNet in the WNDB format of Princeton's releases: find or fetch its files, read them into a definition frame.

The format is described in the manual pages wndb(5WN), senseidx(5WN) and cntlist(5WN).
"""

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
from typing import Final, NamedTuple, TypeVar

import polars as pl

from defemb_core.cache import cache_folder, cached_frame, temporary_neighbour
from defemb_core.dictionaries import DEFINITION_SCHEMA, Dictionary
from defemb_core.errors import DictionaryError

T = TypeVar("T")

PARTS_OF_SPEECH: Final = {"noun": "noun", "verb": "verb", "adj": "adjective", "adv": "adverb"}
"""File suffix to part of speech, in the order that breaks ties between senses."""

_REQUIRED: Final = tuple(f"{kind}.{suffix}" for kind in ("data", "index") for suffix in PARTS_OF_SPEECH)
_TAG_COUNTS: Final = "cntlist.rev"
_OPTIONAL: Final = (_TAG_COUNTS, *(f"{suffix}.exc" for suffix in PARTS_OF_SPEECH))
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

_FRAME_VERSION: Final = 1  # part of the cache key: raise it when the same files give another frame

# An example is in double quotes and follows "; ", in some 60 glosses ", " or ": ", perhaps with "e.g." before it.
_EXAMPLE: Final = re.compile(r'\s*[;:,]\s*(?:(?:as in )?e\.g\.,?\s*)?"')
_MARKER: Final = re.compile(r"\((?:a|p|ip)\)")  # where an adjective may stand: galore(ip)
_SENSE_KEY_TYPE: Final = {"n": 1, "v": 2, "a": 3, "r": 4, "s": 5}  # s: satellite adjective


def load_wordnet(folder: str | Path | None = None) -> Dictionary:
    """WordNet's definitions, from the cache when the same files were read before.

    Args:
        folder: Folder with WNDB files; None: as `ensure_wordnet` finds or obtains it.

    Returns:
        A dictionary named "wordnet". Its digest covers the names and contents of the files that `read_wordnet` uses
        (about 28 MB, hashed at every call), so that a changed file is never answered from the cache.

    Raises:
        DictionaryError: WordNet cannot be found, obtained or read.
    """
    found = ensure_wordnet(folder)
    digest = _digest(found)
    cached = cache_folder() / "dictionaries" / f"wordnet-v{_FRAME_VERSION}-{digest[:32]}.parquet"
    return Dictionary(cached_frame(cached, lambda: read_wordnet(found)), "wordnet", digest, str(found))


# Finding and obtaining the files


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
        return _checked(Path(folder).expanduser(), "wordnet folder")
    if named := os.environ.get("WNSEARCHDIR"):
        return _checked(Path(named).expanduser(), "wordnet folder (WNSEARCHDIR)")
    cached = cache_folder() / "wordnet-3.0"
    for candidate in (*map(Path, _SYSTEM_FOLDERS), cached):
        if not _missing(candidate):
            return candidate
    _obtain(cached)
    return cached


def _missing(folder: Path) -> list[str]:
    return [name for name in _REQUIRED if not (folder / name).is_file()]


def _checked(folder: Path, what: str) -> Path:
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


# Reading the files


class _Synset(NamedTuple):
    """A line of a data file."""

    identity: str  # noun-02084071
    words: tuple[str, ...]  # as the file cases them, with underscores
    lemmas: tuple[str, ...]  # the same in lower case
    category: str  # type and file number, the start of a sense key: 1:05
    lex_ids: tuple[str, ...]  # tell a lemma's senses in one category apart; hexadecimal
    head: str | None  # offset of the head synset, satellite adjectives only
    definition: str


TagCounts = Mapping[str, Mapping[str, int]]  # lemma, then the rest of its sense key, to tag count


def read_wordnet(folder: Path) -> pl.DataFrame:
    """Read WordNet into a definition frame, one line for each case-folded word and synset.

    Senses keep WordNet's order inside a part of speech. Across parts of speech the next sense is always the one with
    the larger tag count in cntlist.rev (how often it was met in sense-tagged text), of equal counts the one of the
    noun, verb, adjective, adverb, in this order. Without cntlist.rev every count is 0.

    Args:
        folder: A folder with WNDB files, as `ensure_wordnet` returns it.

    Returns:
        The columns of `DEFINITION_SCHEMA` and `synset` (e.g. "noun-02084071": equal for synonyms), sorted by
        case-folded word and sense. Where a synset holds a word in two cases, the one that it names first stands.
        `form_of` is null.

    Raises:
        DictionaryError: A file is missing, cut short or garbled; file and line are in the message.
    """
    _checked(folder, "wordnet folder")
    counts = _read_tag_counts(folder)
    columns: dict[str, list] = {name: [] for name in ("folded", "pos", "word", "definition", "synset", "tags")}
    for suffix, pos in PARTS_OF_SPEECH.items():
        _read_senses(folder, suffix, counts, columns)
        columns["pos"] += [pos] * (len(columns["word"]) - len(columns["pos"]))
    return _merged(pl.DataFrame(columns, schema_overrides={"tags": pl.Int32}))


def _merged(senses: pl.DataFrame) -> pl.DataFrame:
    """Number senses across parts of speech; the lines come in the order of parts of speech and, inside, of senses.

    Sorting by the least count so far inside the part of speech is the merge that always takes the larger head.
    """
    return (
        senses.with_columns(pl.col("tags").cum_min().over("folded", "pos"))
        .sort("folded", "tags", descending=[False, True], maintain_order=True)
        .with_columns(
            pl.int_range(pl.len(), dtype=pl.Int32).over("folded").alias("sense"),
            pl.lit("wordnet").alias("source"),
            pl.lit(None, dtype=pl.String).alias("form_of"),
        )
        .select(*DEFINITION_SCHEMA, "synset")
    )


def _read_senses(folder: Path, suffix: str, counts: TagCounts, columns: Mapping[str, list]) -> None:
    """Append the senses of one part of speech to `columns`, in the order of its index file."""
    synsets = _read_synsets(folder, suffix)
    path = folder / f"index.{suffix}"
    number = named = 0
    for number, (lemma, offsets) in _parsed(path, _parse_lemma):
        tagged = counts.get(lemma)
        for offset in offsets:
            synset = synsets.get(offset)
            if synset is None or lemma not in synset.lemmas:
                raise _garbled(path, number, f"synset {offset} in data.{suffix} has no word {lemma}")
            columns["folded"].append(lemma.replace("_", " ").casefold())
            columns["word"].append(synset.words[synset.lemmas.index(lemma)].replace("_", " "))
            columns["definition"].append(synset.definition)
            columns["synset"].append(synset.identity)
            columns["tags"].append(_tag_count(tagged, synset, lemma, synsets) if tagged else 0)
        named += len(offsets)
    held = sum(len(set(synset.lemmas)) for synset in synsets.values())
    if named != held or not held:
        raise _garbled(path, number, f"the file ends after {named:,} senses, data.{suffix} has {held:,}")


def _tag_count(tagged: Mapping[str, int], synset: _Synset, lemma: str, synsets: Mapping[str, _Synset]) -> int:
    """Tag count of a lemma in a synset; a satellite's sense key ends in its head's first word and lex_id."""
    head = synsets.get(synset.head or "")
    end = f"{head.lemmas[0]}:{int(head.lex_ids[0], 16):02d}" if head else ":"
    ids = (lex_id for lex_id, word in zip(synset.lex_ids, synset.lemmas, strict=True) if word == lemma)
    return max(tagged.get(f"{synset.category}:{int(lex_id, 16):02d}:{end}", 0) for lex_id in ids)


def _read_synsets(folder: Path, suffix: str) -> dict[str, _Synset]:
    path, pos = folder / f"data.{suffix}", PARTS_OF_SPEECH[suffix]
    return {synset.identity[-8:]: synset for _, synset in _parsed(path, lambda line: _parse_synset(line, pos))}


def _parse_synset(line: str, pos: str) -> _Synset:
    """Parse "offset lex_filenum type w_cnt (word lex_id)... p_cnt (symbol offset pos source/target)... | gloss"."""
    fields, _, gloss = line.partition(" | ")
    offset, filenum, kind, count, rest = fields.split(" ", 4)
    words = rest.split(" ", 2 * int(count, 16) + 1)
    end = 2 * int(count, 16)
    pointers = words[end + 1] if int(words[end]) else ""
    if not (offset.isdigit() and end and gloss.strip()) or pointers.count(" ") < 4 * int(words[end]) - 1:
        raise ValueError
    names = words[:end:2] if ")" not in rest else [_MARKER.sub("", word) for word in words[:end:2]]
    return _Synset(
        identity=f"{pos}-{offset}",
        words=tuple(names),
        lemmas=tuple(word.lower() for word in names),
        category=f"{_SENSE_KEY_TYPE[kind]}:{filenum}",
        lex_ids=tuple(words[1:end:2]),
        head=pointers.partition("& ")[2][:8] if kind == "s" else None,
        definition=_definition(gloss.strip()),
    )


def _definition(gloss: str) -> str:
    """The gloss up to its first usage example; quotations inside the definition or its parentheses stay."""
    if '"' not in gloss:
        return gloss.rstrip(" ;:")
    for match in _EXAMPLE.finditer(gloss):
        before = gloss[: match.start()]
        if before and before.count('"') % 2 == 0 and before.count("(") <= before.count(")"):
            return before.rstrip(" ;:,")
    return gloss.rstrip(" ;:")


def _parse_lemma(line: str) -> tuple[str, list[str]]:
    """Parse "lemma pos synset_cnt p_cnt symbol... sense_cnt tagsense_cnt offset..." into lemma and offsets."""
    fields = line.split()
    count = int(fields[2])
    if count < 1 or len(fields) != 6 + int(fields[3]) + count:
        raise ValueError
    return fields[0].lower(), fields[-count:]


def _read_tag_counts(folder: Path) -> TagCounts:
    """What cntlist.rev says; the sense numbers in it are partly stale, so only its sense keys are used."""
    path = folder / _TAG_COUNTS
    counts: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for _, (lemma, key, count) in _parsed(path, _parse_count) if path.is_file() else ():
        counts[lemma][key] = count
    return counts


def _parse_count(line: str) -> tuple[str, str, int]:
    """Parse "lemma%sense_key sense_number tag_cnt"; some head words in the keys keep their markers."""
    name, _, count = line.split()
    lemma, _, key = name.partition("%")
    return lemma, (_MARKER.sub("", key) if ")" in key else key), int(count)


def _parsed(path: Path, parse: Callable[[str], T]) -> Iterator[tuple[int, T]]:
    """What `parse` makes of every line after the licence, whose lines begin with two blanks, with the line's number.

    Raises:
        DictionaryError: The file cannot be read or decoded, a line is not as `parse` expects, or the last has no end.
    """
    try:
        content = path.read_bytes()
        text = content.decode()
    except UnicodeDecodeError as error:
        raise _garbled(path, content.count(b"\n", 0, error.start) + 1, "not UTF-8") from None
    except OSError as error:
        raise DictionaryError(f"cannot read {path}: {error.strerror or error}") from error
    *lines, rest = text.split("\n")
    for number, line in enumerate(lines, start=1):
        if not line.startswith("  "):
            try:
                yield number, parse(line)
            except (ValueError, IndexError, KeyError):
                raise _garbled(path, number, f"not in WNDB format: {line[:40]!r}") from None
    if rest:
        raise _garbled(path, len(lines) + 1, "the line is cut short")


def _garbled(path: Path, number: int, what: str) -> DictionaryError:
    return DictionaryError(f"{path} line {number}: {what}; take the folder's files from one whole WordNet release")


def _digest(folder: Path) -> str:
    """SHA-256 over the name, size and content of each file that `read_wordnet` uses."""
    digest = hashlib.sha256()
    for name in (*_REQUIRED, _TAG_COUNTS):
        path = folder / name
        try:
            content = path.read_bytes() if name in _REQUIRED or path.is_file() else b""
        except OSError as error:
            raise DictionaryError(f"cannot read {path}: {error.strerror or error}") from error
        digest.update(f"{name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()
