"""Parses the values of a study: YAML in files, ``key=value`` on the command line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from zoo import limits
from zoo.checks import Refused
from zoo.config.overrides import list_sweep_values, parse_word
from zoo.system.input_files import read_text


class _Loader(yaml.SafeLoader):
    """Loader that keeps keys as texts, reads ``1e-3`` as a number, and refuses duplicate keys."""

    yaml_implicit_resolvers = {  # noqa: RUF012 (as in the class above)
        first: [(tag, pattern) for tag, pattern in found if not tag.endswith((":timestamp", ":float"))]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        self.flatten_mapping(node)
        pairs: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            scalar = isinstance(key_node, yaml.ScalarNode)
            key = key_node.value if scalar else str(self.construct_object(key_node, deep=True))
            if key in pairs:
                raise yaml.constructor.ConstructorError(None, None, f"duplicate key {key}", key_node.start_mark)
            pairs[key] = self.construct_object(value_node, deep=True)
        return pairs


_FLOAT = re.compile(
    r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|[0-9][0-9_]*[eE][-+]?[0-9]+|\.[0-9]+(?:[eE][-+]?[0-9]+)?"
    r"|\.(?:inf|Inf|INF))$|\.(?:nan|NaN|NAN)$"
)
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))


def parse_yaml(text: str, where: str) -> Any:
    """Parses YAML.

    Args:
        text: YAML.
        where: Name of the source, for messages.

    Raises:
        Refused: If the text is not YAML, or contains too many values.
    """
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        size = _count_values(root, {})
        given = None if root is None or size > limits.NODES else loader.construct_document(root)
    except RecursionError:
        raise Refused(f"{where}: is nested too deeply") from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a number, date or binary value that cannot be read
        raise Refused(f"{where} is not YAML: {' '.join(str(error).split())}") from None
    if size > limits.NODES:
        raise Refused(f"{where}: must contain at most {limits.NODES} values, aliases expanded: got {size} or more")
    return given


def _count_values(node: yaml.Node | None, known: dict[yaml.Node, int]) -> int:
    """Counts the values below a node, with aliases expanded."""
    if node not in known and isinstance(node, yaml.CollectionNode):
        known[node] = limits.NODES + 1  # until it is counted, so that a cycle exceeds the limit
        below = [part for item in node.value for part in (item if isinstance(item, tuple) else (item,))]
        known[node] = 1 + sum(_count_values(part, known) for part in below)
    return 1 if node is None else known.get(node, 1)


def read_yaml_file(path: Path) -> dict[str, Any]:
    """Reads a mapping from a YAML file.

    Raises:
        Refused: If the file contains anything else, or an interpolation with a resolver such as ``${oc.env:NAME}``.
    """
    given = parse_yaml(read_text(path, limits.YAML_BYTES), str(path))
    if not isinstance(given, Mapping):
        raise Refused(f"{path} must be a mapping: got {type(given).__name__}")
    if resolvers := sorted({found for text in _list_texts(given) for found in _RESOLVER.findall(text)}):
        rule = "a study file may refer to other keys, as in ${steps}, but to nothing outside the config"
        raise Refused(f"{path}: {rule}: got {', '.join(resolvers)}")
    return dict(given)


_RESOLVER = re.compile(r"\$\{[^{}]*:[^{}]*\}?")
"""Interpolations that call a resolver of OmegaConf, which may read the environment, for instance."""


def _list_texts(node: Any) -> Iterator[str]:
    """Yields all texts in a value, including keys."""
    if isinstance(node, Mapping):
        yield from (text for pair in node.items() for item in pair for text in _list_texts(item))
    elif isinstance(node, list):
        yield from (text for item in node for text in _list_texts(item))
    elif isinstance(node, str):
        yield node


def parse_value(key: str, text: str) -> Any:
    """Parses the value of ``key=text`` in the grammar of Hydra, where ``1,2`` is a list too, or else as YAML.

    Raises:
        Refused: If it is neither.
    """
    try:
        override = parse_word(f"{key}={text}")
    except Refused:
        return parse_yaml(text, f"{key}={text}")
    if not override.is_sweep_override():
        return _convert_keys(override.value())
    list_sweep_values(override)  # refuses infinite ranges
    return _convert_keys(list(override.sweep_iterator()))


def _convert_keys(value: Any) -> Any:
    """Converts all keys to texts."""
    if isinstance(value, Mapping):
        return {str(key): _convert_keys(item) for key, item in value.items()}
    return [_convert_keys(item) for item in value] if isinstance(value, list) else value
