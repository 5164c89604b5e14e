r"""Drives a face with another person's video, or with a recorded motion.

  pface_retarget --run_dir=runs/mine --source=anna.mp4 --target=out/ben \
      --output_dir=out/anna_drives_ben
  pface_retarget --source=out/anna --clip=anna.mp4 --target=hero.vrm \
      --output_dir=out/anna_drives_hero --gain=jawOpen=1.2 --neutral_frame=0
  pface_retarget --source=iphone_take.csv --target=puppet.obj \
      --output_dir=out/puppet --landmarks=puppet_landmarks.json

The target is another person (a person.npz, a folder of pface_reconstruct, a video or an
image), a character with blendshapes (a .glb, .gltf or .vrm, or a folder of .obj files),
or a bare mesh (.obj, .glb), which gets its blendshapes by deformation transfer. The
folder gets driven.mp4, driven.glb and the motion; see export/retarget.py. metrics.json
says how mouth and eyes open with those that a detector sees on the driver, where the
driver is seen: in a video, or in --clip beside a motion.
"""

from collections.abc import Sequence

from absl import flags

from personalized_face.tools._app import run as run_app

FLAGS = flags.FLAGS
flags.DEFINE_string(
  "run_dir", None, "A run of pface_train, or 'starter'; a video needs one."
)
flags.DEFINE_string(
  "template", None, "Without --run_dir: 'default', if not given, or a template's .npz."
)
flags.DEFINE_multi_string(
  "source",
  None,
  "The driver's video (or images), or a motion: .npz, .json, .csv, or a folder of "
  "pface_personalize or pface_reconstruct.",
)
flags.DEFINE_string("clip", None, "The video that a motion of --source is from.")
flags.DEFINE_alias("driver", "source")
flags.DEFINE_string("target", None, "Who is driven: a person, a character or a mesh.")
flags.DEFINE_string("output_dir", None, "Gets the files; made if missing.")
flags.DEFINE_string("mapping", None, "YAML: the character's shapes by ours.")
flags.DEFINE_multi_string(
  "gain", [], "NAME=FACTOR for a blendshape, such as jawOpen=1.2."
)
flags.DEFINE_integer(
  "neutral_frame", None, "A frame of the source in which the face is at rest."
)
flags.DEFINE_string(
  "landmarks",
  None,
  "JSON: 68 vertices of a bare mesh, or of a character to measure it, iBUG order.",
)
flags.DEFINE_string(
  "person", None, "Whose blendshapes a bare mesh gets; by default the driver's."
)
flags.DEFINE_integer(
  "num_model_images", 8, "At most so many pictures go into ModelNet.", lower_bound=1
)
flags.DEFINE_float(
  "fps", None, "Frames per second to use; all if not given.", lower_bound=0.01
)
flags.DEFINE_integer("check_every", 15, "As in pface_reconstruct.", lower_bound=0)
flags.DEFINE_string(
  "tflite", None, "Tracks by this file of pface_export_tflite, quicker on a CPU."
)
flags.DEFINE_integer("num_threads", 2, "Of --tflite.", lower_bound=1)
flags.mark_flags_as_required(["source", "target", "output_dir"])


def main(argv: Sequence[str]) -> None:
  """Loads the run, reads the driver and writes the driven face."""
  del argv
  from personalized_face.data.detector import MediaPipeDetector
  from personalized_face.export import retarget, shape_mapping
  from personalized_face.export.characters import is_character
  from personalized_face.inference.tflite_runner import open_track_net
  from personalized_face.tools._system import system_of

  system, detector = system_of(FLAGS.run_dir, FLAGS.template), MediaPipeDetector()
  driver = retarget.open_driver(
    system,
    FLAGS.source,
    detector,
    fps=FLAGS.fps,
    check_every=FLAGS.check_every,
    gains=shape_mapping.parse_gains(FLAGS.gain),
    neutral_frame=FLAGS.neutral_frame,
    track=open_track_net(system, FLAGS.tflite, FLAGS.num_threads),
    clip=FLAGS.clip,
  )
  if is_character(FLAGS.target):
    driven = retarget.retarget_to_character(
      system,
      driver,
      FLAGS.target,
      FLAGS.output_dir,
      detector,
      overrides=shape_mapping.read_mapping(FLAGS.mapping) if FLAGS.mapping else None,
      landmarks=FLAGS.landmarks,
      person=FLAGS.person,
      num_model_images=FLAGS.num_model_images,
    )
    told = f"{len(driven.character.names)} shapes of {driven.character.name} are driven"
    metrics = driven.metrics
  else:
    result = retarget.retarget(
      system,
      driver,
      FLAGS.target,
      FLAGS.output_dir,
      detector,
      num_model_images=FLAGS.num_model_images,
    )
    told, metrics = f"{len(driver.names)} frames are driven", result.metrics
  mouth, right, left = (
    metrics[f"{part}_opening_correlation"]
    for part in ("mouth", "right_eye", "left_eye")
  )
  if mouth is not None:
    told += (
      f"; its openings correlate with the driver's: mouth {mouth:.2f}, right eye "
      f"{right:.2f}, left eye {left:.2f}"
    )
  print(f"Retargeted; {told}. Look at driven.mp4 in {FLAGS.output_dir}.")


def run() -> None:
  """Entry point of the console command."""
  run_app(main)


if __name__ == "__main__":
  run()
