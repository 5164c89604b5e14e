// TensorFlow's side of the kernels: shapes, validation, and the split of the work over
// TensorFlow's own threads. What is computed stands in the kernels.

#include <algorithm>
#include <string>

#include "rasterize.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/register_types.h"
#include "tensorflow/core/framework/shape_inference.h"
#include "tensorflow/core/util/work_sharder.h"

namespace personalized_face {
namespace {

using tensorflow::OpKernel;
using tensorflow::OpKernelConstruction;
using tensorflow::OpKernelContext;
using tensorflow::Status;
using tensorflow::Tensor;
using tensorflow::TensorShape;
using tensorflow::errors::InvalidArgument;
using tensorflow::shape_inference::InferenceContext;
using tensorflow::shape_inference::ShapeHandle;

// A unit of work that is worth a thread of its own, in TensorFlow's cycles.
constexpr int64_t kCost = 1000000;

// Runs work(i) for i in [0, count) on the device's threads.
template <typename Work>
void ForEach(OpKernelContext* context, int64_t count, const Work& work) {
  const auto& workers = *context->device()->tensorflow_cpu_worker_threads();
  tensorflow::Shard(workers.num_threads, workers.workers, count, kCost,
                    [&work](int64_t begin, int64_t end) {
                      for (int64_t i = begin; i < end; ++i) work(i);
                    });
}

int NumThreads(OpKernelContext* context) {
  return context->device()->tensorflow_cpu_worker_threads()->num_threads;
}

// Checks a shape against a pattern of sizes, -1 for any.
Status CheckShape(const Tensor& tensor, const std::string& name,
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
Status CheckTriangles(const Tensor& triangles, int64_t num_vertices) {
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

// Reads the attributes and the input `lens` that describe a camera.
Status ReadCamera(const Tensor& lens, int height, int width, Camera* camera) {
  TF_RETURN_IF_ERROR(CheckShape(lens, "lens", {4}, "[4]"));
  const auto values = lens.flat<double>();
  *camera = Camera{height, width, values(0), values(1), values(2), values(3)};
  if (camera->focal > 0 && camera->near > 0) return Status();
  return InvalidArgument("lens has focal length ", camera->focal, " and near plane ",
                         camera->near, "; both must be positive");
}

Status ImageShape(InferenceContext* c) {
  ShapeHandle vertices, triangles, lens;
  TF_RETURN_IF_ERROR(c->WithRank(c->input(0), 3, &vertices));
  TF_RETURN_IF_ERROR(c->WithRank(c->input(1), 2, &triangles));
  TF_RETURN_IF_ERROR(c->WithRank(c->input(2), 1, &lens));
  int height, width;
  TF_RETURN_IF_ERROR(c->GetAttr("height", &height));
  TF_RETURN_IF_ERROR(c->GetAttr("width", &width));
  c->set_output(0, c->MakeShape({c->Dim(vertices, 0), c->MakeDim(height),
                                 c->MakeDim(width)}));
  return Status();
}

REGISTER_OP("PfaceTriangleIds")
    .Input("vertices: T")      // [I, V, 3] decimetres, camera space
    .Input("triangles: int32") // [T, 3]
    .Input("lens: double")     // [4] focal, principal x and y, near
    .Attr("T: {float, double}")
    .Attr("height: int >= 1")
    .Attr("width: int >= 1")
    .Output("ids: int32")  // [I, H, W], -1 where there is none
    .SetShapeFn(ImageShape);

template <typename T>
class TriangleIdsOp : public OpKernel {
 public:
  explicit TriangleIdsOp(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("height", &height_));
    OP_REQUIRES_OK(context, context->GetAttr("width", &width_));
  }

  void Compute(OpKernelContext* context) override {
    const Tensor& vertices = context->input(0);
    const Tensor& triangles = context->input(1);
    OP_REQUIRES_OK(context, CheckShape(vertices, "vertices", {-1, -1, 3}, "[I, V, 3]"));
    const int64_t images = vertices.dim_size(0), num_vertices = vertices.dim_size(1);
    OP_REQUIRES_OK(context, CheckTriangles(triangles, num_vertices));
    Camera camera;
    OP_REQUIRES_OK(context, ReadCamera(context->input(2), height_, width_, &camera));
    Tensor* ids = nullptr;
    OP_REQUIRES_OK(context, context->allocate_output(
                                0, TensorShape({images, height_, width_}), &ids));
    if (images == 0) return;
    // Fewer images than threads: each image is cut into bands of rows.
    const int64_t wanted = (NumThreads(context) + images - 1) / images;
    const int64_t bands = std::min<int64_t>(wanted, height_);
    const T* const from = vertices.flat<T>().data();
    const int32_t* const corners = triangles.flat<int32_t>().data();
    int32_t* const to = ids->flat<int32_t>().data();
    ForEach(context, images * bands, [&](int64_t i) {
      const int64_t image = i / bands, band = i % bands;
      const int begin = static_cast<int>(band * height_ / bands);
      const int end = static_cast<int>((band + 1) * height_ / bands);
      Rasterize(from + image * num_vertices * 3, static_cast<int>(num_vertices),
                corners, static_cast<int>(triangles.dim_size(0)), camera, begin, end,
                to + (image * height_ + begin) * width_);
    });
  }

 private:
  int height_;
  int width_;
};

#define REGISTER(T)                                                        \
  REGISTER_KERNEL_BUILDER(                                                 \
      Name("PfaceTriangleIds").Device(tensorflow::DEVICE_CPU).TypeConstraint<T>("T"), \
      TriangleIdsOp<T>);
TF_CALL_float(REGISTER);
TF_CALL_double(REGISTER);
#undef REGISTER

}  // namespace
}  // namespace personalized_face
