"""What is done to a video view: the operations with their numbers, and the papers' sets by name."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ssl_av import errors

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class VideoAugment:
    """What is done to a video view, in this order: crop, flip, colour, grey, blur, cutout, convolution.

    Attributes:
        consistent: one draw for all frames of a clip; False draws for each frame alone (CrissCross §4.5).
        crop_area: least and most share of the frame's area; None takes the largest centred square. All crops
            are resized to one size: what varies is the scale too ("multi-scale crop", "scale jitter").
        crop_aspect: least and most width / height of the crop.
        flip: probability of mirroring left to right.
        jitter: brightness, contrast, saturation, hue. Factors are uniform in 1 ± the number, hue turns by
            up to ± the number of the circle. The operations come in random order, one order a clip.
        jitter_p: probability of any colour jitter.
        additive: BraVe's jitter: brightness is an offset, contrast per channel, saturation in HSV, in the
            order brightness, saturation, contrast, hue, clipped to [0, 1] only at the end.
        jitter_normalised: STiCA's code: jitter after normalisation, unclipped. Brightness then scales
            about the mean instead of black. Not with hue or `additive`.
        grey_p: probability of dropping the colours.
        blur_p: probability of a Gaussian blur; its kernel is a tenth of the side.
        blur_sigma: least and most standard deviation of the blur in pixels.
        cutout: largest side in pixels of one painted-over square; 0 for none.
        random_conv: filter with a random convolution (BraVe's broad view).
        mean: subtracted from the [0, 1] channels at the end.
        std: divided by at the end.
    """

    consistent: bool = True
    crop_area: tuple[float, float] | None = (0.08, 1.0)
    crop_aspect: tuple[float, float] = (3 / 4, 4 / 3)
    flip: float = 0.5
    jitter: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    jitter_p: float = 1.0
    additive: bool = False
    jitter_normalised: bool = False
    grey_p: float = 0.0
    blur_p: float = 0.0
    blur_sigma: tuple[float, float] = (0.1, 2.0)
    cutout: int = 0
    random_conv: bool = False
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD

    def __post_init__(self) -> None:
        def wrong(what: str) -> errors.UserError:
            return errors.UserError(f"video augmentation: {what}")

        if self.crop_area is not None and not 0 < self.crop_area[0] <= self.crop_area[1] <= 1:
            raise wrong(f"crop_area {self.crop_area} must be two shares, 0 < least <= most <= 1")
        if not 0 < self.crop_aspect[0] <= self.crop_aspect[1]:
            raise wrong(f"crop_aspect {self.crop_aspect} must be 0 < least <= most")
        if not 0 < self.blur_sigma[0] <= self.blur_sigma[1]:
            raise wrong(f"blur_sigma {self.blur_sigma} must be 0 < least <= most")
        if len(self.jitter) != 4 or min(self.jitter) < 0 or self.jitter[3] > 0.5:
            raise wrong(f"jitter {self.jitter} must be four amounts >= 0, the last (hue) at most 0.5")
        for name in ("flip", "jitter_p", "grey_p", "blur_p"):
            if not 0 <= getattr(self, name) <= 1:
                raise wrong(f"{name} {getattr(self, name)} must be a probability from 0 to 1")
        if self.cutout < 0 or min(self.std) <= 0:
            raise wrong("cutout must be at least 0 and each std above 0")
        if self.jitter_normalised and (self.jitter[3] or self.additive):
            raise wrong("jitter_normalised goes with neither hue nor additive, which need [0, 1] colours")


_BRAVE = VideoAugment(
    crop_area=(0.3, 1.0),
    crop_aspect=(0.5, 2.0),
    jitter=(32 / 255, 0.4, 0.4, 0.2),
    jitter_p=0.8,
    additive=True,
    grey_p=0.2,
    blur_p=1.0,
    mean=(0.0, 0.0, 0.0),
    std=(1.0, 1.0, 1.0),
)

_AVID = VideoAugment(jitter=(0.4, 0.4, 0.4, 0.2))

_STICA = VideoAugment(
    crop_area=(0.14, 1.0),
    jitter=(0.4, 0.4, 0.4, 0.0),
    jitter_p=0.8,
    jitter_normalised=True,
    grey_p=0.2,
    blur_p=0.5,
    mean=(0.45, 0.45, 0.45),
    std=(0.225, 0.225, 0.225),
)

_CRISSCROSS = replace(_AVID, grey_p=0.2, blur_p=0.5, cutout=20)

AUGMENTS: dict[str, VideoAugment] = {
    "none": VideoAugment(crop_area=None, flip=0.0),
    # AVID table 7
    "avid": _AVID,
    # the paper's sound (transforms/audio.py); its picture is the code's
    "avid_paper": _AVID,
    # numbers of the official code; the blur is the paper's (SimCLR's), not the code's horizontal one
    "stica": _STICA,
    # STiCA §6.1 taken at its word: "the protocol of SimCLR", whose numbers for ImageNet these are
    "stica_simclr": replace(
        _STICA, crop_area=(0.08, 1.0), jitter=(0.8, 0.8, 0.8, 0.2), jitter_normalised=False
    ),
    # BraVe A.2
    "brave": _BRAVE,
    "brave_broad": replace(_BRAVE, random_conv=True),
    # CrissCross table S1
    "crisscross": _CRISSCROSS,
    # the rows of its table 5 (MSC-HF-CJ is avid), and the one that draws for each frame (§4.5)
    "crisscross_gs": replace(_CRISSCROSS, blur_p=0.0, cutout=0),
    "crisscross_gs_c": replace(_CRISSCROSS, blur_p=0.0),
    "crisscross_gs_gb": replace(_CRISSCROSS, cutout=0),
    "crisscross_per_frame": replace(_CRISSCROSS, blur_p=0.0, cutout=0, consistent=False),
    # rows of table 5 that vary the sound
    "crisscross_vj": _CRISSCROSS,
    "crisscross_vj_m": _CRISSCROSS,
    "crisscross_vj_m_tw": _CRISSCROSS,
}
"""Every name is in `AUDIO_AUGMENTS` too: one name is a pair of ways, for picture and sound."""


def video_augment(name: str, crop_area: tuple[float, float] | None = None) -> VideoAugment:
    """A paper's augmentation by name.

    Args:
        name: a name in `AUGMENTS`.
        crop_area: least and most share of the frame in place of the paper's; None keeps the paper's. An
            augmentation that does not crop at random still does not.

    Raises:
        UserError: no such name, or no such crop.
    """
    if name not in AUGMENTS:
        raise errors.unknown("video augmentation", name, AUGMENTS)
    augment = AUGMENTS[name]
    if crop_area is None or augment.crop_area is None:
        return augment
    return replace(augment, crop_area=crop_area)
