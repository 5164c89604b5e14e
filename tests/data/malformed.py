"""Inputs with something wrong with them, for the tests of the preparation.

`make(folder, count)` writes files of every kind below, again and again with other
numbers, and returns for each name which statuses of the manifest are right. As a script
it is run with a folder and a count: `python tests/data/malformed.py FOLDER 300`.
"""

import os
import pathlib
import sys

import cv2
import numpy as np
from PIL import Image

from personalized_face.data.video import write_video

OK, SHORT, NO_FACE, UNREADABLE, IGNORED = (
  ("ok",),
  ("too short",),
  ("no face",),
  ("unreadable",),
  ("ignored",),
)
USELESS = ("too short", "no face", "unreadable")


def picture(seed: int = 0, faces: int = 1, size=(96, 160)) -> np.ndarray:
  """[H, W, 3] uint8: bright squares on a dark ground, which the toy detector finds."""
  image = np.full([*size, 3], 20 + seed % 7, np.uint8)
  for i in range(faces):
    image[30:70, 10 + 80 * i : 50 + 80 * i] = 255
  return image


def _video(path: pathlib.Path, frames, fps=10) -> None:
  """Written under a plain name first: ffmpeg has its own ideas about some."""
  plain = path.parent.parent / "plain.mp4"
  write_video(str(plain), frames, fps)
  os.replace(plain, path)


def _good(path, seed=0, faces=1, count=10, size=(96, 160)):
  _video(path, [picture(seed, faces, size)] * count)


def _truncated(path, seed):
  _good(path, seed, count=30)
  data = path.read_bytes()
  path.write_bytes(data[: len(data) * (1 + seed % 8) // 10])


def _garbled(path, seed):
  """The index is whole, the pictures are not."""
  _good(path, seed, count=30)
  data = bytearray(path.read_bytes())
  rng = np.random.default_rng(seed)
  places = rng.integers(len(data) // 2, len(data), 200)
  for place in places:
    data[place] = rng.integers(256)
  path.write_bytes(bytes(data))


def _image(path, image, **options):
  Image.fromarray(image).save(path, **options)


def _unreadable(path, seed):
  _good(path, seed)
  path.chmod(0)


# What root may read all the same.
_DENIED = OK if os.geteuid() == 0 else UNREADABLE

# Kind: (extension, what writes it from a path and a number, right statuses).
KINDS = {
  "good": (".mp4", _good, OK),
  "truncated": (".mp4", _truncated, ("ok", *USELESS)),
  "garbled": (".mp4", _garbled, ("ok", *USELESS)),
  "zero_bytes": (".mp4", lambda p, i: p.write_bytes(b""), UNREADABLE),
  "text": (".mp4", lambda p, i: p.write_text("not a video\n" * i), UNREADABLE),
  "noise": (
    ".avi",
    lambda p, i: p.write_bytes(np.random.default_rng(i).bytes(5000)),
    UNREADABLE,
  ),
  # The container is known by what is in it, not by the name.
  "wrong_name": (".mkv", _good, OK),
  "unknown_extension": (".dat", _good, IGNORED),
  "no_extension": ("", _good, IGNORED),
  "one_frame": (".mp4", lambda p, i: _good(p, i, count=1), SHORT),
  "odd_size": (".mp4", lambda p, i: _good(p, i, size=(97, 161)), OK),
  "tiny": (
    ".mp4",
    lambda p, i: _video(p, [np.zeros([2, 2, 3], np.uint8)] * 9),
    NO_FACE,
  ),
  "no_face": (".mp4", lambda p, i: _good(p, i, faces=0), NO_FACE),
  "two_faces": (".mp4", lambda p, i: _good(p, i, faces=2), OK),
  "denied": (".mp4", _unreadable, _DENIED),
  "directory": (".mp4", lambda p, i: p.mkdir(), UNREADABLE),
  "pipe": (".mp4", lambda p, i: os.mkfifo(p), UNREADABLE),
  "broken_link": (".mp4", lambda p, i: p.symlink_to("nowhere.mp4"), UNREADABLE),
  "link_to_itself": (".mp4", lambda p, i: p.symlink_to(p.name), UNREADABLE),
  "link_out": (".mp4", lambda p, i: p.symlink_to(sys.executable), IGNORED),
  "ünïcode 顔 %s {clip}\n": (".mp4", _good, OK),
  "long" * 60: (".mp4", _good, OK),
  "jpeg_as_video": (
    ".mp4",
    lambda p, i: p.write_bytes(cv2.imencode(".jpg", picture(i))[1].tobytes()),
    ("ok", *USELESS),
  ),
}

# Pictures, one clip each; the corpus has min_frames 1.
IMAGE_KINDS = {
  "good": (".jpg", lambda p, i: _image(p, picture(i)), OK),
  "grey16": (
    ".png",
    lambda p, i: cv2.imwrite(str(p), picture(i)[..., 0].astype(np.uint16) * 257),
    OK,
  ),
  "rgb16": (
    ".png",
    lambda p, i: cv2.imwrite(str(p), picture(i).astype(np.uint16) * 257),
    OK,
  ),
  # Inverted, as CMYK of most programs is: a face or none, but no crash.
  "cmyk": (
    ".jpg",
    lambda p, i: Image.fromarray(picture(i)).convert("CMYK").save(p),
    ("ok", *USELESS),
  ),
  "palette": (
    ".png",
    lambda p, i: Image.fromarray(picture(i)).convert("P").save(p),
    OK,
  ),
  "alpha": (".png", lambda p, i: _image(p, np.dstack([picture(i)] * 2)[..., :4]), OK),
  "rotated": (".jpg", lambda p, i: _image(p, picture(i), exif=_turned(6)), OK),
  "truncated": (
    ".jpg",
    lambda p, i: p.write_bytes(cv2.imencode(".jpg", picture(i))[1].tobytes()[:300]),
    ("ok", *USELESS),
  ),
  "zero_bytes": (".png", lambda p, i: p.write_bytes(b""), UNREADABLE),
  "text": (".jpg", lambda p, i: p.write_text("no"), UNREADABLE),
  "one_pixel": (".png", lambda p, i: _image(p, np.zeros([1, 1, 3], np.uint8)), NO_FACE),
  "strip": (".png", lambda p, i: _image(p, np.zeros([1, 5000, 3], np.uint8)), NO_FACE),
  "video_as_image": (".png", _good, UNREADABLE),
}


def _turned(orientation: int) -> Image.Exif:
  exif = Image.Exif()
  exif[0x0112] = orientation
  return exif


def make(folder: pathlib.Path, count: int, kinds=None) -> dict[str, tuple[str, ...]]:
  """Writes `count` inputs and returns the right statuses by path."""
  kinds = KINDS if kinds is None else kinds
  folder.mkdir(parents=True)
  wanted = {}
  for i in range(count):
    name = list(kinds)[i % len(kinds)]
    extension, write, statuses = kinds[name]
    path = folder / f"{name}{i // len(kinds) or ''}{extension}"
    write(path, i)
    wanted[str(path)] = statuses
  return wanted


if __name__ == "__main__":
  make(pathlib.Path(sys.argv[1]) / "videos", int(sys.argv[2]))
