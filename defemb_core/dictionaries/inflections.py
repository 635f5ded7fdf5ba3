"""WordNet's words in other forms: "dogs", "went", "boxesful", "dog's", found by its exception lists and by rules.

The lists' format is described in the manual page wndb(5WN), the rules of detachment in morphy(7WN).
"""

from __future__ import annotations

from itertools import takewhile
from pathlib import Path
from typing import Final

import polars as pl

from defemb_core.dictionaries.wordnet_files import PARTS_OF_SPEECH, parsed_lines
from defemb_core.text import folded, without_accents

OTHER: Final = "inflected form"
"""What a form is to its lemma where nothing closer is known."""
# Part of speech, ending of the form, ending of the lemma, what the form is to the lemma. As morphy has them, but that
# it takes "es" off any verb: "gaines", a name, is no form of "gain".
_RULES: Final = (
    ("noun", "s", "", "plural"),
    ("noun", "ses", "s", "plural"),
    ("noun", "xes", "x", "plural"),
    ("noun", "zes", "z", "plural"),
    ("noun", "ches", "ch", "plural"),
    ("noun", "shes", "sh", "plural"),
    ("noun", "men", "man", "plural"),
    ("noun", "ies", "y", "plural"),
    ("verb", "s", "", "third person"),
    ("verb", "ies", "y", "third person"),
    ("verb", "es", "e", "third person"),
    ("verb", "ses", "s", "third person"),
    ("verb", "xes", "x", "third person"),
    ("verb", "zes", "z", "third person"),
    ("verb", "ches", "ch", "third person"),
    ("verb", "shes", "sh", "third person"),
    ("verb", "oes", "o", "third person"),
    ("verb", "ed", "e", "past"),
    ("verb", "ed", "", "past"),
    ("verb", "ing", "e", "present participle"),
    ("verb", "ing", "", "present participle"),
    ("adjective", "er", "", "comparative"),
    ("adjective", "est", "", "superlative"),
    ("adjective", "er", "e", "comparative"),
    ("adjective", "est", "e", "superlative"),
)
# Part of speech, what the form is, how a lemma ends that has it so, and by what that is replaced. A consonant that is
# doubled ("running"), "accompanied" and degrees of adjectives are in the lists as far as WordNet's editors met them.
_ES, _IES, _S = (r"(s|x|z|ch|sh)$", "${1}es"), (r"([^aeiou])y$", "${1}ies"), (r"([^sxzhy]|[aeiou]y|[^cs]h)$", "${1}s")
_SPELLING: Final = (
    *(("noun", "plural", *rule) for rule in (_ES, _IES, _S)),
    *(("verb", "third person", *rule) for rule in (_ES, _IES, _S)),
    ("verb", "past", r"e$", "ed"),
    ("verb", "past", r"([^ey]|[aeiou]y)$", "${1}ed"),
    ("verb", "present participle", r"([^eoy])e$", "${1}ing"),
    ("verb", "present participle", r"([^e]|[eoy]e)$", "${1}ing"),
)
SHOWN_BY: Final = {
    "plural": "plural, several, many, more than one",
    "third person": "third person, present tense, he does, she does",
    "past": "past, past tense, earlier, formerly, did",
    "present participle": "present participle, progressive, doing, being",
    "comparative": "comparative, more, to a greater degree, than",
    "superlative": "superlative, most, to the greatest degree",
    "possessive": "possessive, belonging to",
    "negated form": "negative, not",
}
"""Related words of a form, in place of its lemma's: what sets the two apart (measured: benchmarks/RESULTS.md)."""
# What a rule leaves has three letters or a digit at least: "its" is no plural of "IT", nor "bing" a form of "be".
_SHORTEST: Final = r"\w.*\w.*\w|\d"
_UNLISTED: Final = (("does", "do", "verb"), ("doing", "do", "verb"))  # too short for the rules, regular for the lists
_EXCEPTION: Final = {"form": pl.String(), "base": pl.String(), "pos": pl.String()}
_NEGATED: Final = {"can't": "can", "won't": "will", "shan't": "shall"}  # the others just lose "n't"


def read_exceptions(folder: Path) -> pl.DataFrame:
    """Read WordNet's lists of irregular forms.

    Args:
        folder: where noun.exc, verb.exc, adj.exc and adv.exc lie; those that are missing are passed over.

    Returns:
        `form`, `base` (a form may have several, a line each), `pos`; in lower case, with blanks for underscores.

    Raises:
        DictionaryError: a file is cut short or garbled; file and line are in the message.
    """
    columns: dict[str, list[str]] = {name: [] for name in _EXCEPTION}
    for suffix, pos in PARTS_OF_SPEECH.items():
        path = folder / f"{suffix}.exc"
        for _, (form, *bases) in parsed_lines(path, _parse_exception) if path.is_file() else ():
            columns["form"] += [form] * len(bases)
            columns["base"] += bases
            columns["pos"] += [pos] * len(bases)
    unlisted = pl.DataFrame(_UNLISTED, schema=_EXCEPTION, orient="row")
    return pl.concat([pl.DataFrame(columns, schema=_EXCEPTION).filter(pl.col("form") != pl.col("base")), unlisted])


def _parse_exception(line: str) -> list[str]:
    """Parse "form base base..."."""
    words = [word.replace("_", " ") for word in line.lower().split()]
    if len(words) < 2:
        raise ValueError
    return words


def regular_forms(senses: pl.DataFrame, exceptions: pl.DataFrame) -> pl.Series:
    """Return forms that the words of `senses` may have, each once, in alphabetical order.

    These are all that the lists name, and plurals, third persons, pasts and present participles of single words as
    English spells them, unless the lists have another such form. inflected_senses tells which of them are forms.
    """
    lemmas = senses.select(base=folded("word"), pos="pos").unique().filter(pl.col("base").str.contains(r"^[a-z-]{2,}$"))
    listed = exceptions.select("base", "pos", _relation_of_listed(pl.col("form"))).unique()
    made = [exceptions["form"]]
    for pos, relation, pattern, ending in _SPELLING:
        own = lemmas.filter((pl.col("pos") == pos) & pl.col("base").str.contains(pattern))
        regular = own.join(listed.filter(pl.col("relation") == relation), on=["base", "pos"], how="anti")
        made.append(regular["base"].str.replace(pattern, ending))
    return pl.concat(made).unique().sort()


def inflected_senses(senses: pl.DataFrame, texts: pl.Series, exceptions: pl.DataFrame) -> pl.DataFrame:
    """Return the senses of lemmas as those of texts that are forms of them.

    A form is looked up in the lists of exceptions; where its part of speech does not list it, that part of speech's
    rules of detachment make lemmas of it, of which those count that `senses` has. Only senses of the part of speech in
    which the text is a form count. Of several words, joined by blanks, hyphens or underscores, the whole, the first
    ("mothers-in-law") or the last ("ice creams") may be a form. What ends in an apostrophe's word ("dog's", "dogs'",
    "don't") is a form of what stands before it. Accents do not count.

    Args:
        senses: WordNet's own, one line a word and synset.
        texts: what may be forms. Those that `senses` has, perhaps in another case, may be forms of other words too:
            "left" of "leave".
        exceptions: as read_exceptions returns them.

    Returns:
        Lines as in `senses`, each text's in the order of the lemmas' senses, those of listed forms first, numbered on
        from the text's own. `word` is the form, with capitals where the lemma has them, `form_of` the lemma;
        `definition` begins with what the one is to the other, "plural of dog: ...", and `related` is `SHOWN_BY` of it.
    """
    own = senses.with_columns(base=folded("word"))
    found = _lemmas(_spellings(texts), own.select("base", "pos").unique(), exceptions)
    counts = own.group_by("base").agg(before=pl.len().cast(pl.Int32))
    found = found.join(counts, left_on="text", right_on="base", how="left", maintain_order="left")
    lines = own.join(found, on=["base", "pos"]).sort("text", "order", "sense", "base", maintain_order=True)
    lines = lines.with_columns(
        sense=pl.int_range(pl.len(), dtype=pl.Int32).over("text") + pl.col("before").fill_null(0),
        related=pl.col("relation").replace_strict(SHOWN_BY, default=None, return_dtype=pl.String),
        form_of="word",
        word=pl.struct("text", "word").map_batches(_cased, return_dtype=pl.String),
        definition=pl.format("{} of {}: {}", "relation", "word", "definition"),
    )
    return lines.select(senses.columns)


def _spellings(texts: pl.Series) -> pl.DataFrame:
    """Return what texts may be forms of words by: `text` (folded), `spelled`, `around` (what was taken away, or "").

    "dogs'" is "dogs" in the possessive, "don't" "do" negated.
    """
    given = pl.DataFrame({"text": texts}, schema={"text": pl.String}).select(folded("text"))
    plain = given.unique(maintain_order=True).with_columns(spelled=without_accents("text"), around=pl.lit(""))
    spelled = pl.col("spelled")
    possessive = plain.filter(spelled.str.contains(r".(?:'s|s')$")).with_columns(
        spelled=spelled.str.replace(r"'s?$", ""), around=pl.lit("possessive")
    )
    negated = plain.filter(spelled.str.ends_with("n't")).with_columns(
        spelled=spelled.replace(_NEGATED).str.replace(r"n't$", ""), around=pl.lit("negated form")
    )
    blank = plain.filter(spelled.str.contains("-")).with_columns(spelled=spelled.str.replace_all("-", " "))
    return pl.concat([plain, blank, possessive, negated])


def _lemmas(spellings: pl.DataFrame, lemmas: pl.DataFrame, exceptions: pl.DataFrame) -> pl.DataFrame:
    """Return the lemmas of texts: `text`, `base`, `pos`, `relation`, `order` (0 before 1).

    Args:
        spellings: as _spellings returns them.
        lemmas: `base` (a word, folded) and `pos`.
        exceptions: as read_exceptions returns them.
    """
    parts = _parts(spellings)
    listed = parts.join(exceptions, left_on="part", right_on="form").with_columns(
        _relation_of_listed(pl.col("part")), _order(0)
    )
    ruled = pl.concat([_detached(parts, *rule) for rule in _RULES])
    ruled = ruled.join(listed, on=["text", "part", "pos"], how="anti").with_columns(_order(1))
    bare = parts.filter((pl.col("around") != "") & pl.col("part").str.contains(_SHORTEST))
    bare = bare.join(lemmas, left_on="part", right_on="base").with_columns(_order(0), base="part", relation=pl.lit(""))
    made = pl.concat([frame.select(ruled.columns) for frame in (bare, listed, ruled)])
    made = made.filter(_has_such_forms()).with_columns(_whole_relation(), base=pl.concat_str("head", "base", "tail"))
    known = made.join(lemmas, on=["base", "pos"], how="semi", maintain_order="left")
    known = known.filter(pl.col("base") != pl.col("text"))
    known = known.unique(["text", "base", "pos"], keep="first", maintain_order=True)
    return known.select("text", "base", "pos", "relation", "order")


def _order(number: int) -> pl.Expr:
    return pl.lit(number).alias("order")


def _has_such_forms() -> pl.Expr:
    """Return whether a lemma's part of speech has the form: "dog's" is a noun, "don't" a verb, "boxesful" a noun."""
    around, pos = pl.col("around"), pl.col("pos")
    verb = pl.when(around == "negated form").then(pos == "verb").otherwise(around == "")
    return pl.when((around == "possessive") | (pl.col("tail") == "ful")).then(pos == "noun").otherwise(verb)


def _parts(spellings: pl.DataFrame) -> pl.DataFrame:
    """Return which part of a spelling may be inflected, and what stands around it: `head`, `part`, `tail` added."""
    spelled = pl.col("spelled")

    def cut(pattern: str) -> pl.DataFrame:
        groups = spelled.str.extract_groups(pattern)
        return spellings.filter(spelled.str.contains(pattern)).with_columns(
            head=groups.struct["head"], part=groups.struct["part"], tail=groups.struct["tail"]
        )

    patterns = (
        r"^(?<head>)(?<part>.+)(?<tail>)$",
        r"^(?<head>)(?<part>.+?)(?<tail>[ -].+)$",  # the first word
        r"^(?<head>.+[ -])(?<part>.+)(?<tail>)$",  # the last
        r"^(?<head>)(?<part>.+)(?<tail>ful)$",  # "boxesful"
    )
    return pl.concat([cut(pattern) for pattern in patterns])


def _detached(parts: pl.DataFrame, pos: str, ending: str, base_ending: str, relation: str) -> pl.DataFrame:
    """Return the parts that have an ending, with the `base` that a rule makes of them."""
    part = pl.col("part")
    cut = parts.filter(part.str.ends_with(ending) & ~part.str.ends_with("ss"))
    made = cut.with_columns(base=part.str.head(-len(ending)) + base_ending, pos=pl.lit(pos), relation=pl.lit(relation))
    return made.filter(pl.col("base").str.contains(_SHORTEST))


def _relation_of_listed(form: pl.Expr) -> pl.Expr:
    """Return what an irregular form is to its lemma, as far as its part of speech and its ending tell."""
    pos = pl.col("pos")
    verb = (
        pl.when(form.str.ends_with("ing"))
        .then(pl.lit("present participle"))
        .when(form.str.contains("es$|^(?:has|is)$"))
        .then(pl.lit("third person"))
        .when(form.is_in(["am", "are"]))
        .then(pl.lit(OTHER))
        .otherwise(pl.lit("past"))
    )
    degree = pl.when(form.str.ends_with("st")).then(pl.lit("superlative")).otherwise(pl.lit("comparative"))
    relation = pl.when(pos == "noun").then(pl.lit("plural")).when(pos == "verb").then(verb).otherwise(degree)
    return relation.alias("relation")


def _whole_relation() -> pl.Expr:
    """Return what a text is to its lemma, where something was taken away around the form."""
    around, relation = pl.col("around"), pl.col("relation")
    whole = pl.when(around == "").then(relation).when(relation == "").then(around).otherwise(pl.lit(OTHER))
    return whole.alias("relation")


def _cased(pairs: pl.Series) -> pl.Series:
    """Return forms with their lemmas' capitals: "turkeys" of "Turkey" as "Turkeys", "cds" of "CD" as "CDs"."""
    return pl.Series(
        [text if lemma.islower() else _with_capitals(text, lemma) for text, lemma in pairs.struct.unnest().iter_rows()],
        dtype=pl.String,
    )


def _with_capitals(text: str, lemma: str) -> str:
    same = takewhile(lambda pair: pair[0] == pair[1].lower(), zip(text, lemma, strict=False))
    stem = "".join(letter for _, letter in same)
    return stem + text[len(stem) :]
