import numpy as np
import polars as pl
import pytest

import defemb_core.clusters as module
from defemb_core.clusters import CLUSTER_SCHEMA, name_clusters
from defemb_core.errors import SettingsError
from defemb_core.vocabulary import KINDS

CENTRES = {"boat": (0, 0), "fruit": (10, 0), "number": (0, 10), "name": (10, 10)}
SIZE = 60
LINES = {
    "boat": ["a vessel that travels on water", "a small vessel; moved on water by oars", "vessel of war"],
    "fruit": ["edible fruit of a tree", "sweet fruit of the old testament", "edible fruit; eaten raw"],
}


@pytest.fixture
def world():
    """Four regions of 60 points: boats and fruits with definitions, numbers and names without, and scattered rows."""
    rng = np.random.default_rng(0)
    blobs = [centre + 0.3 * rng.standard_normal((SIZE, 2)) for centre in CENTRES.values()]
    places = np.vstack([*blobs, rng.uniform(-20, 30, size=(20, 2))]).astype(np.float32)
    kinds = ["word"] * 2 * SIZE + ["number"] * SIZE + ["word"] * (SIZE + 20)
    vocabulary = pl.DataFrame({"token_id": np.arange(len(places)), "kind": pl.Series(kinds, dtype=KINDS)})
    glosses = [LINES["boat"][i % 3] for i in range(SIZE)] + [LINES["fruit"][i % 3] for i in range(SIZE)]
    definitions = pl.DataFrame(
        {
            "token_id": np.arange(2 * SIZE),
            "gloss": [f"a thing used by someone having {gloss}" for gloss in glosses],
            "related": pl.Series([None] * 2 * SIZE, dtype=pl.String),
            "form_of": pl.Series([None] * 2 * SIZE, dtype=pl.String),
        }
    )
    return places, vocabulary, definitions


def found_at(frame, name):
    x, y = CENTRES[name]
    [line] = frame.filter((pl.col("x") - x).abs() < 1, (pl.col("y") - y).abs() < 1).iter_rows(named=True)
    return line


def named(world, **changes):
    places, vocabulary, definitions = world
    return name_clusters(places, np.arange(len(places)), vocabulary, definitions.with_columns(**changes))


def test_regions_are_found_and_named_by_their_definitions(world):
    found = named(world)
    assert found.schema == CLUSTER_SCHEMA
    assert found.height == 4
    assert found_at(found, "boat")["name"].split(", ")[0] in {"vessel", "water"}
    assert found_at(found, "fruit")["name"] == "fruit, edible"
    assert found_at(found, "number")["name"] == "numbers"
    assert found_at(found, "name")["name"] is None
    assert found["rows"].to_list() == sorted(found["rows"], reverse=True)
    assert sum(found["rows"]) >= 4 * SIZE * 0.9


def test_how_many_rows_a_name_is_of(world):
    boats, numbers = found_at(named(world), "boat"), found_at(named(world), "number")
    assert boats["defined"] == boats["rows"]
    assert boats["share"] == pytest.approx(1 if boats["name"].startswith("vessel") else 2 / 3, abs=0.05)
    assert (numbers["defined"], numbers["share"]) == (0, None)


def test_words_that_every_definition_has_name_nothing(world):
    names = " ".join(named(world, gloss=pl.col("gloss") + " gadget")["name"].drop_nulls())
    assert "gadget" not in names
    assert not {"thing", "used", "someone", "having", "that", "the"} & set(names.replace(",", "").split())


def test_a_word_counts_once_a_token_however_often_it_is_said(world):
    once = pl.when(pl.col("token_id") == 5).then(pl.lit("buoy " * 500)).otherwise(pl.col("gloss"))
    assert "buoy" not in " ".join(named(world, gloss=once)["name"].drop_nulls())


def test_a_pair_of_words_stands_together(world):
    found = named(world, gloss=pl.when(pl.col("token_id") < SIZE).then(pl.lit("motor boat")).otherwise("gloss"))
    assert found_at(found, "boat")["name"] == "motor boat"
    apart = named(world, gloss=pl.when(pl.col("token_id") < SIZE).then(pl.lit("motor, boat")).otherwise("gloss"))
    assert found_at(apart, "boat")["name"] == "boat, motor"


def test_related_words_count_and_the_grammar_of_forms_does_not(world):
    boats = pl.col("token_id") < SIZE
    found = named(world, related=pl.when(boats).then(pl.lit("watercraft")))
    assert "watercraft" in found_at(found, "boat")["name"]
    forms = {"form_of": pl.when(boats).then(pl.lit("ship")), "related": pl.when(boats).then(pl.lit("several"))}
    found = named(world, gloss=pl.when(boats).then(pl.lit("plural of ship: vessel")).otherwise("gloss"), **forms)
    assert found_at(found, "boat")["name"] == "vessel"


def test_only_the_first_senses_count(world):
    places, vocabulary, definitions = world
    third = definitions.with_columns(gloss=pl.lit("zebra"))
    found = name_clusters(places, np.arange(len(places)), vocabulary, pl.concat([definitions, definitions, third]))
    assert "zebra" not in " ".join(found["name"].drop_nulls())


def test_a_region_with_few_definitions_is_named_by_its_kind(world):
    places, vocabulary, definitions = world
    some = definitions.head(10).with_columns(token_id=pl.Series(range(2 * SIZE, 2 * SIZE + 10)))
    found = name_clusters(places, np.arange(len(places)), vocabulary, pl.concat([definitions, some]))
    assert found_at(found, "number")["name"] == "numbers"
    assert found_at(found, "number")["defined"] == 10


def test_rows_are_those_of_the_map(world):
    places, vocabulary, definitions = world
    rows = np.arange(len(places))
    boats, names = rows[:SIZE].copy(), rows[3 * SIZE : 4 * SIZE].copy()
    rows[:SIZE], rows[3 * SIZE : 4 * SIZE] = names, boats
    found = name_clusters(places, rows, vocabulary, definitions)
    assert found_at(found, "boat")["name"] is None
    assert "vessel" in found_at(found, "name")["name"]


def test_a_sample_finds_the_same_regions(world, monkeypatch):
    whole = named(world)
    monkeypatch.setattr(module, "_SAMPLE", 150)
    part = named(world)
    assert part["name"].drop_nulls().sort().to_list() == whole["name"].drop_nulls().sort().to_list()
    assert named(world).equals(part)


def test_no_definitions_and_few_rows(world):
    places, vocabulary, definitions = world
    found = name_clusters(places, np.arange(len(places)), vocabulary, definitions.clear())
    assert found["name"].drop_nulls().to_list() == ["numbers"]
    assert name_clusters(places[:9], np.arange(9), vocabulary, definitions).height == 0
    assert name_clusters(places[:9], np.arange(9), vocabulary, definitions).schema == CLUSTER_SCHEMA


def test_a_map_of_other_rows_is_refused(world):
    places, vocabulary, definitions = world
    with pytest.raises(SettingsError, match="a map of 260 points for 3 rows"):
        name_clusters(places, np.arange(3), vocabulary, definitions)
