"""The face system of a command: a trained run's, or that of a template alone.

What pface_personalize makes needs no run: a template decodes its persons and motions.
Only pictures have to go through a run's networks.
"""

import os
from typing import TYPE_CHECKING

from personalized_face.core.errors import UserError

if TYPE_CHECKING:
  from personalized_face.systems.personalized_face import PersonalizedFace
  from personalized_face.template.face_template import FaceTemplate


def system_of(run_dir: str | None, template: str | None) -> "PersonalizedFace":
  """Builds what --run_dir and --template ask for.

  Raises:
    UserError: not a finished run, not a template, or both were given.
  """
  _refuse_both(run_dir, template)
  if run_dir:
    return system_of_run(run_dir)
  from personalized_face.fitting.system import build_fitting_system

  return build_fitting_system(template_of(None, template))


def system_of_run(run_dir: str) -> "PersonalizedFace":
  """Builds what --run_dir asks for: a folder, or starter weights by their name.

  Raises:
    UserError: not a finished run.
  """
  from personalized_face.pipelines.starter import run_folder
  from personalized_face.training.checkpoints import load_system

  return load_system(run_folder(run_dir))


def template_of(run_dir: str | None, template: str | None) -> "FaceTemplate":
  """Loads the template that `system_of` would take.

  Raises:
    UserError: as there.
  """
  _refuse_both(run_dir, template)
  from personalized_face.authoring.cache import DEFAULT, load_template
  from personalized_face.training.checkpoints import TEMPLATE_FILE

  if run_dir:
    from personalized_face.pipelines.starter import run_folder

    return load_template(os.path.join(run_folder(run_dir), TEMPLATE_FILE))
  return load_template(template or DEFAULT)


def _refuse_both(run_dir: str | None, template: str | None) -> None:
  if run_dir and template:
    raise UserError("A run has its own template: give --run_dir or --template.")
