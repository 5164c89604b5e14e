r"""Writes a reconstructed person as one animated .glb for any 3D program.

  pface_export_avatar --person=out/anna --output=anna.glb
  pface_export_avatar --run_dir=runs/mine --person=out/anna --output=anna.glb --ply \
      --objs --albedo_video

The file holds the neutral mesh with its albedo texture, the blendshapes as named morph
targets, and the clip that was tracked as an animation of weights and head pose. Metres,
y up. The dynamic albedo is a second texture; extras of the material say how to read it.
"""

from collections.abc import Sequence

from absl import flags

from personalized_face.tools._app import run as run_app

FLAGS = flags.FLAGS
flags.DEFINE_string("run_dir", None, "The run of pface_train that made the person.")
flags.DEFINE_string(
  "template", None, "Without --run_dir: 'default', if not given, or a template's .npz."
)
flags.DEFINE_string("person", None, "A folder of pface_reconstruct, or a person.npz.")
flags.DEFINE_string("motion", None, "A motion.npz; by default the one beside --person.")
flags.DEFINE_string("output", None, "NAME.glb; its folder is made if missing.")
flags.DEFINE_bool("clip", True, "Animate the avatar with the motion.")
flags.DEFINE_bool("ply", False, "Also write NAME.ply with coloured vertices.")
flags.DEFINE_bool("objs", False, "Also write NAME_objs/ with every blendshape.")
flags.DEFINE_bool("albedo_video", False, "Also bake NAME_albedo.mp4 (Eq. 2).")
flags.mark_flags_as_required(["person", "output"])


def main(argv: Sequence[str]) -> None:
  """Loads the person and writes the avatar."""
  del argv
  from personalized_face.export.avatar_files import export_avatar, load_reconstruction
  from personalized_face.tools._system import system_of

  system = system_of(FLAGS.run_dir, FLAGS.template)
  person, motion = load_reconstruction(system, FLAGS.person, FLAGS.motion)
  written = export_avatar(
    system,
    person,
    FLAGS.output,
    motion if FLAGS.clip else None,
    ply=FLAGS.ply,
    objs=FLAGS.objs,
    albedo_video=FLAGS.albedo_video,
  )
  print(f"Wrote {', '.join(written)}.")


def run() -> None:
  """Entry point of the console command."""
  run_app(main)


if __name__ == "__main__":
  run()
