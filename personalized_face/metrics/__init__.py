"""What the reported figures mean, one definition each (DESIGN section 8).

Pure numpy functions of arrays (eager tensors are converted), in float64. A figure that
is not defined for an image, such as the error over an empty mask, is NaN: average with
np.nanmean, and say how many were left out.
"""
