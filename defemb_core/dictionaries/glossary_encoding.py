"""How the bytes of a glossary that is text become characters."""

import codecs
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from defemb_core.errors import DictionaryError

_SAMPLE: Final = 65_536  # bytes from which an encoding is guessed
_MARKS: Final = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
# What spreadsheets and editors write besides Unicode; the guess is among these.
_LEGACY: Final = [
    "cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1257", "koi8_r", "cp932", "gb18030", "cp949", "big5",
]  # fmt: skip
_BEYOND_ASCII: Final = re.compile(rb"[^\r\n]*[\x80-\xff][^\r\n]*")
_CONTROLS: Final = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


class Text(NamedTuple):
    """A file's content and how it is decoded."""

    content: bytes
    encoding: str

    def lines(self) -> Iterator[str]:
        """Return the lines one by one, with their ends as they are; what is no text is shown as U+FFFD."""
        return io.TextIOWrapper(io.BytesIO(self.content), self.encoding, "replace", newline="")


def as_text(path: Path, content: bytes) -> Text:
    """Return the content with its encoding.

    A byte order mark says it; else it is UTF-8 if all of it can be that, UTF-16 if every other byte is 0, and what
    charset-normalizer guesses otherwise (CP1252, which has Latin-1 in it, where several would do).

    Raises:
        DictionaryError: it is no text.
    """
    for mark, encoding in _MARKS.items():
        if content.startswith(mark):
            return Text(content, encoding)
    start = content[:4096]
    for encoding, high in (("utf-16-le", start[1::2]), ("utf-16-be", start[::2])):
        if high.count(0) > 0.7 * len(high):
            return Text(content, encoding)
    if b"\0" in content or len(_CONTROLS.findall(start)) > 0.01 * len(start):
        raise DictionaryError(
            f"glossary {path} is neither text nor Parquet nor XLSX; unpack it if it is compressed, or save it as CSV"
        )
    return Text(content, "utf-8" if _is_utf8(content) else _guessed(content))


def _is_utf8(content: bytes) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(content), 1 << 20):
            decoder.decode(content[start : start + (1 << 20)])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _guessed(content: bytes) -> str:
    from charset_normalizer import from_bytes

    telling: list[bytes] = []
    for line in _BEYOND_ASCII.finditer(content):
        telling.append(line.group()[:_SAMPLE])
        if sum(map(len, telling)) > _SAMPLE:
            break
    matches = from_bytes(b"\n".join(telling), cp_isolation=_LEGACY)
    best = matches.best()
    if best is None:
        return "cp1252"
    equal = [one for one in matches if (one.chaos, one.coherence) == (best.chaos, best.coherence)]
    return "cp1252" if any("cp1252" in one.could_be_from_charset for one in equal) else best.encoding
