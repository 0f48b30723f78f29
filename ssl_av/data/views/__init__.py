"""Views: what a method asks of a sample, and where in time it lies.

A method declares ``{"narrow": VideoView(...), "broad": AudioView(..., when=StartsWith("narrow"))}``. The view
says how long, how dense and how large; its ``when`` says how its start is drawn, perhaps relative to a view that
stands before it. `draw_starts` draws all views of one sample together.
"""

from ssl_av.data.views.kinds import AudioView, FlowView, VideoView, View, Views, draw_starts, modalities
from ssl_av.data.views.when import (
    AnyStart,
    Anywhere,
    CentredOn,
    Half,
    Inside,
    Near,
    Shifted,
    Spaced,
    StartsWith,
    When,
    Window,
)

__all__ = [
    "AnyStart",
    "Anywhere",
    "AudioView",
    "CentredOn",
    "FlowView",
    "Half",
    "Inside",
    "Near",
    "Shifted",
    "Spaced",
    "StartsWith",
    "VideoView",
    "View",
    "Views",
    "When",
    "Window",
    "draw_starts",
    "modalities",
]
