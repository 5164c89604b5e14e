#include "normals.h"

#include <algorithm>
#include <vector>

#include "unit.h"

namespace personalized_face {
namespace {

template <typename T>
inline void Cross(const T* a, const T* b, T* product) {
  product[0] = a[1] * b[2] - a[2] * b[1];
  product[1] = a[2] * b[0] - a[0] * b[2];
  product[2] = a[0] * b[1] - a[1] * b[0];
}

// The two sides of a triangle that start at its first corner.
template <typename T>
inline void Sides(const Mesh<T>& mesh, const int32_t* triangle, T* first, T* second) {
  for (int axis = 0; axis < 3; ++axis) {
    const T origin = mesh.vertices[3 * int64_t{triangle[0]} + axis];
    first[axis] = mesh.vertices[3 * int64_t{triangle[1]} + axis] - origin;
    second[axis] = mesh.vertices[3 * int64_t{triangle[2]} + axis] - origin;
  }
}

// Adds up the area vectors around each vertex.
template <typename T>
void SumAreas(const Mesh<T>& mesh, T* sums) {
  std::fill(sums, sums + 3 * int64_t{mesh.num_vertices}, T(0));
  for (int t = 0; t < mesh.num_triangles; ++t) {
    const int32_t* const triangle = mesh.triangles + 3 * int64_t{t};
    T first[3], second[3], area[3];
    Sides(mesh, triangle, first, second);
    Cross(first, second, area);
    for (int k = 0; k < 3; ++k) {
      T* const sum = sums + 3 * int64_t{triangle[k]};
      for (int axis = 0; axis < 3; ++axis) sum[axis] += area[axis];
    }
  }
}

}  // namespace

template <typename T>
void VertexNormals(const Mesh<T>& mesh, T* normals) {
  SumAreas(mesh, normals);
  for (int64_t v = 0; v < mesh.num_vertices; ++v) Normalize(normals + 3 * v);
}

template <typename T>
void VertexNormalsGradient(const Mesh<T>& mesh, const T* to_normals, T* to_vertices) {
  // Kept between calls: fresh memory costs more than the work that is done in it.
  thread_local std::vector<T> sums;
  sums.resize(3 * static_cast<size_t>(mesh.num_vertices));
  SumAreas(mesh, sums.data());
  for (int64_t v = 0; v < mesh.num_vertices; ++v) {
    T to_sum[3];
    NormalizeGradient(&sums[3 * v], to_normals + 3 * v, to_sum);
    std::copy(to_sum, to_sum + 3, &sums[3 * v]);  // gradients from here on
  }
  std::fill(to_vertices, to_vertices + 3 * int64_t{mesh.num_vertices}, T(0));
  for (int t = 0; t < mesh.num_triangles; ++t) {
    const int32_t* const triangle = mesh.triangles + 3 * int64_t{t};
    T first[3], second[3], to_area[3] = {0, 0, 0}, to_first[3], to_second[3];
    Sides(mesh, triangle, first, second);
    for (int k = 0; k < 3; ++k) {
      for (int axis = 0; axis < 3; ++axis) {
        to_area[axis] += sums[3 * int64_t{triangle[k]} + axis];
      }
    }
    // area = first x second, so to_first = second x to_area and so on around.
    Cross(second, to_area, to_first);
    Cross(to_area, first, to_second);
    for (int axis = 0; axis < 3; ++axis) {
      to_vertices[3 * int64_t{triangle[0]} + axis] -= to_first[axis] + to_second[axis];
      to_vertices[3 * int64_t{triangle[1]} + axis] += to_first[axis];
      to_vertices[3 * int64_t{triangle[2]} + axis] += to_second[axis];
    }
  }
}

#define INSTANTIATE(T)                                       \
  template void VertexNormals<T>(const Mesh<T>&, T*);        \
  template void VertexNormalsGradient<T>(const Mesh<T>&, const T*, T*);
INSTANTIATE(float)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace personalized_face
