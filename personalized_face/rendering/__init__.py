"""Triangles to pictures. Knows no faces.

The vocabulary, in the order in which a picture is made; each does one thing, and what
it does not differentiate is said:

| primitive | from | to | gradient |
|---|---|---|---|
| `rasterize.rasterize` | vertices | triangle id and barycentrics per pixel | of the \
barycentrics; ids have none |
| `interpolate.interpolate` | attributes per vertex | attributes per pixel | of both |
| `core.uv.sample_uv` | UV map, texture coordinates | values per pixel | of both |
| `shading.shade` | albedo, normals, light | image | of all |
| `antialias.antialias` | image, ids, vertices | image blended across outlines | of \
the image, and of the vertices at outlines |

`camera` fixes the conventions (looks down -z, pixel centres at .5, decimetres).
`renderer.RendererLayer` is all of them in one layer, faster than one after the other:
`surface.see_surface` joins barycentrics and interpolation. Backends of `rasterize`
find the ids alone, so all share one gradient: `xla` runs wherever TensorFlow does,
`tf_mesh_renderer` is the paper's own renderer's kernel. `cpu`, which "auto" is where
there is no accelerator, has each step and its gradient as one C++ operation
(`kernels.ops`); all agree.
"""
