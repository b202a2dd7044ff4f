"""The sections of a run's config, typed; each has one conversion from and one to its mapping."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

Options = Mapping[str, Any]
"""Options by name, open by nature: the signature of the class that takes them says what they may be."""


@dataclass(frozen=True)
class ComponentConfig:
    """A component that fills a section of the config.

    Attributes:
        name: registered name of the component.
        options: the options of the component, all with a value.
    """

    name: str
    options: Options

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Self:
        """Returns the component of ``{name: …, option: …}``."""
        return cls(str(values["name"]), {key: value for key, value in values.items() if key != "name"})

    def as_mapping(self) -> dict[str, Any]:
        """Returns ``{name: …, option: …}``."""
        return {"name": self.name, **self.options}


@dataclass(frozen=True)
class Target:
    """A class or function that a section names, such as an optimizer.

    Attributes:
        path: dotted path, the value of ``_target_``; empty if there is none, which the check refuses.
        arguments: keyword arguments.
    """

    path: str
    arguments: Options

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Self:
        """Returns the target of ``{_target_: …, argument: …}``."""
        arguments = {key: value for key, value in values.items() if key != "_target_"}
        return cls(str(values.get("_target_") or ""), arguments)

    def as_mapping(self) -> dict[str, Any]:
        """Returns ``{_target_: …, argument: …}``."""
        return {"_target_": self.path, **self.arguments}

    def replace_arguments(self, **arguments: Any) -> Self:
        """Returns the target with some arguments replaced or added."""
        return dataclasses.replace(self, arguments={**self.arguments, **arguments})


@dataclass(frozen=True)
class CheckpointConfig:
    """The checkpoint that a training starts from.

    Attributes:
        path: folder of the checkpoint.
        sha256: SHA-256 of its files.
    """

    path: str
    sha256: str


@dataclass(frozen=True)
class ModelConfig:
    """The section ``model``.

    Attributes:
        options: sizes, components, overlays and exceptions, as :func:`zoo.model.build.check` takes them.
        checkpoint: the checkpoint that the weights start from; None for weights drawn at random.
    """

    options: Options
    checkpoint: CheckpointConfig | None = None

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Self:
        """Returns the model of the section."""
        options = {key: value for key, value in values.items() if key not in ("path", "sha256")}
        return cls(options, CheckpointConfig(values["path"], values["sha256"]) if "path" in values else None)

    def as_mapping(self) -> dict[str, Any]:
        """Returns the section."""
        return {**self.options, **({} if self.checkpoint is None else dataclasses.asdict(self.checkpoint))}

    @property
    def variant(self) -> str:
        """``decoder``, ``encoder`` or ``encoder_decoder``."""
        return str(self.options["variant"])

    @property
    def dim(self) -> int:
        """Features per token."""
        return int(self.options["dim"])

    @property
    def heads(self) -> int:
        """Attention heads of a layer."""
        return int(self.options["heads"])


@dataclass(frozen=True)
class DataConfig:
    """The section ``data``.

    Attributes:
        source: the data component.
        length: tokens of a row.
        tokenizer: the tokenizer component.
    """

    source: ComponentConfig
    length: int
    tokenizer: ComponentConfig

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Self:
        """Returns the data of the section, in which options of the source stand beside ``length`` and ``tokenizer``."""
        source = {key: value for key, value in values.items() if key not in ("length", "tokenizer")}
        tokenizer = ComponentConfig.from_mapping(values["tokenizer"])
        return cls(ComponentConfig.from_mapping(source), values["length"], tokenizer)

    def as_mapping(self) -> dict[str, Any]:
        """Returns the section."""
        return {**self.source.as_mapping(), "length": self.length, "tokenizer": self.tokenizer.as_mapping()}
