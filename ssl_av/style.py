"""The look that every picture of the project has: the palette, light and dark paper."""

from __future__ import annotations

from dataclasses import dataclass

OKABE_ITO = {
    "blue": "#0072B2",
    "vermillion": "#D55E00",
    "green": "#009E73",
    "orange": "#E69F00",
    "purple": "#CC79A7",
    "sky": "#56B4E9",
    "yellow": "#F0E442",
}
"""The palette of Okabe and Ito (2008), told apart with any common colour blindness."""


@dataclass(frozen=True)
class Style:
    """One look of a figure.

    Attributes:
        dark: for a dark page.
        narrow: for a phone: panels below each other.
    """

    dark: bool = False
    narrow: bool = False

    @property
    def paper(self) -> str:
        return "#191c22" if self.dark else "#ffffff"

    @property
    def ink(self) -> str:
        return "#e8e6e1" if self.dark else "#1d2129"

    @property
    def muted(self) -> str:
        return "#a3a8b3" if self.dark else "#5c6370"

    @property
    def line(self) -> str:
        return "#343943" if self.dark else "#e3e5e9"

    @property
    def width(self) -> float:
        """Inches."""
        return 4.4 if self.narrow else 10.4


LIGHT = Style()


def literal(text: str) -> str:
    """A text that a figure shows as it is: matplotlib reads what stands between two ``$`` as a formula."""
    return text.replace("$", r"\$")
