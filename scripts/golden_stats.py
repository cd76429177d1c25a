"""Writes the table that reports/tests/stats_golden.rs is held to: reports/tests/data/stats-golden.json.

Needs SciPy and NumPy (written with SciPy 1.17.1). What SciPy has is taken from it; what it has not is computed here by
the definition, in the slowest and plainest way (intervals by inverting SciPy's own test, energy distances by double sums).

    python3 scripts/golden_stats.py > reports/tests/data/stats-golden.json
"""

import itertools
import json
import math

import numpy as np
from scipy import stats

rng = np.random.default_rng(20261123)
table = {"scipy": __import__("scipy").__version__}


def floats(values):
    return [float(value) for value in values]


# --- the normal distribution
table["normal"] = [
    {"z": z, "cdf": float(stats.norm.cdf(z)), "upper": float(stats.norm.sf(z))}
    for z in [-8.0, -3.7, -1.96, -0.5, 0.0, 0.1, 1.0, 2.5758293, 6.0]
]
table["normal_quantile"] = [
    {"share": p, "z": float(stats.norm.ppf(p))}
    for p in [1e-12, 1e-6, 0.0001, 0.005, 0.025, 0.2, 0.4999, 0.5, 0.7, 0.8, 0.975, 0.995, 0.999999]
]

# --- Mann-Whitney
cases = []
for m, n, shift in [(1, 1, 0), (3, 4, 0.5), (4, 4, 5), (5, 5, 9), (7, 7, 1.5), (8, 12, -0.7), (20, 20, 0.9), (20, 20, 30), (50, 50, 0.2), (60, 80, 0.3)]:
    base, head = rng.normal(10, 1, m), rng.normal(10 + shift, 1, n)
    method = "exact" if m * n <= 2500 else "asymptotic"
    cases.append((base, head, method, stats.mannwhitneyu(head, base, method=method).pvalue))
for m, n in [(3, 3), (4, 6), (5, 5), (6, 7), (8, 8)]:  # with ties: all permutations of the labels
    base, head = rng.integers(0, 5, m).astype(float), rng.integers(1, 6, n).astype(float)
    exact = stats.mannwhitneyu(head, base, method=stats.PermutationMethod(n_resamples=10**7))
    cases.append((base, head, "exact", exact.pvalue))
base, head = rng.integers(0, 20, 40).astype(float), rng.integers(2, 22, 45).astype(float)
cases.append((base, head, "asymptotic", stats.mannwhitneyu(head, base, method="asymptotic").pvalue))
table["mann_whitney"] = [
    {
        "base": floats(base),
        "head": floats(head),
        "u": float(stats.mannwhitneyu(head, base).statistic),
        "p": float(p),
        "exact": method == "exact",
        "delta": float(np.mean(np.sign(np.subtract.outer(head, base)))),
    }
    for base, head, method, p in cases
]

# --- Wilcoxon's signed rank
cases = []
for n, shift in [(1, 0), (4, 1), (6, 3), (8, 9), (12, 0.4), (20, 0.5), (45, -0.2)]:
    d = rng.normal(shift, 1, n)
    cases.append((d, stats.wilcoxon(d, method="exact").pvalue))
for n in [5, 8, 12]:  # ties and zeros: all signs
    d = rng.integers(-2, 5, n).astype(float)
    kept = d[d != 0]
    ranks = stats.rankdata(abs(kept))
    found = ranks[kept > 0].sum()
    sums = np.array([np.dot(signs, ranks) for signs in itertools.product([0, 1], repeat=len(kept))])
    cases.append((d, min(1.0, 2 * min(np.mean(sums <= found + 1e-9), np.mean(sums >= found - 1e-9)))))
d = rng.normal(0.1, 1, 150)
cases.append((d, stats.wilcoxon(d, method="asymptotic", correction=True).pvalue))
table["signed_rank"] = [
    {"differences": floats(d), "plus": float(stats.rankdata(abs(d[d != 0]))[d[d != 0] > 0].sum()), "p": float(p)}
    for d, p in cases
]


# --- Hodges-Lehmann with the interval that inverts the test
def inverted(candidates, p_of, level):
    """Ends: the innermost candidates such that a shift just beyond them, outwards, is rejected."""
    candidates = np.sort(candidates)
    step = np.min(np.diff(candidates)) / 4
    ends = []
    for ordered, outward in ((candidates, -1), (candidates[::-1], 1)):
        found = None
        for value in ordered[: len(ordered) // 2 + 1]:
            if p_of(value + outward * step) <= level * (1 + 1e-12):
                found = value
            else:
                break
        ends.append(None if found is None else float(found))
    return ends


rows = []
for m, n, confidence in [(3, 3, 0.95), (4, 4, 0.95), (4, 5, 0.99), (5, 5, 0.99), (6, 8, 0.95), (12, 9, 0.99), (20, 20, 0.99)]:
    base, head = rng.normal(0, 0.02, m), rng.normal(0.05, 0.03, n)
    differences = np.subtract.outer(head, base).ravel()
    low, high = inverted(
        differences, lambda s: stats.mannwhitneyu(head - s, base, method="exact").pvalue, 1 - confidence
    )
    rows.append({"base": floats(base), "head": floats(head), "confidence": confidence,
                 "estimate": float(np.median(differences)), "low": low, "high": high})
table["shift"] = rows
rows = []
for n, confidence in [(5, 0.95), (6, 0.95), (7, 0.99), (8, 0.99), (13, 0.95), (20, 0.99)]:
    d = rng.normal(0.03, 0.02, n)
    walsh = np.array([(d[i] + d[j]) / 2 for i in range(n) for j in range(i, n)])
    low, high = inverted(walsh, lambda s: stats.wilcoxon(d - s, method="exact").pvalue, 1 - confidence)
    rows.append({"differences": floats(d), "confidence": confidence, "estimate": float(np.median(walsh)),
                 "low": low, "high": high})
table["paired_shift"] = rows

# --- the median's interval, as the binomial has it
rows = []
for n, confidence in [(5, 0.95), (6, 0.95), (7, 0.99), (8, 0.99), (25, 0.95), (101, 0.95), (1000, 0.99)]:
    depth = 0
    while depth < n // 2 and 2 * stats.binom.cdf(depth, n, 0.5) <= 1 - confidence:
        depth += 1
    rows.append({"n": n, "confidence": confidence, "depth": depth})
table["median_depth"] = rows

# --- Benjamini-Hochberg
rows = []
for n in [1, 2, 5, 20]:
    p = rng.random(n) ** 3
    rows.append({"p": floats(p), "q": floats(stats.false_discovery_control(p, method="bh"))})
rows.append({"p": [0.01, 0.01, 0.02, 1.0], "q": floats(stats.false_discovery_control([0.01, 0.01, 0.02, 1.0]))})
table["fdr"] = rows

# --- outliers
rows = []
for n in [5, 8, 21]:
    values = rng.standard_t(2, n) + 10
    q1, q3 = np.percentile(values, [25, 75])
    scale = stats.median_abs_deviation(values, scale=1 / 1.482602218505602)
    rows.append({
        "values": floats(values), "mad": float(scale),
        "tukey": [i for i, v in enumerate(values) if v < q1 - 1.5 * (q3 - q1) or v > q3 + 1.5 * (q3 - q1)],
        "far": [i for i, v in enumerate(values) if abs(v - np.median(values)) > 3.5 * scale],
    })
table["outliers"] = rows

# --- E-divisive: the best split and its scaled energy distance, by double sums
rows = []
for n, least in [(6, 1), (12, 3), (30, 3)]:
    values = np.concatenate([rng.normal(1, 0.05, n // 2), rng.normal(1.1, 0.05, n - n // 2)])
    best = None
    for at in range(least, n - least + 1):
        x, y = values[:at], values[at:]
        mean = lambda v: 2 * sum(abs(a - b) for a, b in itertools.combinations(v, 2)) / (len(v) * (len(v) - 1)) if len(v) > 1 else 0.0
        across = np.mean(abs(np.subtract.outer(x, y)))
        q = len(x) * len(y) / n * (2 * across - mean(x) - mean(y))
        if best is None or q > best[1]:
            best = (at, float(q))
    rows.append({"values": floats(values), "least": least, "at": best[0], "strength": best[1]})
table["energy"] = rows

# --- O'Brien and Fleming's spending, and the fewest launches of an interval
table["spending"] = [
    {"alpha": a, "t": t, "spent": float(2 * stats.norm.sf(stats.norm.isf(a / 2) / math.sqrt(t)))}
    for a in [0.01, 0.05] for t in [0.25, 0.5, 0.8, 1.0]
]
table["fewest"] = [
    {"confidence": c,
     "independent": next(n for n in range(1, 50) if 2 / math.comb(2 * n, n) <= 1 - c + 1e-12),
     "paired": next(n for n in range(1, 50) if 2 / 2**n <= 1 - c + 1e-12)}
    for c in [0.9, 0.95, 0.99, 0.999, 0.9999]
]

# --- Kendall's trend over order, and Theil and Sen's slope
rows = []
for n, slope in [(2, 0.1), (5, 0.5), (8, 0.0), (12, 0.1), (20, 0.05), (30, -0.03)]:
    values = slope * np.arange(n) + rng.normal(0, 0.5, n)
    rows.append({
        "values": floats(values),
        "p": float(stats.kendalltau(np.arange(n), values, method="exact").pvalue),
        "slope": float(stats.theilslopes(values, np.arange(n)).slope),
    })
table["trend"] = rows

print(json.dumps(table, indent=1))
