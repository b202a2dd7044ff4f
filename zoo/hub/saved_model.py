"""Loads a model with its tokenizer, from the folder of a finished run or of a published checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tokenizers

from zoo.checks import Refused, suggest
from zoo.components.tokenizer.file import TokenizerFile
from zoo.data.interfaces import Vocabulary
from zoo.data.special_tokens import NO_TOKEN, ROLES, protect_special_tokens
from zoo.data.tokenizer_files import READABLE_FILES, find_tokenizer, read_tokenizer
from zoo.hub.companion_files import read_special_ids
from zoo.hub.load_checkpoint import load_network
from zoo.hub.native import NATIVE
from zoo.hub.origin import Origin, read_origin
from zoo.hub.tensor_files import SafetensorsFiles
from zoo.hub.weights import fill_model
from zoo.model import build
from zoo.model.cost import build_on_meta
from zoo.model.parts import create_part
from zoo.model.schema import check_part
from zoo.model.variants.variant import Variant
from zoo.registry import get_index
from zoo.runs.config_sections import ComponentConfig, DataConfig, ModelConfig
from zoo.runs.run_folder import RunFolder
from zoo.runs.state_files import read_config
from zoo.system.input_files import read_json


@dataclass(frozen=True)
class RunSections:
    """The sections of a run's config that a trained model is built, prompted and exported by.

    Attributes:
        model: the model.
        data: data source and tokenizer.
        objective: the training objective.
    """

    model: ModelConfig
    data: DataConfig
    objective: ComponentConfig


@dataclass(frozen=True)
class SavedModel:
    """A trained or published model with its tokenizer.

    Attributes:
        folder: path of the folder.
        run: sections of the run's config; None for a checkpoint folder.
        config: ``config.yaml`` of a run, ``config.json`` of a checkpoint.
        model: the model, in evaluation mode.
        tokenizer: the tokenizer; None if a checkpoint has none. That of a run reads special tokens in a text as plain
            characters and adds none; that of a checkpoint behaves as its file says.
        vocabulary: ids of the special tokens; ``NO_TOKEN`` for roles that a checkpoint does not have.
        end_ids: ids of all tokens that end a text; a checkpoint may have several.
    """

    folder: Path
    run: RunSections | None
    config: Mapping[str, Any]
    model: Variant
    tokenizer: tokenizers.Tokenizer | None
    vocabulary: Vocabulary
    end_ids: tuple[int, ...]

    def decode(self, ids: Sequence[int]) -> str:
        """Returns the text of tokens, skipping special tokens."""
        if self.tokenizer is None:
            raise Refused(f"{self.folder} has no readable tokenizer ({READABLE_FILES}), which texts require")
        return self.tokenizer.decode(list(ids), skip_special_tokens=True)


def load_saved_model(path: str | Path, *, pickled: bool = False) -> SavedModel:
    """Loads the model, tokenizer and config of a folder.

    Args:
        path: the folder of a finished run (``config.yaml``, ``model.safetensors``, ``tokenizer.json``), or a checkpoint
            folder (``config.json`` and the other files that ``zoo.hub.load_network`` reads).
        pickled: whether to read a pickled checkpoint.
    Raises:
        Refused: if it is neither, or a file cannot be read.
    """
    folder = Path(path)
    if (folder / "config.json").is_file():
        return _load_checkpoint(folder, pickled)
    if not (folder / "config.yaml").exists():
        inner = sorted(path.parent.name for name in ("config.yaml", "config.json") for path in folder.glob(f"*/{name}"))
        hint = f"; it holds others: {', '.join(inner[:3])}{' …' if len(inner) > 3 else ''}" if inner else ""
        raise Refused(f"{folder} is neither a run nor a checkpoint: it has no config.yaml and no config.json{hint}")
    return _load_run(RunFolder(folder))


def _load_run(run: RunFolder) -> SavedModel:
    folder = run.path
    if damage := run.find_damage():
        raise damage
    result = run.read_result()
    if result is None:
        raise Refused(f"{folder} is a run that has not finished: it has no result.json")
    config = read_config(folder / "config.yaml")
    sections = _parse_sections(folder / "config.yaml", config)
    run.require_files(result.files)
    _, plan, problems = build.check(sections.model.options)
    if problems or plan is None:
        raise Refused("\n".join(f"{folder / 'config.yaml'}: {line}" for line in problems))
    built = protect_special_tokens(read_tokenizer(folder / "tokenizer.json"))
    maker: Any = build.make_component(create_part("tokenizer", sections.data.tokenizer, "data.tokenizer"))
    vocabulary = Vocabulary.from_tokenizer(built, maker.spell_special_tokens(built))
    model = build_on_meta(plan, vocabulary.size)
    fill_model(model, NATIVE, SafetensorsFiles([folder / "model.safetensors"]))
    model.origin = read_origin(folder / "origin") or Origin(NATIVE.name)
    return SavedModel(folder, sections, config, model.eval(), built, vocabulary, (vocabulary.eos,))


def _parse_sections(path: Path, config: Mapping[str, Any]) -> RunSections:
    """Parses the sections of a ``config.yaml`` that the model and its tokenizer are built from.

    Args:
        path: the file, for messages.
        config: its content.
    Raises:
        Refused: if a section is missing or wrong; names the file and the key.
    """
    model, data, objective = (config.get(key) for key in ("model", "data", "objective"))
    tokenizer, length = (data.get(key) if isinstance(data, Mapping) else None for key in ("tokenizer", "length"))
    sections = {"model": model, "data": data, "objective": objective, "data.tokenizer": tokenizer}
    problems: list[str] = []
    if isinstance(data, Mapping) and type(length) is not int:
        problems.append(f"{path}: data.length must be an integer: got {str(length)[:40]!r}")
    if isinstance(model, Mapping) and "path" in model and "sha256" not in model:
        problems.append(f"{path}: model.sha256 must be given with model.path: got path={str(model['path'])[:40]!r}")
    for key, section in sections.items():
        found: list[str] = []
        if not isinstance(section, Mapping):
            found.append(f"{key} must be a mapping: got {str(section)[:40]!r}")
        elif key == "data.tokenizer":
            check_part("tokenizer", section, key, found)
        elif key != "model" and section.get("name") not in get_index().get_names(key):
            name = section.get("name")
            found.append(f"{key}: unknown {key} {name!r}: {suggest(str(name), get_index().get_names(key))}")
        problems += [f"{path}: {line}" for line in found]
    if problems:
        raise Refused("\n".join(problems))
    parsed = ModelConfig.from_mapping(config["model"]), DataConfig.from_mapping(config["data"])
    return RunSections(*parsed, ComponentConfig.from_mapping(config["objective"]))


def _load_checkpoint(folder: Path, pickled: bool) -> SavedModel:
    model = load_network(folder, pickled=pickled)
    config = read_json(folder / "config.json")
    file, published = find_tokenizer(folder), read_special_ids(folder)
    built = None if file is None else read_tokenizer(file)
    spelled = {} if file is None or built is None else _find_common_ids(file, built)
    ids = {role: published[role][0] if role in published else spelled.get(role, NO_TOKEN) for role in ROLES}
    sentinels = tuple(number for name, number in spelled.items() if name not in ROLES)
    vocabulary = Vocabulary(size=model.vocabulary, sentinels=sentinels, **ids)
    end_ids = published.get("eos") or tuple(end for end in (vocabulary.eos,) if end != NO_TOKEN)
    return SavedModel(folder, None, config, model, built, vocabulary, end_ids)


def _find_common_ids(file: Path, built: tokenizers.Tokenizer) -> dict[str, int]:
    """Finds the ids of special tokens with a common spelling by role, and of sentinels by number."""
    special, ids = TokenizerFile(path=str(file)).spell_special_tokens(built), built.get_vocab(with_added_tokens=True)
    names = {role: getattr(special, role) for role in ROLES}
    names |= {str(number): spelling for number, spelling in enumerate(special.sentinels)}
    return {name: ids[spelling] for name, spelling in names.items() if spelling in ids}
