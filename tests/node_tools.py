"""Node programs for the tests: Khronos' glTF validator and a headless browser.

They come from `npm install --prefix tests/node`, or from the node_modules folder that
PERSONALIZED_FACE_NODE_MODULES names; without them the tests that need them are skipped.
"""

import contextlib
import functools
import http.server
import json
import os
import pathlib
import shutil
import subprocess
import threading
from collections.abc import Iterator

import pytest

FOLDER = pathlib.Path(__file__).parent / "node"
_PACKAGES = ("gltf-validator", "puppeteer-core", "three")
_TIMEOUT = 120  # seconds


def workshop(folder: pathlib.Path) -> pathlib.Path:
  """Copies the scripts beside a link to node_modules; skips the test without them."""
  modules = os.environ.get("PERSONALIZED_FACE_NODE_MODULES", FOLDER / "node_modules")
  modules = pathlib.Path(modules)
  if shutil.which("node") is None:
    pytest.skip("node is not installed")
  missing = [name for name in _PACKAGES if not (modules / name).is_dir()]
  if missing:
    pytest.skip(f"no {', '.join(missing)}: run npm install --prefix tests/node")
  for path in [*FOLDER.glob("*.mjs"), *FOLDER.glob("*.html")]:
    shutil.copy(path, folder)
  link = folder / "node_modules"
  if not link.exists():
    link.symlink_to(modules.resolve())
  return folder


def _node(folder: pathlib.Path, script: str, argument: str) -> dict:
  done = subprocess.run(
    ["node", script, argument],
    cwd=folder,
    capture_output=True,
    text=True,
    timeout=_TIMEOUT,
  )
  assert done.returncode == 0, done.stderr
  return json.loads(done.stdout)


def validate_gltf(folder: pathlib.Path, path: str) -> dict:
  """The issues that Khronos' validator finds in a file."""
  return _node(folder, "validate.mjs", path)["issues"]


@contextlib.contextmanager
def served(folder: pathlib.Path) -> Iterator[str]:
  """The address of a server of a folder: pages on file:// may not fetch their files."""

  class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
      pass

  handler = functools.partial(Quiet, directory=str(folder))
  with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def browse(folder: pathlib.Path, url: str, steps: list[dict], size=(480, 480)) -> dict:
  """Runs steps in a page; see browser.mjs.

  Skipped without a Chromium: one on the PATH, or npm's @sparticuz/chromium.
  """
  names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
  found = next(filter(None, map(shutil.which, names)), "")
  if not found and not (folder / "node_modules" / "@sparticuz").is_dir():
    pytest.skip("no Chromium, and no @sparticuz/chromium among the node modules")
  job = {"url": url, "width": size[0], "height": size[1], "chromium": found}
  path = folder / "job.json"
  path.write_text(json.dumps(job | {"steps": steps}))
  return _node(folder, "browser.mjs", str(path))
