// PfaceInterpolate and its gradient.

#include <algorithm>
#include <atomic>

#include "ops.h"
#include "surface.h"

namespace personalized_face {
namespace {

REGISTER_OP("PfaceInterpolate")
    .Input("attributes: T")     // [I, V, C], or [1, V, C] for all images
    .Input("triangles: int32")  // [T, 3]
    .Input("ids: int32")        // [I, H, W]
    .Input("weights: T")        // [I, H, W, 3]
    .Attr("T: {float, double}")
    .Attr("normalize: bool = false")  // to unit length; C is 3
    .Output("blended: T")             // [I, H, W, C]
    .SetShapeFn([](InferenceContext* c) {
      ShapeHandle attributes, ids, blended;
      TF_RETURN_IF_ERROR(c->WithRank(c->input(0), 3, &attributes));
      TF_RETURN_IF_ERROR(c->WithRank(c->input(2), 3, &ids));
      TF_RETURN_IF_ERROR(
          c->Concatenate(ids, c->Vector(c->Dim(attributes, 2)), &blended));
      c->set_output(0, blended);
      return Status();
    });

REGISTER_OP("PfaceInterpolateGrad")
    .Input("attributes: T")
    .Input("triangles: int32")
    .Input("ids: int32")
    .Input("weights: T")
    .Input("to_blended: T")  // [I, H, W, C]
    .Attr("T: {float, double}")
    .Attr("normalize: bool = false")
    .Attr("constant: bool = false")  // no gradient to the attributes
    .Output("to_attributes: T")      // [I, V, C]; empty where they are constant
    .Output("to_weights: T")         // [I, H, W, 3]
    .SetShapeFn([](InferenceContext* c) {
      bool constant;
      TF_RETURN_IF_ERROR(c->GetAttr("constant", &constant));
      c->set_output(0, constant ? c->MakeShape({0}) : c->input(0));
      c->set_output(1, c->input(3));
      return Status();
    });

// What the two ops read alike.
template <typename T>
struct Blend {
  Attributes<T> attributes;  // of the first image
  const int32_t* ids;
  const T* weights;
  int64_t images, step, num_vertices, num_triangles, height, width;

  Status Read(OpKernelContext* context, bool normalize) {
    const Tensor& attributes_in = context->input(0);
    const Tensor& ids_in = context->input(2);
    const Tensor& weights_in = context->input(3);
    TF_RETURN_IF_ERROR(CheckShape(ids_in, "ids", {-1, -1, -1}, "[I, H, W]"));
    images = ids_in.dim_size(0);
    height = ids_in.dim_size(1);
    width = ids_in.dim_size(2);
    const bool shared = attributes_in.dims() == 3 && attributes_in.dim_size(0) == 1;
    TF_RETURN_IF_ERROR(CheckShape(attributes_in, "attributes",
                                  {shared ? 1 : images, -1, normalize ? 3 : -1},
                                  normalize ? "[I, V, 3]" : "[I, V, C]"));
    num_vertices = attributes_in.dim_size(1);
    const int channels = static_cast<int>(attributes_in.dim_size(2));
    step = shared ? 0 : num_vertices * channels;
    TF_RETURN_IF_ERROR(CheckTriangles(context->input(1), num_vertices));
    num_triangles = context->input(1).dim_size(0);
    TF_RETURN_IF_ERROR(CheckShape(weights_in, "weights", {images, height, width, 3},
                                  "[I, H, W, 3]"));
    attributes = {attributes_in.flat<T>().data(), channels, normalize,
                  context->input(1).flat<int32_t>().data()};
    ids = ids_in.flat<int32_t>().data();
    weights = weights_in.flat<T>().data();
    return Status();
  }

  Attributes<T> OfImage(int64_t image) const {
    Attributes<T> own = attributes;
    own.values += image * step;
    return own;
  }
};

template <typename T>
class InterpolateOp : public OpKernel {
 public:
  explicit InterpolateOp(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("normalize", &normalize_));
  }

  void Compute(OpKernelContext* context) override {
    Blend<T> blend;
    OP_REQUIRES_OK(context, blend.Read(context, normalize_));
    const int channels = blend.attributes.channels;
    TensorShape shape = context->input(2).shape();
    shape.AddDim(channels);
    Tensor* blended = nullptr;
    OP_REQUIRES_OK(context, context->allocate_output(0, shape, &blended));
    T* const to = blended->flat<T>().data();
    std::atomic<bool> inside{true};
    ForEachBand(context, blend.images, blend.height,
                [&](int64_t image, int64_t begin, int64_t end) {
                  const int64_t pixels = (end - begin) * blend.width;
                  const int64_t first = (image * blend.height + begin) * blend.width;
                  if (!IdsInside(blend.ids + first, pixels, blend.num_triangles)) {
                    inside = false;
                    return;
                  }
                  Interpolate(blend.OfImage(image), blend.ids + first,
                              blend.weights + 3 * first, pixels, to + channels * first);
                });
    OP_REQUIRES(context, inside, IdsOutside(blend.num_triangles));
  }

 private:
  bool normalize_;
};
REGISTER_FLOATS("PfaceInterpolate", InterpolateOp);

template <typename T>
class InterpolateGradOp : public OpKernel {
 public:
  explicit InterpolateGradOp(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("normalize", &normalize_));
    OP_REQUIRES_OK(context, context->GetAttr("constant", &constant_));
  }

  void Compute(OpKernelContext* context) override {
    Blend<T> blend;
    OP_REQUIRES_OK(context, blend.Read(context, normalize_));
    OP_REQUIRES(context, constant_ || blend.step || blend.images == 1,
                InvalidArgument("attributes shared by images must be constant"));
    const int channels = blend.attributes.channels;
    const Tensor& to_blended = context->input(4);
    OP_REQUIRES_OK(context,
                   CheckShape(to_blended, "to_blended",
                              {blend.images, blend.height, blend.width, channels},
                              "[I, H, W, C]"));
    Tensor *to_attributes = nullptr, *to_weights = nullptr;
    OP_REQUIRES_OK(context, context->allocate_output(
                                0,
                                constant_ ? TensorShape({0}) : context->input(0).shape(),
                                &to_attributes));
    OP_REQUIRES_OK(context, context->allocate_output(1, context->input(3).shape(),
                                                     &to_weights));
    const T* const from = to_blended.flat<T>().data();
    T* const sums = constant_ ? nullptr : to_attributes->flat<T>().data();
    T* const to = to_weights->flat<T>().data();
    const int64_t pixels = blend.height * blend.width;
    const int64_t numbers = blend.num_vertices * channels;
    std::atomic<bool> inside{true};
    ForEach(context, blend.images, [&](int64_t image) {
      const int64_t first = image * pixels;
      if (!IdsInside(blend.ids + first, pixels, blend.num_triangles)) {
        inside = false;
        return;
      }
      T* const own = sums ? sums + image * numbers : nullptr;
      if (own) std::fill(own, own + numbers, T(0));
      InterpolateGradient(blend.OfImage(image), blend.ids + first,
                          blend.weights + 3 * first, from + channels * first, pixels,
                          own, to + 3 * first);
    });
    OP_REQUIRES(context, inside, IdsOutside(blend.num_triangles));
  }

 private:
  bool normalize_;
  bool constant_;
};
REGISTER_FLOATS("PfaceInterpolateGrad", InterpolateGradOp);

}  // namespace
}  // namespace personalized_face
