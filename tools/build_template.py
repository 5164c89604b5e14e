r"""Builds a face template and, if asked, a contact sheet to look at.

  pface_build_template --output=default.npz --preview=default.png
  pface_build_template --preview=default.png      # only the sheet
  pface_build_template --source=ict_facekit --input_dir=ICT-FaceKit \
      --region=narrow_face --output=ict.npz
  pface_build_template --source=obj_folder --input_dir=my_shapes --output=mine.npz

The default template is built from measured control points and anatomy, in seconds; the
other commands build it themselves on first use and keep it in the user's cache folder.
With --compare_to, a template file or ICT-FaceKit's folder, it prints how far the two
agree: landmarks, surfaces, every blendshape; --json prints the same for programs.

  pface_build_template --compare_to=ICT-FaceKit

ICT-FaceKit (MIT licence) is read from its folder as published. A folder of OBJ files
holds neutral.obj and one OBJ per expression, of any name, with the same vertices, a UV
layout, y up and the face looking along +z; one glTF file with named morph targets does
as well. Landmarks and regions are placed by running the landmark detector on renders of
the mesh. A template file serves every command that takes --template.

On pictures of whole heads the detector sees some landmarks a millimetre or two from
there, the same for everybody. --seen_on measures it on synthetic people of the
template, built with the same flags before, and fits are nearer to the truth:

  pface_synthesize_data --template=ict.npz --output_dir=people --motion=free \
      --persons=20 --seconds=10 --fps=2
  pface_build_template --source=ict_facekit --input_dir=ICT-FaceKit \
      --region=narrow_face --seen_on=people --output=ict.npz
"""

import dataclasses
from collections.abc import Sequence

from absl import flags

from personalized_face.tools._app import run as run_app

FLAGS = flags.FLAGS
flags.DEFINE_enum(
  "source", "default", ["default", "ict_facekit", "obj_folder"], "What to build from."
)
flags.DEFINE_string("input_dir", None, "The folder to read; none for the default.")
flags.DEFINE_enum(
  "region",
  "narrow_face",
  ["narrow_face", "face", "head_and_neck"],
  "How much of ICT-FaceKit's head.",
)
flags.DEFINE_list(
  "identity_weights",
  [],
  "ICT-FaceKit: weights of its first identity modes, in standard deviations.",
)
flags.DEFINE_string(
  "landmarks",
  None,
  "obj_folder: a text file of 68 vertex numbers (from 0) or 68 positions, iBUG order; "
  "without it the detector finds them.",
)
flags.DEFINE_float(
  "mm_per_unit",
  None,
  "obj_folder: length of the files' unit; without it the eyes' distance tells.",
  lower_bound=0,
)
flags.DEFINE_string("licence", "unknown", "obj_folder: the licence of the shapes.")
flags.DEFINE_string(
  "seen_on",
  None,
  "A folder with synthetic clips of this template: where the detector sees its "
  "landmarks is measured on them.",
)
flags.DEFINE_string("seen_csv", None, "Gets what --seen_on measures, as a table.")
flags.DEFINE_string("output", None, "The template's .npz file to write.")
flags.DEFINE_string("preview", None, "A PNG to write: shape, maps, every blendshape.")
flags.DEFINE_string(
  "compare_to", None, "A template file or ICT-FaceKit's folder to compare with."
)
flags.DEFINE_boolean("json", False, "Print the comparison as JSON, and nothing else.")


def main(argv: Sequence[str]) -> None:
  """Builds, writes, and says what came out."""
  del argv
  from personalized_face.authoring import compare, sources
  from personalized_face.authoring.preview import write_contact_sheet
  from personalized_face.core.errors import UserError

  if not (FLAGS.output or FLAGS.preview or FLAGS.compare_to or FLAGS.seen_csv):
    raise UserError(
      "There is nothing to do; give --output, --preview, --seen_csv or --compare_to."
    )
  if FLAGS.json and not FLAGS.compare_to:
    raise UserError("--json is the form of a comparison; give --compare_to too.")
  if FLAGS.seen_csv and not FLAGS.seen_on:
    raise UserError("--seen_csv gets what --seen_on measures; give --seen_on too.")
  template = sources.build(
    FLAGS.source,
    FLAGS.input_dir,
    FLAGS.region,
    _numbers("identity_weights", FLAGS.identity_weights),
    FLAGS.landmarks,
    FLAGS.mm_per_unit,
    FLAGS.licence,
  )
  if FLAGS.seen_on:
    template = _calibrated(template)
  if FLAGS.output:
    template.save(FLAGS.output)
  if FLAGS.preview:
    write_contact_sheet(template, FLAGS.preview)
  if not FLAGS.json:
    written = ", ".join(filter(None, [FLAGS.output, FLAGS.preview])) or "nothing"
    print(
      f"Template {template.name!r} ({template.hash}): {template.num_vertices} "
      f"vertices, {template.num_blendshapes} blendshapes, {template.uv_size} texels a "
      f"side; written: {written}."
    )
  if FLAGS.compare_to:
    found = compare.compare(template, compare.load_reference(FLAGS.compare_to))
    print(compare.to_json(found) if FLAGS.json else compare.report(found))


def _calibrated(template):
  from personalized_face.authoring import landmark_offsets
  from personalized_face.data.detector import MediaPipeDetector
  from personalized_face.pipelines.landmark_calibration import measure_offsets

  detector = MediaPipeDetector()
  try:
    found = measure_offsets(template, FLAGS.seen_on, detector)
  finally:
    detector.close()
  said = (
    f"{found.frames} frames: the detector's landmarks are {found.before:.2f} pixels of "
    f"a 224 px crop from the template's, the contour widened, {found.after:.2f} with "
    "the offsets."
  )
  if FLAGS.seen_csv:
    landmark_offsets.write(
      FLAGS.seen_csv, found.offsets, f"landmark_offsets of {template.name!r}.\n{said}"
    )
  if not FLAGS.json:
    print(said)
  return dataclasses.replace(template, landmark_offsets=found.offsets)


def _numbers(flag: str, words: Sequence[str]) -> list[float]:
  from personalized_face.core.errors import UserError

  try:
    return [float(word) for word in words]
  except ValueError as error:
    raise UserError(f"--{flag} takes numbers apart by commas ({error}).") from error


def run():
  """The console command."""
  run_app(main)


if __name__ == "__main__":
  run()
