// PfaceInterpolate and its gradient.

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
      ShapeHandle attributes;
      TF_RETURN_IF_ERROR(c->WithRank(c->input(0), 3, &attributes));
      return PixelsShape(c);
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
    .SetShapeFn(SlopesShape<3>);

// What the two ops read alike.
template <typename T>
struct Blend {
  Attributes<T> attributes;  // of the first image
  Pixels pixels;
  const T* weights;
  int64_t step, num_vertices, num_triangles;

  Status Read(OpKernelContext* context, bool normalize) {
    const Tensor& attributes_in = context->input(0);
    const Tensor& weights_in = context->input(3);
    TF_RETURN_IF_ERROR(pixels.Read(context->input(2)));
    const bool shared = attributes_in.dims() == 3 && attributes_in.dim_size(0) == 1;
    TF_RETURN_IF_ERROR(CheckShape(attributes_in, "attributes",
                                  {shared ? 1 : pixels.images, -1, normalize ? 3 : -1},
                                  normalize ? "[I, V, 3]" : "[I, V, C]"));
    num_vertices = attributes_in.dim_size(1);
    const int channels = static_cast<int>(attributes_in.dim_size(2));
    step = shared ? 0 : num_vertices * channels;
    TF_RETURN_IF_ERROR(CheckTriangles(context->input(1), num_vertices));
    num_triangles = context->input(1).dim_size(0);
    TF_RETURN_IF_ERROR(CheckShape(weights_in, "weights",
                                  {pixels.images, pixels.height, pixels.width, 3},
                                  "[I, H, W, 3]"));
    attributes = {attributes_in.flat<T>().data(), channels, normalize,
                  context->input(1).flat<int32_t>().data()};
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
    T* to = nullptr;
    OP_REQUIRES_OK(context, AllocatePixels(context, blend.pixels, channels, &to));
    OP_REQUIRES_OK(
        context,
        ForEachChecked(context, blend.pixels, blend.num_triangles, /*whole=*/false,
                       [&](int64_t image, int64_t begin, int64_t end) {
                         const int64_t first = blend.pixels.At(image, begin);
                         Interpolate(blend.OfImage(image), blend.pixels.ids + first,
                                     blend.weights + 3 * first,
                                     (end - begin) * blend.pixels.width,
                                     to + channels * first);
                       }));
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
    const Pixels& pixels = blend.pixels;
    OP_REQUIRES(context, constant_ || blend.step || pixels.images == 1,
                InvalidArgument("attributes shared by images must be constant"));
    const int channels = blend.attributes.channels;
    const Tensor& to_blended = context->input(4);
    OP_REQUIRES_OK(context,
                   CheckShape(to_blended, "to_blended",
                              {pixels.images, pixels.height, pixels.width, channels},
                              "[I, H, W, C]"));
    const T* const from = to_blended.flat<T>().data();
    const int64_t numbers = blend.num_vertices * channels;
    T *sums = nullptr, *to = nullptr;
    OP_REQUIRES_OK(context, AllocateSlopes(context, constant_, 3, &sums, &to));
    OP_REQUIRES_OK(
        context,
        ForEachChecked(
            context, pixels, blend.num_triangles, /*whole=*/true,
            [&](int64_t image, int64_t, int64_t) {
              const int64_t first = pixels.At(image, 0);
              InterpolateGradient(
                  blend.OfImage(image), pixels.ids + first, blend.weights + 3 * first,
                  from + channels * first, pixels.height * pixels.width,
                  ClearSums(sums, image, numbers), to + 3 * first);
            }));
  }

 private:
  bool normalize_;
  bool constant_;
};
REGISTER_FLOATS("PfaceInterpolateGrad", InterpolateGradOp);

}  // namespace
}  // namespace personalized_face
