import os

import numpy as np
from helpers import toy_template

from personalized_face.data import synthesis
from personalized_face.data.corpora import find_clips


def test_seeds_of_persons():
  """More persons leave the first ones as they are; corpora share nobody."""
  few, many = list(synthesis.clip_names(3, 1)), list(synthesis.clip_names(9, 1))
  assert many[:3] == few
  other = list(synthesis.clip_names(9, 2))
  assert not {seed for _, seed in many} & {seed for _, seed in other}
  assert not {name for name, _ in many} & {name for name, _ in other}


def test_what_is_there_stays(tmp_path, monkeypatch):
  """A clip whose motion is missing was interrupted, and is rendered again."""
  rendered = []

  def render(template, path, seed, seconds, fps, size, free, scene):
    rendered.append((os.path.basename(path), seed))
    for name in (path, path[:-4] + "_person.npz", path[:-4] + "_motion.npz"):
      open(name, "w").close()

  monkeypatch.setattr(synthesis, "render_clip", render)
  folder = str(tmp_path / "out")
  paths = synthesis.synthesize(toy_template(), folder, 2, seed=3)
  assert [seed for _, seed in rendered] == [300_000, 300_001]
  os.remove(paths[1][:-4] + "_motion.npz")
  synthesis.synthesize(toy_template(), folder, 3, seed=3)
  assert [seed for _, seed in rendered[2:]] == [300_001, 300_002]
  clips, skipped = find_clips([folder], "synthetic")
  assert len(clips) == 3 and not skipped
  assert len(np.unique([clip.person for clip in clips])) == 3
