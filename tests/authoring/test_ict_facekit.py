"""ICT-FaceKit's folder to a template: a small synthetic one, and the real one."""

import logging as python_logging

import numpy as np
import pytest
from authoring import small_head

from personalized_face.authoring import charts, ict_facekit
from personalized_face.core import topology
from personalized_face.core.errors import UserError
from personalized_face.core.types import PARSING_CLASSES


@pytest.fixture(scope="module", autouse=True)
def small_regions():
  """The regions of the small head beside those of the release."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setitem(ict_facekit.REGIONS, "small_face", small_head.FACE_POLYGONS)
    patch.setitem(ict_facekit.REGIONS, "small_head", small_head.ALL_POLYGONS)
    yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  return small_head.write_ict_folder(tmp_path_factory.mktemp("ict"))


def build(folder, region="small_face", **kwargs):
  return ict_facekit.build_ict_template(str(folder), None, region, **kwargs)


@pytest.fixture(scope="module")
def face(folder):
  return build(folder)


@pytest.fixture(scope="module")
def head(folder):
  return build(folder, "small_head")


@pytest.fixture(scope="module")
def real(shared_data):
  folder = shared_data / "ict_facekit"
  if not folder.is_dir():
    pytest.skip("no ict_facekit in the test data")
  return folder


def uv_areas(template):
  a, b, c = (template.uv[template.triangles[:, i]].astype(np.float64) for i in range(3))
  return np.cross(b - a, c - a)


def test_region_unit_and_shapes(face):
  template = face
  assert template.num_vertices == small_head.SIDE**2 - 3 * 5  # none in openings
  assert len(template.triangles) == 2 * small_head.FACE_POLYGONS
  # 14 cm wide.
  np.testing.assert_allclose(np.ptp(template.vertices[:, 0]), 1.4, rtol=1e-6)
  assert template.blendshape_names == ("jawOpen", "smile_L", "smile_R")
  assert template.licence == "MIT"
  # The outermost vertices move by a fifth of 6 cm.
  largest = np.abs(template.blendshape_deltas[1]).max()
  np.testing.assert_allclose(largest, 0.12, rtol=1e-5)


def test_a_shape_that_moves_nothing_is_named(folder, head, caplog):
  with caplog.at_level(python_logging.WARNING):
    build(folder)
  assert "move nothing here and are left out: collarUp, pupil" in caplog.text
  assert "collarUp" in head.blendshape_names


def test_tiles_share_no_texel_and_nothing_folds(head):
  template = head
  collar = template.vertices[:, 1] < template.vertices[:, 1].min() + 0.05
  rest = np.arange(template.num_vertices) < small_head.SIDE * (small_head.SIDE - 2)
  gap = template.uv[collar, 0].min() - template.uv[rest, 0].max()
  assert gap > 2 / 128  # texels between the tiles
  areas = uv_areas(template)
  assert (areas < 0).all()  # counter-clockwise with v up: no fold, one orientation


def test_vertices_on_the_seam_are_split(head):
  template = head
  _, counts = np.unique(template.vertices, axis=0, return_counts=True)
  assert (counts == 2).sum() == small_head.SIDE
  assert counts.max() == 2
  # Both copies move together.
  collar = template.blendshape_deltas[template.blendshape_names.index("smile_L")]
  for vertex in template.vertices[:: small_head.SIDE]:
    copies = (template.vertices == vertex).all(1)
    assert np.ptp(collar[copies], axis=0).max() == 0


def test_symmetry(head):
  template = head
  mirror = template.mirror_vertices
  np.testing.assert_array_equal(mirror[mirror], np.arange(template.num_vertices))
  image = template.vertices[mirror] * [-1, 1, 1]
  np.testing.assert_allclose(template.vertices, image, atol=1e-6)  # dm
  np.testing.assert_allclose(
    template.uv[mirror, 1], template.uv[:, 1], atol=1e-5
  )  # copies keep to their tile


def test_openings_are_closed_outwards(face):
  template = face
  both = np.concatenate([template.triangles, template.hole_triangles])
  assert len(topology.boundary_loops(template.triangles)) == 4
  loops = topology.boundary_loops(both)  # raises where an edge is used twice
  assert len(loops) == 1
  corners = template.vertices[template.hole_triangles]
  normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
  assert (normal[:, 2] > -1e-9).all()
  # The eyes' openings, 4.3 texels high in the source, are spread to 6.
  rim = np.unique(template.hole_triangles)
  upper_half = template.uv[rim, 1] < template.uv[template.anatomical_landmarks[30], 1]
  height = np.ptp(template.uv[rim[upper_half], 1]) * template.uv_size
  np.testing.assert_allclose(
    height, charts.SLIT_TEXELS, atol=1
  )  # the rims are not straight


def test_maps(face):
  template = face
  np.testing.assert_allclose(template.parsing_map.sum(-1), 1, atol=1e-5)
  labels = template.parsing_map.argmax(-1)
  column, row = (template.uv[template.landmark_vertices] * template.uv_size).T.astype(
    int
  )
  nose_tip = labels[row[30], column[30]]
  assert PARSING_CLASSES[nose_tip] == "nose"
  for name in PARSING_CLASSES:
    assert (labels == PARSING_CLASSES.index(name)).any(), name
  masks = template.attention_masks
  assert masks.max() <= 1 and (masks.max((0, 1)) > 0.9).all()
  half = template.uv_size // 2
  assert masks[:, : half - 8, 1].max() == 0  # smile_L: the right of the map only


def test_identity_weights_change_the_neutral_alone(folder, face):
  mean, wide = face, build(folder, identity_weights=[2.0])
  np.testing.assert_allclose(
    np.ptp(wide.vertices[:, 0]), 1.2 * np.ptp(mean.vertices[:, 0]), rtol=1e-5
  )
  np.testing.assert_array_equal(wide.blendshape_deltas, mean.blendshape_deltas)
  assert wide.name != mean.name


@pytest.mark.parametrize(
  ("spoil", "message"),
  [
    (lambda f: (f / "generic_neutral_mesh.obj").unlink(), "as published"),
    (lambda f: (f / "vertex_indices.json").write_text("{}"), "68 landmarks"),
    (lambda f: (f / "jawOpen.obj").write_text("v 1 2 3\n"), "has 1 vertices"),
    (lambda f: (f / "jawOpen.obj").write_text("v 1 2 x\n"), "cannot be read"),
    (lambda f: [p.unlink() for p in f.glob("[!gi]*.obj")], "no blendshape"),
  ],
)
def test_a_spoilt_folder_is_refused_by_name(tmp_path, spoil, message):
  spoil(small_head.write_ict_folder(tmp_path) / "FaceXModel")
  with pytest.raises(UserError, match=message):
    build(tmp_path)


def test_missing_identity_mode(folder):
  with pytest.raises(UserError, match="identity001.obj"):
    build(folder, identity_weights=[1, 1])


@pytest.mark.parametrize(
  ("region", "vertices"), [("narrow_face", 6706), ("head_and_neck", 11248)]
)
def test_real_folder(real, region, vertices):
  template = ict_facekit.build_ict_template(str(real), None, region)
  assert len(np.unique(template.vertices, axis=0)) == vertices
  assert template.num_blendshapes == 55
  mirror = template.mirror_vertices
  np.testing.assert_array_equal(mirror[mirror], np.arange(template.num_vertices))
  assert (uv_areas(template) < 0).all()
  loops = {len(loop) for loop in topology.boundary_loops(template.triangles)}
  both = np.concatenate([template.triangles, template.hole_triangles])
  closed = {len(loop) for loop in topology.boundary_loops(both)}
  assert loops - closed == {74, 42}  # mouth and eyes
