"""The way of the official loaders against ours: from files to batches that a network can take, processor's time.

    python benchmarks/official_way.py            # 4 files of 10 s, 12 batches of 16 of each way
    python benchmarks/official_way.py --quick    # seconds; says only that it runs

Both ways serve AVID's views of the same samples at the same times: 8 frames at 16 a second, 112x112, augmented as in
AVID's table 7 and normalised; 2 s of sound at 24 kHz as AVID's spectrogram.

- official: the picture as AVID's loader does it (every frame from the keyframe on decoded, those wanted made PIL images
  at full size; each image cropped, flipped and jittered with PIL; then float tensors), the sound as STiCA's does (the
  whole file's, then cut; decoded here in the process, where theirs starts ffmpeg or reads a wav file), float batches.
- official, sound sought: the same, the sound decoded only where it is wanted, as AVID's and CrissCross's loaders do.
- ours: reading as `AVDataModule` does, uint8 batches, the whole batch augmented at once afterwards, on this processor.
- ours, reading: without the augmentation, which is what the workers do where a GPU augments; the official way's workers
  do all of it.
- ours, from a pack: reading from a pack of the form video, and the augmentation.

One process and one thread each, no worker processes: what it costs to send float batches between processes, about three
times ours, is left out, in favour of the official way. The ways take turns batch by batch, so that what else runs on
the machine slows them alike.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from clips import FPS, make_clips
from PIL.Image import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from ssl_av.data.datamodule import ClipDataset, EpochSampler, collate
from ssl_av.data.loading import Loading
from ssl_av.data.manifest import Manifest, Row, build_manifest
from ssl_av.data.media import create_reader
from ssl_av.data.pack import Pack
from ssl_av.data.pack.build import build_pack
from ssl_av.data.prepare import prepare_manifest
from ssl_av.data.views import AudioView, Near, VideoView, Window, draw_starts
from ssl_av.training.allocator import keep_freed_memory
from ssl_av.transforms import AudioTransform, VideoTransform, spectrogram, video_augment

SIZE, RATE = 112, 24_000
VIEWS = {
    "audio": AudioView(2.0, RATE, "avid"),
    "video": VideoView(8, 16.0, SIZE, "avid", Near("audio", 0.5)),
}
TARGET = 3.0


class OfficialClips(Dataset[dict[str, Tensor]]):
    """One sample at a time, all the way to floats."""

    def __init__(self, manifest: Manifest, seek_sound: bool) -> None:
        self.manifest, self.seek_sound = manifest, seek_sound
        self.front_end = spectrogram("avid")
        self.augment = video_augment("avid")

    def __len__(self) -> int:
        return len(self.manifest)

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Tensor]:  # type: ignore[override]
        epoch, index = key
        sample = self.manifest[index]
        windows = draw_starts(VIEWS, sample.duration, np.random.default_rng([0, epoch, index]))
        images = frames(sample.path, windows["video"])
        wave = sound(sample.path, windows["audio"], self.seek_sound) * random.uniform(0.9, 1.1)
        return {"video": self.to_floats(images), "audio": self.front_end(torch.from_numpy(wave)[None])[0]}

    def to_floats(self, images: list[Image]) -> Tensor:
        """Each image augmented alike, float [3, T, SIZE, SIZE]."""
        a = self.augment
        assert a.crop_area is not None
        box = v2.RandomResizedCrop(SIZE, a.crop_area, a.crop_aspect).make_params([images[0]])
        flip = random.random() < a.flip
        brightness, contrast, saturation = (random.uniform(1 - j, 1 + j) for j in a.jitter[:3])
        hue = random.uniform(-a.jitter[3], a.jitter[3])
        jitter: list[Callable[[Image], Image]] = [
            lambda image: F.adjust_brightness(image, brightness),
            lambda image: F.adjust_contrast(image, contrast),
            lambda image: F.adjust_saturation(image, saturation),
            lambda image: F.adjust_hue(image, hue),
        ]
        random.shuffle(jitter)
        done = []
        for image in images:
            image = F.resized_crop(image, **box, size=[SIZE, SIZE])
            image = F.horizontal_flip(image) if flip else image
            for change in jitter:
                image = change(image)
            done.append(torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255)
        clip = torch.stack(done, dim=1)
        return (clip - torch.tensor(a.mean).view(3, 1, 1, 1)) / torch.tensor(a.std).view(3, 1, 1, 1)


def frames(path: str, window: Window) -> list[Image]:
    """The frames at the view's times as images of full size."""
    view = VIEWS["video"]
    numbers = np.floor((window.start + np.arange(view.frames) / view.fps) * FPS + 1e-6)
    images: list[Image] = []
    with av.open(path) as container:
        container.seek(int(window.start * av.time_base))
        for frame in container.decode(video=0):
            if round(frame.time * FPS) < numbers[len(images)]:
                continue
            image = frame.to_image()
            while len(images) < view.frames and round(frame.time * FPS) >= numbers[len(images)]:
                images.append(image)
            if len(images) == view.frames:
                break
    return images


def sound(path: str, window: Window, seek: bool) -> np.ndarray:
    """The view's sound, float32 [samples]: cut from the whole file's, or from what a seek lands before."""
    resampler = av.AudioResampler(format="s16p", layout="mono", rate=RATE)
    begin, parts = None, []
    with av.open(path) as container:
        stream = container.streams.audio[0]
        if seek:
            container.seek(int(window.start / stream.time_base), stream=stream)
        for frame in container.decode(audio=0):
            if seek and frame.time > window.start + window.seconds:
                break
            begin = frame.time if begin is None else begin
            parts += [part.to_ndarray()[0] for part in resampler.resample(frame)]
    first = round((window.start - begin) * RATE)
    wave = np.concatenate(parts)[max(first, 0) :][: VIEWS["audio"].samples]
    return np.pad(wave, (0, VIEWS["audio"].samples - len(wave))).astype(np.float32) / 32768


def ways(manifest: Manifest, pack: Manifest, batch_size: int) -> dict[str, Iterator[Any]]:
    """By name: batches without end, ready for a network."""
    video = VideoTransform(SIZE, "avid").train()
    audio = AudioTransform(spectrogram("avid"), "avid").train()

    def loader(data: Any, collate_fn: Callable[[list[Any]], Any]) -> Iterator[Any]:
        sampler = EpochSampler(len(manifest), shuffle=True)
        batches = DataLoader(data, batch_size, sampler=sampler, collate_fn=collate_fn, drop_last=True)
        epoch = 0
        while True:
            sampler.set_epoch(epoch)
            yield from batches
            epoch += 1

    def read(source: Manifest) -> Iterator[Any]:
        for batch in loader(ClipDataset(source, VIEWS, Loading(batch_size, num_workers=0)), collate):
            assert not batch["skipped"]
            yield batch

    def ours(source: Manifest) -> Iterator[Any]:
        for batch in read(source):
            yield {"video": video(batch["video"], batch["video.aspect"]), "audio": audio(batch["audio"])}

    return {
        "official": loader(OfficialClips(manifest, seek_sound=False), default_collate),
        "official, sound sought": loader(OfficialClips(manifest, seek_sound=True), default_collate),
        "ours": ours(manifest),
        "ours, reading": read(manifest),
        "ours, from a pack": ours(pack),
    }


def main() -> None:
    """Makes the files, measures, prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="files of 3 s, two small batches")
    parser.add_argument("--batches", type=int, default=12, help="of each way")
    args = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()  # as a run does; the official way has the good of it too
    count, seconds, batch_size = (2, 3.0, 2) if args.quick else (4, 10.0, 16)
    batches = 2 if args.quick else args.batches
    with tempfile.TemporaryDirectory(prefix="ssl-av-official-") as folder:
        paths = make_clips(Path(folder), count, seconds)
        rows = [Row(str(path), split="train") for path in paths] * (batch_size // count)
        manifest = build_manifest(rows, (), Path(folder), create_reader())
        build_pack(manifest, Pack("files", manifest.hash, len(manifest)), Path(folder) / "pack")
        pack = prepare_manifest("pack", {"root": Path(folder) / "pack"}, Loading())
        spent = measure(ways(manifest, pack, batch_size), batches)
    each = batches * batch_size
    print(
        f"{batches} batches of {batch_size} of each way; files of {seconds:g} s, one core; target {TARGET:g}"
    )
    print(
        "way                      ms a sample: cpu  clock    samples/s (cpu)   official's time / this one's (cpu)"
    )
    for name, (cpu, clock) in spent.items():
        ratio = spent["official"][0] / cpu
        times = f"{1e3 * cpu / each:16.1f}  {1e3 * clock / each:5.1f}  {each / cpu:17.1f}"
        print(f"{name:24} {times}  {ratio:35.2f}")


def measure(ways: dict[str, Iterator[Any]], batches: int) -> dict[str, tuple[float, float]]:
    """Seconds of the processor and of the clock for so many batches of each way, turn by turn."""
    spent = {name: np.zeros(2) for name in ways}
    for k in range(-1, batches):  # the first ones warm up
        for name, source in ways.items():
            begin = np.array([time.process_time(), time.perf_counter()])
            batch = next(source)
            if k >= 0:
                spent[name] += np.array([time.process_time(), time.perf_counter()]) - begin
            if name != "ours, reading":
                assert batch["video"].shape[1:] == (3, 8, SIZE, SIZE), batch["video"].shape
                assert batch["audio"].shape[1:] == (1, 200, 257), batch["audio"].shape
    return {name: (float(cpu), float(clock)) for name, (cpu, clock) in spent.items()}


if __name__ == "__main__":
    main()
