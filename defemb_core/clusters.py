"""Names for the regions of a map, from the words that the definitions of their tokens have in common."""

import numpy as np
import polars as pl

from defemb_core.errors import SettingsError
from defemb_core.spectrum import checked_matrix

CLUSTER_SCHEMA = pl.Schema(
    {"x": pl.Float32, "y": pl.Float32, "name": pl.String, "rows": pl.Int32, "defined": pl.Int32, "share": pl.Float32}
)
# A region has at least so many rows, or this share of all: the bundled PLM's map then has some seventy.
_FEWEST_ROWS, _FEWEST_SHARE = 8, 1 / 300
# Regions are searched for among so many rows, drawn at random; the time grows with their square.
_SAMPLE = 20_000
# Nearness to so many rows makes a place dense.
_DENSE_ROWS = 10
# Senses of a token that count: later ones are rare meanings.
_SENSES = 2
# Words of definitions that name nothing, beside those that are empty in any text.
_EMPTY_WORDS = (
    "act", "associated", "certain", "characteristic", "characterized", "consisting", "especially", "form", "given",
    "having", "kind", "large", "like", "make", "making", "marked", "member", "particular", "person", "relating",
    "resembling", "similar", "small", "someone", "something", "state", "thing", "type", "use", "used", "using",
    "usually", "various", "way", "word",
)  # fmt: skip
# Below this score a word says hardly more of the region than of the whole table; below this share it is of too few.
_WEAKEST_NAME, _LOWEST_SHARE = 0.3, 0.1
# A region is named by its definitions if so many rows of it have some, else by its rows' kind if most are of one.
_DEFINED_SHARE, _KIND_SHARE = 0.25, 0.6
_KIND_NAMES = {
    "subword": "word pieces", "number": "numbers", "symbol": "symbols", "byte": "bytes", "special": "special rows",
    "unused": "unused rows",
}  # fmt: skip


def name_clusters(
    coordinates: np.ndarray, rows: np.ndarray, vocabulary: pl.DataFrame, definitions: pl.DataFrame, seed: int = 0
) -> pl.DataFrame:
    """Find the dense regions of a map and name each by one or two words.

    Regions are the leaves of HDBSCAN's tree (Campello, Moulavi and Sander 2013); rows between them belong to none. A
    word w names region r by p log(p / q), p the share of the region's defined tokens whose definitions (gloss or
    related words, without what they are a form of) have w, q the same of all tokens on the map: a token counts once,
    however often a definition repeats a word. Pairs of words that follow each other ("old testament") compete too.

    Args:
        coordinates: the map (n, 2).
        rows: which row of the table each point is, int (n,).
        vocabulary: the vocabulary frame.
        definitions: the definitions that the run kept, a line a sense, in the order of the senses.
        seed: of the draw of rows that regions are searched among.

    Returns:
        A line a region, the largest first: `x f32`, `y f32` (median place of its rows), `name str` (null where no
        word fits), `rows i32`, `defined i32` (rows with a definition), `share f32` (of these, how many have the name's
        first word; null for the name of a kind of rows).

    Raises:
        SettingsError: coordinates and rows do not fit.
    """
    places = checked_matrix(coordinates, "map")
    if len(places) != len(rows):
        raise SettingsError(f"a map of {len(places)} points for {len(rows)} rows; pass the rows that are on the map")
    labels = pl.DataFrame({"token_id": np.asarray(rows, np.int64), "region": _regions(places, seed)})
    members = labels.with_columns(x=places[:, 0], y=places[:, 1]).filter(pl.col("region") >= 0)
    regions = members.group_by("region").agg(pl.col("x", "y").median(), pl.len().alias("rows"))
    terms = _terms(definitions).join(labels, on="token_id")
    named = regions.join(_defined(terms), on="region", how="left").join(_best(terms), on="region", how="left")
    return _settled(named.join(_kinds(members, vocabulary), on="region", how="left"))


def _regions(places: np.ndarray, seed: int) -> np.ndarray:
    """Region of each point, int64 (n,); -1 for none."""
    from scipy.spatial import KDTree
    from sklearn.cluster import HDBSCAN

    count = len(places)
    drawn = np.sort(np.random.default_rng(seed).choice(count, min(count, _SAMPLE), replace=False))
    fewest = max(_FEWEST_ROWS, round(len(drawn) * _FEWEST_SHARE))
    if len(drawn) < 2 * fewest:
        return np.full(count, -1)
    search = HDBSCAN(
        min_cluster_size=fewest, min_samples=min(_DENSE_ROWS, fewest), cluster_selection_method="leaf", copy=True
    )
    found: np.ndarray = search.fit(places[drawn]).labels_
    if len(drawn) == count:
        return found
    return found[KDTree(places[drawn]).query(places)[1]]


def _terms(definitions: pl.DataFrame) -> pl.DataFrame:
    """Distinct words and pairs of words of each token's first definitions: `token_id`, `term`."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    # What is before the colon of a form ("plural of dog: ...") and related to it tells its grammar.
    lemma = pl.col("gloss").str.replace(r"^[^:]*: ", "")
    own = pl.concat_str("gloss", pl.lit(" ; "), pl.col("related").fill_null(""))
    told = pl.when(pl.col("form_of").is_null()).then(own).otherwise(lemma).str.to_lowercase()
    senses = definitions.group_by("token_id", maintain_order=True).head(_SENSES).with_row_index("line")
    words = senses.select("token_id", "line", word=told.str.extract_all(r"\pL+|[^\pL\s]")).explode("word")
    empty = pl.col("word").is_in([*ENGLISH_STOP_WORDS, *_EMPTY_WORDS]) | (pl.col("word").str.len_chars() < 3)
    words = words.with_columns(word=pl.when(~empty).then("word"))
    pairs = pl.concat_str("word", pl.lit(" "), pl.col("word").shift(-1).over("line"))  # null where either word is
    terms = [words.select("token_id", term="word"), words.select("token_id", term=pairs)]
    return pl.concat(terms).drop_nulls().unique()


def _defined(terms: pl.DataFrame) -> pl.DataFrame:
    """How many rows of each region have definitions: `region`, `defined`."""
    return terms.group_by("region").agg(pl.col("token_id").n_unique().alias("defined"))


def _best(terms: pl.DataFrame) -> pl.DataFrame:
    """The name of each region whose definitions have one: `region`, `name`, `share`."""
    overall = terms.group_by("term").agg(overall=pl.len() / pl.lit(max(1, terms["token_id"].n_unique())))
    inside = terms.filter(pl.col("region") >= 0).group_by("region", "term").len()
    share = pl.col("len") / pl.col("defined")
    scored = (
        inside.join(_defined(terms), on="region")
        .join(overall, on="term")
        .with_columns(share=share, score=share * (share / pl.col("overall")).log())
        # At equal scores the pair before its words, then the alphabet: the same names every time.
        .sort(pl.col("score").round(6), pl.col("term").str.contains(" "), "term", descending=[True, True, False])
        .filter((pl.col("score") >= _WEAKEST_NAME) & (pl.col("share") >= _LOWEST_SHARE))
    )
    names = scored.group_by("region", maintain_order=True).agg("term", "score", pl.col("share").first())
    chosen = [_name(terms, scores) for terms, scores in names.select("term", "score").iter_rows()]
    return names.select("region", "share", name=pl.Series(chosen, dtype=pl.String))


def _name(terms: list[str], scores: list[float]) -> str:
    """One or two terms, best first: a pair for a word of it that is hardly better, a second term that is nearly so."""
    near = [term for term, score in zip(terms, scores, strict=True) if score >= 0.8 * scores[0]]
    first = next((term for term in near if " " in term and terms[0] in term.split()), terms[0])
    good = [term for term, score in zip(terms, scores, strict=True) if score >= 0.6 * scores[0]]
    return ", ".join([first, *[term for term in good if not _alike(first, term)][:1]])


def _alike(first: str, other: str) -> bool:
    """Whether two terms share a word, or the beginning of one."""
    return any(a[:4] == b[:4] for a in first.split() for b in other.split())


def _kinds(members: pl.DataFrame, vocabulary: pl.DataFrame) -> pl.DataFrame:
    """The kind that most rows of a region are of: `region`, `kind`, `kind_share`."""
    kinds = members.join(vocabulary.select("token_id", pl.col("kind").cast(pl.String)), on="token_id", how="left")
    counts = kinds.group_by("region", "kind").len().sort("region", "len", "kind", descending=[False, True, False])
    return counts.group_by("region", maintain_order=True).agg(
        pl.col("kind").first(), kind_share=pl.col("len").first() / pl.col("len").sum()
    )


def _settled(named: pl.DataFrame) -> pl.DataFrame:
    """Names by definitions where enough rows have some, else by kind; in CLUSTER_SCHEMA."""
    told = pl.col("defined").fill_null(0) >= _DEFINED_SHARE * pl.col("rows")
    kind = pl.when(pl.col("kind_share") >= _KIND_SHARE).then(pl.col("kind").replace_strict(_KIND_NAMES, default=None))
    told = told & pl.col("name").is_not_null()
    return (
        named.with_columns(
            name=pl.when(told).then("name").otherwise(kind),
            share=pl.when(told).then("share"),
            defined=pl.col("defined").fill_null(0),
        )
        .sort("rows", "x", "y", descending=[True, False, False])
        .select(CLUSTER_SCHEMA.names())
        .cast(CLUSTER_SCHEMA)
    )
