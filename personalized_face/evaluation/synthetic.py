"""The synthetic benchmark: clips of rendered people of whom everything is known.

  <data_dir>/<clip>.mp4 with <clip>_person.npz and <clip>_motion.npz beside it, as
  `data.synthetic.render_clip` writes them.

Landmarks, the face's shape (the same topology: per vertex), coefficients, head pose,
light and albedo. A pose is told in the crop's own camera; before the comparison it is
turned into that of the clip, along the ray through the middle of the crop.
"""

import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import cv2
import gin
import numpy as np
from scipy.spatial.transform import Rotation

from personalized_face.authoring.cache import DEFAULT, load_template
from personalized_face.core.rotation import euler_from_matrix, rotation_matrix
from personalized_face.core.types import PersonModel, Tracking
from personalized_face.data.video import read_frames
from personalized_face.evaluation import layouts
from personalized_face.evaluation.benchmark import Row, Sample, mean, values
from personalized_face.evaluation.predictions import Prediction
from personalized_face.face_model.face_model import FaceModel
from personalized_face.face_model.files import Motion, load_motion, load_person
from personalized_face.metrics.alignment import align
from personalized_face.metrics.appearance import albedo_error_255, light_error_percent
from personalized_face.metrics.landmarks import nme_percent
from personalized_face.metrics.motion import expression_mae, rotation_error_degrees
from personalized_face.metrics.pictures import face_iou
from personalized_face.metrics.surface_distance import vertex_rmse
from personalized_face.rendering.camera import Camera, project
from personalized_face.rendering.renderer import RendererLayer
from personalized_face.template.attention import texel_operator

_LAYOUT = "<clip>.mp4 with <clip>_person.npz and <clip>_motion.npz"
# Of a crop, whatever its size in pixels: focal length over side (Deng et al. 2019).
FOCAL_PER_SIDE = 1015.0 / 224.0
MM_PER_DM = 100.0
_LABEL_PIXELS = 224  # side of the true parsing maps


class Truth(NamedTuple):
  """What is true of one frame; units as in Prediction."""

  landmarks: np.ndarray  # [68, 2] pixels of the frame
  vertices: np.ndarray  # [V, 3] mm, model space
  neutral: np.ndarray  # [V, 3] mm
  expression: np.ndarray  # [K]
  rotation: np.ndarray  # [3] in the camera of `box`
  translation: np.ndarray  # [3] mm, the same
  light: np.ndarray  # [9, 3]
  albedo: np.ndarray  # [U, U, 3]
  box: np.ndarray  # [4] pixels of the frame
  parsing: np.ndarray  # [S, S] int, what each pixel of the box shows of the face


@gin.configurable(module="evaluation")
class Synthetic:
  """See the module docstring and `benchmark.Benchmark`."""

  name = "synthetic"
  title = "Synthetic people"
  needs = ("landmarks",)
  columns = {
    "nme_percent": "NME %",
    "vertex_mm": "shape mm",
    "neutral_mm": "neutral mm",
    "coefficient_mae": "coefficients MAE",
    "rotation_degrees": "rotation deg",
    "translation_mm": "translation mm",
    "light_percent": "light %",
    "albedo_255": "albedo 0-255",
    "parsing_error_percent": "parsing error %",
  }
  higher_is_better = ()
  annotated_points = False
  protocol = (
    "NME as on AFLW2000-3D; shape and neutral: RMSE over the vertices after a rigid "
    "fit; rotation: the angle of the turn between the poses; light and albedo after "
    "the best factor per channel, since a picture fixes only their product; parsing "
    "error: 100 % less the mean intersection over union of skin, brows and lips, as "
    "rendered; a frame without a face is in no mean."
  )

  def __init__(self, data_dir: str, template: str = DEFAULT, fps: float | None = 5.0):
    """Lists the clips.

    Args:
      data_dir: see the module docstring.
      template: that the clips were rendered with; "default" or a path.
      fps: frames per second to take; None: all.

    Raises:
      UserError: the folder is not laid out so, or was made with another template.
    """
    self._template = load_template(template)
    self._fps, self._clips = fps, clips_with_truth(data_dir)
    _, self._texels = texel_operator(
      self._template.uv, self._template.triangles, self._template.uv_size
    )
    side = _LABEL_PIXELS
    self._renderer = RendererLayer(
      triangles=self._template.triangles,
      hole_triangles=self._template.hole_triangles,
      uv=self._template.uv,
      label_map=self._template.parsing_map,
      camera=Camera(side, side, FOCAL_PER_SIDE * side, side / 2, side / 2),
    )

  def samples(self) -> Iterator[Sample]:
    """Frame by frame; the group is the clip."""
    for clip, path in self._clips.items():
      stem = os.path.splitext(path)[0]
      motion = load_motion(f"{stem}_motion.npz", self._template)
      person = load_person(f"{stem}_person.npz", self._template)
      for frame in read_frames(path, self._fps):
        index = int(np.abs(motion.times - frame.time).argmin())
        yield Sample(
          f"{clip}/{index:06d}",
          lambda image=frame.image: [image],
          clip,
          clip=clip,
          truth=self._truth(person, motion, index),
        )

  def score(self, sample: Sample, prediction: Prediction) -> dict[str, float]:
    """Every figure that the prediction has the fields for."""
    truth: Truth = sample.truth
    landmarks = nme_percent(prediction.landmarks, truth.landmarks)
    figures = {"nme_percent": float(landmarks)}
    for key, field in (("vertex_mm", "vertices"), ("neutral_mm", "neutral")):
      mesh, reference = getattr(prediction, field), getattr(truth, field)
      if mesh is not None and len(mesh) == len(reference):
        fit = align(mesh, reference, with_scale=False)
        figures[key] = vertex_rmse(fit(mesh), reference)
    if prediction.coefficients is not None:
      by_name = dict(
        zip(prediction.coefficient_names, prediction.coefficients, strict=True)
      )
      names = self._template.blendshape_names
      known = [name in by_name for name in names]
      if any(known):
        predicted = np.array([by_name[name] for name in names if name in by_name])
        errors = expression_mae(predicted, truth.expression[known])
        figures["coefficient_mae"] = float(errors.mean())
    figures.update(_pose_errors(prediction, truth))
    if prediction.light is not None:
      figures["light_percent"] = float(
        light_error_percent(prediction.light, truth.light)
      )
    if prediction.albedo is not None:
      # A smaller map covers the same layout: runs may have their own number of texels.
      albedo = cv2.resize(
        np.asarray(prediction.albedo, np.float32), truth.albedo.shape[1::-1]
      )
      figures["albedo_255"] = albedo_error_255(albedo, truth.albedo, self._texels)
    if prediction.parsing is not None:
      there = labels_in_box(prediction.parsing, prediction.box, truth.box)
      figures["parsing_error_percent"] = 100 * (1 - face_iou(there, truth.parsing))
    return figures

  def vertex_errors(self, sample: Sample, prediction: Prediction) -> np.ndarray:
    """[V] mm after the rigid fit: Fig. 7b.

    Raises:
      ValueError: a mesh of another topology.
    """
    fit = align(prediction.vertices, sample.truth.vertices, with_scale=False)
    return np.linalg.norm(fit(prediction.vertices) - sample.truth.vertices, axis=-1)

  def summary(self, rows: Sequence[Row]) -> dict[str, float]:
    """Means over the frames."""
    return {key: mean(values(rows, key)) for key in self.columns}

  def truth_prediction(self, sample: Sample) -> Prediction:
    """Everything but a rendering."""
    truth: Truth = sample.truth
    marks = truth.vertices[self._template.landmark_vertices]
    return Prediction(
      True,
      triangles=self._template.triangles,
      mesh_landmarks=marks,
      coefficients=truth.expression,
      coefficient_names=self._template.blendshape_names,
      **{
        name: value for name, value in truth._asdict().items() if name != "expression"
      },
    )

  def _truth(self, person: PersonModel, motion: Motion, index: int) -> Truth:
    model = FaceModel(self._template)
    batch = PersonModel(*(value[np.newaxis] for value in person))
    frame = Tracking(*(value[index] for value in motion.tracking))
    expression = frame.expression[np.newaxis, np.newaxis]
    geometry = model.geometry(*model.vertex_offsets(batch))
    vertices = np.asarray(model.shape(geometry, expression))[0, 0].astype(np.float64)
    turn = np.asarray(rotation_matrix(frame.rotation.astype(np.float64)))
    in_camera = vertices @ turn.T + frame.translation
    box = motion.boxes[index].astype(np.float64)
    side = box[2] - box[0]
    camera = Camera(1, 1, FOCAL_PER_SIDE * side, side / 2, side / 2)
    points = np.asarray(project(in_camera[self._template.landmark_vertices], camera))
    albedo = np.asarray(model.albedo(batch, expression))
    rendering = self._renderer(
      in_camera.astype(np.float32)[np.newaxis, np.newaxis],
      albedo,
      frame.light[np.newaxis, np.newaxis],
    )
    return Truth(
      landmarks=points + box[:2],
      vertices=MM_PER_DM * vertices,
      neutral=MM_PER_DM * np.asarray(geometry.neutral)[0].astype(np.float64),
      expression=frame.expression,
      rotation=frame.rotation,
      translation=MM_PER_DM * frame.translation,
      light=frame.light,
      albedo=albedo[0, 0],
      box=box,
      parsing=np.asarray(rendering.parsing)[0, 0].argmax(axis=-1).astype(np.uint8),
    )


def clips_with_truth(data_dir: str, pattern: str = r"([^/]+)\.mp4") -> dict[str, str]:
  """The clips of a folder, each with its person and its motion beside it.

  Args:
    data_dir: as `pface_synthesize_data` writes it.
    pattern: of a clip's path in the folder; its first group is the clip's name.

  Returns:
    {name: path of the video}, in natural order.

  Raises:
    UserError: the folder is not laid out so.
  """

  def fail(problem: str):
    return layouts.wrong_layout("synthetic clips", data_dir, problem, _LAYOUT)

  clips = {}
  for path, match in layouts.files_matching(data_dir, pattern, fail):
    for kind in ("person", "motion"):
      if not os.path.isfile(os.path.join(data_dir, f"{match[1]}_{kind}.npz")):
        raise fail(f"has no {match[1]}_{kind}.npz")
    clips[match[1]] = path
  return clips


def pose_in_box(
  rotation: np.ndarray, translation: np.ndarray, box: np.ndarray, other: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """A pose told in one crop's camera, as that of another crop of the picture sees it.

  Both have the focal length of FOCAL_PER_SIDE of their side. The head keeps its
  picture: it moves along the depth with the ratio of the focal lengths, and turns with
  the ray through the middle of its crop.

  Args:
    rotation: [3] Euler angles, radians.
    translation: [3] any unit.
    box: [4] the crop that they are told in, pixels.
    other: [4] the crop that they are wanted in.

  Returns:
    Rotation [3] and translation [3].
  """
  box, other = np.asarray(box, np.float64), np.asarray(other, np.float64)
  side, other_side = box[2] - box[0], other[2] - other[0]
  focal = FOCAL_PER_SIDE * other_side
  x = ((box[0] + box[2]) - (other[0] + other[2])) / 2 / focal
  y = -((box[1] + box[3]) - (other[1] + other[3])) / 2 / focal
  ahead, ray = np.array([0, 0, -1.0]), np.array([x, y, -1.0])
  ray /= np.linalg.norm(ray)
  axis = np.cross(ahead, ray)
  sine = np.linalg.norm(axis)
  angle = np.arctan2(sine, ahead @ ray)
  turn = Rotation.from_rotvec(axis / sine * angle if sine > 0 else np.zeros(3))
  matrix = np.asarray(rotation_matrix(np.asarray(rotation, np.float64)))
  moved = np.array(translation, np.float64)
  moved[2] *= other_side / side
  return euler_from_matrix(turn.as_matrix() @ matrix), turn.apply(moved)


def labels_in_box(
  labels: np.ndarray, box: np.ndarray, other: np.ndarray, side: int = _LABEL_PIXELS
) -> np.ndarray:
  """A label map of one square of a picture, as another square shows it.

  Args:
    labels: [S, S] int, of `box`.
    box: [4] x0, y0, x1, y1, pixels of the picture.
    other: [4] the square that is wanted.
    side: of the result, pixels.

  Returns:
    [side, side] of the nearest pixels; background (0) beyond `box`.
  """
  middles = (np.arange(side) + 0.5) / side
  count = len(labels)

  def places(axis: int) -> np.ndarray:
    low, high = other[axis], other[axis + 2]
    at = (low + middles * (high - low) - box[axis]) / (box[axis + 2] - box[axis])
    return np.floor(at * count).astype(int)

  rows, columns = places(1), places(0)
  inside = [(part >= 0) & (part < count) for part in (rows, columns)]
  picked = labels[np.clip(rows, 0, count - 1)][:, np.clip(columns, 0, count - 1)]
  return np.where(np.outer(*inside), picked, 0)


def _pose_errors(prediction: Prediction, truth: Truth) -> dict[str, float]:
  if prediction.rotation is None or prediction.box is None:
    return {}
  given = prediction.translation
  rotation, translation = pose_in_box(
    prediction.rotation,
    np.zeros(3) if given is None else given,
    prediction.box,
    truth.box,
  )
  figures = {
    "rotation_degrees": float(rotation_error_degrees(rotation, truth.rotation))
  }
  if given is not None:
    figures["translation_mm"] = float(np.linalg.norm(translation - truth.translation))
  return figures
