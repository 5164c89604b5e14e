"""Raw network outputs to named parameters, Eq. 1 and Eq. 2; person and motion files."""
