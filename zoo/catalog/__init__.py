"""Catalog of the components: pages generated from the registry by ``python -m zoo.catalog FOLDER``."""
