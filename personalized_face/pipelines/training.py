"""From a configuration to a trained run folder."""

from collections.abc import Sequence

import gin

from personalized_face import config
from personalized_face.authoring.cache import load_template
from personalized_face.core.errors import UserError
from personalized_face.pipelines.starter import run_folder, variables
from personalized_face.systems.personalized_face import PersonalizedFace, build_system
from personalized_face.template.face_template import FaceTemplate
from personalized_face.template.resize import with_uv_size
from personalized_face.training.checkpoints import claim_run_dir, load_system
from personalized_face.training.distribution import make_strategy, scope, writes
from personalized_face.training.loop import train


def train_run(
  records_dir: str,
  run_dir: str,
  template_name: str,
  gin_files: Sequence[str],
  gin_params: Sequence[str] = (),
  initial_run: str | None = None,
) -> PersonalizedFace:
  """Trains the stages that the configuration lists; goes on where a run stopped.

  Args:
    records_dir: records with a training split.
    run_dir: made if missing.
    template_name: "default" or a path.
    gin_files, gin_params: the configuration.
    initial_run: whose networks and mean albedo this one begins with: a run folder or
      packed weights; None begins anew.

  Returns:
    The trained system.

  Raises:
    UserError: a typo in gin, another template in the folder, no records, an initial run
      of another template or of networks of other sizes.
  """
  # Before this run's configuration, since it is built by its own.
  initial = load_system(run_folder(initial_run)) if initial_run else None
  config.parse(gin_files, gin_params)
  config.make_deterministic()
  strategy = make_strategy()  # several workers have to meet before anything is computed
  template = training_template(template_name)
  with scope(strategy):
    if writes():
      claim_run_dir(run_dir, template)
    system = build_system(template)
    if initial is not None:
      _begin_as(system, initial, initial_run)
    train(system, records_dir, run_dir)
  return system


def _begin_as(system: PersonalizedFace, there: PersonalizedFace, run: str) -> None:
  """Takes the variables of another run's system; a stage that goes on has its own."""
  if there.template.hash != system.template.hash:
    raise UserError(
      f"{run} is a run with template {there.template.name} ({there.template.hash}), "
      f"which cannot begin one with {system.template.name} ({system.template.hash}); "
      "begin anew, or with a run of that template."
    )
  pairs = list(zip(variables(system), variables(there), strict=False))
  if len(variables(system)) != len(variables(there)) or any(
    here.shape != other.shape for here, other in pairs
  ):
    raise UserError(
      f"The networks of {run} are of other sizes; set build_system.model_net_width, "
      "track_net_width and track_net_hidden to those of its config.gin."
    )
  for here, other in pairs:
    here.assign(other)


@gin.configurable(module="pipelines", denylist=["name"])
def training_template(name: str, uv_size: int | None = None) -> FaceTemplate:
  """The template that a run is trained with.

  Args:
    name: "default" or a path.
    uv_size: U, texels; None keeps the template's.
  """
  template = load_template(name)
  return template if uv_size is None else with_uv_size(template, uv_size)
