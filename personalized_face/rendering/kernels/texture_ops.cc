// PfaceSampleUv and its gradient.

#include "ops.h"
#include "texture.h"

namespace personalized_face {
namespace {

REGISTER_OP("PfaceSampleUv")
    .Input("maps: T")     // [I, U, U, C], or [1, U, U, C] for all images
    .Input("uv: T")       // [I, H, W, 2]
    .Input("ids: int32")  // [I, H, W]; where negative, the value is (fill, 0, ...)
    .Attr("T: {float, double}")
    .Attr("fill: float = 0.0")
    .Output("values: T")  // [I, H, W, C]
    .SetShapeFn([](InferenceContext* c) {
      ShapeHandle maps;
      TF_RETURN_IF_ERROR(c->WithRank(c->input(0), 4, &maps));
      return PixelsShape(c);
    });

REGISTER_OP("PfaceSampleUvGrad")
    .Input("maps: T")
    .Input("uv: T")
    .Input("ids: int32")
    .Input("to_values: T")  // [I, H, W, C]
    .Attr("T: {float, double}")
    .Attr("constant: bool = false")  // no gradient to the maps
    .Output("to_maps: T")            // [I, U, U, C]; empty where they are constant
    .Output("to_uv: T")              // [I, H, W, 2]
    .SetShapeFn(SlopesShape<1>);

// What the two ops read alike.
template <typename T>
struct LookUp {
  Map<T> map;  // of the first image
  const T* uv;
  Pixels pixels;
  int64_t step;

  Status Read(OpKernelContext* context) {
    const Tensor& maps = context->input(0);
    const Tensor& uv_in = context->input(1);
    TF_RETURN_IF_ERROR(pixels.Read(context->input(2)));
    const bool shared = maps.dims() == 4 && maps.dim_size(0) == 1;
    const int64_t side = maps.dims() == 4 ? maps.dim_size(2) : -1;
    TF_RETURN_IF_ERROR(CheckShape(maps, "maps",
                                  {shared ? 1 : pixels.images, side, side, -1},
                                  "[I, U, U, C]"));
    if (side < 1) return InvalidArgument("maps hold no texel");
    TF_RETURN_IF_ERROR(CheckShape(uv_in, "uv",
                                  {pixels.images, pixels.height, pixels.width, 2},
                                  "[I, H, W, 2]"));
    map = {maps.flat<T>().data(), static_cast<int>(side),
           static_cast<int>(maps.dim_size(3))};
    step = shared ? 0 : side * side * map.channels;
    uv = uv_in.flat<T>().data();
    return Status();
  }

  Map<T> OfImage(int64_t image) const {
    Map<T> own = map;
    own.texels += image * step;
    return own;
  }
};

template <typename T>
class SampleUvOp : public OpKernel {
 public:
  explicit SampleUvOp(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("fill", &fill_));
  }

  void Compute(OpKernelContext* context) override {
    LookUp<T> look_up;
    OP_REQUIRES_OK(context, look_up.Read(context));
    const Pixels& pixels = look_up.pixels;
    const int channels = look_up.map.channels;
    T* to = nullptr;
    OP_REQUIRES_OK(context, AllocatePixels(context, pixels, channels, &to));
    ForEachBand(context, pixels.images, pixels.height,
                [&](int64_t image, int64_t begin, int64_t end) {
                  const int64_t first = pixels.At(image, begin);
                  SampleUv(look_up.OfImage(image), look_up.uv + 2 * first,
                           pixels.ids + first, (end - begin) * pixels.width,
                           static_cast<T>(fill_), to + channels * first);
                });
  }

 private:
  float fill_;
};
REGISTER_FLOATS("PfaceSampleUv", SampleUvOp);

template <typename T>
class SampleUvGradOp : public OpKernel {
 public:
  explicit SampleUvGradOp(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("constant", &constant_));
  }

  void Compute(OpKernelContext* context) override {
    LookUp<T> look_up;
    OP_REQUIRES_OK(context, look_up.Read(context));
    const Pixels& pixels = look_up.pixels;
    OP_REQUIRES(context, constant_ || look_up.step || pixels.images == 1,
                InvalidArgument("maps shared by images must be constant"));
    const int channels = look_up.map.channels;
    const Tensor& to_values = context->input(3);
    OP_REQUIRES_OK(context,
                   CheckShape(to_values, "to_values",
                              {pixels.images, pixels.height, pixels.width, channels},
                              "[I, H, W, C]"));
    const T* const from = to_values.flat<T>().data();
    T *sums = nullptr, *to = nullptr;
    OP_REQUIRES_OK(context, AllocateSlopes(context, constant_, 1, &sums, &to));
    const int64_t numbers =
        int64_t{look_up.map.side} * look_up.map.side * look_up.map.channels;
    ForEach(context, pixels.images, [&](int64_t image) {
      const int64_t first = pixels.At(image, 0);
      SampleUvGradient(look_up.OfImage(image), look_up.uv + 2 * first,
                       pixels.ids + first, from + channels * first,
                       pixels.height * pixels.width, ClearSums(sums, image, numbers),
                       to + 2 * first);
    });
  }

 private:
  bool constant_;
};
REGISTER_FLOATS("PfaceSampleUvGrad", SampleUvGradOp);

}  // namespace
}  // namespace personalized_face
