// Tests of the rasterizer alone: `rasterize_test` says what failed and returns 1.

#include "rasterize.h"

#include <cmath>
#include <limits>
#include <vector>

#include "testing.h"

namespace personalized_face {
namespace {

// Focal length and depth are powers of two: pixel positions are exact.
constexpr Camera kCamera{6, 8, 64.0, 4.0, 3.0, 1.0};
constexpr double kDepth = 8.0;

// The vertex that falls on a pixel position.
void Add(double x, double y, double depth, std::vector<double>* vertices) {
  vertices->push_back((x - kCamera.principal_x) * depth / kCamera.focal);
  vertices->push_back((kCamera.principal_y - y) * depth / kCamera.focal);
  vertices->push_back(-depth);
}

std::vector<int32_t> Draw(const std::vector<double>& vertices,
                          const std::vector<int32_t>& triangles, int begin = 0,
                          int end = kCamera.height) {
  // Filled with what no rasterizer writes: every pixel must be written.
  std::vector<int32_t> ids((end - begin) * kCamera.width, -7);
  Rasterize(vertices.data(), static_cast<int>(vertices.size() / 3), triangles.data(),
            static_cast<int>(triangles.size() / 3), kCamera, begin, end, ids.data());
  return ids;
}

int Count(const std::vector<int32_t>& ids, int32_t id) {
  int count = 0;
  for (int32_t other : ids) count += other == id;
  return count;
}

void TestNothing() {
  EXPECT(Count(Draw({}, {}), -1) == 48);
  EXPECT(Draw({}, {}, 2, 2).empty());
}

void TestEveryPixelOfASquareOnceWhateverTheDiagonal() {
  // Corners and diagonals run through pixel centres.
  for (const double x0 : {0.5, 1.0, 1.5}) {
    std::vector<double> vertices;
    Add(x0, 0.5, kDepth, &vertices);
    Add(x0 + 4, 0.5, kDepth, &vertices);
    Add(x0, 4.5, kDepth, &vertices);
    Add(x0 + 4, 4.5, kDepth, &vertices);
    for (const std::vector<int32_t>& triangles :
         {std::vector<int32_t>{0, 1, 2, 1, 3, 2}, {0, 2, 1, 2, 3, 1},
          std::vector<int32_t>{0, 1, 3, 0, 3, 2}}) {
      const std::vector<int32_t> both = Draw(vertices, triangles);
      const std::vector<int32_t> first(triangles.begin(), triangles.begin() + 3);
      const std::vector<int32_t> second(triangles.begin() + 3, triangles.end());
      EXPECT(Count(both, -1) == 48 - 16);
      EXPECT(Count(Draw(vertices, first), 0) + Count(Draw(vertices, second), 0) == 16);
    }
  }
}

void TestTopLeftRule() {
  std::vector<double> vertices;
  Add(1.5, 1.5, kDepth, &vertices);
  Add(5.5, 1.5, kDepth, &vertices);
  Add(1.5, 4.5, kDepth, &vertices);
  Add(5.5, 4.5, kDepth, &vertices);
  const std::vector<int32_t> ids = Draw(vertices, {0, 1, 2, 1, 3, 2});
  for (int row = 0; row < kCamera.height; ++row) {
    for (int column = 0; column < kCamera.width; ++column) {
      // The left and the upper edge are inside, the right and the lower one are not.
      const bool inside = row >= 1 && row < 4 && column >= 1 && column < 5;
      EXPECT((ids[row * kCamera.width + column] >= 0) == inside);
    }
  }
}

void TestNearestWinsAndLowestOnATie() {
  std::vector<double> vertices;
  for (const double depth : {9.0, 7.0, 7.0, 8.0}) {
    Add(0, 0, depth, &vertices);
    Add(8, 0, depth, &vertices);
    Add(0, 6, depth, &vertices);
  }
  const std::vector<int32_t> ids =
      Draw(vertices, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11});
  EXPECT(ids[0] == 1);
  EXPECT(Count(ids, 1) + Count(ids, -1) == 48);
}

void TestWhatCannotBeSeen() {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double infinity = std::numeric_limits<double>::infinity();
  for (const double bad : {1.0, -0.5, 0.0, nan, infinity, -infinity}) {
    EXPECT(Count(Draw({0, 0, bad, 1, 0, -8, 0, 1, -8}, {0, 1, 2}), -1) == 48);
  }
  for (const double bad : {nan, infinity, -infinity, 1e200}) {
    EXPECT(Count(Draw({bad, 0, -8, 1, 0, -8, 0, 1, -8}, {0, 1, 2}), -1) == 48);
    EXPECT(Count(Draw({0, bad, -8, 1, 0, -8, 0, 1, -8}, {0, 1, 2}), -1) == 48);
  }
  EXPECT(Count(Draw({0, 0, -8, 1, 0, -8, 2, 0, -8}, {0, 1, 2}), -1) == 48);
  EXPECT(Count(Draw({0, 0, -8, 0, 0, -8, 0, 0, -8}, {0, 1, 2}), -1) == 48);
  EXPECT(Count(Draw({9, 9, -8, 10, 9, -8, 9, 10, -8}, {0, 1, 2}), -1) == 48);
}

void TestLargerThanTheView() {
  EXPECT(Count(Draw({-1e6, -1e6, -8, 1e6, -1e6, -8, 0, 2e6, -8}, {0, 1, 2}), 0) == 48);
  // So tilted that its plane passes through depth 0 within the picture's lanes.
  const std::vector<int32_t> ids =
      Draw({-0.5, -0.3, -1.01, -0.49, 0.4, -1.01, 90, 0, -900}, {0, 1, 2});
  EXPECT(Count(ids, 0) + Count(ids, -1) == 48);
}

void TestBandsGiveTheWholeImage() {
  std::vector<double> vertices;
  std::vector<int32_t> triangles;
  uint32_t state = 1;
  for (int i = 0; i < 90; ++i) {
    double random[3];
    for (double& value : random) {
      state = state * 1664525u + 1013904223u;
      value = state / 4294967296.0;
    }
    Add(12 * random[0] - 2, 10 * random[1] - 2, 6 + 4 * random[2], &vertices);
    triangles.push_back(i);
  }
  const std::vector<int32_t> whole = Draw(vertices, triangles);
  EXPECT(Count(whole, -1) < 24);
  for (int cut = 0; cut <= kCamera.height; ++cut) {
    std::vector<int32_t> ids = Draw(vertices, triangles, 0, cut);
    const std::vector<int32_t> rest = Draw(vertices, triangles, cut);
    ids.insert(ids.end(), rest.begin(), rest.end());
    EXPECT(ids == whole);
  }
}

}  // namespace
}  // namespace personalized_face

int main() {
  using namespace personalized_face;
  TestNothing();
  TestEveryPixelOfASquareOnceWhateverTheDiagonal();
  TestTopLeftRule();
  TestNearestWinsAndLowestOnATie();
  TestWhatCannotBeSeen();
  TestLargerThanTheView();
  TestBandsGiveTheWholeImage();
  return testing::Report();
}
