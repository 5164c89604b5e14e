// PfaceSampleUv and its gradient.

#include <algorithm>

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
      ShapeHandle maps, ids, values;
      TF_RETURN_IF_ERROR(c->WithRank(c->input(0), 4, &maps));
      TF_RETURN_IF_ERROR(c->WithRank(c->input(2), 3, &ids));
      TF_RETURN_IF_ERROR(c->Concatenate(ids, c->Vector(c->Dim(maps, 3)), &values));
      c->set_output(0, values);
      return Status();
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
    .SetShapeFn([](InferenceContext* c) {
      bool constant;
      TF_RETURN_IF_ERROR(c->GetAttr("constant", &constant));
      c->set_output(0, constant ? c->MakeShape({0}) : c->input(0));
      c->set_output(1, c->input(1));
      return Status();
    });

// What the two ops read alike.
template <typename T>
struct LookUp {
  Map<T> map;  // of the first image
  const T* uv;
  const int32_t* ids;
  int64_t images, step, height, width;

  Status Read(OpKernelContext* context) {
    const Tensor& maps = context->input(0);
    const Tensor& uv_in = context->input(1);
    const Tensor& ids_in = context->input(2);
    TF_RETURN_IF_ERROR(CheckShape(ids_in, "ids", {-1, -1, -1}, "[I, H, W]"));
    images = ids_in.dim_size(0);
    height = ids_in.dim_size(1);
    width = ids_in.dim_size(2);
    const bool shared = maps.dims() == 4 && maps.dim_size(0) == 1;
    const int64_t side = maps.dims() == 4 ? maps.dim_size(2) : -1;
    TF_RETURN_IF_ERROR(CheckShape(maps, "maps", {shared ? 1 : images, side, side, -1},
                                  "[I, U, U, C]"));
    if (side < 1) return InvalidArgument("maps hold no texel");
    TF_RETURN_IF_ERROR(
        CheckShape(uv_in, "uv", {images, height, width, 2}, "[I, H, W, 2]"));
    map = {maps.flat<T>().data(), static_cast<int>(side),
           static_cast<int>(maps.dim_size(3))};
    step = shared ? 0 : side * side * map.channels;
    uv = uv_in.flat<T>().data();
    ids = ids_in.flat<int32_t>().data();
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
    const int channels = look_up.map.channels;
    TensorShape shape = context->input(2).shape();
    shape.AddDim(channels);
    Tensor* values = nullptr;
    OP_REQUIRES_OK(context, context->allocate_output(0, shape, &values));
    T* const to = values->flat<T>().data();
    ForEachBand(context, look_up.images, look_up.height,
                [&](int64_t image, int64_t begin, int64_t end) {
                  const int64_t first =
                      (image * look_up.height + begin) * look_up.width;
                  SampleUv(look_up.OfImage(image), look_up.uv + 2 * first,
                           look_up.ids + first, (end - begin) * look_up.width,
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
    OP_REQUIRES(context, constant_ || look_up.step || look_up.images == 1,
                InvalidArgument("maps shared by images must be constant"));
    const int channels = look_up.map.channels;
    const Tensor& to_values = context->input(3);
    OP_REQUIRES_OK(context,
                   CheckShape(to_values, "to_values",
                              {look_up.images, look_up.height, look_up.width, channels},
                              "[I, H, W, C]"));
    Tensor *to_maps = nullptr, *to_uv = nullptr;
    OP_REQUIRES_OK(context, context->allocate_output(
                                0,
                                constant_ ? TensorShape({0}) : context->input(0).shape(),
                                &to_maps));
    OP_REQUIRES_OK(
        context, context->allocate_output(1, context->input(1).shape(), &to_uv));
    const T* const from = to_values.flat<T>().data();
    T* const sums = constant_ ? nullptr : to_maps->flat<T>().data();
    T* const to = to_uv->flat<T>().data();
    const int64_t pixels = look_up.height * look_up.width;
    const int64_t numbers =
        int64_t{look_up.map.side} * look_up.map.side * look_up.map.channels;
    ForEach(context, look_up.images, [&](int64_t image) {
      const int64_t first = image * pixels;
      T* const own = sums ? sums + image * numbers : nullptr;
      if (own) std::fill(own, own + numbers, T(0));
      SampleUvGradient(look_up.OfImage(image), look_up.uv + 2 * first,
                       look_up.ids + first, from + channels * first, pixels, own,
                       to + 2 * first);
    });
  }

 private:
  bool constant_;
};
REGISTER_FLOATS("PfaceSampleUvGrad", SampleUvGradOp);

}  // namespace
}  // namespace personalized_face
