"""What every room stands on: configuration classes, errors, registries, plug-ins, packages, files. No torch."""
