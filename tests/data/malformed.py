"""Inputs with something wrong with them, for the tests of the preparation.

`make(folder, count, kinds)` writes files of every kind, again and again with other
numbers, and returns for each path which statuses of the manifest are right. As a script
it writes COUNT of them round the face of a real clip, prepares them as a user would and
prints what became of each kind:

  python tests/data/malformed.py FOLDER 300 CLIP.mp4

Its exit status is 0 if each input has its row, and each row the status and the reason
that are right for its kind.
"""

import csv
import os
import pathlib
import subprocess
import sys
from collections import Counter

import cv2
import imageio_ffmpeg
import numpy as np
from PIL import Image

from personalized_face.data.video import read_frames, write_video

OK, SHORT, NO_FACE, UNREADABLE, IGNORED = (
  ("ok",),
  ("too short",),
  ("no face",),
  ("unreadable",),
  ("ignored",),
)
USELESS = ("too short", "no face", "unreadable")

# Frames of a real clip, [240, 240, 3] uint8, where a script has put them; else faces
# are bright squares, which the toy detector finds.
real_faces: list[np.ndarray] = []
_REAL_SIDE, _REAL_SCALE = 240, 3


def picture(seed: int = 0, faces: int = 1, size=(96, 160)) -> np.ndarray:
  """[H, W, 3] uint8: faces side by side on a dark ground; with real ones 3 x larger."""
  if not real_faces:
    image = np.full([*size, 3], 20 + seed % 7, np.uint8)
    for i in range(faces):
      image[30:70, 10 + 80 * i : 50 + 80 * i] = 255
    return image
  image = np.full([*(_REAL_SCALE * side for side in size), 3], 20 + seed % 7, np.uint8)
  for i in range(faces):
    left = _REAL_SIDE * i
    face = real_faces[seed % len(real_faces)]
    image[24 : 24 + _REAL_SIDE, left : left + _REAL_SIDE] = face
  return image


def _video(path: pathlib.Path, frames, fps=10) -> None:
  """Written under a plain name first: ffmpeg has its own ideas about some."""
  plain = path.parent.parent / "plain.mp4"
  write_video(str(plain), frames, fps)
  os.replace(plain, path)


def _good(path, seed=0, faces=1, count=10, size=(96, 160)):
  _video(path, [picture(seed + i, faces, size) for i in range(count)])


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


def _rotated(path, seed):
  """Lies on its side; the metadata say so."""
  plain = path.parent.parent / "side.mp4"
  upright = [picture(seed + i) for i in range(10)]
  write_video(str(plain), [np.rot90(image, -1) for image in upright], 10)
  turned = path.parent.parent / "turned.mp4"
  command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error"]
  command += ["-display_rotation", "90", "-i", str(plain), "-c", "copy", str(turned)]
  subprocess.run(command, check=True)
  plain.unlink()
  os.replace(turned, path)


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
  "rotated": (".mp4", _rotated, OK),
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
  "rotated": (
    ".jpg",
    lambda p, i: _image(p, np.rot90(picture(i)), exif=_turned(6)),
    OK,
  ),
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


def _points(transform=lambda points: points) -> str:
  """A .pts file of points spread over the face, after something was done to them."""
  low, high = ((60, 90), (180, 220)) if real_faces else ((12, 32), (48, 68))
  points = np.random.default_rng(0).uniform(low, high, (68, 2))
  lines = "".join(f"{x} {y}\n" for x, y in transform(points))
  return f"version: 1\nn_points: 68\n{{\n{lines}}}\n"


def _with_landmarks(content, statuses=SHORT):
  """A kind of picture whose .pts file has what `content` makes, text or bytes."""

  def write(path, seed):
    _image(path, picture(seed))
    data = content()
    data = data.encode() if isinstance(data, str) else data
    path.with_suffix(".pts").write_bytes(data)

  return ".png", write, statuses


# Pictures with a landmark file beside each; min_frames is 1.
LANDMARK_KINDS = {
  "good": _with_landmarks(_points, OK),
  "not_a_number": _with_landmarks(lambda: _points(lambda p: p * np.nan)),
  "one_not_a_number": _with_landmarks(
    lambda: _points(lambda p: np.where(np.arange(136).reshape(68, 2) == 7, np.nan, p))
  ),
  "infinite": _with_landmarks(lambda: _points(lambda p: p * np.inf)),
  "far_right": _with_landmarks(lambda: _points(lambda p: p + 1e6)),
  "negative": _with_landmarks(lambda: _points(lambda p: p - 1e4)),
  "huge": _with_landmarks(lambda: _points(lambda p: p * 1e6)),
  "one_place": _with_landmarks(lambda: _points(lambda p: p * 0 + 50)),
  "truncated": _with_landmarks(lambda: _points()[:300]),
  "text": _with_landmarks(lambda: "not points"),
  "zero_bytes": _with_landmarks(lambda: b""),
  "noise": _with_landmarks(lambda: np.random.default_rng(0).bytes(3000)),
  "missing": (".png", lambda p, i: _image(p, picture(i)), NO_FACE),
}

# By name of a corpus: its kinds, and what its spec says beside SPEC.
CORPORA = {
  "videos": (KINDS, "kind: videos\nmin_frames: 4\n"),
  "images": (IMAGE_KINDS, "kind: images\nmin_frames: 1\n"),
  "landmarks": (
    LANDMARK_KINDS,
    "kind: images\nmin_frames: 1\nignore: ['*.pts']\n"
    "landmarks: {files: '{stem}.pts'}\n",
  ),
}
SPEC = """
layout: "{clip}.{extension}"
person: "{clip}"
clip: "{clip}"
source: ours
licence: ours
"""


def _turned(orientation: int) -> Image.Exif:
  exif = Image.Exif()
  exif[0x0112] = orientation
  return exif


def make(folder: pathlib.Path, count: int, kinds) -> dict[str, tuple[str, ...]]:
  """Writes `count` inputs and returns the right statuses by path."""
  folder.mkdir(parents=True)
  wanted = {}
  for i in range(count):
    name = list(kinds)[i % len(kinds)]
    extension, write, statuses = kinds[name]
    path = folder / f"{name}{i // len(kinds) or ''}{extension}"
    write(path, i)
    wanted[str(path)] = statuses
  return wanted


def write_corpus(folder: pathlib.Path, name: str, count: int) -> dict:
  """Writes `<folder>/<name>/` and `<folder>/<name>.yaml`; returns what `make` does."""
  kinds, spec = CORPORA[name]
  wanted = make(folder / name, count, kinds)
  (folder / f"{name}.yaml").write_text(SPEC + spec)
  return wanted


def right(row: dict[str, str], statuses: tuple[str, ...]) -> bool:
  """Whether a row of the manifest says what it should."""
  reason = row["reason"].rstrip()
  return row["status"] in statuses and (row["status"] == "ok" or reason.endswith("."))


def _prepared(folder: pathlib.Path, name: str) -> dict[str, dict[str, str]]:
  """Runs pface_prepare_data as a user would; the manifest's rows by path."""
  command = [sys.executable, "-m", "personalized_face", "prepare_data"]
  command += [f"--input={folder / name}", f"--corpus={folder / name}.yaml"]
  ended = subprocess.run([*command, f"--output_dir={folder / name}_records"])
  print(f"\nexit status {ended.returncode}")
  manifest = folder / f"{name}_records" / "manifest.csv"
  with open(manifest, newline="", encoding="utf-8") as file:
    return {row["path"]: row for row in csv.DictReader(file)}


def _table(rows: dict, wanted: dict, kinds: dict) -> tuple[list[str], int]:
  """Lines of Markdown, one for each kind, and how many inputs are not right."""
  lines = ["| kind | inputs | status | a reason |", "|---|---|---|---|"]
  wrong = len(set(rows) ^ set(wanted))
  for first, kind in enumerate(kinds):
    paths = list(wanted)[first :: len(kinds)]
    found = [rows[path] for path in paths if path in rows]
    wrong += sum(not right(row, kinds[kind][2]) for row in found)
    statuses = Counter(row["status"] for row in found)
    shown = ", ".join(f"{count} {status}" for status, count in statuses.items())
    reasons = [
      row["reason"].replace(os.path.dirname(row["path"]) + os.sep, "") for row in found
    ]
    reason = repr(max(reasons, key=len, default=""))[1:-1][:160]
    lines.append(f"| {kind[:40]!r} | {len(paths)} | {shown} | {reason} |")
  return lines, wrong


def main(folder: pathlib.Path, count: int, clip: str) -> int:
  """Writes, prepares, and prints a table for each corpus; returns the exit status."""
  for frame in read_frames(clip):
    real_faces.append(cv2.resize(frame.image, (_REAL_SIDE, _REAL_SIDE)))
  total_wrong = 0
  shares = {"videos": count // 2, "images": count // 4}
  shares["landmarks"] = count - sum(shares.values())
  for name, share in shares.items():
    wanted = write_corpus(folder, name, share)
    lines, wrong = _table(_prepared(folder, name), wanted, CORPORA[name][0])
    print(f"\n{name}: {share} inputs, {wrong} not as they should be\n")
    print("\n".join(lines))
    total_wrong += wrong
  return int(total_wrong > 0)


if __name__ == "__main__":
  sys.exit(main(pathlib.Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
