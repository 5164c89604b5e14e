import numpy as np
import pytest
from PIL import Image
from toy_clip import SIZE, StubDetector, picture, straight_path, toy_system, write_clip

from personalized_face.core.errors import UserError
from personalized_face.core.types import PersonModel, Tracking
from personalized_face.inference.pictures import spread
from personalized_face.inference.reconstruct import model_person, reconstruct
from personalized_face.inference.render import ClipRenderer, PersonRenderer


@pytest.fixture(scope="module")
def system():
  return toy_system()


def _close(actual, expected, **tolerance):
  for value, reference in zip(actual, expected, strict=True):
    np.testing.assert_allclose(value, reference, **tolerance)


def test_reconstruct_video_models_frames_spread_over_the_clip(system, tmp_path):
  write_clip(tmp_path / "clip.mp4", straight_path(10))
  result = reconstruct(
    system, [str(tmp_path / "clip.mp4")], StubDetector(), num_model_images=3
  )
  source = result.source
  assert source.is_video and len(source.names) == len(source.crops) == 10
  expected = model_person(system, source.crops[spread(10, 3)])
  _close(result.person, expected, atol=0)
  other = model_person(system, source.crops[:3])
  assert np.abs(other.neutral_correction - expected.neutral_correction).max() > 1e-5
  pictures = list(source.pictures())
  assert len(pictures) == 10
  # H.264 at crf 18 keeps flat areas within a few grey levels.
  np.testing.assert_allclose(
    pictures[4][:30], picture(straight_path(5)[4])[:30], atol=6
  )


def test_reconstruct_video_shows_the_frames_from_the_first_face_on(system, tmp_path):
  path = straight_path(10)
  write_clip(tmp_path / "clip.mp4", [*[None] * 3, *path])
  source = reconstruct(system, [str(tmp_path / "clip.mp4")], StubDetector()).source
  pictures = list(source.pictures())
  assert len(pictures) == len(source.crops) == 10
  # H.264 at crf 18, as above.
  np.testing.assert_allclose(pictures[0][:30], picture(path[0])[:30], atol=6)
  np.testing.assert_allclose(pictures[-1][:30], picture(path[-1])[:30], atol=6)


def test_reconstruct_video_at_fewer_frames_per_second(system, tmp_path):
  write_clip(tmp_path / "clip.mp4", straight_path(10))
  clip = [str(tmp_path / "clip.mp4")]
  source = reconstruct(system, clip, StubDetector(), fps=10.0).source
  assert len(source.crops) == 5
  assert source.motion.fps == pytest.approx(10, rel=1e-2)  # rounded timestamps
  assert len(list(source.pictures())) == 5


def test_reconstruct_photos_each_detected(system, tmp_path):
  (tmp_path / "more").mkdir()
  paths = [tmp_path / "a.png", tmp_path / "more" / "b.png", tmp_path / "more" / "c.png"]
  for path, centre in zip(paths, [(40, 50), None, (90, 40)], strict=True):
    Image.fromarray(picture(centre)).save(path)
  detector = StubDetector()
  inputs = [str(paths[0]), str(tmp_path / "more")]
  source = reconstruct(system, inputs, detector).source
  assert detector.calls == 3
  assert not source.is_video and source.names == ["a", "c"]
  images = (source.crops / np.float32(255)).astype(np.float32)
  # The same operations in a graph and without one.
  _close(source.motion.tracking, system.track(images), atol=1e-5)
  np.testing.assert_array_equal(list(source.pictures())[1], picture((90, 40)))


@pytest.mark.parametrize(
  ("inputs", "message"),
  [
    ([], "No input"),
    (["missing.mp4"], "no file or folder .*missing.mp4"),
    (["missing.png"], "missing.png"),
    (["a.png", "clip.mp4"], "clip.mp4 is not an image"),
    (["empty"], "has no images"),
  ],
)
def test_reconstruct_exception_raised(system, tmp_path, inputs, message):
  (tmp_path / "empty").mkdir()
  with pytest.raises(UserError, match=message):
    reconstruct(system, [str(tmp_path / name) for name in inputs], StubDetector())


def test_clip_renderer_chunks_equal_the_system(system):
  crops = np.random.default_rng(0).integers(0, 256, [5, SIZE, SIZE, 3], np.uint8)
  images = crops.astype(np.float32)[np.newaxis] / 255
  outputs = system(images)
  person = PersonModel(*(value[0].numpy() for value in outputs.person))
  tracking = Tracking(*(value[0].numpy() for value in outputs.tracking))
  chunks = list(ClipRenderer(system, chunk=2)(person, tracking))
  assert [len(chunk.vertices) for chunk in chunks] == [2, 2, 1]
  frames = ClipRenderer(system, chunk=2).all(person, tracking)
  # The same sums in another order, at values of a few dm; pixels to 100.
  np.testing.assert_allclose(frames.vertices, outputs.mesh.vertices[0], atol=1e-5)
  np.testing.assert_allclose(frames.landmarks, outputs.landmarks[0], atol=1e-3)
  differing = np.abs(frames.rendering.image - outputs.rendering.image[0]).max(-1) > 1e-3
  # Rounding may move a border pixel from one triangle to its neighbour.
  assert differing.mean() < 1e-3


def test_person_renderer_draws_the_frames_of_the_clip_renderer(system):
  crops = np.random.default_rng(0).integers(0, 256, [2, SIZE, SIZE, 3], np.uint8)
  outputs = system(crops.astype(np.float32)[np.newaxis] / 255)
  person = PersonModel(*(value[0].numpy() for value in outputs.person))
  tracking = Tracking(*(value[0].numpy() for value in outputs.tracking))
  expected = ClipRenderer(system).all(person, tracking).rendering
  draw = PersonRenderer(system, person)
  for i in range(2):
    drawn = draw(Tracking(*(value[i : i + 1] for value in tracking)))
    differing = np.abs(drawn.image - expected.image[i]).max(-1) > 1e-3
    # As above: rounding at borders.
    assert differing.mean() < 1e-3
    assert (drawn.mask != expected.mask[i]).mean() < 1e-3
    assert drawn.mask.mean() > 0.05
