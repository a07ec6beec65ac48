"""Expected calibration error of a classifier's confidence, with and without the bias of bins that have few rows."""

import numpy as np
from jaxtyping import Bool, Float, Int

# Random halves of the rows over which the estimate without bias is averaged.
HALVES = 40


def equal_bins(confidence: Float[np.ndarray, " n"], bins: int) -> list[Int[np.ndarray, " _"]]:
    """Return the rows of each of `bins` bins that have equally many rows, in order of confidence."""
    order = np.argsort(confidence, kind="stable")
    return [rows for rows in np.array_split(order, bins) if len(rows)]


def plain_errors(
    gap: Float[np.ndarray, " n"], bins: list[Int[np.ndarray, " _"]], counts: Int[np.ndarray, "repeats n"]
) -> Float[np.ndarray, " repeats"]:
    """Return Σ_b (n_b/n)·|ḡ_b|, g = 1[correct] − confidence, if each row occurs as often as `counts` says.

    Guo et al., 2017 (arXiv 1706.04599), eq. 3. A calibrated classifier has about Σ_b √(2v_b n_b/π)/n with v_b the
    variance of g in bin b, and not 0: the noise of each bin counts as an error (Kumar, Liang and Ma, 2019, section 4).
    """
    sums = np.stack([counts[:, rows] @ gap[rows] for rows in bins], 1)
    return np.abs(sums).sum(1) / counts.sum(1)


def debiased_errors(
    gap: Float[np.ndarray, " n"], bins: list[Int[np.ndarray, " _"]], counts: Int[np.ndarray, "repeats n"]
) -> Float[np.ndarray, " repeats"]:
    """Return Σ_b (n_b/n)·⟨½(sign(ḡ_A) ḡ_B + sign(ḡ_B) ḡ_A)⟩, A and B random halves of the rows of bin b.

    The sign of a gap is taken from one half and its size from the other, which are independent. Therefore the mean is 0
    for a calibrated classifier, and otherwise between 0 and the error of the bins: it is too small only if a bin's gap
    is within the noise of its halves. This is the bias of binning that Kumar, Liang and Ma, 2019 (arXiv 1909.10155),
    section 4, remove from the squared error; here it is removed from the absolute error. It can be negative. Copies of
    a row in a resampling stay in one half.
    """
    halves = random_halves(bins, len(gap))
    total = np.zeros(len(counts))
    for rows in bins:
        count, half = counts[:, rows].astype(float), halves[:, rows].astype(float)
        sums, sizes = (count * gap[rows]) @ half.T, count @ half.T
        others, other_sizes = (count @ gap[rows])[:, None] - sums, count.sum(1)[:, None] - sizes
        a, b = sums / np.maximum(sizes, 1), others / np.maximum(other_sizes, 1)
        total += count.sum(1) * ((np.sign(a) * b + np.sign(b) * a) / 2).mean(1)
    return total / counts.sum(1)


def random_halves(bins: list[Int[np.ndarray, " _"]], n: int) -> Bool[np.ndarray, "halves n"]:
    """Return for each split whether a row is in half A, half of the rows of every bin; the same at every call."""
    random = np.random.default_rng(0)
    halves = np.zeros((HALVES, n), dtype=bool)
    for rows in bins:
        for split in halves:
            split[random.permutation(rows)[: len(rows) // 2]] = True
    return halves
