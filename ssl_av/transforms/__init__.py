"""Augmentation and spectrograms: from a batch of decoded views to what the networks see."""

from ssl_av.transforms.audio import AUDIO_AUGMENTS, AudioAugment, AudioTransform, audio_augment
from ssl_av.transforms.spectrograms import FrontEnd, spectrogram
from ssl_av.transforms.video import VideoTransform
from ssl_av.transforms.video_augments import AUGMENTS, VideoAugment, video_augment

__all__ = [
    "AUDIO_AUGMENTS",
    "AUGMENTS",
    "AudioAugment",
    "AudioTransform",
    "FrontEnd",
    "VideoAugment",
    "VideoTransform",
    "audio_augment",
    "spectrogram",
    "video_augment",
]
