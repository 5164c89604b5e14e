import numpy as np
import pytest
from export import puppet
from toy_clip import SIZE, StubDetector

from personalized_face.core.errors import UserError
from personalized_face.core.types import Tracking
from personalized_face.export.driven_face import open_driven_face
from personalized_face.face_model.files import save_person
from personalized_face.inference import pictures
from personalized_face.inference.render import ClipRenderer

NAMES = ("jawOpen", "smile_L", "smile_R")  # the toy template's


def tracking_of(*expression):
  """One frame, upright and in the middle."""
  light = np.zeros([1, 9, 3], np.float32)
  light[:, 0] = 3.0
  return Tracking(
    np.array([expression], np.float32),
    np.zeros([1, 3], np.float32),
    np.array([[0, 0, -10]], np.float32),
    light,
  )


def test_a_person_is_the_clip_renderers_face_on_grey(system, person, tmp_path):
  save_person(str(tmp_path / "person.npz"), person, system.template)
  draw = open_driven_face(system, str(tmp_path), StubDetector())
  for tracking in (tracking_of(0.1, 0, 0), tracking_of(0.9, 0.4, 0)):
    drawn = draw(tracking)
    assert drawn.shape == (SIZE, SIZE, 3) and drawn.dtype == np.uint8
    frames = ClipRenderer(system).all(person, tracking)
    expected = pictures.to_uint8(pictures.on_grey(frames.rendering)[0])
    # person.npz keeps maps in half precision: a level of 255 here and there, and
    # border pixels that change sides.
    assert (np.abs(drawn.astype(int) - expected).max(-1) > 2).mean() < 0.01
  assert (drawn[0, 0] == 89).all(), "grey where no face is"


@pytest.fixture()
def character(tmp_path):
  """The puppet with one shape of ours, jawOpen, and one of its own."""
  made = puppet.build()
  vertices = made.vertices / 100
  jaw = np.where(vertices[:, 1:2] < -0.05, [[0.0, -0.03, 0.0]], 0.0)
  path = tmp_path / "puppet.glb"
  shapes = [jaw, -jaw]
  puppet.write_glb(path, vertices, made.triangles, ["Jaw_Open", "hat"], shapes)
  return str(path)


def test_a_character_moves_by_its_own_names(system, character):
  draw = open_driven_face(system, character, StubDetector())
  rest, smile, jaw = (
    draw(tracking_of(*w)).astype(int) for w in ((0, 0, 0), (0, 1, 0), (1, 0, 0))
  )
  assert (rest == smile).all(), "it has no smile"
  moved = (np.abs(rest - jaw).max(-1) > 20).any(axis=1)
  height = len(rest)
  assert moved[height // 2 :].any() and not moved[: height // 2].any()
  overrides = {"hat": {"smile_L": 1.0}}
  draw = open_driven_face(system, character, StubDetector(), overrides)
  assert (draw(tracking_of(0, 1, 0)) != rest).any(), "the mapping gives it one"


def test_a_character_turns_with_the_driver(system, character):
  draw = open_driven_face(system, character, StubDetector())
  tracking = tracking_of(0, 0, 0)
  turned = tracking._replace(rotation=np.array([[0, 0.4, 0]], np.float32))
  assert (draw(tracking) != draw(turned)).mean() > 0.05


def test_open_driven_face_exception_raised(system, tmp_path):
  made = puppet.build()
  bare = tmp_path / "bare.glb"
  puppet.write_glb(bare, made.vertices / 100, made.triangles)
  with pytest.raises(UserError, match="bare has no blendshapes.*its driven.glb"):
    open_driven_face(system, str(bare), StubDetector())
  with pytest.raises(UserError, match="neither a person.npz nor images"):
    open_driven_face(system, str(tmp_path), StubDetector())
