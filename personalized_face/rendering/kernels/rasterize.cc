#include "rasterize.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

namespace personalized_face {
namespace {

constexpr double kSubpixels = 262144.0;  // 2^18 steps per pixel
constexpr int64_t kEmpty = std::numeric_limits<int64_t>::max();
constexpr int kBlock = 32;  // triangles prepared at a time
// Vertices farther off than this, in decimetres or pixels, count as not finite.
constexpr double kFarthest = 1e60;

// Vertices of one image on the picture.
struct Projected {
  std::vector<double> x;         // pixels right of the image centre; NaN: do not draw
  std::vector<double> y;         // pixels below the image centre
  std::vector<double> nearness;  // near / depth, in (0, 1]
};

// Triangles ready for the pixel tests, component by component. Plane k is
// a x + b y + c: for k < 3 edge function k, positive inside; for k = 3 the depth key,
// 2 - nearness, whose bits, read as an integer, keep its order.
struct Prepared {
  double a[4][kBlock];
  double b[4][kBlock];
  double c[4][kBlock];
  int32_t first_column[kBlock];
  int32_t last_column[kBlock];
  int32_t first_row[kBlock];
  int32_t last_row[kBlock];  // before the first row where nothing is to be drawn
};

template <typename T>
void Project(const T* vertices, int count, const Camera& camera, Projected* out) {
  out->x.resize(count);
  out->y.resize(count);
  out->nearness.resize(count);
  // From the image centre: the smaller the numbers, the more bits for fractions.
  const double shift_x = (camera.principal_x - 0.5 * camera.width) * kSubpixels;
  const double shift_y = (camera.principal_y - 0.5 * camera.height) * kSubpixels;
  const double focal = camera.focal * kSubpixels;
  double* const out_x = out->x.data();
  double* const out_y = out->y.data();
  double* const out_nearness = out->nearness.data();
  for (int v = 0; v < count; ++v) {
    const double depth = -static_cast<double>(vertices[3 * v + 2]);
    const bool before = depth >= camera.near;
    const double inverse = 1.0 / (before ? depth : camera.near);
    const double scale = focal * inverse;
    const double x = std::rint(shift_x + scale * vertices[3 * v]) / kSubpixels;
    const double y = std::rint(shift_y - scale * vertices[3 * v + 1]) / kSubpixels;
    const double reach = std::abs(x) + std::abs(y);
    out_x[v] = (before & (depth < kFarthest) & (reach < kFarthest))
                   ? x
                   : std::numeric_limits<double>::quiet_NaN();
    out_y[v] = y;
    out_nearness[v] = camera.near * inverse;
  }
}

inline double Least(double a, double b, double c) {
  const double low = a < b ? a : b;
  return low < c ? low : c;
}

inline double Greatest(double a, double b, double c) {
  const double high = a > b ? a : b;
  return high > c ? high : c;
}

inline double Clip(double value, double low, double high) {
  value = value < low ? low : value;
  return value < high ? value : high;
}

// Prepares `count` <= kBlock triangles for the rows [begin, end).
void Prepare(const Projected& projected, const int32_t* triangles, int count,
             const Camera& camera, int begin, int end, Prepared* out) {
  double px[3][kBlock], py[3][kBlock], nearness[3][kBlock];
  const double* const from_x = projected.x.data();
  const double* const from_y = projected.y.data();
  const double* const from_nearness = projected.nearness.data();
  for (int i = 0; i < kBlock; ++i) {
    // The last block is filled up with its first triangle, which is not drawn again.
    const int32_t* const corners = triangles + 3 * (i < count ? i : 0);
    for (int k = 0; k < 3; ++k) {
      px[k][i] = from_x[corners[k]];
      py[k][i] = from_y[corners[k]];
      nearness[k][i] = from_nearness[corners[k]];
    }
  }
  const double shift_x = 0.5 * camera.width - 0.5;
  const double shift_y = 0.5 * camera.height - 0.5;
  const double lowest = begin, highest = end - 1.0;
  const double rightmost = camera.width - 1.0;
  for (int i = 0; i < kBlock; ++i) {
    // Edge k lies opposite corner k: E_k(p) is twice the area of the triangle that p
    // makes with it.
    double a[3], b[3], c[3];
    for (int k = 0; k < 3; ++k) {
      const int from = (k + 1) % 3, to = (k + 2) % 3;
      a[k] = py[from][i] - py[to][i];
      b[k] = px[to][i] - px[from][i];
      c[k] = px[from][i] * py[to][i] - px[to][i] * py[from][i];
    }
    const double area = a[0] * px[0][i] + b[0] * py[0][i] + c[0];
    const double size = std::abs(area);
    const double sign = area < 0 ? -1.0 : 1.0;
    const double inverse = sign / size;
    double depth[3] = {0, 0, 0};
    for (int k = 0; k < 3; ++k) {
      depth[0] += a[k] * nearness[k][i];
      depth[1] += b[k] * nearness[k][i];
      depth[2] += c[k] * nearness[k][i];
      a[k] *= sign;
      b[k] *= sign;
      // Top-left rule: a centre on the edge is inside if the inside lies to the right,
      // or straight below. Else half of the smallest step of E puts it outside. The
      // added 0 turns -0 into 0: the pixel tests look at signs.
      const bool inclusive = (a[k] > 0) | ((a[k] == 0) & (b[k] > 0));
      c[k] = (c[k] * sign + 0.0) -
             (inclusive ? 0.0 : 0.5 / (kSubpixels * kSubpixels));
      out->a[k][i] = a[k];
      out->b[k][i] = b[k];
      out->c[k][i] = c[k];
    }
    // Nearness is affine over the picture: the E-weighted mean of the corners'.
    out->a[3][i] = -depth[0] * inverse;
    out->b[3][i] = -depth[1] * inverse;
    out->c[3][i] = 2.0 - depth[2] * inverse;

    // Pixels whose centres lie between the corners. Clipped before the cast: far off
    // the image a double does not fit an integer.
    const double left = Least(px[0][i], px[1][i], px[2][i]) + shift_x;
    const double right = Greatest(px[0][i], px[1][i], px[2][i]) + shift_x;
    const double top = Least(py[0][i], py[1][i], py[2][i]) + shift_y;
    const double low = Greatest(py[0][i], py[1][i], py[2][i]) + shift_y;
    const double first_column = Clip(std::ceil(left), 0.0, rightmost + 1);
    const double last_column = Clip(std::floor(right), -1.0, rightmost);
    const double first_row = Clip(std::ceil(top), lowest, highest + 1);
    const double last_row = Clip(std::floor(low), lowest - 1, highest);
    const bool drawn = (size > 0) & (size < std::numeric_limits<double>::infinity()) &
                       (first_column <= last_column) & (first_row <= last_row) &
                       (i < count);
    out->first_column[i] = static_cast<int32_t>(drawn ? first_column : 0.0);
    out->last_column[i] = static_cast<int32_t>(drawn ? last_column : -1.0);
    out->first_row[i] = static_cast<int32_t>(drawn ? first_row : 0.0);
    out->last_row[i] = static_cast<int32_t>(drawn ? last_row : -1.0);
  }
}

// Four pixels side by side: vectors of GCC and Clang, whatever the processor.
constexpr int kLanes = 4;
typedef double Reals __attribute__((vector_size(kLanes * sizeof(double))));
typedef int64_t Integers __attribute__((vector_size(kLanes * sizeof(int64_t))));

// Tests the pixels of one triangle's box; `keys` keeps the least of each pixel. Lanes
// past the box do no harm: no centre outside it is covered, and rows have room.
inline void Draw(const Prepared& prepared, int i, int64_t id, int64_t depth_mask,
                 const Camera& camera, int begin, int stride, int64_t* keys) {
  const int first_column = prepared.first_column[i], first_row = prepared.first_row[i];
  const int last_column = prepared.last_column[i], last_row = prepared.last_row[i];
  const double x = first_column - (0.5 * camera.width - 0.5);
  const double y = first_row - (0.5 * camera.height - 0.5);
  int64_t* place = keys + static_cast<int64_t>(first_row - begin) * stride;
  for (int row = first_row; row <= last_row; ++row, place += stride) {
    const double down = y + (row - first_row);
    for (int column = first_column; column <= last_column; column += kLanes) {
      const Reals right = Reals{0, 1, 2, 3} + (x + (column - first_column));
      Integers bits[4];  // of the four planes' values
      for (int k = 0; k < 4; ++k) {
        const Reals value =
            prepared.c[k][i] + prepared.a[k][i] * right + prepared.b[k][i] * down;
        bits[k] = (Integers)value;
      }
      // All ones where one of the three E is negative; none is ever -0 (see Prepare).
      const Integers outside = (bits[0] | bits[1] | bits[2]) >> 63;
      const Integers key = (bits[3] & depth_mask) | id | (outside & kEmpty);
      Integers least;
      std::memcpy(&least, place + column, sizeof(least));
      least = key < least ? key : least;
      std::memcpy(place + column, &least, sizeof(least));
    }
  }
}

}  // namespace

template <typename T>
void Rasterize(const T* vertices, int num_vertices, const int32_t* triangles,
               int num_triangles, const Camera& camera, int begin, int end,
               int32_t* ids) {
  // Kept between calls: fresh memory costs more than the work that is done in it.
  thread_local Projected projected;
  thread_local std::vector<int64_t> keys;
  Project(vertices, num_vertices, camera, &projected);
  const int stride = camera.width + kLanes;
  keys.assign(static_cast<size_t>(end - begin) * stride, kEmpty);
  int64_t id_mask = 1;
  while (id_mask <= num_triangles) id_mask *= 2;
  id_mask -= 1;
  // Without the sign: far outside a triangle its plane may pass 0.
  const int64_t depth_mask = kEmpty & ~id_mask;

  Prepared prepared;
  for (int first = 0; first < num_triangles; first += kBlock) {
    const int count = std::min(kBlock, num_triangles - first);
    Prepare(projected, triangles + 3 * static_cast<int64_t>(first), count, camera,
            begin, end, &prepared);
    for (int i = 0; i < count; ++i) {
      Draw(prepared, i, first + i, depth_mask, camera, begin, stride, keys.data());
    }
  }

  for (int row = 0; row < end - begin; ++row) {
    const int64_t* const from = keys.data() + static_cast<int64_t>(row) * stride;
    int32_t* const to = ids + static_cast<int64_t>(row) * camera.width;
    for (int column = 0; column < camera.width; ++column) {
      to[column] = from[column] == kEmpty
                       ? -1
                       : static_cast<int32_t>(from[column] & id_mask);
    }
  }
}

template void Rasterize<float>(const float*, int, const int32_t*, int, const Camera&,
                               int, int, int32_t*);
template void Rasterize<double>(const double*, int, const int32_t*, int, const Camera&,
                                int, int, int32_t*);

}  // namespace personalized_face
