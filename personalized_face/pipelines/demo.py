"""The whole path on one clip: prepare, train, export, reconstruct, retarget.

    clip -> records -> warm-up, stage 1, stage 2 -> metrics.json
         -> saved_model/, reconstruction/, retargeting/

Without a clip the package renders one of a synthetic person.
"""

import dataclasses
import os
import shutil
import time
from collections.abc import Callable
from typing import TypeVar

import gin
from absl import logging

from personalized_face import config
from personalized_face.authoring.cache import load_template
from personalized_face.core.errors import UserError
from personalized_face.data.detector import MediaPipeDetector
from personalized_face.data.prepare import prepare
from personalized_face.data.synthetic import SyntheticPerson, render_clip
from personalized_face.export.files import write_json
from personalized_face.export.retarget import open_driver, retarget
from personalized_face.export.run_folder import make_folder, write_reconstruction
from personalized_face.export.saved_model import export
from personalized_face.face_model.files import save_person
from personalized_face.systems.personalized_face import PersonalizedFace, build_system
from personalized_face.template.face_template import FaceTemplate
from personalized_face.training.checkpoints import claim_run_dir, restore_stage
from personalized_face.training.held_out import evaluate_run
from personalized_face.training.loop import train

CONFIGURATION = "papers/personalized_face/demo.gin"
CHECK_EVERY = 1  # the detector leads the crop: see inference/follow.py
PRIOR_START = "pose_and_light"  # the last stage that both trackers share
MARK = ".personalized_face_demo"  # in a folder that a demo may replace
STRANGER_SEED = 7  # of the synthetic person that the clip's motion drives

Result = TypeVar("Result")


@dataclasses.dataclass
class _Clock:
  """Seconds of each part, said as it starts."""

  start: float = dataclasses.field(default_factory=time.monotonic)
  seconds: dict[str, float] = dataclasses.field(default_factory=dict)

  def run(self, part: str, what: str, work: Callable[[], Result]) -> Result:
    """Runs a part of the demo under its name."""
    logging.info("[%4.0f s] %s", time.monotonic() - self.start, what)
    begin = time.monotonic()
    result = work()
    passed = time.monotonic() - begin
    self.seconds[part] = self.seconds.get(part, 0.0) + passed
    return result


def run_demo(
  output_dir: str,
  video: str | None = None,
  template_name: str = "default",
  gin_files: tuple[str, ...] = (CONFIGURATION,),
  gin_params: tuple[str, ...] = (),
) -> dict[str, float]:
  """Runs everything and leaves the pictures and metrics.json in a folder.

  Args:
    output_dir: replaced where it holds an earlier demo.
    video: a clip of one person; None renders one.
    template_name: "default" or a path.
    gin_files, gin_params: the configuration.

  Returns:
    What metrics.json holds; DESIGN section 8 defines the figures.

  Raises:
    UserError: the clip cannot be read or shows no face, there is no such template, or
      the folder is in use for something else.
  """
  clock = _Clock()
  config.parse(gin_files, gin_params)
  config.make_deterministic()
  if video is not None:
    if not os.path.exists(video):
      raise UserError(f"There is no video {video}; give the path of one as VIDEO=.")
    if _inside(video, output_dir):
      raise UserError(
        f"{video} lies in {output_dir}, which the demo replaces; give another OUTPUT=."
      )
  template = clock.run(
    "template", "Loading the template.", lambda: load_template(template_name)
  )
  _clear(output_dir)

  def place(name: str) -> str:
    return os.path.join(output_dir, name)

  if video is None:
    video = place("clip.mp4")
    clock.run(
      "clip",
      "Rendering a clip of a synthetic person.",
      lambda: render_clip(template, video),
    )
  clock.run(
    "prepare", f"Preparing {video}.", lambda: prepare([video], place("records"))
  )
  system = build_system(template)
  claim_run_dir(place("run"), template)
  before = clock.run(
    "evaluate",
    "Measuring the untrained networks on the held-out frames.",
    lambda: evaluate_run(system, system, place("records")),
  )
  clock.run(
    "train",
    "Training ModelNet and TrackNet from scratch.",
    lambda: train(system, place("records"), place("run")),
  )
  prior = clock.run(
    "prior",
    "Training the tracker on the bare template, for comparison.",
    lambda: _train_prior(template, place("records"), place("run"), place("prior")),
  )
  figures = clock.run(
    "evaluate",
    "Measuring on the held-out frames.",
    lambda: evaluate_run(system, prior, place("records")),
  )
  clock.run("export", "Exporting a SavedModel.", lambda: _export(system, output_dir))
  detector = MediaPipeDetector()
  clock.run(
    "reconstruct",
    "Reconstructing the clip.",
    lambda: write_reconstruction(
      system, [video], place("reconstruction"), detector, check_every=CHECK_EVERY
    ),
  )
  clock.run(
    "retarget",
    "Driving another face with the clip's motion.",
    lambda: _retarget(system, video, output_dir, detector),
  )
  figures |= {
    f"untrained_{key}": before[key] for key in ("nme_percent", "photometric_255")
  }
  figures |= {f"seconds_{part}": round(s, 1) for part, s in clock.seconds.items()}
  figures["seconds_total"] = round(time.monotonic() - clock.start, 1)
  write_json(place("metrics.json"), figures)
  return figures


def _inside(path: str, folder: str) -> bool:
  folder = os.path.realpath(folder)
  return os.path.commonpath([os.path.realpath(path), folder]) == folder


def _clear(output_dir: str) -> None:
  """Removes an earlier demo, and nothing else."""
  mark = os.path.join(output_dir, MARK)
  if os.path.isdir(output_dir) and os.listdir(output_dir):
    if not os.path.isfile(mark):
      raise UserError(
        f"{output_dir} holds something other than a demo; give another OUTPUT=."
      )
    shutil.rmtree(output_dir)
  make_folder(output_dir)
  open(mark, "w").close()


def _train_prior(
  template: FaceTemplate, records_dir: str, run_dir: str, prior_dir: str
) -> PersonalizedFace:
  """Row A: the same tracker, from the same warm-up, without corrections."""
  with gin.config_scope("prior"):
    prior = build_system(template)
    claim_run_dir(prior_dir, template)
    restore_stage(prior, run_dir, PRIOR_START)
    train(prior, records_dir, prior_dir)
  return prior


def _export(system: PersonalizedFace, output_dir: str) -> None:
  export(
    system,
    os.path.join(output_dir, "saved_model"),
    config=config.operative_config_text(),
  )


def _retarget(
  system: PersonalizedFace, video: str, output_dir: str, detector: MediaPipeDetector
) -> None:
  """Drives a synthetic stranger."""
  stranger = SyntheticPerson(system.template, seed=STRANGER_SEED).model()
  path = os.path.join(output_dir, "stranger.npz")
  save_person(path, stranger, system.template)
  driver = open_driver(system, [video], detector, check_every=CHECK_EVERY)
  retarget(system, driver, path, os.path.join(output_dir, "retargeting"), detector)
