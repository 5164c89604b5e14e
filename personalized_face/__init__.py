"""Personalized face models and facial motion from video, in TensorFlow 2.

Follows *Personalized Face Modeling for Improved Face Reconstruction and Motion
Retargeting* (Chaudhuri, Vesdapunt, Shapiro, Wang; ECCV 2020), called "the paper".
"""

__version__ = "0.1.0"
