"""What all other packages use: configuration classes, errors, registries, plug-ins, packages, files. No torch."""
