// PfaceShade, PfaceVertexNormals and their gradients.

#include <algorithm>

#include "normals.h"
#include "ops.h"
#include "shading.h"

namespace personalized_face {
namespace {

REGISTER_OP("PfaceShade")
    .Input("albedo: T")   // [I, H, W, 3]
    .Input("normals: T")  // [I, H, W, 3] unit length
    .Input("light: T")    // [I, 9, 3]
    .Input("ids: int32")  // [I, H, W]; where negative, the results are 0
    .Attr("T: {float, double}")
    .Output("image: T")    // [I, H, W, 3]
    .Output("shading: T")  // [I, H, W, 3]
    .SetShapeFn([](InferenceContext* c) {
      c->set_output(0, c->input(0));
      c->set_output(1, c->input(0));
      return Status();
    });

REGISTER_OP("PfaceShadeGrad")
    .Input("albedo: T")
    .Input("normals: T")
    .Input("light: T")
    .Input("ids: int32")
    .Input("shading: T")     // as PfaceShade returned it
    .Input("to_image: T")    // [I, H, W, 3]
    .Input("to_shading: T")  // [I, H, W, 3]
    .Attr("T: {float, double}")
    .Output("to_albedo: T")   // [I, H, W, 3]
    .Output("to_normals: T")  // [I, H, W, 3]
    .Output("to_light: T")    // [I, 9, 3]
    .SetShapeFn([](InferenceContext* c) {
      for (int k = 0; k < 3; ++k) c->set_output(k, c->input(k));
      return Status();
    });

// Checks what the two ops read alike: the first four inputs.
Status CheckShading(OpKernelContext* context) {
  const Tensor& ids = context->input(3);
  TF_RETURN_IF_ERROR(CheckShape(ids, "ids", {-1, -1, -1}, "[I, H, W]"));
  const int64_t images = ids.dim_size(0);
  const char* const names[] = {"albedo", "normals"};
  for (int k = 0; k < 2; ++k) {
    TF_RETURN_IF_ERROR(CheckShape(context->input(k), names[k],
                                  {images, ids.dim_size(1), ids.dim_size(2), 3},
                                  "[I, H, W, 3]"));
  }
  return CheckShape(context->input(2), "light", {images, kLights, 3}, "[I, 9, 3]");
}

template <typename T>
class ShadeOp : public OpKernel {
 public:
  using OpKernel::OpKernel;

  void Compute(OpKernelContext* context) override {
    OP_REQUIRES_OK(context, CheckShading(context));
    Tensor *image_out = nullptr, *shading_out = nullptr;
    const TensorShape& shape = context->input(0).shape();
    OP_REQUIRES_OK(context, context->allocate_output(0, shape, &image_out));
    OP_REQUIRES_OK(context, context->allocate_output(1, shape, &shading_out));
    const T* const albedo = context->input(0).flat<T>().data();
    const T* const normals = context->input(1).flat<T>().data();
    const T* const light = context->input(2).flat<T>().data();
    const int32_t* const ids = context->input(3).flat<int32_t>().data();
    T* const to_image = image_out->flat<T>().data();
    T* const to_shading = shading_out->flat<T>().data();
    const int64_t height = shape.dim_size(1), width = shape.dim_size(2);
    ForEachBand(context, shape.dim_size(0), height,
                [&](int64_t image, int64_t begin, int64_t end) {
                  const int64_t first = (image * height + begin) * width;
                  Shade(albedo + 3 * first, normals + 3 * first,
                        light + image * 3 * kLights, ids + first,
                        (end - begin) * width, to_image + 3 * first,
                        to_shading + 3 * first);
                });
  }
};
REGISTER_FLOATS("PfaceShade", ShadeOp);

template <typename T>
class ShadeGradOp : public OpKernel {
 public:
  using OpKernel::OpKernel;

  void Compute(OpKernelContext* context) override {
    OP_REQUIRES_OK(context, CheckShading(context));
    const TensorShape& shape = context->input(0).shape();
    const int64_t images = shape.dim_size(0);
    const int64_t pixels = shape.dim_size(1) * shape.dim_size(2);
    const char* const names[] = {"shading", "to_image", "to_shading"};
    const T* from[3];
    for (int k = 0; k < 3; ++k) {
      const Tensor& input = context->input(4 + k);
      OP_REQUIRES(context, input.shape() == shape,
                  InvalidArgument(names[k], " has shape ", input.shape().DebugString(),
                                  ", expected that of albedo"));
      from[k] = input.flat<T>().data();
    }
    T* to[3];
    for (int k = 0; k < 3; ++k) {
      Tensor* output = nullptr;
      OP_REQUIRES_OK(
          context, context->allocate_output(k, context->input(k).shape(), &output));
      to[k] = output->flat<T>().data();
    }
    const T* const albedo = context->input(0).flat<T>().data();
    const T* const normals = context->input(1).flat<T>().data();
    const T* const light = context->input(2).flat<T>().data();
    const int32_t* const ids = context->input(3).flat<int32_t>().data();
    ForEach(context, images, [&](int64_t image) {
      const int64_t first = image * pixels, lights = image * 3 * kLights;
      std::fill(to[2] + lights, to[2] + lights + 3 * kLights, T(0));
      ShadeGradient(albedo + 3 * first, normals + 3 * first, light + lights,
                    from[0] + 3 * first, ids + first, from[1] + 3 * first,
                    from[2] + 3 * first, pixels, to[0] + 3 * first, to[1] + 3 * first,
                    to[2] + lights);
    });
  }
};
REGISTER_FLOATS("PfaceShadeGrad", ShadeGradOp);

REGISTER_OP("PfaceVertexNormals")
    .Input("vertices: T")       // [I, V, 3] any unit
    .Input("triangles: int32")  // [T, 3] counter-clockwise from outside
    .Attr("T: {float, double}")
    .Output("normals: T")  // [I, V, 3] unit length
    .SetShapeFn(SameShape);

REGISTER_OP("PfaceVertexNormalsGrad")
    .Input("vertices: T")
    .Input("triangles: int32")
    .Input("to_normals: T")  // [I, V, 3]
    .Attr("T: {float, double}")
    .Output("to_vertices: T")  // [I, V, 3]
    .SetShapeFn(SameShape);

// Both ops: the gradient's has a third input.
template <typename T>
class VertexNormalsOp : public OpKernel {
 public:
  using OpKernel::OpKernel;

  void Compute(OpKernelContext* context) override {
    const Tensor& vertices = context->input(0);
    const Tensor& triangles = context->input(1);
    OP_REQUIRES_OK(context, CheckShape(vertices, "vertices", {-1, -1, 3}, "[I, V, 3]"));
    const int64_t num_vertices = vertices.dim_size(1), numbers = num_vertices * 3;
    OP_REQUIRES_OK(context, CheckTriangles(triangles, num_vertices));
    const T* to_normals = nullptr;
    if (context->num_inputs() > 2) {
      const Tensor& upstream = context->input(2);
      OP_REQUIRES_OK(context,
                     CheckShape(upstream, "to_normals",
                                {vertices.dim_size(0), num_vertices, 3}, "[I, V, 3]"));
      to_normals = upstream.flat<T>().data();
    }
    Tensor* output = nullptr;
    OP_REQUIRES_OK(context, context->allocate_output(0, vertices.shape(), &output));
    const T* const from = vertices.flat<T>().data();
    T* const to = output->flat<T>().data();
    ForEach(context, vertices.dim_size(0), [&](int64_t image) {
      const Mesh<T> mesh{from + image * numbers, triangles.flat<int32_t>().data(),
                         static_cast<int>(num_vertices),
                         static_cast<int>(triangles.dim_size(0))};
      if (to_normals) {
        VertexNormalsGradient(mesh, to_normals + image * numbers, to + image * numbers);
      } else {
        VertexNormals(mesh, to + image * numbers);
      }
    });
  }
};
REGISTER_FLOATS("PfaceVertexNormals", VertexNormalsOp);
REGISTER_FLOATS("PfaceVertexNormalsGrad", VertexNormalsOp);

}  // namespace
}  // namespace personalized_face
