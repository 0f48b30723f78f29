"""The picture of `ssl-av data show`: a block a sample, a row a view, as read on the left, augmented on the right."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from numpy.typing import NDArray

from ssl_av.data.show import Frames, Seen, Sound
from ssl_av.data.views import AudioView, FlowView, View, Window
from ssl_av.style import LIGHT, OKABE_ITO, literal
from ssl_av.transforms import AUDIO_AUGMENTS, AUGMENTS
from ssl_av.transforms.flow import FLOW_AUGMENTS

Array = NDArray[Any]

# inches
LEFT, LABEL, STRIP, GAP, RIGHT = 0.35, 2.15, 5.0, 0.5, 0.3
WIDTH = LEFT + LABEL + 2 * STRIP + GAP + RIGHT
HEAD, TITLE, BAR, BETWEEN = 1.15, 0.55, 0.2, 0.1
VIDEO, AUDIO, SPACE, SEAM = 1.12, 1.35, 0.42, 0.06
COLOURS = [OKABE_ITO[name] for name in ("blue", "vermillion", "green", "purple", "orange", "sky")]
WAYS: dict[str, dict[str, Any]] = {"video": AUGMENTS, "audio": AUDIO_AUGMENTS, "flow": FLOW_AUGMENTS}
HERTZ = (100, 200, 500, 1000, 2000, 4000, 8000, 12000, 16000, 20000)


class _Page:
    """A figure whose axes are placed in inches from its upper left corner."""

    def __init__(self, height: float) -> None:
        self.height = height
        self.figure = Figure(figsize=(WIDTH, height), facecolor=LIGHT.paper)

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        box = (left / WIDTH, 1 - (top + height) / self.height, width / WIDTH, height / self.height)
        axes = self.figure.add_axes(box, facecolor=LIGHT.paper)
        axes.tick_params(colors=LIGHT.muted, labelsize=7, length=2, width=0.6, pad=2)
        for spine in axes.spines.values():
            spine.set_visible(False)
        return axes

    def text(self, left: float, top: float, words: str, **kw: Any) -> None:
        defaults: dict[str, Any] = {"fontsize": 8, "color": LIGHT.muted, "va": "top"}
        self.figure.text(left / WIDTH, 1 - top / self.height, literal(words), **(defaults | kw))


def draw(method: str, data: str, seed: int, seen: list[Seen]) -> Figure:
    """The figure.

    Args:
        method: its name.
        data: the data set's name.
        seed: that everything was drawn with.
        seen: the samples, from `look`.
    """
    blocks = [
        TITLE + BAR * len(s.views) + 0.4 + sum(_row_height(v) + SPACE for v, _, _ in s.views.values())
        for s in seen
    ]
    page = _Page(HEAD + sum(blocks) + BETWEEN * (len(seen) - 1) + 0.15)
    page.text(LEFT, 0.3, f"What {method} sees of {data}", fontsize=17, color=LIGHT.ink, fontweight="bold")
    before, after = LEFT + LABEL, LEFT + LABEL + STRIP + GAP
    page.text(before, 0.78, "as read", fontsize=11, color=LIGHT.ink)
    page.text(after, 0.78, f"augmented, as the networks get it (seed {seed})", fontsize=11, color=LIGHT.ink)
    top = HEAD
    for sample, height in zip(seen, blocks, strict=True):
        _block(page, top, sample)
        top += height + BETWEEN
    return page.figure


def _row_height(view: View) -> float:
    return AUDIO if isinstance(view, AudioView) else VIDEO


def _block(page: _Page, top: float, sample: Seen) -> None:
    rule = page.axes(LEFT, top, WIDTH - LEFT - RIGHT, 0.01)
    rule.axhline(0, color=LIGHT.line, linewidth=2)
    rule.set_axis_off()
    page.text(LEFT, top + 0.13, _shortened(sample.name, 60), fontsize=11, color=LIGHT.ink, fontweight="bold")
    words = " · ".join(w for w in (sample.label, f"{sample.duration:.1f} s") if w)
    page.text(WIDTH - RIGHT, top + 0.15, words, fontsize=10, color=LIGHT.ink, ha="right")
    top += TITLE
    _timeline(page, top, sample)
    top += BAR * len(sample.views) + 0.4
    for k, (name, (view, window, shown)) in enumerate(sample.views.items()):
        colour = COLOURS[k % len(COLOURS)]
        page.text(LEFT, top, name, fontsize=10.5, color=colour, fontweight="bold")
        own = "\ncolours stretched" if isinstance(shown, Frames) and shown.stretched else ""
        page.text(LEFT, top + 0.22, _described(view) + own, linespacing=1.45)
        before, after = LEFT + LABEL, LEFT + LABEL + STRIP + GAP
        if isinstance(shown, Frames):
            _frames(page, before, after, top, shown)
        else:
            _sound(page, before, after, top, shown, window, colour)
        top += _row_height(view) + SPACE


def _described(view: View) -> str:
    ways = WAYS[view.modality]
    words = f"augmentation {view.augment}" if ways[view.augment] != ways["none"] else "not augmented"
    if not isinstance(view, AudioView):
        size = f"{view.size} × {view.size} px"
        what = "fields of flow" if isinstance(view, FlowView) else "frames"
        legend = "\nhue: direction, white: still" if isinstance(view, FlowView) else ""
        return f"{view.frames} {what} at {view.fps:g}/s\n{view.seconds:.2f} s, {size}\n{words}{legend}"
    return f"{view.seconds:.2f} s at {view.rate / 1000:g} kHz\n{words}"


def _timeline(page: _Page, top: float, sample: Seen) -> None:
    """Where in the sample each view lies; what loops past the end is drawn paler, from the beginning."""
    count, end = len(sample.views), sample.duration
    page.text(LEFT, top + 0.03, "where the views lie")
    axes = page.axes(LEFT + LABEL, top, 2 * STRIP + GAP, BAR * count)
    axes.set_xlim(0, end)
    axes.set_ylim(count, 0)
    axes.set_yticks([])
    axes.spines["bottom"].set_visible(True)
    axes.spines["bottom"].set_color(LIGHT.line)
    axes.set_xlabel("seconds", fontsize=7, color=LIGHT.muted, labelpad=1)
    for k, (name, (_, window, _)) in enumerate(sample.views.items()):
        colour = COLOURS[k % len(COLOURS)]
        place = (LEFT + LABEL - 0.1, top + BAR * (k + 0.5))
        page.text(*place, name, fontsize=7.5, color=colour, ha="right", va="center", fontweight="bold")
        axes.axhspan(k + 0.42, k + 0.58, color=LIGHT.line, linewidth=0)
        for start, seconds, alpha in _stretches(window, end):
            box = FancyBboxPatch(
                (start, k + 0.17), seconds, 0.66, boxstyle="square,pad=0", linewidth=0, alpha=alpha,
                facecolor=colour,
            )  # fmt: skip
            axes.add_patch(box)
            if alpha < 1 and seconds > 0.1 * end:
                place = (start + seconds / 2, k + 0.53)
                axes.text(*place, "looped", color="white", fontsize=6.5, ha="center", va="center")


def _stretches(window: Window, end: float) -> list[tuple[float, float, float]]:
    """(start, seconds, opacity): the part before the sample's end, then what begins anew."""
    first = min(window.seconds, end - window.start)
    rest = min(window.seconds - first, window.start)  # what is read again is drawn once
    return [(window.start, first, 1.0)] + ([(0.0, rest, 0.45)] if rest > 1e-3 else [])


def _frames(page: _Page, before: float, after: float, top: float, shown: Frames) -> None:
    """Some frames of a clip in two strips, the same ones."""
    wide = max(shown.aspect, 1.0)
    count = min(len(shown.before), math.ceil((STRIP + SEAM) / (VIDEO * wide + SEAM)))
    which = np.linspace(0, len(shown.before) - 1, count).round().astype(int)
    cell = (STRIP + SEAM) / count - SEAM
    for left, clip, aspect in ((before, shown.before, shown.aspect), (after, shown.after, 1.0)):
        height = min(VIDEO, cell / aspect)
        for place, frame in enumerate(which):
            axes = page.axes(left + place * (height * aspect + SEAM), top, height * aspect, height)
            axes.imshow(
                clip[frame], aspect="auto", interpolation="lanczos" if len(clip[frame]) < 96 else None
            )
            axes.set_yticks([])
            axes.set_xticks([])
            axes.set_xlabel(f"{shown.times[frame]:.2f} s", fontsize=7, color=LIGHT.muted, labelpad=2)


def _sound(
    page: _Page, before: float, after: float, top: float, shown: Sound, window: Window, colour: str
) -> None:
    """The waveform over the spectrogram as read; the augmented spectrogram."""
    alive = shown.before[:, np.ptp(shown.before, axis=0) > 0]  # an empty filter's floor would fade the rest
    low, high = np.percentile(alive if alive.size else shown.before, [1, 99.7])
    wave = page.axes(before, top, STRIP, 0.3)
    _envelope(wave, shown.wave, colour)
    frames, bins = shown.after.shape
    page.text(after, top + 0.24, f"spectrogram, {frames} frames × {bins} bins", fontsize=7, va="center")
    sides = ((before, shown.before, shown.seconds[0]), (after, shown.after, shown.seconds[1]))
    for left, spec, seconds in sides:
        axes = page.axes(left, top + 0.33, STRIP, AUDIO - 0.33)
        start = window.start if left == before else 0.0
        axes.imshow(
            spec.T, origin="lower", aspect="auto", cmap="magma", vmin=low, vmax=max(high, low + 1e-6),
            interpolation="nearest", extent=(start, start + seconds, 0, len(shown.hertz)),
        )  # fmt: skip
        _hertz(axes, shown.hertz)
        axes.set_xlabel(
            "seconds of the " + ("sample" if left == before else "view"),
            fontsize=7,
            color=LIGHT.muted,
            labelpad=1,
        )


def _envelope(axes: Axes, wave: Array, colour: str) -> None:
    parts = np.array_split(wave, min(len(wave), 600))
    highs, lows = [p.max() for p in parts], [p.min() for p in parts]
    axes.fill_between(np.arange(len(parts)), lows, highs, color=colour, linewidth=0.3)
    axes.set_xlim(0, len(parts) - 1)
    most = max(float(np.abs(wave).max()), 1e-3)
    axes.set_ylim(-most, most)
    axes.set_axis_off()


def _hertz(axes: Axes, hertz: Array) -> None:
    """Round frequencies where they lie on the axis of bins, not too close to each other."""
    ticks: list[tuple[float, str]] = []
    for value in HERTZ:
        if not hertz[0] <= value <= hertz[-1]:
            continue
        place = float(np.interp(value, hertz, np.arange(len(hertz)))) + 0.5
        if not ticks or place - ticks[-1][0] > 0.17 * len(hertz):
            ticks.append((place, f"{value / 1000:g} kHz" if value >= 1000 else f"{value} Hz"))
    axes.set_yticks([t for t, _ in ticks], [words for _, words in ticks])


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most // 2]}…{text[-(most // 2 - 1) :]}"
