// What the kernels' tests need of a test library.

#ifndef PERSONALIZED_FACE_RENDERING_KERNELS_TESTING_H_
#define PERSONALIZED_FACE_RENDERING_KERNELS_TESTING_H_

#include <cstdio>

namespace personalized_face {
namespace testing {

inline int failures = 0;

inline void Expect(bool holds, const char* what, const char* file, int line) {
  if (holds) return;
  ++failures;
  std::printf("%s:%d: not so: %s\n", file, line, what);
}

// Returns the exit status of the tests.
inline int Report() {
  std::printf("%d failed\n", failures);
  return failures ? 1 : 0;
}

}  // namespace testing
}  // namespace personalized_face

#define EXPECT(condition) \
  ::personalized_face::testing::Expect((condition), #condition, __FILE__, __LINE__)

#endif  // PERSONALIZED_FACE_RENDERING_KERNELS_TESTING_H_
