"""UV baking and attention masks against loop-written versions."""

import numpy as np
from helpers import toy_template

from personalized_face.template import attention


def _loop_bake(values, uv, triangles, size):
  """Barycentric interpolation at each texel centre, one triangle at a time."""
  maps = np.zeros([size, size, values.shape[1]])
  covered = np.zeros([size, size], bool)
  for row in range(size):
    for column in range(size):
      spot = (np.array([column, row]) + 0.5) / size
      for triangle in triangles:
        a, b, c = uv[triangle].astype(np.float64)
        matrix = np.array([[*a, 1], [*b, 1], [*c, 1]]).T
        weights = np.linalg.solve(matrix, [*spot, 1])
        if (weights >= -1e-9).all():
          maps[row, column] = weights @ values[triangle]
          covered[row, column] = True
  return maps, covered


def test_operator_against_loop():
  template = toy_template()
  values = np.random.default_rng(0).normal(size=[template.num_vertices, 2])
  operator, covered = attention.texel_operator(template.uv, template.triangles, 16)
  want, want_covered = _loop_bake(values, template.uv, template.triangles, 16)
  np.testing.assert_array_equal(covered, want_covered)
  # float64 on both sides; only the order of the sums differs.
  np.testing.assert_allclose((operator @ values).reshape(16, 16, 2), want, atol=1e-9)


def test_masks_against_loop():
  """Section 3.2, without the blur and inside the mesh."""
  template = toy_template()
  masks = attention.attention_masks(
    template.blendshape_deltas, template.uv, template.triangles, 16, blur_texels=0
  )
  for k, delta in enumerate(template.blendshape_deltas):
    distance = np.zeros(template.num_vertices)
    for v, move in enumerate(delta):
      length = float(np.sqrt((move.astype(np.float64) ** 2).sum()))
      distance[v] = length if length >= 0.001 else 0
    distance /= distance.max()
    want, covered = _loop_bake(distance[:, None], template.uv, template.triangles, 16)
    np.testing.assert_allclose(
      masks[..., k][covered],
      want[covered, 0],
      atol=1e-6,  # masks are float32
    )


def test_threshold_removes_small_moves():
  template = toy_template()
  deltas = np.zeros([1, template.num_vertices, 3])
  deltas[0, :, 0] = 0.0009
  deltas[0, 0, 0] = 0.5
  masks = attention.attention_masks(
    deltas, template.uv, template.triangles, 16, blur_texels=0
  )
  assert masks.max() > 0
  moved = template.uv[0]
  far = np.linalg.norm(
    (np.stack(np.meshgrid(*[np.arange(16) + 0.5] * 2), -1) / 16) - moved, axis=-1
  )
  assert (masks[..., 0][far > 0.3] == 0).all()


def test_blendshape_without_movement_has_an_empty_mask():
  template = toy_template()
  deltas = np.zeros([1, template.num_vertices, 3])
  masks = attention.attention_masks(deltas, template.uv, template.triangles, 16)
  assert (masks == 0).all()


def test_blur_stays_on_its_side_of_a_slit():
  """Two strips of skin, a gap narrower than a texel between them."""
  top, bottom = 0.49, 0.51
  uv = np.array([[x, y] for y in (0.1, top, bottom, 0.9) for x in (0.1, 0.3, 0.7, 0.9)])
  quads = [
    (r * 4 + c, r * 4 + c + 1, r * 4 + c + 5, r * 4 + c + 4)
    for r in (0, 1, 2)
    for c in (0, 1, 2)
    if (r, c) != (1, 1)
  ]
  triangles = np.array([t for a, b, c, d in quads for t in ((a, b, c), (a, c, d))])
  deltas = np.zeros([1, len(uv), 3])
  deltas[0, [5, 6], 1] = 0.1  # the upper rim of the slit
  size = 32
  masks = attention.attention_masks(deltas, uv, triangles, size)[..., 0]
  column = slice(size * 2 // 5, size * 3 // 5)
  assert masks[15, column].min() > 0.5  # just above the slit
  # Just below it: only what flows around the ends of the slit, nothing across.
  assert masks[16, column].max() < 0.05
  _, covered = attention.texel_operator(uv, triangles, size)
  blocked = attention.face_links(uv, triangles, covered)[1][15, column]
  assert not blocked.any()


def test_diffusion_has_the_asked_variance_and_keeps_the_sum():
  maps = np.zeros([41, 41, 1])
  maps[20, 20] = 1
  links = np.ones([41, 40], bool), np.ones([40, 41], bool)
  blurred = attention.diffuse(maps, links, 1.5)[..., 0]
  offset = np.arange(41) - 20
  np.testing.assert_allclose(blurred.sum(), 1, rtol=1e-12)
  # Explicit diffusion has this variance exactly, up to rounding.
  np.testing.assert_allclose((blurred.sum(0) * offset**2).sum(), 1.5**2, rtol=1e-9)


def test_crossings_of_a_slanted_line():
  right, down = attention.crossings(np.array([[0.0, 0.5], [1.0, 0.5]]), 8)
  assert down[3].all() and down.sum() == 8
  assert not right.any()


def test_bake_dilates_only_as_far_as_asked():
  template = toy_template()
  values = np.ones([template.num_vertices, 1])
  _, covered = attention.texel_operator(template.uv, template.triangles, 32)
  near = attention.bake_to_uv(values, template.uv, template.triangles, 32, dilate=1)
  assert near.sum() > covered.sum()
  assert near.sum() < 32 * 32
  every = attention.bake_to_uv(values, template.uv, template.triangles, 32)
  np.testing.assert_allclose(every, 1, atol=1e-9)
