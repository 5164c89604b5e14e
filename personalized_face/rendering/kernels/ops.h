// What the files of ops share: TensorFlow's side of the kernels is shapes, validation,
// and the split of the work over TensorFlow's own threads.

#ifndef PERSONALIZED_FACE_RENDERING_KERNELS_OPS_H_
#define PERSONALIZED_FACE_RENDERING_KERNELS_OPS_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>

#include "camera.h"
#include "rasterize.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"
#include "tensorflow/core/platform/threadpool.h"

namespace personalized_face {

using tensorflow::OpKernel;
using tensorflow::OpKernelConstruction;
using tensorflow::OpKernelContext;
using tensorflow::Status;
using tensorflow::Tensor;
using tensorflow::TensorShape;
using tensorflow::errors::InvalidArgument;
using tensorflow::shape_inference::InferenceContext;
using tensorflow::shape_inference::ShapeHandle;

// Runs work(i) for i in [0, count) on the device's threads, the caller's among them.
// Each takes the next i when it is done with its last: with as many of them as the
// device has threads, none waits for a processor, and none is left with a long rest.
template <typename Work>
void ForEach(OpKernelContext* context, int64_t count, const Work& work) {
  const auto& workers = *context->device()->tensorflow_cpu_worker_threads();
  const int64_t takers = std::min<int64_t>(workers.num_threads, count);
  std::atomic<int64_t> next{0};
  const auto take = [&](int64_t, int64_t) {
    for (int64_t i; (i = next++) < count;) work(i);
  };
  if (takers <= 1) return take(0, count);
  workers.workers->ParallelFor(
      takers,
      tensorflow::thread::ThreadPool::SchedulingParams(
          tensorflow::thread::ThreadPool::SchedulingStrategy::kFixedBlockSize,
          std::nullopt, 1),
      take);
}

// Into how many bands of rows to cut each image, so that no thread is without work.
inline int64_t NumBands(OpKernelContext* context, int64_t images, int64_t height) {
  const int64_t threads =
      context->device()->tensorflow_cpu_worker_threads()->num_threads;
  return std::min(height, (threads + images - 1) / std::max<int64_t>(images, 1));
}

// Runs work(image, begin, end) for bands of rows that make up all images.
template <typename Work>
void ForEachBand(OpKernelContext* context, int64_t images, int64_t height,
                 const Work& work) {
  const int64_t bands = NumBands(context, images, height);
  ForEach(context, images * bands, [&](int64_t i) {
    const int64_t image = i / bands, band = i % bands;
    work(image, band * height / bands, (band + 1) * height / bands);
  });
}

// Checks a shape against a pattern of sizes, -1 for any.
inline Status CheckShape(const Tensor& tensor, const std::string& name,
                  const std::initializer_list<int64_t>& sizes,
                  const std::string& pattern) {
  bool fits = tensor.dims() == static_cast<int>(sizes.size());
  int axis = 0;
  for (auto size = sizes.begin(); fits && size != sizes.end(); ++size, ++axis) {
    fits = *size < 0 || tensor.dim_size(axis) == *size;
  }
  if (fits) return Status();
  return InvalidArgument(name, " has shape ", tensor.shape().DebugString(),
                         ", expected ", pattern);
}

// Checks that all of `triangles` point to one of `num_vertices` vertices.
inline Status CheckTriangles(const Tensor& triangles, int64_t num_vertices) {
  TF_RETURN_IF_ERROR(CheckShape(triangles, "triangles", {-1, 3}, "[T, 3]"));
  if (triangles.dim_size(0) > kMaxTriangles) {
    return InvalidArgument("triangles are ", triangles.dim_size(0), ", at most ",
                           kMaxTriangles, " are possible");
  }
  const auto corners = triangles.flat<int32_t>();
  bool inside = true;
  for (int64_t i = 0; i < corners.size(); ++i) {
    // Negative ones are large when read without sign.
    inside &= static_cast<uint32_t>(corners(i)) < static_cast<uint64_t>(num_vertices);
  }
  if (inside) return Status();
  return InvalidArgument("triangles hold a vertex outside [0, ", num_vertices, ")");
}

// Reads the input `lens`, which with the picture's size describes a camera.
inline Status ReadCamera(const Tensor& lens, int64_t height, int64_t width, Camera* camera) {
  TF_RETURN_IF_ERROR(CheckShape(lens, "lens", {4}, "[4]"));
  const auto values = lens.flat<double>();
  *camera = Camera{static_cast<int>(height), static_cast<int>(width), values(0),
                   values(1), values(2), values(3)};
  if (camera->focal > 0 && camera->near > 0) return Status();
  return InvalidArgument("lens has focal length ", camera->focal, " and near plane ",
                         camera->near, "; both must be positive");
}

// Whether all of `ids` lie in [-1, count).
inline bool IdsInside(const int32_t* ids, int64_t pixels, int64_t count) {
  bool inside = true;
  for (int64_t i = 0; i < pixels; ++i) inside &= (ids[i] >= -1) & (ids[i] < count);
  return inside;
}

// The pixels that an op after the rasterizer reads.
struct Pixels {
  const int32_t* ids;
  int64_t images, height, width;

  Status Read(const Tensor& tensor) {
    TF_RETURN_IF_ERROR(CheckShape(tensor, "ids", {-1, -1, -1}, "[I, H, W]"));
    ids = tensor.flat<int32_t>().data();
    images = tensor.dim_size(0);
    height = tensor.dim_size(1);
    width = tensor.dim_size(2);
    return Status();
  }

  // Number of the first pixel of a row, counted through all images.
  int64_t At(int64_t image, int64_t row) const {
    return (image * height + row) * width;
  }
};

// Runs work(image, begin, end) for rows of all images: for bands of them, or, where an
// image's gradients are summed, for whole images. Fails where an id is outside
// [-1, num_triangles).
template <typename Work>
Status ForEachChecked(OpKernelContext* context, const Pixels& pixels,
                      int64_t num_triangles, bool whole, const Work& work) {
  std::atomic<bool> inside{true};
  const auto check_and_work = [&](int64_t image, int64_t begin, int64_t end) {
    if (IdsInside(pixels.ids + pixels.At(image, begin), (end - begin) * pixels.width,
                  num_triangles)) {
      work(image, begin, end);
    } else {
      inside = false;
    }
  };
  if (whole) {
    ForEach(context, pixels.images,
            [&](int64_t image) { check_and_work(image, 0, pixels.height); });
  } else {
    ForEachBand(context, pixels.images, pixels.height, check_and_work);
  }
  if (inside) return Status();
  return InvalidArgument("ids hold a triangle outside [-1, ", num_triangles, ")");
}

// Allocates output 0 of an op: [I, H, W, channels] for ids [I, H, W].
template <typename T>
Status AllocatePixels(OpKernelContext* context, const Pixels& pixels, int64_t channels,
                      T** to) {
  Tensor* output = nullptr;
  TF_RETURN_IF_ERROR(context->allocate_output(
      0, TensorShape({pixels.images, pixels.height, pixels.width, channels}), &output));
  *to = output->flat<T>().data();
  return Status();
}

// Allocates what a gradient op of a table and of places writes: output 0, to the table,
// input 0, empty and `to_table` null where the table is constant; output 1, to the
// places, of the shape of an input.
template <typename T>
Status AllocateSlopes(OpKernelContext* context, bool constant, int places, T** to_table,
                      T** to_places) {
  Tensor *table = nullptr, *other = nullptr;
  TF_RETURN_IF_ERROR(context->allocate_output(
      0, constant ? TensorShape({0}) : context->input(0).shape(), &table));
  TF_RETURN_IF_ERROR(
      context->allocate_output(1, context->input(places).shape(), &other));
  *to_table = constant ? nullptr : table->flat<T>().data();
  *to_places = other->flat<T>().data();
  return Status();
}

// An image's part of the sums of a gradient, set to 0; null where there are none.
template <typename T>
T* ClearSums(T* sums, int64_t image, int64_t numbers) {
  if (!sums) return nullptr;
  std::fill(sums + image * numbers, sums + (image + 1) * numbers, T(0));
  return sums + image * numbers;
}

// Registers one kernel for both types of numbers.
#define REGISTER_FLOATS(NAME, KERNEL)                                                 \
  REGISTER_KERNEL_BUILDER(                                                            \
      Name(NAME).Device(tensorflow::DEVICE_CPU).TypeConstraint<float>("T"),           \
      KERNEL<float>);                                                                 \
  REGISTER_KERNEL_BUILDER(                                                            \
      Name(NAME).Device(tensorflow::DEVICE_CPU).TypeConstraint<double>("T"),          \
      KERNEL<double>)

// Of ops whose one output has the shape of the first input.
inline Status SameShape(InferenceContext* c) {
  c->set_output(0, c->input(0));
  return Status();
}

// Of gradient ops with an attribute `constant`: see AllocateSlopes.
template <int kPlaces>
Status SlopesShape(InferenceContext* c) {
  bool constant;
  TF_RETURN_IF_ERROR(c->GetAttr("constant", &constant));
  c->set_output(0, constant ? c->MakeShape({0}) : c->input(0));
  c->set_output(1, c->input(kPlaces));
  return Status();
}

// Of ops that write the channels of input 0, [..., C], for each pixel of input 2.
inline Status PixelsShape(InferenceContext* c) {
  ShapeHandle ids, pixels;
  TF_RETURN_IF_ERROR(c->WithRank(c->input(2), 3, &ids));
  TF_RETURN_IF_ERROR(
      c->Concatenate(ids, c->Vector(c->Dim(c->input(0), -1)), &pixels));
  c->set_output(0, pixels);
  return Status();
}

}  // namespace personalized_face

#endif  // PERSONALIZED_FACE_RENDERING_KERNELS_OPS_H_
