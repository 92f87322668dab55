"""Plot the similarities of pairs of photographs, and the error rates of every threshold."""

from pathlib import Path

import matplotlib

matplotlib.use("agg")  # it draws into files and needs no screen

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from facial_recognition.cli.error_rates import ErrorRates, Similarities

GENUINE, IMPOSTOR = "#0072b2", "#d55e00"  # distinct for colour-blind people too (Okabe and Ito)
TICKS = (0.01, 0.1, 1, 10, 50, 80, 90, 95, 99, 99.9, 99.99)
LOWEST, HIGHEST = 0.003, 99.997
BINS = 60


def draw(
    similarities: Similarities, recommended: ErrorRates | None, wanted: float, path: Path
) -> None:
    """Draw both histograms, and the error rates at every threshold, into a file.

    Args:
        similarities: of all pairs of photographs.
        recommended: the error rates at the recommended threshold, if one is recommended.
        wanted: the wanted false accept rate.
        path: of a PNG or SVG file.
    """
    figure, (histogram, rates) = plt.subplots(
        2, 1, figsize=(9, 8), sharex=True, layout="constrained"
    )
    _draw_histograms(histogram, similarities)
    _draw_rates(rates, similarities, wanted)
    if recommended is not None:
        for axes in (histogram, rates):
            axes.axvline(_shown(recommended.threshold), color="black", linestyle="--", linewidth=1)
        histogram.set_title(f"recommended threshold {recommended.threshold:g}")
    else:
        histogram.set_title("too few photographs to recommend a threshold")
    rates.set_xscale("logit", one_half="0.5")
    rates.set_xlim(LOWEST / 100, HIGHEST / 100)
    rates.xaxis.set_major_locator(FixedLocator([tick / 100 for tick in TICKS]))
    rates.xaxis.set_minor_locator(NullLocator())
    rates.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}"))
    rates.set_xlabel("similarity")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _draw_histograms(axes: Axes, similarities: Similarities) -> None:
    edges = _edges()
    for values, colour, label in (
        (similarities.impostor, IMPOSTOR, "pairs of two people"),
        (similarities.genuine, GENUINE, "pairs of one person"),
    ):
        shown = np.clip(values, LOWEST, HIGHEST) / 100
        weights = np.full(len(values), 1 / max(1, len(values)))
        named = f"{label} ({len(values):,})"
        axes.hist(shown, edges, weights=weights, color=colour, alpha=0.6, label=named)
    axes.set_yscale("log")
    axes.set_ylabel("share of pairs")
    axes.legend()


def _draw_rates(axes: Axes, similarities: Similarities, wanted: float) -> None:
    thresholds = [100 * edge for edge in _edges()]
    measured = [similarities.at(threshold) for threshold in thresholds]
    shown = [_shown(threshold) for threshold in thresholds]
    for rates, colour, label in (
        ([m.false_accepts for m in measured], IMPOSTOR, "false accepts"),
        ([m.false_rejects for m in measured], GENUINE, "false rejects"),
    ):
        axes.plot(shown, [r.rate or np.nan for r in rates], color=colour, label=label)
        low, high = [r.low for r in rates], [r.high for r in rates]
        axes.fill_between(shown, low, high, color=colour, alpha=0.2, linewidth=0)
    axes.axhline(wanted, color="grey", linestyle=":", label=f"wanted: {wanted:g}")
    axes.set_yscale("log")
    axes.set_ylim(min(wanted, 1 / max(1, len(similarities.impostor))) / 3, 1.3)
    axes.set_ylabel("share of pairs judged wrongly")
    axes.legend()


def _edges() -> list[float]:
    """Cut the scale of similarities into bins that look equally wide on the logit axis."""
    low, high = (np.log(p / (100 - p)) for p in (LOWEST, HIGHEST))
    edges: list[float] = (1 / (1 + np.exp(-np.linspace(low, high, BINS + 1)))).tolist()
    return edges


def _shown(similarity: float) -> float:
    return min(max(similarity, LOWEST), HIGHEST) / 100
