r"""Finds where each vertex of the template lies on another mesh: correspondences.

  pface_register --target=Tester_1/Blendshape/shape_0.obj --landmarks=shape_0.txt \
      --output=correspondences/ours.npz
  pface_evaluate --benchmark=facewarehouse --data_dir=FaceWarehouse \
      --gin_param="FaceWarehouse.correspondence_dir = 'correspondences'" \
      --checkpoint=runs/mine --output_dir=results

The template is laid on the target by the landmarks and bent onto it. One file serves
all meshes of the target's topology (FaceWarehouse); scans without a common topology
(BU-3DFE) need one each. The landmarks are a text file with lines "index x y z": 0-based
iBUG numbers, at least four, spread over the face. --source registers another system's
mesh, with the vertices of its landmarks in --source_landmarks. Look at --bent: the
template as it lies on the target.
"""

from collections.abc import Sequence

from absl import flags

from personalized_face.tools._app import run as run_app

FLAGS = flags.FLAGS
flags.DEFINE_string("target", None, "The mesh: OBJ, PLY or VRML 2.0.")
flags.DEFINE_string("landmarks", None, 'Lines "index x y z" on the target.')
flags.DEFINE_string("output", None, "Gets the correspondences, .npz.")
flags.DEFINE_string("bent", None, "Also writes the bent template, .obj.")
flags.DEFINE_string("template", "default", '"default", or a template\'s .npz.')
flags.DEFINE_string("source", None, "A mesh to register instead of the template.")
flags.DEFINE_string(
  "source_landmarks", None, 'Lines "index vertex" of --source, 0-based.'
)
flags.mark_flags_as_required(["target", "landmarks", "output"])


def main(argv: Sequence[str]) -> None:
  """Registers, writes, and says how well it lies."""
  del argv
  from personalized_face.pipelines.registration import register_files

  matched, distance = register_files(
    FLAGS.target,
    FLAGS.landmarks,
    FLAGS.output,
    template=FLAGS.template,
    bent=FLAGS.bent,
    source=FLAGS.source,
    source_landmarks=FLAGS.source_landmarks,
  )
  print(
    f"Registered: {100 * matched:.0f} % of the vertices have a correspondence, "
    f"{distance:.2g} of the face's extent from the target on average."
  )


def run() -> None:
  """Entry point of the console command."""
  run_app(main)


if __name__ == "__main__":
  run()
