r"""Times how fast a video is tracked: TrackNet alone, file to motion, with the overlay.

  pface_benchmark_tracking --run_dir=runs/mine --video=clip.mp4
  pface_benchmark_tracking --run_dir=runs/mine --video=clip.mp4 \
      --tflite=lite/track_int8.tflite --json=tracking.json

MediaPipe's face mesh is timed on the same frames. All take turns frame by frame in one
process; the table holds medians and means.
"""

import os
from collections.abc import Sequence

from absl import flags

from personalized_face.tools._app import run as run_app

FLAGS = flags.FLAGS
flags.DEFINE_string(
  "run_dir", "starter", "A run of pface_train; 'starter' comes with the package."
)
flags.DEFINE_string("video", None, "With a face in view in every frame.")
flags.DEFINE_string("person", None, "As in pface_track.")
flags.DEFINE_multi_string("tflite", [], "Also with this file of pface_export_tflite.")
flags.DEFINE_integer("num_threads", 2, "Of --tflite.", lower_bound=1)
flags.DEFINE_integer("num_frames", 200, "At most so many count.", lower_bound=1)
flags.DEFINE_integer("check_every", 15, "As in pface_reconstruct.", lower_bound=0)
flags.DEFINE_string("json", None, "Also writes the figures to this file.")
flags.mark_flag_as_required("video")


def main(argv: Sequence[str]) -> None:
  """Prints the table."""
  del argv
  from personalized_face.data.detector import MediaPipeDetector
  from personalized_face.evaluation.timing import hardware
  from personalized_face.export.avatar_files import load_reconstruction
  from personalized_face.export.files import write_json
  from personalized_face.inference.tflite_runner import open_track_net
  from personalized_face.pipelines.tracking_timing import table, time_tracking
  from personalized_face.tools._system import system_of_run

  system, person = system_of_run(FLAGS.run_dir), None
  if FLAGS.person is not None:
    person, _ = load_reconstruction(system, FLAGS.person)
  rows = time_tracking(
    system,
    FLAGS.video,
    MediaPipeDetector(),
    person,
    {
      os.path.basename(path): open_track_net(system, path, FLAGS.num_threads)
      for path in FLAGS.tflite
    },
    FLAGS.num_frames,
    FLAGS.check_every,
  )
  size = system.camera.height
  print(f"{table(rows)}\n\nCrops of {size} px; {hardware()}.")
  if FLAGS.json:
    figures = [
      {**row._asdict(), "frames_per_second": row.frames_per_second} for row in rows
    ]
    write_json(FLAGS.json, {"rows": figures, "crop_size": size, "hardware": hardware()})


def run() -> None:
  """Entry point of the console command."""
  run_app(main)


if __name__ == "__main__":
  run()
