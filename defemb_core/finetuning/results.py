"""What came out: each table's figures over seeds, beside the first table's, with what chance makes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from defemb_core.cache import write_atomically, write_text
from defemb_core.errors import RunError
from defemb_core.evaluation.resampling import RESAMPLES, interval, two_sided_p
from defemb_core.finetuning.glue import metric_names
from defemb_core.finetuning.metrics import resample, resample_mean
from defemb_core.finetuning.tasks import TASKS
from defemb_core.finetuning.units import FIGURES, SEEDS, Unit, read_config, read_gold, read_units
from defemb_core.text import formula_safe

FIGURE_SCHEMA = {
    "metric": pl.String, "table": pl.String, "seeds": pl.Int64, "mean": pl.Float64, "deviation": pl.Float64,
    "low": pl.Float64, "high": pl.Float64, "difference": pl.Float64, "difference_low": pl.Float64,
    "difference_high": pl.Float64, "p_examples": pl.Float64, "p_seeds": pl.Float64,
}  # fmt: skip
SEED_SCHEMA = {"metric": pl.String, "table": pl.String, "seed": pl.Int64, "value": pl.Float64, "seconds": pl.Float64}
BASELINE = {True: "mean score always", False: "common label always"}
P_NOTE = (
    "p (examples): paired resamples of the examples judged by, of the mean over seeds; p (seeds): paired t test of the "
    "seeds' differences, of little power with few seeds; both two-sided, against the first table, not corrected"
)


def seed_figures(folder: Path) -> pl.DataFrame:
    """Return a line a metric, table and seed that is done, in the schema SEED_SCHEMA."""
    lines = [
        (metric, unit.table, unit.seed, value, unit.seconds)
        for unit in read_units(folder)
        for metric, value in unit.metrics.items()
    ]
    return pl.DataFrame(lines, SEED_SCHEMA, orient="row").sort("metric", maintain_order=True)


def figures(folder: Path, resamples: int = RESAMPLES, seed: int = 0) -> pl.DataFrame:
    """Return a line a metric and table, in the schema FIGURE_SCHEMA.

    `mean` and `deviation` (of a sample, null for one seed) are over the seeds that are done. `low` and `high` are 95 %
    of resamples of the examples judged by, of the mean over seeds. Differences are to the first table, over the seeds
    that both have: with their interval and `p_examples` from paired resamples of the examples, `p_seeds` from a paired
    t test over seeds (null below two, or where all differences are the same). The first lines of a metric are the
    tables', the last is what one answer to everything would get, without seeds. Null: undefined, or not done yet.
    """
    config, gold = read_config(folder), read_gold(folder)
    by_table = _by_table(read_units(folder), [table["name"] for table in config["tables"]])
    lines: list[dict[str, Any]] = []
    for name, metric, called in _metrics(config):
        drawn = {
            table: _resampled(config, metric, name, units, gold, resamples, seed) for table, units in by_table.items()
        }
        first = next(iter(by_table))
        for table, units in by_table.items():
            line = {"metric": called, "table": table, "seeds": len(units), **_own(units, called, drawn[table])}
            if table != first:
                line |= _against(by_table[first], units, called, drawn[first], drawn[table])
            lines.append(line)
        if config.get("baseline"):
            regression = TASKS[config["task"]].is_regression
            lines.append({"metric": called, "table": BASELINE[regression], "mean": config["baseline"][called]})
    return pl.DataFrame([{key: _known(value) for key, value in line.items()} for line in lines], FIGURE_SCHEMA)


def write_figures(folder: Path) -> None:
    """Write figures.csv, figures.parquet and seeds.csv beside the units."""
    made = figures(folder)
    write_text(folder / f"{FIGURES}.csv", formula_safe(made).write_csv())
    write_atomically(folder / f"{FIGURES}.parquet", made.write_parquet)
    write_text(folder / f"{SEEDS}.csv", formula_safe(seed_figures(folder)).write_csv())


def kept_figures(folder: Path) -> pl.DataFrame | None:
    """Return the figures that were written last, None before the first.

    Raises:
        RunError: the file is damaged.
    """
    file = folder / f"{FIGURES}.parquet"
    try:
        return pl.read_parquet(file, glob=False) if file.is_file() else None
    except pl.exceptions.PolarsError:
        raise RunError(f"{str(file)!r} is damaged; go on with --resume, which writes it again, or delete it") from None


def for_reading(made: pl.DataFrame) -> pl.DataFrame:
    """Return figures for people: mean and deviation in one cell, intervals beside their figure."""

    def spread(value: str, low: str, high: str, sign: str) -> pl.Series:
        # Not by map_elements, which could stop a server that many sessions open at once.
        cells = []
        for figure in made.select(value, low, high).rows():
            told = [None if number is None else f"{number:{sign}.3f}" for number in figure]
            cells.append(f"{told[0]} ({told[1]} to {told[2]})" if told[1] else told[0])
        return pl.Series(cells, dtype=pl.String)

    several = ["evaluation"] if "evaluation" in made.columns else []
    return made.select(
        *several,
        "metric",
        "table",
        "seeds",
        spread("mean", "low", "high", "").alias("mean"),
        "deviation",
        spread("difference", "difference_low", "difference_high", "+").alias("difference"),
        pl.col("p_examples").alias("p (examples)"),
        pl.col("p_seeds").alias("p (seeds)"),
    )


def _metrics(config: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    metrics = TASKS[config["task"]].metrics if config["kind"] == "glue" else config["metrics"]
    return metric_names(metrics, list(config["data"]["evaluations"]))


def _by_table(units: Sequence[Unit], tables: Sequence[str]) -> dict[str, list[Unit]]:
    return {table: [unit for unit in units if unit.table == table] for table in tables}


def _resampled(
    config: Mapping[str, Any],
    metric: str,
    name: str,
    units: Sequence[Unit],
    gold: Mapping[str, list[float]],
    resamples: int,
    seed: int,
) -> dict[int, np.ndarray]:
    """Return each seed's resampled figure, (resamples,); resamples are the same for all tables and seeds."""
    if not units:
        return {}
    if config["kind"] == "glue":
        answers = [np.array(unit.predictions[name]) for unit in units]
        drawn = resample(metric, answers, np.array(gold[name]), resamples, seed)
    else:
        drawn = resample_mean([np.array(unit.scores[metric]) for unit in units], resamples, seed)
    return {unit.seed: line for unit, line in zip(units, drawn, strict=True)}


def _own(units: Sequence[Unit], metric: str, drawn: Mapping[int, np.ndarray]) -> dict[str, float | None]:
    values = [value for unit in units if (value := unit.metrics[metric]) is not None]
    if not values or len(values) < len(units):
        return {}
    low, high = interval(np.mean(list(drawn.values()), axis=0))
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {"mean": float(np.mean(values)), "deviation": deviation, "low": low, "high": high}


def _against(
    first: Sequence[Unit],
    units: Sequence[Unit],
    metric: str,
    drawn_first: Mapping[int, np.ndarray],
    drawn: Mapping[int, np.ndarray],
) -> dict[str, float | None]:
    """Return the difference to the first table over the seeds that both have."""
    before = {unit.seed: unit.metrics[metric] for unit in first}
    pairs = [(unit.seed, unit.metrics[metric], before[unit.seed]) for unit in units if unit.seed in before]
    known = [(seed, now - old) for seed, now, old in pairs if now is not None and old is not None]
    if not known or len(known) < len(pairs):
        return {}
    differences = np.array([difference for _, difference in known])
    resampled = np.mean([drawn[seed] - drawn_first[seed] for seed, _ in known], axis=0)
    low, high = interval(resampled)
    return {
        "difference": float(differences.mean()),
        "difference_low": low,
        "difference_high": high,
        "p_examples": two_sided_p(resampled),
        "p_seeds": _t_test(differences),
    }


def _t_test(differences: np.ndarray) -> float | None:
    """Return the two-sided p of Student's paired test; None where the differences do not vary."""
    from scipy.stats import ttest_1samp

    if len(differences) < 2 or not np.ptp(differences):
        return None
    return float(ttest_1samp(differences, 0.0).pvalue)


def _known(value: Any) -> Any:
    return None if isinstance(value, float) and value != value else value
