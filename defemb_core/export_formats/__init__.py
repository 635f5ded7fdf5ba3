"""The shapes that a rebuilt table is given away in, one entry a format: what reads it, and what writes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from defemb_core.export_formats.arrays import write_npy, write_safetensors, write_static
from defemb_core.export_formats.columns import write_atlas, write_csv, write_parquet
from defemb_core.export_formats.table import Table, Tell, word_labels
from defemb_core.export_formats.target import Target
from defemb_core.export_formats.vectors import write_glove, write_projector, write_word2vec, write_word2vec_binary

__all__ = ["FORMATS", "Format", "Table", "Target", "Tell", "word_labels"]

Write = Callable[[Table, Target, Tell], None]
_TEXT = 13.0  # bytes of a value in text, with its blank; in binary it is 4


@dataclass(frozen=True)
class Format:
    """A shape to give a table away in.

    Attributes:
        write: fills a new target with the table; raises what `tell` raises, and OSError.
        suffix: what a file's name ends with, "" for a folder.
        reads: one sentence on what it holds and what opens it.
        opens: code or a command that opens it, with {path} where its place belongs.
        value_bytes, row_bytes: about how many bytes a value takes, and what each row takes besides.
        has_labels: whether rows are known by labels (`word_labels`), not by their place or their token.
        needs_maps: whether it holds the maps, which `analyse` makes.
    """

    write: Write
    suffix: str
    reads: str
    opens: str
    value_bytes: float = 4.0
    row_bytes: float = 60.0
    has_labels: bool = False
    needs_maps: bool = False

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder of files."""
        return not self.suffix

    def bytes_of(self, rows: int, width: int) -> int:
        """Return about how many bytes a table takes in this format."""
        return int(rows * (width * self.value_bytes + self.row_bytes))


FORMATS: dict[str, Format] = {
    "safetensors": Format(
        write_safetensors,
        ".safetensors",
        "The table as one tensor, with the marks of rebuilt rows, for PyTorch, JAX, NumPy and many others.",
        'safetensors.numpy.load_file("{path}")["matrix"]',
    ),
    "npy": Format(write_npy, ".npy", "The table alone, as a NumPy array.", 'numpy.load("{path}", mmap_mode="r")'),
    "parquet": Format(
        write_parquet,
        ".parquet",
        "One line a token with text, kind, group and its row, for polars, pandas, DuckDB, Spark and R.",
        'polars.read_parquet("{path}")',
    ),
    "csv": Format(
        write_csv,
        ".csv",
        "The same as text, a column a dimension, for spreadsheets and R; no cell of it runs as a formula.",
        'pandas.read_csv("{path}")',
        _TEXT,
        120.0,
    ),
    "word2vec": Format(
        write_word2vec,
        ".txt",
        "Text, one line a token after a line with the sizes, for gensim, spaCy and most tools for word vectors.",
        'gensim.models.KeyedVectors.load_word2vec_format("{path}")',
        _TEXT,
        has_labels=True,
    ),
    "word2vec-binary": Format(
        write_word2vec_binary,
        ".bin",
        "The same in binary, a third of the size and quick to load, for gensim, spaCy and word2vec's own tools.",
        'gensim.models.KeyedVectors.load_word2vec_format("{path}", binary=True)',
        has_labels=True,
    ),
    "glove": Format(
        write_glove,
        ".txt",
        "Text, one line a token without a line of sizes, for tools that take GloVe's files.",
        'gensim.models.KeyedVectors.load_word2vec_format("{path}", no_header=True)',
        _TEXT,
        has_labels=True,
    ),
    "projector": Format(
        write_projector,
        "",
        "A folder for the Embedding Projector: TensorBoard opens it, projector.tensorflow.org takes its .tsv files.",
        'tensorboard --logdir "{path}"',
        _TEXT,
        120.0,
        has_labels=True,
    ),
    "atlas": Format(
        write_atlas,
        ".parquet",
        "One line a token with its place on both UMAP maps and its nearest neighbours, for Embedding Atlas.",
        'embedding-atlas "{path}" --text text --x x --y y --neighbors neighbors',
        0.0,
        400.0,
        needs_maps=True,
    ),
    "static": Format(
        write_static,
        "",
        "A folder that embeds texts by the mean of their tokens' rows, for sentence-transformers and model2vec.",
        'sentence_transformers.SentenceTransformer("{path}")',
        row_bytes=150.0,
    ),
}
"""By the names that `export --to` takes."""
