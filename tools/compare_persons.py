r"""How far two faces are apart: halves of a clip, two lights, a fit and the template.

  pface_compare_persons --person=out/anna --reference=out/anna_outdoors
  pface_compare_persons --person=out/anna         # with the template

Neutral faces in millimetres (also after scaling one to the other: one camera cannot see
a head's size), albedo up to a factor per channel (that is the light's), and the cosines
of the blendshapes' displacements, which are near 1 where they mean the same.
"""

from collections.abc import Sequence

from absl import flags

from personalized_face.tools._app import run as run_app

FLAGS = flags.FLAGS
flags.DEFINE_string("person", None, "A folder of pface_personalize, or a person.npz.")
flags.DEFINE_string("reference", None, "Another one; by default the bare template.")
flags.DEFINE_string("run_dir", None, "The run of pface_train that made them.")
flags.DEFINE_string(
  "template", None, "Without --run_dir: 'default', if not given, or a template's .npz."
)
flags.DEFINE_string("json", None, "Also writes the figures to this file.")
flags.mark_flag_as_required("person")


def main(argv: Sequence[str]) -> None:
  """Loads both and prints the figures."""
  del argv
  from personalized_face.export.avatar_files import load_reconstruction
  from personalized_face.export.files import write_json
  from personalized_face.inference.track import bare_person
  from personalized_face.pipelines.compare_persons import compare_persons
  from personalized_face.tools._system import system_of

  system = system_of(FLAGS.run_dir, FLAGS.template)
  person, _ = load_reconstruction(system, FLAGS.person)
  reference = bare_person(system)
  if FLAGS.reference:
    reference, _ = load_reconstruction(system, FLAGS.reference)
  figures = compare_persons(system, person, reference)
  for name, value in figures.items():
    print(f"{name:24} {value:.3f}")
  if FLAGS.json:
    write_json(FLAGS.json, figures)
    print(f"The figures are in {FLAGS.json}.")


def run() -> None:
  """Entry point of the console command."""
  run_app(main)


if __name__ == "__main__":
  run()
