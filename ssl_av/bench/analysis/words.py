"""The reader's words for the keys of a record."""

from __future__ import annotations

import re

WORDS = {
    "video": "video",
    "audio": "audio",
    "audio_to_video": "audio → video",
    "video_to_audio": "video → audio",
    "memory_video": "memory of video",
    "memory_audio": "memory of audio",
    "std": "feature std",
    "effective_rank": "effective rank",
    "top1": "top-1",
    "top5": "top-5",
    "map": "mAP",
    "clip_top1": "top-1 of clips",
    "clip_map": "mAP of clips",
}


def word(name: str) -> str:
    """The reader's word for a key of a record."""
    if re.fullmatch(r"[rp]\d+", name):  # recall, precision
        return f"{name[0].upper()}@{name[1:]}"
    return WORDS.get(name) or name.replace("_", " ")
