"""What was spooled comes back: pictures and numbers, of the frames asked for."""

import os

import numpy as np

from personalized_face.core.types import NUM_LANDMARKS
from personalized_face.data.record_format import ClipFrames
from personalized_face.data.spool import Spool, SpooledFrame


def _frame(number):
  return SpooledFrame(
    indices=number,
    source_frames=10 * number,
    times=number / 4,
    landmarks=np.full([NUM_LANDMARKS, 2], number, np.float32),
    boxes=np.arange(4, dtype=np.float32) + number,
    squares=(1.0, 2.0, 3.0 + number),
    confidence=0.5,
    sharpness=100.0 * number,
    image=b"image %d " % number * (5 + number),
    parsing=b"labels %d" % number * (9 - number),
  )


def test_frames_come_back_as_they_were(tmp_path):
  path = str(tmp_path / "spool")
  clip = ClipFrames("ann", "ann", "ann.mp4", 96, 128, *[np.zeros(0)] * 7)
  with Spool(path) as spool:
    for number in range(4):
      spool.add(_frame(number))
    assert len(spool) == 4 and spool.last_source_frame == 30
    np.testing.assert_array_equal(spool.column("sharpness"), [0, 100, 200, 300])
    taken = spool.take(np.array([1, 3]), clip)
    again = spool.take(np.array([3]), clip)
  assert not os.path.exists(path)
  assert taken.person == "ann" and again.images == taken.images[1:]
  for i, expected in enumerate((_frame(1), _frame(3))):
    assert taken.images[i] == expected.image and taken.parsing[i] == expected.parsing
    for name in ("indices", "source_frames", "times", "landmarks", "boxes", "squares"):
      np.testing.assert_array_equal(getattr(taken, name)[i], getattr(expected, name))
