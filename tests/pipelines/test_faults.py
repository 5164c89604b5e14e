"""Full disks, folders that cannot be written, inputs that vanish, kill -9.

Whatever happens to personalize, reconstruct, export and synthesize: one sentence, every
file that has its name is whole, nothing half written is left, and the next run goes on.
"""

import contextlib
import os
import pathlib
import resource
import signal
import subprocess
import sys

import pytest
from PIL import Image
from test_personalize import QUICK
from toy_clip import (
  StubDetector,
  picture,
  small_template,
  straight_path,
  toy_system,
  write_clip,
)

from personalized_face import config
from personalized_face.core.errors import UserError
from personalized_face.data import synthesis, synthetic
from personalized_face.data.video import read_frames
from personalized_face.export.run_folder import write_reconstruction
from personalized_face.export.saved_model import export
from personalized_face.face_model.files import load_motion, load_person
from personalized_face.pipelines.personalize import (
  CONFIGURATION,
  fit_person,
  write_person,
)

# numpy's archive, half written, when it is collected on a disk that was full.
pytestmark = pytest.mark.filterwarnings(
  "ignore::pytest.PytestUnraisableExceptionWarning"
)
FRAMES = 6
TEMPLATE = small_template()


@pytest.fixture(scope="module")
def material(tmp_path_factory):
  folder = tmp_path_factory.mktemp("material")
  write_clip(folder / "clip.mp4", straight_path(FRAMES))
  TEMPLATE.save(str(folder / "toy.npz"))
  return folder


@pytest.fixture(autouse=True)
def configured():
  config.parse([CONFIGURATION], QUICK)


@pytest.fixture(scope="module")
def fitted(material):
  config.parse([CONFIGURATION], QUICK)
  return fit_person(
    [str(material / "clip.mp4")], str(material / "toy.npz"), detector=StubDetector()
  )


@pytest.fixture(scope="module")
def system():
  return toy_system()


@pytest.fixture
def commands(material, fitted, system, monkeypatch):
  """What each command does from the moment at which it begins to write."""
  # The person is rendered from a template with a mouth; here the disk matters.
  monkeypatch.setattr(
    synthetic, "_frames", lambda *args: (picture(c) for c in straight_path(FRAMES))
  )
  monkeypatch.setattr(synthetic.SyntheticPerson, "__init__", _nobody)
  monkeypatch.setattr(synthetic.SyntheticPerson, "model", lambda self: fitted.person)
  clip = [str(material / "clip.mp4")]
  return {
    "personalize": lambda out: write_person(fitted, out, avatar=True),
    "reconstruct": lambda out: write_reconstruction(
      system, clip, out, StubDetector(), blendshape_objs=True
    ),
    "export": lambda out: export(system, out),
    "synthesize": lambda out: synthesis.synthesize(
      TEMPLATE, out, 1, seconds=FRAMES / 10, fps=10.0, size=64
    ),
  }


def _nobody(self, template, seed):
  self.template, self.seed = template, seed


NAMES = ("personalize", "reconstruct", "export", "synthesize")


@contextlib.contextmanager
def small_disk(folder, kilobytes):
  """A file system of that size; skips where none can be mounted."""
  folder.mkdir()
  options = f"size={kilobytes}k"
  mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
  try:
    done = subprocess.run(mount, capture_output=True, text=True)
    reason = done.stderr.strip() if done.returncode else None
  except OSError as error:
    reason = str(error)
  if reason:
    pytest.skip(f"no small disk can be mounted here ({reason})")
  try:
    yield folder
  finally:
    subprocess.run(["umount", str(folder)], check=True)


@contextlib.contextmanager
def short_files(folder, kilobytes):
  """No file of this process or of its children may become longer."""
  folder.mkdir()
  soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (kilobytes << 10, hard))
  try:
    yield folder
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def whole_files(folder) -> set[str]:
  """The files of a folder, each opened; fails on one that is not whole."""
  found = set()
  for path in pathlib.Path(folder).rglob("*"):
    if not path.is_file():
      continue
    name = path.name
    assert ".tmp" not in name and "partial" not in name, name
    found.add(name)
    if name.endswith("person.npz"):
      load_person(str(path), TEMPLATE)
    elif name.endswith("motion.npz"):
      load_motion(str(path), TEMPLATE)
    elif name.endswith(".mp4"):
      assert len(list(read_frames(str(path), None))) == FRAMES
    elif name.endswith(".png"):
      Image.open(path).load()
    elif name.endswith(".obj"):
      assert path.read_text().endswith("\n")
      companion = path.with_suffix(".mtl")
      assert companion.exists() or "mtllib" not in path.read_text()
    elif name.endswith(".glb"):
      data = path.read_bytes()
      assert int.from_bytes(data[8:12], "little") == len(data)
  return found


@pytest.mark.parametrize(
  ("name", "kind", "kilobytes"),
  [
    # So large that the disk is full at the first file, at a picture, at the video.
    ("personalize", short_files, 1),
    ("personalize", small_disk, 60),
    ("reconstruct", short_files, 8),
    ("reconstruct", small_disk, 100),
    ("export", small_disk, 300),
    ("synthesize", short_files, 1),
    ("synthesize", small_disk, 8),
  ],
)
def test_full_disk(commands, tmp_path, name, kind, kilobytes):
  with kind(tmp_path / "disk", kilobytes) as folder:
    with pytest.raises(UserError, match=r"cannot be (made|written).*\.$"):
      commands[name](str(folder / "out"))
    there = whole_files(folder)
  # The last file of each, or a folder that has its name only when it is complete.
  assert not there & {"page.html", "overlay.mp4", "saved_model.pb"}
  assert not [name for name in there if name.endswith("_motion.npz")]


def test_a_full_disk_that_is_emptied(commands, tmp_path):
  """The next run goes on as if nothing had happened."""
  out = tmp_path / "disk" / "out"
  with short_files(tmp_path / "disk", 1):
    with pytest.raises(UserError):
      commands["synthesize"](str(out))
  commands["synthesize"](str(out))
  assert "synthetic_000_00000_motion.npz" in whole_files(out)


@pytest.mark.parametrize("name", NAMES)
def test_read_only_output(commands, tmp_path, name):
  out = tmp_path / "disk"
  with small_disk(out, 64) if os.geteuid() == 0 else contextlib.nullcontext():
    if os.geteuid() == 0:  # whom no permissions hold
      remount = ["mount", "-o", "remount,ro", str(out)]
      subprocess.run(remount, check=True)
    else:
      out.mkdir(mode=0o500)
    # An export traces for seconds before it writes into a folder that is there.
    for folder in [out / "new"] if name == "export" else [out, out / "new"]:
      with pytest.raises(UserError, match=r"cannot be (made|written)"):
        commands[name](str(folder))
    assert not list(out.iterdir())


class Vanishing(StubDetector):
  """Once the face is looked for, the input becomes another; OpenCV holds it open."""

  def __init__(self, path, change):
    super().__init__()
    self._path, self._change = path, change

  def detect(self, image):
    if not self.calls:
      self._change(self._path)
    return super().detect(image)


def _shorter(path):
  os.remove(path)
  write_clip(path, straight_path(2))


@pytest.mark.parametrize(
  ("change", "message"),
  [(os.remove, r"no file or folder .*clip\.mp4"), (_shorter, "no longer those that")],
)
@pytest.mark.parametrize("command", ["personalize", "reconstruct"])
def test_input_that_vanishes(
  material, fitted, system, tmp_path, command, change, message
):
  """It is read again for the overlay."""
  clip, out = tmp_path / "clip.mp4", str(tmp_path / "out")
  clip.write_bytes((material / "clip.mp4").read_bytes())
  with pytest.raises(UserError, match=message):
    if command == "personalize":
      change(clip)
      sources = [source._replace(paths=[str(clip)]) for source in fitted.sources]
      write_person(fitted._replace(sources=sources), out)
    else:
      detector = Vanishing(clip, change)
      write_reconstruction(system, [str(clip)], out, detector)
  # What took the time is kept.
  assert {"person.npz", "motion.npz", "sheet.png"} <= whole_files(out)
  assert not os.path.exists(os.path.join(out, "overlay.mp4"))


KILLED = """
import os, signal, sys
sys.path[:0] = sys.argv[3:]
from toy_clip import StubDetector, toy_system
from personalized_face.export import run_folder
drawn, into_source = [], run_folder.into_source
def kill_at_the_third(*args):
  drawn.append(0)
  if len(drawn) == 3:
    os.kill(os.getpid(), signal.SIGKILL)
  return into_source(*args)
run_folder.into_source = kill_at_the_third
clip = [sys.argv[1]]
run_folder.write_reconstruction(toy_system(), clip, sys.argv[2], StubDetector())
"""


def test_killed_while_writing(material, tmp_path):
  """kill -9 in the middle of the overlay; ffmpeg may still hold its own file."""
  out = tmp_path / "out"
  here = pathlib.Path(__file__).parent
  paths = [str(here), str(here.parent), str(here.parents[1])]
  done = subprocess.run(
    [sys.executable, "-c", KILLED, str(material / "clip.mp4"), str(out), *paths],
    capture_output=True,
    timeout=300,
  )
  assert done.returncode == -signal.SIGKILL, done.stderr.decode()[-2000:]
  assert "overlay.mp4" not in os.listdir(out)
  for rest in out.glob("*.tmp"):
    rest.unlink()  # under a name that says what it is
  assert {"person.npz", "motion.npz", "sheet.png"} <= whole_files(out)
