"""Light in closed form."""

import numpy as np

from personalized_face.core.spherical_harmonics import ambient_light, irradiance
from personalized_face.core.types import Rendering
from personalized_face.fitting.light import solve_light


def lit_ball(light, albedo, side=40):
  """Pixels of a hemisphere under a light [9, 3]: pictures and their rendering."""
  y, x = np.mgrid[1 : -1 : side * 1j, -1 : 1 : side * 1j]
  inside = x**2 + y**2 < 0.9
  normals = np.stack([x, y, np.sqrt(np.maximum(1 - x**2 - y**2, 0))], -1)
  normals = np.where(inside[..., None], normals, [0, 0, 1]).astype(np.float32)
  colours = np.broadcast_to(np.float32(albedo), normals.shape)
  image = colours * np.asarray(irradiance(normals, light))
  mask = inside.astype(np.float32)
  return image, Rendering(image, mask, colours, image, normals, None)


def some_light():
  light = ambient_light(0.8)
  light[2] = [0.5, 0.45, 0.4]  # from the camera, warm
  light[3] = 0.3
  return light


def test_light_is_recovered_up_to_the_ridge():
  light = some_light()
  image, rendering = lit_ball(light, [0.7, 0.5, 0.4])
  found, colour = solve_light(image, rendering)
  assert (colour == 1).all()
  relit, _ = lit_ball(found, [0.7, 0.5, 0.4])
  inside = rendering.mask > 0
  assert np.abs(relit - image)[inside].mean() < 0.01


def test_a_hand_before_the_face_changes_little():
  image, rendering = lit_ball(some_light(), [0.7, 0.5, 0.4])
  hidden = image.copy()
  hidden[:8] = [0.0, 0.9, 0.0]
  found, _ = solve_light(hidden, rendering)
  relit, _ = lit_ball(found, [0.7, 0.5, 0.4])
  inside = rendering.mask > 0
  assert np.abs(relit - image)[inside].mean() < 0.02


def test_monochrome_light_leaves_the_hue_to_the_skin():
  light = some_light().mean(axis=1, keepdims=True).repeat(3, axis=1)
  image, rendering = lit_ball(light, [0.7, 0.3, 0.2])
  guessed = rendering._replace(albedo=np.full_like(image, 0.5))
  found, colour = solve_light(image, guessed, monochrome=True)
  np.testing.assert_allclose(found, found[:, :1].repeat(3, axis=1))
  # Brightness is shared between both; the ratio of the channels is the skin's.
  np.testing.assert_allclose(colour / colour.sum(), np.divide([7, 3, 2], 12), atol=0.02)


def test_nothing_to_see_gives_ambient_light():
  image, rendering = lit_ball(some_light(), [0.7, 0.5, 0.4])
  empty = rendering._replace(mask=np.zeros_like(rendering.mask))
  np.testing.assert_allclose(solve_light(image, empty)[0], ambient_light(1.0))
