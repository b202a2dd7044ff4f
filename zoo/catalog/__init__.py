"""The catalogue of components: pages generated from the registry, by ``python -m zoo.catalog FOLDER``."""
