"""Tensors that are written in pieces and read in others."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest
import torch

from zoo.checks import Refused
from zoo.runs.run_folder import RunFolder
from zoo.system.files import Damaged
from zoo.training.pieces import PieceFolder, Region, write_pieces

WHOLE = torch.arange(7 * 5.0).view(7, 5)


def cut(rows: int, columns: int) -> list[Region]:
    """Boxes of at most ``rows`` by ``columns`` that cover ``WHOLE``."""
    corners = itertools.product(range(0, 7, rows), range(0, 5, columns))
    return [Region((i, j), (min(rows, 7 - i), min(columns, 5 - j)), (7, 5)) for i, j in corners]


def write(folder: Path, regions: list[Region]) -> PieceFolder:
    for number, region in enumerate(regions):
        write_pieces(folder / f"{number}.safetensors", {"x": (WHOLE[region.slices], region)})
    return PieceFolder(folder)


@pytest.mark.parametrize("written", [(7, 5), (4, 5), (7, 2), (3, 3)])
@pytest.mark.parametrize("read", [(7, 5), (2, 5), (7, 3), (4, 2)])
def test_any_region_is_read_from_any_pieces(written: tuple[int, int], read: tuple[int, int], tmp_path: Path) -> None:
    pieces = write(tmp_path, cut(*written))
    assert torch.equal(pieces.read("x"), WHOLE)
    for region in cut(*read):
        assert torch.equal(pieces.read("x", region), WHOLE[region.slices])


def test_a_number_is_a_piece(tmp_path: Path) -> None:
    write_pieces(tmp_path / "0.safetensors", {"step": (torch.tensor(3.0), Region.cover(()))})
    assert PieceFolder(tmp_path).read("step") == torch.tensor(3.0)


def test_a_shape_of_another_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"x must have the shape \[8, 5\]: .* has \[7, 5\]"):
        write(tmp_path, cut(4, 5)).read("x", Region.cover((8, 5)))


def test_a_missing_piece_is_noticed(tmp_path: Path) -> None:
    pieces = write(tmp_path, cut(4, 5)[1:])
    with pytest.raises(Damaged, match="pieces of x are missing"):
        pieces.read("x")
    assert torch.equal(pieces.read("x", cut(4, 5)[1]), WHOLE[4:])


def test_a_checkpoint_may_be_a_folder(tmp_path: Path) -> None:
    """Published, checked and replaced like one that is a file; a change of any byte or name is noticed."""
    folder = RunFolder(tmp_path)
    folder.checkpoints.mkdir()
    for step in (1, 2, 3):
        draft = folder.checkpoints / "state.draft"
        draft.mkdir()
        write(draft, cut(4, 5))
        folder.add_checkpoint(draft, step)
    kept = folder.list_checkpoints()
    assert [path.name.split("-")[1] for path in kept] == ["3", "2"]
    assert sorted(os.listdir(folder.checkpoints)) == sorted(path.name for path in kept)
    folder.require_checkpoint(kept[0])
    (kept[0] / "0.safetensors").rename(kept[0] / "2.safetensors")
    with pytest.raises(Damaged, match="is damaged"):
        folder.require_checkpoint(kept[0])
