// The kernels on input that no renderer makes: not numbers, infinite, huge, flat, empty.
//
// What comes out is not looked at beyond its range: the point is that nothing outside
// the arrays is read or written and nothing undefined is done, which this test finds
// when it is built with -fsanitize=address,undefined. Arrays are exactly as long as the
// kernels may touch. An argument says how many rounds.

#include <cstdlib>
#include <limits>
#include <vector>

#include "normals.h"
#include "rasterize.h"
#include "shading.h"
#include "surface.h"
#include "testing.h"
#include "texture.h"

namespace personalized_face {
namespace {

constexpr int kRounds = 300;

class Random {
 public:
  explicit Random(uint32_t seed) : state_(seed) {}

  uint32_t Bits() {
    state_ = state_ * 1664525u + 1013904223u;
    return state_ >> 8;  // the low bits of such a generator repeat soon
  }

  // In [low, high].
  int Integer(int low, int high) {
    return low + static_cast<int>(Bits() % static_cast<uint32_t>(high - low + 1));
  }

  double Unit() { return Bits() / 16777216.0; }

 private:
  uint32_t state_;
};

// Mostly numbers of a face's size, else what floating point has at its ends.
template <typename T>
T Number(Random* random, bool tame) {
  using Limits = std::numeric_limits<T>;
  const T ends[] = {Limits::quiet_NaN(), Limits::infinity(),   -Limits::infinity(),
                    Limits::max(),       Limits::lowest(),     Limits::min(),
                    Limits::denorm_min(), T(0),                -T(0),
                    T(1),                T(-1),                T(1e18),
                    T(-1e30),            T(2147483648.0),      T(0.5)};
  if (tame || random->Integer(0, 3)) return static_cast<T>(4 * random->Unit() - 2);
  return ends[random->Integer(0, sizeof(ends) / sizeof(ends[0]) - 1)];
}

template <typename T>
std::vector<T> Numbers(Random* random, int64_t count, bool tame) {
  std::vector<T> numbers(count);
  for (T& number : numbers) number = Number<T>(random, tame);
  return numbers;
}

// A mesh before a camera, and which of its triangles each pixel is said to see.
template <typename T>
struct Scene {
  Camera camera;
  std::vector<T> vertices;
  std::vector<int32_t> triangles;
  std::vector<int32_t> ids;
  int num_vertices, num_triangles;
  int64_t pixels;
  bool tame;
};

template <typename T>
Scene<T> MakeScene(Random* random) {
  Scene<T> scene;
  const int height = random->Integer(0, 19), width = random->Integer(0, 19);
  const double focal = random->Integer(0, 5) ? 8.0 + 60 * random->Unit() : 1e30;
  scene.camera = {height,      width, focal, 0.5 * width + random->Integer(-2, 2),
                  0.5 * height, 1.0};
  scene.tame = random->Integer(0, 4) == 0;
  scene.num_vertices = random->Integer(0, 70);
  // More than two blocks, and not a multiple of one.
  scene.num_triangles = scene.num_vertices ? random->Integer(0, 150) : 0;
  scene.vertices = Numbers<T>(random, 3 * scene.num_vertices, scene.tame);
  for (int v = 0; v < scene.num_vertices; ++v) {
    T* const depth = &scene.vertices[3 * v + 2];
    if (random->Integer(0, 3)) *depth -= T(8);
  }
  scene.triangles.resize(3 * static_cast<size_t>(scene.num_triangles));
  for (int32_t& corner : scene.triangles) {
    corner = random->Integer(0, scene.num_vertices - 1);  // flat ones among them
  }
  scene.pixels = int64_t{height} * width;
  scene.ids.resize(scene.pixels);
  for (int32_t& id : scene.ids) id = random->Integer(-1, scene.num_triangles - 1);
  return scene;
}

template <typename T>
void Draw(const Scene<T>& scene, Random* random) {
  const int begin = random->Integer(0, scene.camera.height);
  const int end = random->Integer(begin, scene.camera.height);
  std::vector<int32_t> ids(int64_t{end - begin} * scene.camera.width, -7);
  Rasterize(scene.vertices.data(), scene.num_vertices, scene.triangles.data(),
            scene.num_triangles, scene.camera, begin, end, ids.data());
  for (const int32_t id : ids) EXPECT(-1 <= id && id < scene.num_triangles);
}

template <typename T>
void Blend(const Scene<T>& scene, Random* random) {
  std::vector<T> weights(3 * scene.pixels);
  Barycentrics(scene.vertices.data(), scene.triangles.data(), scene.ids.data(),
               scene.camera, 0, scene.camera.height, weights.data());
  const auto to_weights = Numbers<T>(random, 3 * scene.pixels, scene.tame);
  std::vector<T> to_vertices(scene.vertices.size());
  BarycentricsGradient(scene.vertices.data(), scene.triangles.data(), scene.ids.data(),
                       scene.camera, to_weights.data(), to_vertices.data());

  const bool normalize = random->Integer(0, 1);
  const int channels = normalize ? 3 : random->Integer(0, 9);
  const auto values =
      Numbers<T>(random, int64_t{scene.num_vertices} * channels, scene.tame);
  const Attributes<T> attributes{values.data(), channels, normalize,
                                 scene.triangles.data()};
  std::vector<T> blended(scene.pixels * channels), to_values(values.size());
  Interpolate(attributes, scene.ids.data(), weights.data(), scene.pixels,
              blended.data());
  const auto to_blended = Numbers<T>(random, blended.size(), scene.tame);
  const bool both = random->Integer(0, 1);
  InterpolateGradient(attributes, scene.ids.data(), weights.data(), to_blended.data(),
                      scene.pixels, both ? to_values.data() : nullptr,
                      both ? nullptr : weights.data());
}

template <typename T>
void Look(const Scene<T>& scene, Random* random) {
  const int side = random->Integer(1, 6), channels = random->Integer(0, 9);
  const auto texels = Numbers<T>(random, int64_t{side} * side * channels, scene.tame);
  const Map<T> map{texels.data(), side, channels};
  const auto uv = Numbers<T>(random, 2 * scene.pixels, scene.tame);
  std::vector<T> values(scene.pixels * channels), to_texels(texels.size());
  std::vector<T> to_uv(uv.size());
  SampleUv(map, uv.data(), scene.ids.data(), scene.pixels, T(1), values.data());
  const auto to_values = Numbers<T>(random, values.size(), scene.tame);
  SampleUvGradient(map, uv.data(), scene.ids.data(), to_values.data(), scene.pixels,
                   to_texels.data(), to_uv.data());
}

template <typename T>
void Light(const Scene<T>& scene, Random* random) {
  const int64_t count = 3 * scene.pixels;
  const auto albedo = Numbers<T>(random, count, scene.tame);
  const auto normals = Numbers<T>(random, count, scene.tame);
  const auto light = Numbers<T>(random, 3 * kLights, scene.tame);
  std::vector<T> image(count), shading(count);
  Shade(albedo.data(), normals.data(), light.data(), scene.ids.data(), scene.pixels,
        image.data(), shading.data());
  std::vector<T> to_albedo(count), to_normals(count), to_light(3 * kLights);
  ShadeGradient(albedo.data(), normals.data(), light.data(), shading.data(),
                scene.ids.data(), image.data(), shading.data(), scene.pixels,
                to_albedo.data(), to_normals.data(), to_light.data());

  const Mesh<T> mesh{scene.vertices.data(), scene.triangles.data(), scene.num_vertices,
                     scene.num_triangles};
  std::vector<T> unit(scene.vertices.size()), to_vertices(scene.vertices.size());
  VertexNormals(mesh, unit.data());
  VertexNormalsGradient(mesh, unit.data(), to_vertices.data());
}

template <typename T>
void TestRounds(int rounds) {
  for (int round = 0; round < rounds; ++round) {
    Random random(7919u * static_cast<uint32_t>(round) + 1);
    const Scene<T> scene = MakeScene<T>(&random);
    Draw(scene, &random);
    Blend(scene, &random);
    Look(scene, &random);
    Light(scene, &random);
  }
}

}  // namespace
}  // namespace personalized_face

int main(int argc, char** argv) {
  using namespace personalized_face;
  const int rounds = argc > 1 ? std::atoi(argv[1]) : kRounds;
  TestRounds<float>(rounds);
  TestRounds<double>(rounds);
  return testing::Report();
}
