// PfaceTriangleIds, PfaceBarycentrics and its gradient.

#include "ops.h"
#include "rasterize.h"
#include "surface.h"

namespace personalized_face {
namespace {

Status IdsShape(InferenceContext* c) {
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
    .SetShapeFn(IdsShape);

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
    const T* const from = vertices.flat<T>().data();
    const int32_t* const corners = triangles.flat<int32_t>().data();
    int32_t* const to = ids->flat<int32_t>().data();
    ForEachBand(context, images, height_, [&](int64_t image, int begin, int end) {
      Rasterize(from + image * num_vertices * 3, static_cast<int>(num_vertices),
                corners, static_cast<int>(triangles.dim_size(0)), camera, begin, end,
                to + (image * height_ + begin) * width_);
    });
  }

 private:
  int height_;
  int width_;
};

REGISTER_FLOATS("PfaceTriangleIds", TriangleIdsOp);

REGISTER_OP("PfaceBarycentrics")
    .Input("vertices: T")       // [I, V, 3] decimetres, camera space
    .Input("triangles: int32")  // [T, 3]
    .Input("ids: int32")        // [I, H, W]
    .Input("lens: double")      // [4] focal, principal x and y, near
    .Attr("T: {float, double}")
    .Output("weights: T")  // [I, H, W, 3]
    .SetShapeFn([](InferenceContext* c) {
      ShapeHandle ids, weights;
      TF_RETURN_IF_ERROR(c->WithRank(c->input(2), 3, &ids));
      TF_RETURN_IF_ERROR(c->Concatenate(ids, c->Vector(3), &weights));
      c->set_output(0, weights);
      return Status();
    });

REGISTER_OP("PfaceBarycentricsGrad")
    .Input("vertices: T")
    .Input("triangles: int32")
    .Input("ids: int32")
    .Input("lens: double")
    .Input("to_weights: T")  // [I, H, W, 3]
    .Attr("T: {float, double}")
    .Output("to_vertices: T")  // [I, V, 3]
    .SetShapeFn(SameShape);

// What the two ops read alike.
template <typename T>
struct Scene {
  const T* vertices;
  const int32_t* triangles;
  Pixels pixels;
  int64_t num_vertices, num_triangles;
  Camera camera;

  Status Read(OpKernelContext* context) {
    const Tensor& vertices_in = context->input(0);
    const Tensor& triangles_in = context->input(1);
    TF_RETURN_IF_ERROR(CheckShape(vertices_in, "vertices", {-1, -1, 3}, "[I, V, 3]"));
    TF_RETURN_IF_ERROR(CheckShape(context->input(2), "ids",
                                  {vertices_in.dim_size(0), -1, -1}, "[I, H, W]"));
    TF_RETURN_IF_ERROR(pixels.Read(context->input(2)));
    num_vertices = vertices_in.dim_size(1);
    TF_RETURN_IF_ERROR(CheckTriangles(triangles_in, num_vertices));
    num_triangles = triangles_in.dim_size(0);
    vertices = vertices_in.flat<T>().data();
    triangles = triangles_in.flat<int32_t>().data();
    return ReadCamera(context->input(3), pixels.height, pixels.width, &camera);
  }
};

template <typename T>
class BarycentricsOp : public OpKernel {
 public:
  using OpKernel::OpKernel;

  void Compute(OpKernelContext* context) override {
    Scene<T> scene;
    OP_REQUIRES_OK(context, scene.Read(context));
    T* to = nullptr;
    OP_REQUIRES_OK(context, AllocatePixels(context, scene.pixels, 3, &to));
    OP_REQUIRES_OK(
        context,
        ForEachChecked(context, scene.pixels, scene.num_triangles, /*whole=*/false,
                       [&](int64_t image, int64_t begin, int64_t end) {
                         const int64_t first = scene.pixels.At(image, 0);
                         Barycentrics(scene.vertices + image * scene.num_vertices * 3,
                                      scene.triangles, scene.pixels.ids + first,
                                      scene.camera, static_cast<int>(begin),
                                      static_cast<int>(end), to + 3 * first);
                       }));
  }
};
REGISTER_FLOATS("PfaceBarycentrics", BarycentricsOp);

template <typename T>
class BarycentricsGradOp : public OpKernel {
 public:
  using OpKernel::OpKernel;

  void Compute(OpKernelContext* context) override {
    Scene<T> scene;
    OP_REQUIRES_OK(context, scene.Read(context));
    const Pixels& pixels = scene.pixels;
    const Tensor& to_weights = context->input(4);
    OP_REQUIRES_OK(context, CheckShape(to_weights, "to_weights",
                                       {pixels.images, pixels.height, pixels.width, 3},
                                       "[I, H, W, 3]"));
    Tensor* to_vertices = nullptr;
    OP_REQUIRES_OK(context, context->allocate_output(0, context->input(0).shape(),
                                                     &to_vertices));
    const T* const from = to_weights.flat<T>().data();
    T* const to = to_vertices->flat<T>().data();
    const int64_t numbers = scene.num_vertices * 3;
    OP_REQUIRES_OK(
        context,
        ForEachChecked(context, pixels, scene.num_triangles, /*whole=*/true,
                       [&](int64_t image, int64_t, int64_t) {
                         const int64_t first = pixels.At(image, 0);
                         BarycentricsGradient(scene.vertices + image * numbers,
                                              scene.triangles, pixels.ids + first,
                                              scene.camera, from + 3 * first,
                                              ClearSums(to, image, numbers));
                       }));
  }
};
REGISTER_FLOATS("PfaceBarycentricsGrad", BarycentricsGradOp);

}  // namespace
}  // namespace personalized_face
