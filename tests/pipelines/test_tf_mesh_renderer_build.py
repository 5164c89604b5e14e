"""pface_build_tf_mesh_renderer: Bazel compiles an op against this TensorFlow.

The build takes a minute, so it runs only where PERSONALIZED_FACE_TEST_BAZEL is set;
`.ci/run` sets it when Bazel is installed. What is built is a stand-in of ours for the
upstream sources: it says that every pixel is empty.
"""

import os
import shutil
import subprocess
import sys

import pytest

from personalized_face.core.errors import UserError
from personalized_face.pipelines import tf_mesh_renderer as builder
from personalized_face.rendering.tf_mesh_renderer import PATH_VARIABLE

OP = """
#include "rasterize_triangles_impl.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"

REGISTER_OP("RasterizeTriangles")
    .Input("vertices: float32")
    .Input("triangles: int32")
    .Attr("image_width: int")
    .Attr("image_height: int")
    .Output("barycentric_coordinates: float32")
    .Output("triangle_ids: int32")
    .Output("z_buffer: float32");

class NothingSeen : public tensorflow::OpKernel {
 public:
  explicit NothingSeen(tensorflow::OpKernelConstruction* context)
      : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("image_width", &width_));
    OP_REQUIRES_OK(context, context->GetAttr("image_height", &height_));
  }

  void Compute(tensorflow::OpKernelContext* context) override {
    tensorflow::Tensor *weights, *ids, *depth;
    OP_REQUIRES_OK(context,
                   context->allocate_output(0, {height_, width_, 3}, &weights));
    OP_REQUIRES_OK(context, context->allocate_output(1, {height_, width_}, &ids));
    OP_REQUIRES_OK(context, context->allocate_output(2, {height_, width_}, &depth));
    weights->flat<float>().setZero();
    ids->flat<int>().setZero();
    depth->flat<float>().setConstant(FarthestDepth());
  }

 private:
  int width_, height_;
};

REGISTER_KERNEL_BUILDER(
    Name("RasterizeTriangles").Device(tensorflow::DEVICE_CPU), NothingSeen);
"""
STAND_IN = {
  "grad.cc": "// Nothing to differentiate.\n",
  "impl.cc": "float FarthestDepth() { return 1.0f; }\n",
  "impl.h": "float FarthestDepth();\n",
  "op.cc": OP,
}
USE_IT = """
import numpy as np
import tensorflow as tf
from personalized_face.rendering.camera import Camera
from personalized_face.rendering.rasterize import triangle_ids
vertices = tf.constant([[[0, 0, -9], [1, 0, -9], [0, 1, -9.0]]] * 2)
ids = triangle_ids(vertices, [[0, 1, 2]], Camera.for_crop(8), "tf_mesh_renderer")
assert ids.shape == (2, 8, 8) and np.all(ids.numpy() == -1), ids
"""


@pytest.fixture
def stand_in(tmp_path):
  folder = tmp_path / "upstream"
  for name in builder.SOURCES:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(STAND_IN[name.rsplit("_", 1)[1]])
  # As upstream has them; they would hide the sources from ours.
  (folder / "mesh_renderer" / "kernels" / "BUILD").write_text("not for this Bazel")
  return str(folder)


@pytest.mark.skipif(
  not (os.environ.get("PERSONALIZED_FACE_TEST_BAZEL") and shutil.which("bazel")),
  reason="Bazel is not installed, or PERSONALIZED_FACE_TEST_BAZEL is not set",
)
def test_bazel_builds_a_library_that_loads(stand_in, monkeypatch, tmp_path):
  library = str(tmp_path / "kernel.so")
  monkeypatch.setenv(PATH_VARIABLE, library)
  assert builder.build_kernel(stand_in, timeout=240) == library
  # In a process of its own: the real kernel, where built, has the same op's name.
  subprocess.run([sys.executable, "-c", USE_IT], check=True, timeout=120)


def fake_bazel(folder, monkeypatch, script):
  path = folder / "bin" / "bazel"
  path.parent.mkdir()
  path.write_text(f"#!/bin/sh\n{script}\n")
  path.chmod(0o755)
  monkeypatch.setenv("PATH", str(path.parent), prepend=os.pathsep)
  monkeypatch.delenv("USE_BAZEL_VERSION", raising=False)


def test_new_bazel_reads_the_checkouts_settings(monkeypatch, tmp_path):
  fake_bazel(tmp_path, monkeypatch, "echo bazel 7.6.1")
  command, environment = builder.bazel_command(str(tmp_path))
  assert command[-1] == "build" and "--noworkspace_rc" not in command
  assert "USE_BAZEL_VERSION" not in environment


def test_debians_bazel_gets_its_own_settings(monkeypatch, tmp_path):
  fake_bazel(
    tmp_path, monkeypatch, '[ -n "$USE_BAZEL_VERSION" ] && echo bazel no_version'
  )
  command, environment = builder.bazel_command(str(tmp_path))
  assert "--noworkspace_rc" in command and "--cxxopt=-std=c++17" in command
  overrides = [word for word in command if word.startswith("--override_repository")]
  assert len(overrides) == 4
  assert environment["USE_BAZEL_VERSION"] == "latest"


def test_no_bazel_is_said_in_one_sentence(monkeypatch, tmp_path):
  monkeypatch.setenv("PATH", str(tmp_path))
  with pytest.raises(UserError, match="Bazel is not installed"):
    builder.build_kernel()


def test_failed_build_gives_the_reason_and_leaves_nothing(
  monkeypatch, tmp_path, stand_in
):
  library = tmp_path / "kernel.so"
  monkeypatch.setenv(PATH_VARIABLE, str(library))
  script = 'case "$*" in *--version*) echo bazel 7.6.1;;'
  script += " *) echo op.cc: fatal error: no such file >&2; exit 1;; esac"
  fake_bazel(tmp_path, monkeypatch, script)
  with pytest.raises(UserError, match="Bazel failed: op.cc: fatal error"):
    builder.build_kernel(stand_in)
  assert not library.exists()


def test_folder_without_the_sources_is_refused(monkeypatch, tmp_path):
  fake_bazel(tmp_path, monkeypatch, "echo bazel 7.6.1")
  with pytest.raises(UserError, match="holds no mesh_renderer/kernels"):
    builder.build_kernel(str(tmp_path))
