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
constexpr int kBlock = 64;  // vertices or triangles prepared at a time
// Vertices farther off than this, in decimetres or pixels, count as not finite.
constexpr double kFarthest = 1e60;

// Four numbers side by side: vectors of GCC and Clang, whatever the processor.
constexpr int kLanes = 4;
typedef double Reals __attribute__((vector_size(kLanes * sizeof(double))));
typedef int64_t Integers __attribute__((vector_size(kLanes * sizeof(int64_t))));
typedef int32_t Halves __attribute__((vector_size(kLanes * sizeof(int64_t))));

// Where a vertex falls between the pixel centres of the band: clipped to it, so that
// boxes made of cells are too.
struct Cell {
  int32_t column;  // the first one whose centre is not left of the vertex
  int32_t row;     // the first one whose centre is not above the vertex
};

// A vertex on the picture, 32 bytes: a corner is fetched from one place.
struct Vertex {
  double x;         // pixels right of the image centre; NaN: do not draw
  double y;         // pixels below the image centre
  double nearness;  // near / depth, in (0, 1]
  double cell;      // the bits of a Cell
};

// Triangles ready for the pixel tests, component by component. Plane k is
// a x + b y + c: for k < 3 edge function k, positive inside; for k = 3 the depth key,
// 2 - nearness, whose bits, read as an integer, keep its order.
struct Prepared {
  double a[4][kBlock];
  double b[4][kBlock];
  double c[4][kBlock];
  double x[kBlock];    // centre of the box's first pixel, from the image centre
  double y[kBlock];
  Cell first[kBlock];  // of the box
  Cell size[kBlock];   // columns and rows of the box
};

inline double Clip(double value, double low, double high) {
  value = value < low ? low : value;
  return value < high ? value : high;
}

template <typename T>
void Project(const T* vertices, int count, const Camera& camera, int begin, int end,
             std::vector<Vertex>* out) {
  out->resize(count);
  // From the image centre: the smaller the numbers, the more bits for fractions.
  const double shift_x = (camera.principal_x - 0.5 * camera.width) * kSubpixels;
  const double shift_y = (camera.principal_y - 0.5 * camera.height) * kSubpixels;
  const double focal = camera.focal * kSubpixels, near = camera.near;
  const double half_x = 0.5 * camera.width - 0.5, half_y = 0.5 * camera.height - 0.5;
  const double columns = camera.width, top = begin, low = end;
  for (int first = 0; first < count; first += kBlock) {
    const int here = std::min(kBlock, count - first);
    const T* const from = vertices + 3 * static_cast<int64_t>(first);
    double x[kBlock], y[kBlock], nearness[kBlock];
    Cell cells[kBlock];
    for (int i = 0; i < here; ++i) {
      const double depth = -static_cast<double>(from[3 * i + 2]);
      const bool before = depth >= near;
      const double inverse = 1.0 / (before ? depth : near);
      const double scale = focal * inverse;
      const double across = std::rint(shift_x + scale * from[3 * i]) / kSubpixels;
      const double down = std::rint(shift_y - scale * from[3 * i + 1]) / kSubpixels;
      const double reach = std::abs(across) + std::abs(down);
      x[i] = (before & (depth < kFarthest) & (reach < kFarthest))
                 ? across
                 : std::numeric_limits<double>::quiet_NaN();
      y[i] = down;
      nearness[i] = near * inverse;
      // Clipped before the cast: far off the image a double does not fit an integer.
      cells[i] = {static_cast<int32_t>(Clip(std::ceil(across + half_x), 0.0, columns)),
                  static_cast<int32_t>(Clip(std::ceil(down + half_y), top, low))};
    }
    Vertex* const to = out->data() + first;
    for (int i = 0; i < here; ++i) {
      to[i] = {x[i], y[i], nearness[i], 0.0};
      std::memcpy(&to[i].cell, &cells[i], sizeof(Cell));
    }
  }
}

// Lists the next triangles, up to kBlock, whose corners leave room for a pixel centre:
// on a fine mesh most have none between them, and here end. By the top-left rule a
// centre at a triangle's right or lower end is not covered, so that no room is left
// where all corners have the same column, or row.
//
//   next    the triangle to begin with; set to the one to go on with
//   wanted  [kBlock + 1]
// Returns how many are listed.
int Select(const Vertex* vertices, const int32_t* triangles, int num_triangles,
           int* next, int32_t* wanted) {
  int count = 0, t = *next;
  for (; t < num_triangles && count < kBlock; ++t) {
    const int32_t* const corners = triangles + 3 * static_cast<int64_t>(t);
    uint64_t cells[3];
    for (int k = 0; k < 3; ++k) {
      std::memcpy(&cells[k], &vertices[corners[k]].cell, sizeof(Cell));
    }
    const uint64_t differ = (cells[0] ^ cells[1]) | (cells[0] ^ cells[2]);
    // Written in any case, kept if the count goes on: a branch would often be foretold
    // wrongly.
    wanted[count] = t;
    count += (static_cast<uint32_t>(differ) != 0) & ((differ >> 32) != 0);
  }
  *next = t;
  return count;
}

// One number of kLanes vertices, side by side.
inline void Fetch(const Vertex* const corners[kLanes], double Vertex::*member,
                  double* out) {
  const Reals values{corners[0]->*member, corners[1]->*member, corners[2]->*member,
                     corners[3]->*member};
  std::memcpy(out, &values, sizeof(values));
}

// Prepares the kBlock triangles of `wanted`.
void Prepare(const Vertex* vertices, const int32_t* triangles, const int32_t* wanted,
             const Camera& camera, Prepared* out) {
  double px[3][kBlock], py[3][kBlock], nearness[3][kBlock];
  // In lanes by hand: compilers would take gather instructions, which are slower.
  for (int i = 0; i < kBlock; i += kLanes) {
    Halves low{}, high{};
    for (int k = 0; k < 3; ++k) {
      const Vertex* corners[kLanes];
      for (int lane = 0; lane < kLanes; ++lane) {
        const int64_t t = wanted[i + lane];
        corners[lane] = vertices + triangles[3 * t + k];
      }
      Fetch(corners, &Vertex::x, &px[k][i]);
      Fetch(corners, &Vertex::y, &py[k][i]);
      Fetch(corners, &Vertex::nearness, &nearness[k][i]);
      double bits[kLanes];
      Fetch(corners, &Vertex::cell, bits);
      Halves cells;
      std::memcpy(&cells, bits, sizeof(cells));
      low = k == 0 ? cells : (cells < low ? cells : low);
      high = k == 0 ? cells : (cells > high ? cells : high);
    }
    high -= low;
    std::memcpy(&out->first[i], &low, sizeof(low));
    std::memcpy(&out->size[i], &high, sizeof(high));
  }
  const double half_x = 0.5 * camera.width - 0.5, half_y = 0.5 * camera.height - 0.5;
  for (int i = 0; i < kBlock; ++i) {
    out->x[i] = out->first[i].column - half_x;
    out->y[i] = out->first[i].row - half_y;
  }
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
    const bool drawn = (size > 0) & (size < std::numeric_limits<double>::infinity());
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
      // What is not to be drawn is outside of itself.
      out->a[k][i] = drawn ? a[k] : 0.0;
      out->b[k][i] = drawn ? b[k] : 0.0;
      out->c[k][i] = drawn ? c[k] : -1.0;
    }
    // Nearness is affine over the picture: the E-weighted mean of the corners'.
    out->a[3][i] = -depth[0] * inverse;
    out->b[3][i] = -depth[1] * inverse;
    out->c[3][i] = 2.0 - depth[2] * inverse;
  }
}

// Tests the pixels of one triangle's box; `keys` keeps the least of each pixel. Lanes
// past the box do no harm: no centre outside it is covered, and rows have room. Each
// pixel's arithmetic starts from its own place, not from its neighbour's value, so that
// it does not depend on the band.
inline void Draw(const Prepared& prepared, int i, int64_t id, int64_t depth_mask,
                 int begin, int64_t stride, int64_t* keys) {
  const Cell first = prepared.first[i], size = prepared.size[i];
  int64_t* const corner = keys + (first.row - begin) * stride + first.column;
  for (int column = 0; column < size.column; column += kLanes) {
    const Reals right = Reals{0, 1, 2, 3} + (prepared.x[i] + column);
    Reals across[4];
    for (int k = 0; k < 4; ++k) {
      across[k] = prepared.c[k][i] + prepared.a[k][i] * right;
    }
    int64_t* place = corner + column;
    for (int row = 0; row < size.row; ++row, place += stride) {
      const double down = prepared.y[i] + row;
      Integers bits[4];  // of the four planes' values
      for (int k = 0; k < 4; ++k) {
        bits[k] = (Integers)(across[k] + prepared.b[k][i] * down);
      }
      // All ones where one of the three E is negative; none is ever -0 (see Prepare).
      const Integers outside = (bits[0] | bits[1] | bits[2]) >> 63;
      const Integers key = (bits[3] & depth_mask) | id | (outside & kEmpty);
      Integers least;
      std::memcpy(&least, place, sizeof(least));
      least = key < least ? key : least;
      std::memcpy(place, &least, sizeof(least));
    }
  }
}

}  // namespace

template <typename T>
void Rasterize(const T* vertices, int num_vertices, const int32_t* triangles,
               int num_triangles, const Camera& camera, int begin, int end,
               int32_t* ids) {
  // Kept between calls: fresh memory costs more than the work that is done in it.
  thread_local std::vector<Vertex> projected;
  thread_local std::vector<int64_t> keys;
  Project(vertices, num_vertices, camera, begin, end, &projected);
  const int width = camera.width, stride = width + kLanes;
  keys.assign(static_cast<size_t>(end - begin) * stride, kEmpty);
  int64_t id_mask = 1;
  while (id_mask <= num_triangles) id_mask *= 2;
  id_mask -= 1;
  // Without the sign: far outside a triangle its plane may pass 0.
  const int64_t depth_mask = kEmpty & ~id_mask;

  Prepared prepared;
  int32_t wanted[kBlock + 1];
  for (int next = 0; next < num_triangles;) {
    const int count =
        Select(projected.data(), triangles, num_triangles, &next, wanted);
    std::fill(wanted + count, wanted + kBlock, 0);  // prepared too, but not drawn
    Prepare(projected.data(), triangles, wanted, camera, &prepared);
    for (int i = 0; i < count; ++i) {
      Draw(prepared, i, wanted[i], depth_mask, begin, stride, keys.data());
    }
  }

  // No triangle's id has all bits of the mask, which an empty key has.
  const int32_t none = static_cast<int32_t>(id_mask);
  for (int row = 0; row < end - begin; ++row) {
    const int64_t* const from = keys.data() + static_cast<int64_t>(row) * stride;
    int32_t* const to = ids + static_cast<int64_t>(row) * width;
    for (int column = 0; column < width; ++column) {
      const int32_t id = static_cast<int32_t>(from[column]) & none;
      to[column] = id == none ? -1 : id;
    }
  }
}

template void Rasterize<float>(const float*, int, const int32_t*, int, const Camera&,
                               int, int, int32_t*);
template void Rasterize<double>(const double*, int, const int32_t*, int, const Camera&,
                                int, int, int32_t*);

}  // namespace personalized_face
