// Vertex normals: unit vectors along the summed area vectors of the triangles around.

#ifndef PERSONALIZED_FACE_RENDERING_KERNELS_NORMALS_H_
#define PERSONALIZED_FACE_RENDERING_KERNELS_NORMALS_H_

#include <cstdint>

namespace personalized_face {

// A mesh in any unit.
template <typename T>
struct Mesh {
  const T* vertices;         // [V, 3]
  const int32_t* triangles;  // [T, 3], counter-clockwise from outside
  int num_vertices;
  int num_triangles;
};

//   normals  [V, 3], written; 0 at a vertex without area around it
template <typename T>
void VertexNormals(const Mesh<T>& mesh, T* normals);

// Its gradient.
//
//   to_normals   [V, 3]
//   to_vertices  [V, 3], written
template <typename T>
void VertexNormalsGradient(const Mesh<T>& mesh, const T* to_normals, T* to_vertices);

}  // namespace personalized_face

#endif  // PERSONALIZED_FACE_RENDERING_KERNELS_NORMALS_H_
