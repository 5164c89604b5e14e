"""Packaging: `pip install .` gives the library, the gin configs and the commands.

`gin/`, `tools/` and `data_specs/` lie at the top of a checkout, and inside the package
in a wheel: installed as it is, `gin/` would collide with gin-config's own package.
"""

import pathlib
import re

from setuptools import find_packages, setup

ROOT = pathlib.Path(__file__).parent

# Folders of the checkout, and what they are called once installed.
MAPPED = {
  "personalized_face.tools": "tools",
  "personalized_face.gin_configs": "gin",
  "personalized_face.data_specs": "data_specs",
}

COMMANDS = (
  "ablations",
  "benchmark_preparation",
  "benchmark_renderer",
  "benchmark_tracking",
  "benchmark_training",
  "build_template",
  "build_tf_mesh_renderer",
  "compare_persons",
  "convert_motion",
  "demo",
  "evaluate",
  "export",
  "export_avatar",
  "export_tflite",
  "inspect_data",
  "personalize",
  "prepare_data",
  "reconstruct",
  "register",
  "retarget",
  "synthesize_data",
  "track",
  "train",
  "view",
)

REQUIREMENTS = [
  # 2.20 wants protobuf 5, which mediapipe 0.10.21 does not take.
  "tensorflow>=2.19,<2.20",
  # Keras 4 does not exist yet; 3.10 and later are what Python 3.10 and 3.11 get.
  "keras>=3.10,<4",
  # The last release. The renderer's benchmark compiles its rasterizer to compare with.
  "tensorflow-graphics==2021.12.3",
  # The last release whose wheel carries the face mesh models.
  "mediapipe==0.10.21",
  # The cv2 that mediapipe brings; a second opencv package would overwrite its files.
  # 4.12 wants numpy 2: said here, pip need not download five versions to find out.
  "opencv-contrib-python>=4.9,<4.12",
  # As mediapipe bounds it; said again so that the resolver need not find out.
  "numpy>=1.26,<2",
  # config.py reads the wording of its errors.
  "gin-config>=0.5,<0.6",
  # Flags and logs of the commands.
  "absl-py>=2.1",
  # Spatial trees and image filters when a template is built.
  "scipy>=1.11",
  # Pictures in and out; 10 dropped the constants that older code used.
  "pillow>=10",
  # Figures and contact sheets; 3.8 is the first that supports numpy 1.26.
  "matplotlib>=3.8",
  # Progress bars.
  "tqdm>=4.66",
  # Brings an ffmpeg: OpenCV's own video files do not play in a browser.
  "imageio-ffmpeg>=0.5",
  # Scans in the PLY format.
  "trimesh>=4.0",
  # data_specs/ are YAML.
  "pyyaml>=6.0",
]

TEST_REQUIREMENTS = [
  "pytest>=8",
  # Files mangled again and again, for every format that is read; 7 does not exist yet.
  "hypothesis>=6.100,<7",
  # Two test files at a time: the suite uses one core by itself.
  "pytest-xdist>=3.5,<4",
  # What it finds and how it formats changes from version to version.
  "ruff==0.17.5",
  # A test builds the wheel without pip's isolation: 70.1 is the first that needs no
  # `wheel` package, and 81 drops pkg_resources.
  "setuptools>=70.1,<81",
]


# The runner of data/beam_runner.py. 2.77 wants pyarrow below 26: where the lock has 26,
# install it after the rest and without the lock.
BEAM_REQUIREMENTS = ["apache-beam>=2.60,<3"]


def _version() -> str:
  text = (ROOT / "personalized_face" / "__init__.py").read_text(encoding="utf-8")
  return re.search(r'^__version__ = "(.+)"$', text, re.MULTILINE)[1]


setup(
  name="personalized_face",
  version=_version(),
  description="Personalized face models and facial motion from video, in TensorFlow 2",
  long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
  long_description_content_type="text/markdown",
  license="Apache-2.0",
  # tensorflow-graphics needs tensorflow-addons, which has no build for Python 3.12.
  python_requires=">=3.10,<3.12",
  packages=find_packages(include=["personalized_face", "personalized_face.*"])
  + list(MAPPED),
  package_dir=MAPPED,
  package_data={
    # Compiled on first use: what is compiled here need not fit the TensorFlow there.
    "personalized_face.rendering.kernels": ["*.cc", "*.h", "BUILD"],
    "personalized_face.gin_configs": ["**/*"],
    "personalized_face.export": ["viewer.html"],
    "personalized_face.pipelines": ["starter_weights/*"],
    "personalized_face.data_specs": ["**/*"],
  },
  install_requires=REQUIREMENTS,
  extras_require={"test": TEST_REQUIREMENTS, "beam": BEAM_REQUIREMENTS},
  entry_points={
    "console_scripts": ["pface = personalized_face.tools._front_door:run"]
    + [f"pface_{name} = personalized_face.tools.{name}:run" for name in COMMANDS]
  },
)
