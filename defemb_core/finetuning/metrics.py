"""GLUE's official figures, and how far they would move had other examples been drawn."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from defemb_core.evaluation.resampling import resampled_counts
from defemb_core.evaluation.word_similarity import resample_spearman

METRICS = {
    "accuracy": "share of examples answered rightly, 0 to 1",
    "F1": "harmonic mean of precision and recall of label 1, 0 to 1",
    "Matthews": "Matthews' correlation of answers and labels, -1 to 1; 0 is chance, however uneven the labels",
    "Pearson": "correlation of predicted and human scores, -1 to 1",
    "Spearman": "rank correlation of predicted and human scores, -1 to 1",
    "ROUGE-1": "words shared by summary and reference, F measure, 0 to 1",
    "ROUGE-2": "pairs of neighbouring words shared by summary and reference, F measure, 0 to 1",
    "ROUGE-L": "longest common sequence of words of summary and reference, F measure, 0 to 1",
}


def measure(metric: str, predicted: np.ndarray, gold: np.ndarray) -> float:
    """Return one figure of predictions (n,) by scikit-learn or scipy; NaN where it is not defined.

    Correlations are undefined for predictions that are all the same.
    """
    from scipy.stats import pearsonr, spearmanr
    from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

    known = {
        "accuracy": lambda: accuracy_score(gold, predicted),
        "F1": lambda: f1_score(gold, predicted, zero_division=0.0),
        "Matthews": lambda: matthews_corrcoef(gold, predicted),
        "Pearson": lambda: pearsonr(predicted, gold).statistic,
        "Spearman": lambda: spearmanr(predicted, gold).statistic,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the undefined, which the answer says
        if metric in {"Pearson", "Spearman"} and len(gold) < 2:
            return float("nan")
        return float(known[metric]())


def resample(metric: str, predicted: Sequence[np.ndarray], gold: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Return the figure for resampled examples, (U, resamples), a line for each of the predictions (n,).

    Each resample is the same for all lines, which makes differences between them paired.
    """
    lines = np.stack(predicted).astype(np.float64)
    if metric == "Spearman":
        return resample_spearman(lines, gold, resamples, seed)
    of = {"accuracy": _accuracy, "F1": _f1, "Matthews": _matthews, "Pearson": _pearson}[metric]
    with np.errstate(invalid="ignore", divide="ignore"):
        blocks = [of(lines, gold, counts) for counts in resampled_counts(len(gold), resamples, seed)]
    return np.concatenate(blocks, axis=1)


def resample_mean(scores: Sequence[np.ndarray], resamples: int, seed: int) -> np.ndarray:
    """Return the mean of resampled examples' scores, (U, resamples), a line for each of the scores (n,)."""
    lines = np.stack(scores)
    count = lines.shape[1]
    return np.concatenate([lines @ counts.T / count for counts in resampled_counts(count, resamples, seed)], axis=1)


def _accuracy(lines: np.ndarray, gold: np.ndarray, counts: np.ndarray) -> np.ndarray:
    return (lines == gold) @ counts.T / counts.sum(axis=1)


def _confusion(lines: np.ndarray, gold: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return the counts of true and false positives, false and true negatives, (U, b) each."""
    yes, true = lines == 1, gold == 1
    return tuple((cell) @ counts.T for cell in (yes & true, yes & ~true, ~yes & true, ~yes & ~true))


def _f1(lines: np.ndarray, gold: np.ndarray, counts: np.ndarray) -> np.ndarray:
    tp, fp, fn, _ = _confusion(lines, gold, counts)
    return np.nan_to_num(2 * tp / (2 * tp + fp + fn))


def _matthews(lines: np.ndarray, gold: np.ndarray, counts: np.ndarray) -> np.ndarray:
    tp, fp, fn, tn = _confusion(lines, gold, counts)
    spread = np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    return np.nan_to_num((tp * tn - fp * fn) / spread)


def _pearson(lines: np.ndarray, gold: np.ndarray, counts: np.ndarray) -> np.ndarray:
    total = counts.sum(axis=1)
    mean, mean_gold = lines @ counts.T / total, gold @ counts.T / total
    product = (lines * gold) @ counts.T / total - mean * mean_gold
    spread = (lines**2) @ counts.T / total - mean**2
    return product / np.sqrt(spread * ((gold**2) @ counts.T / total - mean_gold**2))
