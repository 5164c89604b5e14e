"""From a configuration to a trained run folder."""

from collections.abc import Sequence

from personalized_face import config
from personalized_face.authoring.cache import load_template
from personalized_face.systems.personalized_face import PersonalizedFace, build_system
from personalized_face.training.checkpoints import claim_run_dir
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
  template = load_template(template_name)
  claim_run_dir(run_dir, template)
  config.make_deterministic()
  system = build_system(template)
  train(system, records_dir, run_dir)
  return system
