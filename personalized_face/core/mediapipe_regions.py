"""Regions of MediaPipe's 478-point face mesh, written down once.

Shared by the parser (polygons painted into a picture), the template's parsing map (the
same polygons in its UV layout) and the landmark detector, so that all three mean the
same points. Indices are 0-based; left and right are the person's.

Sources: contours and face oval are the connection sets of `mp.solutions.face_mesh`
(mediapipe 0.10.21, face_mesh_connections.py, Apache-2.0) put in order; `NOSE` is ours,
chosen by looking, since that file only has lines along the ridge and the nostrils;
`IBUG68` is the table at the end of DESIGN section 8.
"""

# Closed polygons; the last point joins the first.
FACE_OVAL = (
  *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400),
  *(377, 152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103),
  *(67, 109),
)

# Each lid from the outer to the inner corner, both corners in each.
RIGHT_UPPER_LID = (33, 246, 161, 160, 159, 158, 157, 173, 133)
RIGHT_LOWER_LID = (33, 7, 163, 144, 145, 153, 154, 155, 133)
LEFT_UPPER_LID = (263, 466, 388, 387, 386, 385, 384, 398, 362)
LEFT_LOWER_LID = (263, 249, 390, 373, 374, 380, 381, 382, 362)
RIGHT_EYE = (*RIGHT_UPPER_LID, *RIGHT_LOWER_LID[-2:0:-1])
LEFT_EYE = (*LEFT_UPPER_LID, *LEFT_LOWER_LID[-2:0:-1])
RIGHT_IRIS_CENTRE, LEFT_IRIS_CENTRE = 468, 473

# Upper edge from the temple inwards, then the lower edge back.
RIGHT_BROW = (70, 63, 105, 66, 107, 55, 65, 52, 53, 46)
LEFT_BROW = (300, 293, 334, 296, 336, 285, 295, 282, 283, 276)

# From the bridge down the person's right side, around the wing, under the nostrils.
NOSE = (
  *(168, 122, 174, 217, 126, 209, 129, 98, 97),
  *(2, 326, 327, 358, 429, 355, 437, 399, 351),
)

# Spread evenly about the opening of a nostril; ours, chosen by looking.
RIGHT_NOSTRIL, LEFT_NOSTRIL = (79, 166, 60, 20), (309, 392, 290, 250)

# Each edge from the person's right mouth corner to the left one, corners included.
UPPER_LIP_OUTER = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291)
LOWER_LIP_OUTER = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291)
UPPER_LIP_INNER = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
LOWER_LIP_INNER = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
LIPS_OUTER = (*UPPER_LIP_OUTER, *LOWER_LIP_OUTER[-2:0:-1])
LIPS_INNER = (*UPPER_LIP_INNER, *LOWER_LIP_INNER[-2:0:-1])
UPPER_LIP = (*UPPER_LIP_OUTER, *reversed(UPPER_LIP_INNER))
LOWER_LIP = (*LOWER_LIP_OUTER, *reversed(LOWER_LIP_INNER))

# iBUG (300-W) order: jaw 0-16 from the person's right, brows, nose, eyes, lips.
IBUG68 = (
  *(127, 234, 93, 132, 58, 136, 150, 176, 152, 400, 379, 365, 288, 361, 323, 454, 356),
  *(70, 63, 105, 66, 107, 336, 296, 334, 293, 300),
  *(168, 197, 5, 4, 75, 97, 2, 326, 305),
  *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),
  *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181),
  *(78, 82, 13, 312, 308, 317, 14, 87),
)
