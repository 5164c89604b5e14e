"""The control points that the default template's surface follows.

Read from the measured CSV (see measure.py), laid on the landmarks of a reference face
(reference_landmarks.py), closed at the mouth, and extended by rows that the detector
does not see: two rings beyond the face oval, which curve backwards over forehead,
temples and under the chin, and the edges of lids and lips that turn inwards.
Decimetres, x to the person's left, y up, z out of the face.
"""

import csv
from typing import NamedTuple

import numpy as np

from personalized_face import resources
from personalized_face.authoring import reference_landmarks
from personalized_face.core import mediapipe_regions as regions
from personalized_face.core.errors import UserError

NUM_MEASURED = 468  # of the 478 points; the irises that follow are not skin
EYEBALL_RADIUS = 0.12  # Bekerman et al. 2014: axial 24 mm in adults
LID_THICKNESS = 0.02  # 2 mm at the margin
RING_STEP = (0.11, 0.11)  # to the rings beyond the oval, at forehead and temples
CHIN_STEP = (0.19, 0.24)  # under the chin
# How much the rings turn towards the back of the head, all round and, in addition,
# under the chin, whose underside runs level to the neck (cervicomental angle of adults
# 105-120 degrees, Ellenbogen and Karlin 1980).
RING_BEND = (0.45, 0.95)
CHIN_LEVEL = (0.75, 1.0)
LIP_GAP = 0.001  # between the lips' front edges when shut
LIP_ROLL = (0.012, 0.05)  # how far the rim lies above its lip's edge, and behind it


class ControlPoints(NamedTuple):
  """C points; the first 468 keep MediaPipe's numbers."""

  positions: np.ndarray  # [C, 3] dm
  mirror: np.ndarray  # [C] int
  left_eyeball: np.ndarray  # [3] centre, dm; the right one is its mirror image
  rings: np.ndarray  # [2, 36] int, in the order of FACE_OVAL
  right_eye_rim: np.ndarray  # [16] int, in the order of RIGHT_EYE, corners shared
  left_eye_rim: np.ndarray  # [16] int, in the order of LEFT_EYE
  mouth_rim: np.ndarray  # [20] int, in the order of LIPS_INNER, corners shared
  landmarks: np.ndarray  # [68, 3] dm, where the anatomical landmarks lie


def default_path() -> str:
  """The measured points that ship with the package."""
  return resources.default_template_file("control_points.csv")


def read_measurement(path: str) -> tuple[np.ndarray, np.ndarray]:
  """Reads a CSV of measure.py.

  Returns:
    points [478, 3] dm, mirror [478] int.

  Raises:
    UserError: missing or not such a file.
  """
  try:
    with open(path, newline="") as file:
      rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    points = np.array([[float(row[axis]) for axis in "xyz"] for row in rows])
    mirror = np.array([int(row["mirror"]) for row in rows])
  except (OSError, KeyError, ValueError) as error:
    raise UserError(
      f"{path} is not a readable control point file ({error}); make one with "
      "`python -m personalized_face.authoring.measure`."
    ) from error
  if points.shape != (478, 3) or not np.array_equal(mirror[mirror], np.arange(478)):
    raise UserError(
      f"{path} does not hold 478 points in mirror pairs; make it again with "
      "`python -m personalized_face.authoring.measure`."
    )
  return points, mirror


def build_control_points(path: str) -> ControlPoints:
  """Reads the measurement and adds rings and rims."""
  points, mirror = read_measurement(path)
  reference = reference_landmarks.read_landmarks(reference_landmarks.default_path())
  points, landmarks = reference_landmarks.fit_to_landmarks(points, reference)
  eyeball = _eyeball_centre(points)
  points = _close_mouth(points)
  points = _lids_on_eyeball(points, eyeball, mirror)
  builder = _Builder(points[:NUM_MEASURED], mirror[:NUM_MEASURED])
  rings = builder.add_rings()
  mouth = builder.add_rim(regions.LIPS_INNER, _rolled_lips(points))
  left = builder.add_rim(regions.LEFT_EYE, _lid_edges(points, eyeball))
  flip = eyeball * [-1, 1, 1]
  right = builder.add_rim(regions.RIGHT_EYE, _lid_edges(points, flip, right=True))
  positions = np.array(builder.positions)
  partners = _partners(positions)
  partners[:NUM_MEASURED] = mirror[:NUM_MEASURED]
  positions = (positions + positions[partners] * [-1, 1, 1]) / 2
  return ControlPoints(
    positions, partners, eyeball, rings, right, left, mouth, landmarks
  )


class _Builder:
  """A growing list of points."""

  def __init__(self, positions: np.ndarray, mirror: np.ndarray):
    self.positions = list(positions)
    self.mirror = mirror

  def add(self, points: np.ndarray) -> np.ndarray:
    start = len(self.positions)
    self.positions.extend(points)
    return np.arange(start, start + len(points))

  def add_rim(self, contour: tuple[int, ...], edge: np.ndarray) -> np.ndarray:
    """Adds the inner row behind a contour; its first point and the opposite corner
    (half-way round) stay the contour's own, so that the row closes there."""
    half = len(contour) // 2
    rim = np.array(contour)
    inner = [i for i in range(len(contour)) if i not in (0, half)]
    rim[inner] = self.add(edge[inner])
    return rim

  def add_rings(self) -> np.ndarray:
    """Continues the surface beyond the face oval, bending backwards."""
    oval = np.array(regions.FACE_OVAL)
    here = np.array(self.positions)[oval]
    others = np.delete(np.array(self.positions), oval, axis=0)
    near = np.linalg.norm(here[:, None] - others[None], axis=-1).argsort(1)[:, :4]
    outward = here - others[near].mean(1)
    outward /= np.linalg.norm(outward, axis=-1, keepdims=True)
    outward = _smooth_loop(outward, 3)
    down = np.clip(-here[:, 1] - 0.3, 0, 0.4)[:, None] / 0.4
    back = np.array([0, 0, -1.0])
    rings = []
    for step, chin_step, bend, level in zip(
      RING_STEP, CHIN_STEP, RING_BEND, CHIN_LEVEL, strict=True
    ):
      direction = (1 - level * down) * outward + (bend + down) * back
      direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
      here = here + (step + (chin_step - step) * down) * direction
      rings.append(self.add(_smooth_loop(here, 1)))
    return np.array(rings)


def _smooth_loop(values: np.ndarray, times: int) -> np.ndarray:
  for _ in range(times):
    values = (np.roll(values, 1, 0) + 2 * values + np.roll(values, -1, 0)) / 4
  return values


def _partners(points: np.ndarray) -> np.ndarray:
  flipped = points * [-1, 1, 1]
  return np.linalg.norm(flipped[:, None] - points[None], axis=-1).argmin(1)


def _eyeball_centre(points: np.ndarray) -> np.ndarray:
  """Left eyeball: behind the iris, so that the lids lie on it as well as they can.

  The contour of the lids lies a lid's thickness outside the ball; x and y are the
  middle of the eye's opening and the iris, z fits the measured contour.
  """
  contour = points[list(regions.LEFT_EYE)]
  iris = points[regions.LEFT_IRIS_CENTRE]
  corners = points[[regions.LEFT_EYE[0], regions.LEFT_UPPER_LID[-1]]].mean(0)
  x, y = 0.5 * (iris + corners)[:2]
  radius = EYEBALL_RADIUS + LID_THICKNESS
  inside = np.delete(np.arange(16), [0, 8])  # the corners lie off the ball
  sideways = ((contour[inside, :2] - [x, y]) ** 2).sum(-1)
  depth = contour[inside, 2] - np.sqrt(np.maximum(radius**2 - sideways, 0))
  return np.array([x, y, depth.mean()])


def _middle_share(contour: np.ndarray) -> np.ndarray:
  """1 in the middle of an eye's opening, 0 in its corners. [16]"""
  middle = contour[[0, 8], 0].mean()
  reach = (contour[:, 0] - middle) / (np.ptp(contour[[0, 8], 0]) / 2)
  return np.maximum(1 - reach**2, 0) ** 2


def _lids_on_eyeball(points: np.ndarray, ball: np.ndarray, mirror) -> np.ndarray:
  """Moves the lid contours onto a sphere about the eyeball; not in the corners, where
  the lids leave it."""
  points = points.copy()
  eye = np.array(regions.LEFT_EYE)
  offset = points[eye] - ball
  length = np.linalg.norm(offset, axis=-1)
  share = _middle_share(points[eye])
  wanted = length + share * (EYEBALL_RADIUS + LID_THICKNESS - length)
  points[eye] = ball + offset * (wanted / length)[:, None]
  points[mirror[eye]] = points[eye] * [-1, 1, 1]
  return points


def _lid_edges(points: np.ndarray, ball: np.ndarray, right: bool = False) -> np.ndarray:
  """The inner edge of the lid margin: the contour pulled towards the eyeball, so that
  it touches it in the middle and tapers into the corners. [16, 3]"""
  contour = points[list(regions.RIGHT_EYE if right else regions.LEFT_EYE)]
  offset = contour - ball
  length = np.linalg.norm(offset, axis=-1, keepdims=True)
  taper = _middle_share(contour)[:, None] ** 0.25
  return ball + offset * (1 - LID_THICKNESS * taper / length)


def _close_mouth(points: np.ndarray) -> np.ndarray:
  """Brings the lips' inner contours together, to LIP_GAP."""
  points = points.copy()
  upper, lower = list(regions.UPPER_LIP_INNER), list(regions.LOWER_LIP_INNER)
  middle = (points[upper] + points[lower]) / 2
  half = np.array([0, LIP_GAP / 2, 0])
  points[upper[1:-1]] = middle[1:-1] + half
  points[lower[1:-1]] = middle[1:-1] - half
  return points


def _rolled_lips(points: np.ndarray) -> np.ndarray:
  """The rim of the lips: behind the inner contour, a little apart. [20, 3]

  The row tapers into the corners of the mouth.
  """
  contour = list(regions.LIPS_INNER)
  half = len(contour) // 2
  edge = points[contour].copy()
  reach = np.abs(edge[:, 0]) / np.abs(edge[:, 0]).max()
  taper = np.sqrt(np.maximum(1 - reach**2, 0))
  side = np.where(np.arange(len(contour)) <= half, 1.0, -1.0)
  edge[:, 1] += side * taper * LIP_ROLL[0]
  edge[:, 2] -= taper * LIP_ROLL[1]
  return edge
