"""From a configuration to a trained run folder."""

from collections.abc import Sequence

import gin

from personalized_face import config
from personalized_face.authoring.cache import load_template
from personalized_face.systems.personalized_face import PersonalizedFace, build_system
from personalized_face.template.face_template import FaceTemplate
from personalized_face.template.resize import with_uv_size
from personalized_face.training.checkpoints import claim_run_dir
from personalized_face.training.distribution import make_strategy, scope, writes
from personalized_face.training.loop import train


def train_run(
  records_dir: str,
  run_dir: str,
  template_name: str,
  gin_files: Sequence[str],
  gin_params: Sequence[str] = (),
) -> PersonalizedFace:
  """Trains the stages that the configuration lists; goes on where a run stopped.

  Args:
    records_dir: records with a training split.
    run_dir: made if missing.
    template_name: "default" or a path.
    gin_files, gin_params: the configuration.

  Returns:
    The trained system.

  Raises:
    UserError: a typo in gin, another template in the folder, no records.
  """
  config.parse(gin_files, gin_params)
  config.make_deterministic()
  strategy = make_strategy()  # several workers have to meet before anything is computed
  template = training_template(template_name)
  with scope(strategy):
    if writes():
      claim_run_dir(run_dir, template)
    system = build_system(template)
    train(system, records_dir, run_dir)
  return system


@gin.configurable(module="pipelines", denylist=["name"])
def training_template(name: str, uv_size: int | None = None) -> FaceTemplate:
  """The template that a run is trained with.

  Args:
    name: "default" or a path.
    uv_size: U, texels; None keeps the template's.
  """
  template = load_template(name)
  return template if uv_size is None else with_uv_size(template, uv_size)
