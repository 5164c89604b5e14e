"""The landmark detector, run on renders of the template, agrees with it."""

import numpy as np
import pytest

from personalized_face.authoring import cache, preview
from personalized_face.core import mediapipe_regions as regions

SIZE = 320


@pytest.fixture(scope="module")
def viewer():
  return preview.Viewer(cache.load_template("default"), SIZE, holes=True)


@pytest.fixture(scope="module")
def detect():
  face_mesh = pytest.importorskip("mediapipe.python.solutions.face_mesh")
  detector = face_mesh.FaceMesh(static_image_mode=True, refine_landmarks=True)

  def run(picture):
    found = detector.process(picture).multi_face_landmarks
    assert found, "no face found in the render"
    return np.array([(m.x * SIZE, m.y * SIZE) for m in found[0].landmark])

  yield run
  detector.close()


def _moved(viewer, *names):
  template = viewer.template
  index = [template.blendshape_names.index(name) for name in names]
  return (template.vertices + template.blendshape_deltas[index].sum(0))[None]


@pytest.mark.parametrize("yaw", [0, 30, -30, 45, -45])
def test_landmarks_where_the_detector_puts_them(viewer, detect, yaw):
  neutral = viewer.template.vertices[None]
  found = detect(viewer.textured(neutral, (0, yaw, 0))[0])[list(regions.IBUG68)]
  ours = viewer.pixels(neutral, (0, yaw, 0))[0, viewer.template.landmark_vertices]
  error = np.linalg.norm(found - ours, axis=-1).mean()
  nme = 100 * error / np.sqrt(np.ptp(found, axis=0).prod())
  assert nme < 4  # % of the box; measured 1.5 at 0 degrees, 2.2 at 30


def test_expressions_move_the_detectors_points(viewer, detect):
  rest = detect(viewer.textured(_moved(viewer))[0])
  eyes = np.linalg.norm(rest[33] - rest[263])

  def change(a, b, *names):
    points = detect(viewer.textured(_moved(viewer, *names))[0])
    before, after = (np.linalg.norm(p[a] - p[b]) / eyes for p in (rest, points))
    return after - before

  # Shares of the eyes' outer distance; each about half of what was measured.
  assert change(13, 14, "jawOpen") > 0.15
  assert change(386, 374, "eyeBlink_L", "eyeBlink_R") < -0.035
  assert change(61, 291, "mouthSmile_L", "mouthSmile_R") > 0.08
  assert change(61, 291, "mouthPucker") < -0.04
  assert change(336, 386, "browInnerUp_L", "browInnerUp_R") > 0.015
