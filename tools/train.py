r"""Trains ModelNet and TrackNet on prepared records.

The paper's two stages, then its pictures in TensorBoard:

  pface_train --records_dir=records --run_dir=runs/mine \
      --gin_file=papers/personalized_face/stage2.gin
  tensorboard --logdir runs/mine/logs

A run goes on where it stopped when the command is given again, with the losses of a run
that was never stopped (bit for bit on a CPU). SIGTERM, which preemptible machines send,
writes a checkpoint and ends in exit status 143. --gin_param sets any single value, such
as --gin_param="stage1/Stage.steps = 1000".

--initial_run begins with the networks of another run, of the same template and sizes.

A loss or gradient that is not finite stops the run; it says in which records, and

  pface_train --replay=runs/mine/replay/stage1_123.npz

takes that one step again and shows every value on its way.
"""

from collections.abc import Sequence

from absl import flags

from personalized_face.tools._app import run as run_app

FLAGS = flags.FLAGS
flags.DEFINE_string("records_dir", None, "Records of pface_prepare_data.")
flags.DEFINE_string("run_dir", None, "Gets checkpoints, logs and config.gin.")
flags.DEFINE_string("template", "default", "'default' or a template's .npz file.")
flags.DEFINE_multi_string("gin_file", None, "Configurations, from the gin folder.")
flags.DEFINE_multi_string("gin_param", [], "Single values, 'name = value'.")
flags.DEFINE_string(
  "initial_run",
  None,
  "Whose networks to begin with: a run folder, or weights that pface_export packed.",
)
flags.DEFINE_string("replay", None, "A failed step's file; nothing is trained.")


@flags.multi_flags_validator(
  ["records_dir", "run_dir", "gin_file", "replay"],
  message="--records_dir, --run_dir and --gin_file are needed (or --replay alone)",
)
def _complete(values: dict) -> bool:
  needed = all(values[name] for name in ("records_dir", "run_dir", "gin_file"))
  return needed or bool(values["replay"])


def main(argv: Sequence[str]) -> None:
  """Parses the configuration, builds the system and trains it."""
  del argv
  if FLAGS.replay:
    from personalized_face.training.replay import replay

    print(replay(FLAGS.replay, FLAGS.gin_param))
    return
  from personalized_face.pipelines.training import train_run

  train_run(
    FLAGS.records_dir,
    FLAGS.run_dir,
    FLAGS.template,
    FLAGS.gin_file,
    FLAGS.gin_param,
    FLAGS.initial_run,
  )
  print(f"Trained. Checkpoints and TensorBoard logs are in {FLAGS.run_dir}.")


def run() -> None:
  """Entry point of the console command."""
  run_app(main)


if __name__ == "__main__":
  run()
