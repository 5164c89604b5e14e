// Tests of the kernels that have gradients, against central differences in double.

#include <cmath>
#include <functional>
#include <numeric>
#include <vector>

#include "normals.h"
#include "shading.h"
#include "surface.h"
#include "testing.h"
#include "texture.h"

namespace personalized_face {
namespace {

using Numbers = std::vector<double>;

constexpr Camera kCamera{2, 3, 30.0, 1.4, 1.1, 1.0};
constexpr int kPixels = 6;
const std::vector<int32_t> kTriangles = {0, 1, 2, 2, 1, 3};
const std::vector<int32_t> kIds = {0, 1, -1, 0, 1, 0};

// Numbers in [-1, 1), the same in every run.
Numbers Random(int count, uint32_t seed) {
  Numbers numbers(count);
  for (double& number : numbers) {
    seed = seed * 1664525u + 1013904223u;
    number = seed / 2147483648.0 - 1.0;
  }
  return numbers;
}

Numbers Vertices() {
  Numbers vertices = Random(12, 3);
  for (int v = 0; v < 4; ++v) vertices[3 * v + 2] -= 10.0;
  return vertices;
}

// Whether `gradient` is the slope of mixture . function(input), `input` as it is.
void ExpectGradient(const std::function<Numbers()>& function, Numbers* input,
                    const Numbers& mixture, const Numbers& gradient) {
  constexpr double kStep = 1e-5;
  const auto mixed = [&] {
    const Numbers values = function();
    return std::inner_product(values.begin(), values.end(), mixture.begin(), 0.0);
  };
  for (size_t i = 0; i < input->size(); ++i) {
    const double kept = (*input)[i];
    (*input)[i] = kept + kStep;
    const double high = mixed();
    (*input)[i] = kept - kStep;
    const double low = mixed();
    (*input)[i] = kept;
    const double numeric = (high - low) / (2 * kStep);
    // Rounding errors of 1e-15 over the step; curvature times its square.
    EXPECT(std::abs(gradient[i] - numeric) < 1e-6 * (1 + std::abs(numeric)));
  }
}

void TestBarycentrics() {
  Numbers vertices = Vertices();
  const auto weigh = [&] {
    Numbers weights(3 * kPixels, 7);
    Barycentrics(vertices.data(), kTriangles.data(), kIds.data(), kCamera, 0, 2,
                 weights.data());
    return weights;
  };
  const Numbers weights = weigh();
  for (int i = 0; i < kPixels; ++i) {
    const double sum = weights[3 * i] + weights[3 * i + 1] + weights[3 * i + 2];
    EXPECT(std::abs(sum - (kIds[i] < 0 ? 0 : 1)) < 1e-12);
  }
  const Numbers mixture = Random(3 * kPixels, 4);
  Numbers gradient(12, 0);
  BarycentricsGradient(vertices.data(), kTriangles.data(), kIds.data(), kCamera,
                       mixture.data(), gradient.data());
  ExpectGradient(weigh, &vertices, mixture, gradient);
}

void TestInterpolate(int channels, bool normalize) {
  Numbers values = Random(4 * channels, 5), weights = Random(3 * kPixels, 6);
  const auto attributes = [&] {
    return Attributes<double>{values.data(), channels, normalize, kTriangles.data()};
  };
  const auto blend = [&] {
    Numbers blended(channels * kPixels, 7);
    Interpolate(attributes(), kIds.data(), weights.data(), kPixels, blended.data());
    return blended;
  };
  const Numbers mixture = Random(channels * kPixels, 8);
  Numbers to_values(values.size(), 0), to_weights(weights.size(), 7);
  InterpolateGradient(attributes(), kIds.data(), weights.data(), mixture.data(),
                      kPixels, to_values.data(), to_weights.data());
  ExpectGradient(blend, &values, mixture, to_values);
  ExpectGradient(blend, &weights, mixture, to_weights);
}

void TestSampleUv(int side, int channels) {
  Numbers texels = Random(side * side * channels, 9), uv = Random(2 * kPixels, 10);
  for (double& place : uv) place = 0.5 + 0.6 * place;  // some beyond the border
  const auto read = [&] {
    Numbers values(channels * kPixels, 7);
    SampleUv(Map<double>{texels.data(), side, channels}, uv.data(), kIds.data(),
             kPixels, 0.25, values.data());
    return values;
  };
  EXPECT(read()[2 * channels] == 0.25);  // the third pixel sees nothing
  const Numbers mixture = Random(channels * kPixels, 11);
  Numbers to_texels(texels.size(), 0), to_uv(uv.size(), 7);
  SampleUvGradient(Map<double>{texels.data(), side, channels}, uv.data(), kIds.data(),
                   mixture.data(), kPixels, to_texels.data(), to_uv.data());
  ExpectGradient(read, &texels, mixture, to_texels);
  ExpectGradient(read, &uv, mixture, to_uv);
}

void TestShade() {
  Numbers albedo = Random(3 * kPixels, 12), normals = Random(3 * kPixels, 13);
  Numbers light = Random(3 * kLights, 14), shading(3 * kPixels);
  const auto shade = [&] {
    Numbers both(6 * kPixels, 7);  // image, then shading
    Shade(albedo.data(), normals.data(), light.data(), kIds.data(), kPixels,
          both.data(), both.data() + 3 * kPixels);
    return both;
  };
  const Numbers both = shade(), mixture = Random(6 * kPixels, 15);
  Numbers to_albedo(3 * kPixels, 7), to_normals(3 * kPixels, 7);
  Numbers to_light(3 * kLights, 0);
  ShadeGradient(albedo.data(), normals.data(), light.data(), both.data() + 3 * kPixels,
                kIds.data(), mixture.data(), mixture.data() + 3 * kPixels, kPixels,
                to_albedo.data(), to_normals.data(), to_light.data());
  ExpectGradient(shade, &albedo, mixture, to_albedo);
  ExpectGradient(shade, &normals, mixture, to_normals);
  ExpectGradient(shade, &light, mixture, to_light);
}

void TestVertexNormals() {
  Numbers vertices = Vertices();
  const auto mesh = [&] {
    return Mesh<double>{vertices.data(), kTriangles.data(), 4, 2};
  };
  const auto normals = [&] {
    Numbers values(12, 7);
    VertexNormals(mesh(), values.data());
    return values;
  };
  const Numbers mixture = Random(12, 16);
  Numbers gradient(12, 7);
  VertexNormalsGradient(mesh(), mixture.data(), gradient.data());
  ExpectGradient(normals, &vertices, mixture, gradient);
}

}  // namespace
}  // namespace personalized_face

int main() {
  using namespace personalized_face;
  TestBarycentrics();
  for (const int channels : {1, 2, 3}) TestInterpolate(channels, false);
  TestInterpolate(3, true);
  for (const int channels : {2, 3, 8}) TestSampleUv(4, channels);
  TestSampleUv(1, 2);
  TestShade();
  TestVertexNormals();
  return testing::Report();
}
