"""Videos and images -> faces -> 224 x 224 crops with labels -> TFRecord -> tf.data."""
