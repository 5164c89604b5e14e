"""A corpus of synthetic people: clips whose every quantity is known.

    template, seeds -> synthetic.render_clip -> <name>.mp4, <name>_person.npz,
                                                <name>_motion.npz -> records

The layout is what `pface_evaluate` reads as its synthetic benchmark, and, being one
video for each person, what `pface_prepare_data` takes; records of it carry the truth of
their frames (data/truth.py).
"""

import gc
import os
from collections.abc import Iterator

from personalized_face.core.errors import UserError
from personalized_face.data.synthetic import render_clip
from personalized_face.progress import tqdm
from personalized_face.template.face_template import FaceTemplate


def clip_names(persons: int, seed: int) -> Iterator[tuple[str, int]]:
  """Name and seed of each person's clip; more persons leave the first ones as they are.

  Args:
    persons: how many.
    seed: of the corpus.
  """
  for person in range(persons):
    # Corpora of other seeds have other people: 100,000 of each.
    yield f"synthetic_{seed:03d}_{person:05d}", seed * 100_000 + person


def synthesize(
  template: FaceTemplate,
  output_dir: str,
  persons: int,
  seed: int = 0,
  seconds: float = 7.0,
  fps: float = 25.0,
  size: int = 512,
  free: bool = False,
  scene: int = 0,
) -> list[str]:
  """Renders a clip of each of some people; those that are there already stay.

  Args:
    template: what the people are corrections of.
    output_dir: made where it is missing.
    persons: how many.
    seed: of the corpus.
    seconds, fps: of each clip.
    size: side of the frames, pixels.
    free, scene: see `render_clip`.

  Returns:
    The paths of the videos.

  Raises:
    UserError: the folder cannot be made.
  """
  try:
    os.makedirs(output_dir, exist_ok=True)
  except OSError as error:
    raise UserError(f"{output_dir} cannot be made ({error.strerror}).") from error
  paths = []
  for name, person_seed in tqdm(
    list(clip_names(persons, seed)), "synthesizing", unit="person"
  ):
    path = os.path.join(output_dir, f"{name}.mp4")
    # The motion is written last, and each file is complete or absent.
    if not os.path.isfile(os.path.join(output_dir, f"{name}_motion.npz")):
      render_clip(template, path, person_seed, seconds, fps, size, free, scene)
      # A person's graphs hold each other in cycles, and 130 MB that Python does not see
      # and would not look for: 155 persons took 10 GB.
      gc.collect()
    paths.append(path)
  return paths
