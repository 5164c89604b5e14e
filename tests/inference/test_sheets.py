import numpy as np
from toy_clip import SIZE, toy_system

from personalized_face.core.types import PersonModel, Rendering, Tracking
from personalized_face.data.crop import Square, crop_image
from personalized_face.inference.pictures import COLUMN_LABELS, to_uint8
from personalized_face.inference.render import ClipRenderer
from personalized_face.inference.sheets import contact_sheet, into_source


def _face(image: np.ndarray, mask: np.ndarray) -> Rendering:
  nothing = np.zeros_like(image)
  return Rendering(image, mask, nothing, nothing, nothing, nothing)


def test_into_source_puts_the_face_where_the_crop_was_taken():
  y, x = np.mgrid[0:90, 0:120]
  source = np.stack([4 * x - 80, 4 * y - 40, 2 * (x + y) - 60], axis=-1)
  source = np.clip(source, 0, 255).astype(np.uint8)
  square = Square(20.5, 11.25, 60.0)
  crop = crop_image(source, square, 32) / np.float32(255)
  mask = np.zeros([32, 32], np.float32)
  mask[4:-4, 4:-4] = 1
  result = into_source(np.zeros_like(source), _face(crop, mask), square)
  # Ramps of 4 grey levels a pixel, rounded twice: half a pixel off would show as 2.
  inside = result[25:55, 35:65].astype(int) - source[25:55, 35:65].astype(int)
  assert np.abs(inside).max() <= 1
  outside = result.copy()
  outside[11:72, 20:81] = 0
  assert outside.max() == 0


def test_into_source_keeps_what_the_mask_leaves_open():
  source = np.random.default_rng(0).integers(0, 256, [40, 50, 3], np.uint8)
  face = _face(np.ones([16, 16, 3], np.float32) * 9, np.zeros([16, 16], np.float32))
  np.testing.assert_array_equal(into_source(source, face, Square(5, 5, 20)), source)


def test_into_source_of_squares_that_reach_outside():
  """As much as is in the picture; the part that stays is the whole one's."""
  wide = np.zeros([80, 90, 3], np.uint8)
  face = _face(np.full([16, 16, 3], 0.5, np.float32), np.ones([16, 16], np.float32))
  whole = into_source(wide, face, Square(30.0, 20.0, 32.0))
  cut = into_source(wide[30:45, 40:55], face, Square(-10.0, -10.0, 32.0))
  # Weights are in steps of 1/32 pixel: a level at most in the flat inside.
  assert np.abs(cut.astype(int) - whole[30:45, 40:55]).max() <= 1
  assert whole[30:45, 40:55].min() > 100
  nowhere = into_source(wide, face, Square(-60.0, 20.0, 32.0))
  assert nowhere.max() == 0


def test_contact_sheet_rows_inputs_and_novel_views():
  system = toy_system()
  crops = np.random.default_rng(0).integers(0, 256, [9, SIZE, SIZE, 3], np.uint8)
  images = crops.astype(np.float32) / 255
  person = system.face_model.template_person()
  person = PersonModel(*(value[0].numpy() for value in person))
  tracking = Tracking(*(value.numpy() for value in system.track(images)))
  tracking = tracking._replace(rotation=np.zeros_like(tracking.rotation))
  names = [str(i) for i in range(9)]
  sheet = contact_sheet(ClipRenderer(system), person, tracking, crops, names, 3)
  body = sheet[-3 * SIZE :, -7 * SIZE :].reshape(3, SIZE, 7, SIZE, 3)
  assert len(COLUMN_LABELS) + 2 == 7
  np.testing.assert_array_equal(body[:, :, 0], to_uint8(images[[1, 4, 7]]))
  front, left, right = (body[1, :, i].astype(int) for i in (2, 5, 6))
  widths = [(np.abs(view - 255).max(-1).max(0) > 40).sum() for view in (front, left)]
  assert widths[1] < 0.95 * widths[0]  # cos 40 degrees, less the depth of the bulge
  # The toy face is symmetric, and so are its turns (the lamp and pixels are not).
  covered = [np.abs(view - 255).max(-1) > 20 for view in (left, right)]
  assert (covered[0] != covered[1][:, ::-1]).mean() < 0.15
  assert (covered[0] != covered[1]).mean() > 0.02


def test_novel_views_are_in_the_middle_wherever_the_face_was():
  system = toy_system()
  crops = np.zeros([1, SIZE, SIZE, 3], np.uint8)
  person = system.face_model.template_person()
  person = PersonModel(*(value[0].numpy() for value in person))
  tracking = Tracking(*(v.numpy() for v in system.track(crops / np.float32(255))))

  def novel(move):
    moved = tracking._replace(translation=tracking.translation + np.float32(move))
    sheet = contact_sheet(ClipRenderer(system), person, moved, crops, ["0"])
    return sheet[-SIZE:, -2 * SIZE :]

  middle = novel([0.0, 0.0, 0.0])
  np.testing.assert_array_equal(novel([1.0, -1.0, 0.0]), middle)
  assert (novel([0.0, 0.0, 5.0]) != middle).any(), "nearer is larger"
