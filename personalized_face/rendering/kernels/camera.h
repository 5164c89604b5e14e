// The pinhole camera of the Python side (rendering/camera.py), without the framework.

#ifndef PERSONALIZED_FACE_RENDERING_KERNELS_CAMERA_H_
#define PERSONALIZED_FACE_RENDERING_KERNELS_CAMERA_H_

namespace personalized_face {

// Looks down -z from the origin; pixel centres at .5, rows go down.
struct Camera {
  int height;          // pixels
  int width;           // pixels
  double focal;        // pixels
  double principal_x;  // pixels from the left border
  double principal_y;  // pixels from the upper border
  double near;         // decimetres; what comes nearer is not drawn
};

}  // namespace personalized_face

#endif  // PERSONALIZED_FACE_RENDERING_KERNELS_CAMERA_H_
