"""person.npz and motion.npz: round trips, and every bad file by name."""

import os

import numpy as np
import pytest
import tensorflow as tf
from helpers import toy_template

from personalized_face.core.errors import UserError
from personalized_face.core.types import PersonModel, Tracking
from personalized_face.face_model.files import (
  Motion,
  load_motion,
  load_person,
  load_person_as_is,
  save_motion,
  save_person,
)

_TEMPLATE = toy_template()
_FRAMES = 4


def _person():
  rng = np.random.default_rng(0)
  k, u = _TEMPLATE.num_blendshapes, _TEMPLATE.uv_size
  shapes = ((u, u, 3), (u, u, k, 3)) * 2
  return PersonModel(*(rng.normal(0, 0.3, s).astype(np.float32) for s in shapes))


def _motion():
  rng = np.random.default_rng(1)
  tracking = Tracking(
    *(
      rng.normal(size=(_FRAMES, *shape)).astype(np.float32)
      for shape in ((_TEMPLATE.num_blendshapes,), (3,), (3,), (9, 3))
    )
  )
  return Motion(
    times=np.arange(_FRAMES) / 29.97,
    tracking=tracking,
    boxes=rng.random((_FRAMES, 4)).astype(np.float32),
    frame_size=(480, 640),
    fps=29.97,
  )


def _save(kind, path, template=_TEMPLATE):
  if kind == "person":
    save_person(path, _person(), template)
  else:
    save_motion(path, _motion(), template)


def _load(kind, path, template=_TEMPLATE):
  return (load_person if kind == "person" else load_motion)(path, template)


def _edit(path, **changes):
  """Rewrites an archive with other entries; None takes one out."""
  with np.load(path) as file:
    data = {**file, **changes}
  np.savez(path, **{name: value for name, value in data.items() if value is not None})


both_kinds = pytest.mark.parametrize("kind", ["person", "motion"])


def test_person_round_trip(tmp_path):
  path = str(tmp_path / "new" / "folder" / "person.npz")
  person = _person()
  save_person(path, PersonModel(*(tf.constant(value) for value in person)), _TEMPLATE)
  loaded = load_person(path, _TEMPLATE)
  assert all(value.dtype == np.float32 for value in loaded)
  np.testing.assert_array_equal(loaded.neutral_correction, person.neutral_correction)
  np.testing.assert_array_equal(loaded.static_albedo, person.static_albedo)
  for name in ("blendshape_corrections", "dynamic_albedo"):
    # float16: half an ulp of 2^-10 relative; below 6e-5 its steps are 6e-8.
    np.testing.assert_allclose(
      getattr(loaded, name), getattr(person, name), rtol=2**-11, atol=6e-8
    )
  assert os.listdir(tmp_path / "new" / "folder") == ["person.npz"]


def test_person_without_its_template(tmp_path):
  path = str(tmp_path / "person.npz")
  save_person(path, _person(), _TEMPLATE)
  for found, want in zip(
    load_person_as_is(path), load_person(path, _TEMPLATE), strict=True
  ):
    np.testing.assert_array_equal(found, want)
  _edit(path, static_albedo=np.zeros([3, 3, 3], np.float32))
  with pytest.raises(UserError, match="static_albedo is .* expected"):
    load_person_as_is(path)


def test_person_saved_twice_is_the_same(tmp_path):
  """What is loaded can be saved again without further loss."""
  path = str(tmp_path / "person.npz")
  save_person(path, _person(), _TEMPLATE)
  first = load_person(path, _TEMPLATE)
  save_person(path, first, _TEMPLATE)
  for value, other in zip(load_person(path, _TEMPLATE), first, strict=True):
    np.testing.assert_array_equal(value, other)


def test_motion_round_trip_is_exact(tmp_path):
  path = str(tmp_path / "motion.npz")
  motion = _motion()
  tracking = Tracking(*(tf.constant(value) for value in motion.tracking))
  save_motion(path, motion._replace(tracking=tracking), _TEMPLATE)
  loaded = load_motion(path, _TEMPLATE)
  for name, value in motion.tracking._asdict().items():
    np.testing.assert_array_equal(getattr(loaded.tracking, name), value)
  np.testing.assert_array_equal(loaded.times, motion.times)
  np.testing.assert_array_equal(loaded.boxes, motion.boxes)
  assert loaded.times.dtype == np.float64
  assert loaded.frame_size == (480, 640)
  assert loaded.fps == 29.97


def test_files_hold_the_names_of_the_blendshapes_and_no_pickle(tmp_path):
  path = str(tmp_path / "motion.npz")
  _save("motion", path)
  with np.load(path, allow_pickle=False) as file:
    data = dict(file)  # raises where an entry is pickled
  assert tuple(data["blendshape_names"]) == _TEMPLATE.blendshape_names


@both_kinds
def test_missing(kind, tmp_path):
  path = str(tmp_path / "nothing.npz")
  with pytest.raises(UserError, match=f"no {kind} file .*nothing.npz; make it again"):
    _load(kind, path)


@both_kinds
def test_another_template(kind, tmp_path):
  path = str(tmp_path / "file.npz")
  _save(kind, path)
  other = toy_template(uv_size=8, name="other")
  with pytest.raises(UserError) as caught:
    _load(kind, path, other)
  message = str(caught.value)
  for part in (path, "'toy'", _TEMPLATE.hash, "'other'", other.hash):
    assert part in message
  # The hash decides, not the name: a template given another name is the same one.
  _load(kind, path, toy_template(name="renamed"))


@both_kinds
def test_the_other_kind(kind, tmp_path):
  path = str(tmp_path / "file.npz")
  _save(kind, path)
  other = {"person": "motion", "motion": "person"}[kind]
  with pytest.raises(UserError, match=f"is a {kind} file where a {other} file"):
    _load(other, path)


@both_kinds
def test_another_version(kind, tmp_path):
  path = str(tmp_path / "file.npz")
  _save(kind, path)
  _edit(path, format_version=np.array(99))
  with pytest.raises(UserError, match=f"{kind} format 99, this program reads 1"):
    _load(kind, path)


@both_kinds
@pytest.mark.parametrize("size", [0, 1, 100, 0.5, 0.9])
def test_cut_short(kind, size, tmp_path):
  path = str(tmp_path / "file.npz")
  _save(kind, path)
  with open(path, "rb") as file:
    data = file.read()
  with open(path, "wb") as file:
    file.write(data[: int(size * len(data)) if isinstance(size, float) else size])
  with pytest.raises(UserError, match=f"file.npz is not a readable {kind} file"):
    _load(kind, path)


@both_kinds
@pytest.mark.parametrize("seed", range(5))
def test_overwritten_bytes(kind, seed, tmp_path):
  path = str(tmp_path / "file.npz")
  _save(kind, path)
  rng = np.random.default_rng(seed)
  with open(path, "r+b") as file:
    for place in range(int(rng.integers(60)), os.path.getsize(path), 37):
      file.seek(place)
      file.write(rng.bytes(1))
  with pytest.raises(UserError, match=f"file.npz is not a readable {kind} file"):
    _load(kind, path)


@both_kinds
@pytest.mark.parametrize(
  "content", ["text", "array", "pickle", "archive", "wrong_header"]
)
def test_something_else(kind, content, tmp_path):
  path = str(tmp_path / "file.npz")
  with open(path, "wb") as file:
    if content == "text":
      file.write(b"not an archive\n")
    elif content == "array":
      np.save(file, np.zeros(3))
    elif content == "pickle":
      np.save(file, np.array([{}], dtype=object), allow_pickle=True)
    elif content == "archive":
      np.savez(file, anything=np.zeros(3))
    else:
      np.savez(file, kind=np.array(kind), format_version=np.zeros(3))
  with pytest.raises(UserError, match=f"file.npz is not a readable {kind} file"):
    _load(kind, path)


@both_kinds
def test_missing_misshapen_or_not_finite_entry(kind, tmp_path):
  path = str(tmp_path / "file.npz")
  name = {"person": "static_albedo", "motion": "rotation"}[kind]
  for value, words in (
    (None, name),
    (np.zeros((2, 2)), rf"{name} is \(2, 2\), expected"),
    ("nan", f"{name} has values that are not finite"),
    (np.array(["text"]), name),
  ):
    _save(kind, path)
    if isinstance(value, str):
      with np.load(path) as file:
        value = file[name] * np.nan
    _edit(path, **{name: value})
    with pytest.raises(UserError, match=words):
      _load(kind, path)


def test_motion_without_times_is_damaged(tmp_path):
  path = str(tmp_path / "file.npz")
  _save("motion", path)
  _edit(path, times=None)
  with pytest.raises(UserError, match="not a readable motion file .*times"):
    load_motion(path, _TEMPLATE)


def test_what_does_not_fit_is_not_saved(tmp_path):
  path = str(tmp_path / "file.npz")
  person, motion = _person(), _motion()
  with pytest.raises(ValueError, match="static_albedo is"):
    save_person(
      path, person._replace(static_albedo=np.zeros((1, 16, 16, 3))), _TEMPLATE
    )
  with pytest.raises(ValueError, match="dynamic_albedo has values that are not finite"):
    save_person(  # 1e6 is beyond float16
      path, person._replace(dynamic_albedo=person.dynamic_albedo + 1e6), _TEMPLATE
    )
  with pytest.raises(ValueError, match="boxes is"):
    save_motion(path, motion._replace(boxes=motion.boxes[:-1]), _TEMPLATE)
  assert os.listdir(tmp_path) == []


@both_kinds
def test_an_interrupted_write_leaves_the_old_file(kind, tmp_path, monkeypatch):
  path = str(tmp_path / "file.npz")
  _save(kind, path)
  with open(path, "rb") as file:
    before = file.read()

  def half(file, **arrays):
    file.write(b"half")
    raise OSError(28, "No space left on device")

  monkeypatch.setattr(np, "savez_compressed", half)
  with pytest.raises(UserError, match="cannot be written .No space left on device"):
    _save(kind, path)
  with open(path, "rb") as file:
    assert file.read() == before
  assert os.listdir(tmp_path) == ["file.npz"]
