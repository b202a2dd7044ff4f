"""Strategy of Lightning whose devices each hold a share of every parameter.

``trainer.strategy=fsdp2`` is fully sharded data parallelism (Rajbhandari et al. 2020, arXiv:1910.02054, stage 3), as
implemented by torch (Zhao et al. 2023, arXiv:2304.11277): each layer is a unit, whose parameters are gathered when it
computes. Everything outside of layers (embedding, positions, head, heads of the objective) is one more unit, so that
tied weights stay one parameter.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.strategies import ModelParallelStrategy, StrategyRegistry
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer

from zoo.model.stack import Layer
from zoo.training.batches import Share
from zoo.training.pieces import Region
from zoo.training.sharded_checkpoints import read_checkpoint, write_checkpoint

_STEPS = ("training_step", "validation_step")


class ShardedStrategy(ModelParallelStrategy):
    """Splits parameters, gradients and optimizer state over all devices."""

    @property
    def lightning_restore_optimizer(self) -> bool:
        """True: what :meth:`load_checkpoint` returns is restored like an ordinary checkpoint."""
        return True

    def setup_environment(self) -> None:
        """Joins the processes, and arranges them as data-parallel devices."""
        self._data_parallel_size, self._tensor_parallel_size = self.num_processes * self.num_nodes, 1
        super().setup_environment()

    def shard(self, module: nn.Module) -> None:
        """Shards a module that has layers, once; its ``training_step`` and ``validation_step`` use the whole again."""
        if isinstance(next(module.parameters()), DTensor):
            return
        mesh = self.device_mesh["data_parallel"]
        for layer in [part for part in module.modules() if isinstance(part, Layer)]:
            fully_shard(layer, mesh=mesh)
        fully_shard(module, mesh=mesh)
        for name in _STEPS:
            register_fsdp_forward_method(module, name)

    def clip_gradients(self, limit: float) -> Tensor:
        """Clips the gradients by their norm over all devices; returns the norm before clipping."""
        norm = nn.utils.clip_grad_norm_(self._list_parameters().values(), limit)
        return norm.full_tensor() if isinstance(norm, DTensor) else norm

    # ------------------------------------------------------------------------------------------------------ checkpoints

    def lightning_module_state_dict(self) -> dict[str, Any]:
        """Returns the state of the module, with the shards of this process."""
        return self._module.state_dict()

    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        """Restores the state of the module."""
        self._module.load_state_dict(checkpoint["state_dict"], strict=strict)

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """Returns the state of an optimizer, with the shards of this process."""
        return optimizer.state_dict()

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        """Restores the state of the optimizers."""
        for optimizer, state in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            optimizer.load_state_dict(state)

    def save_checkpoint(self, checkpoint: dict[str, Any], filepath: str | Path, storage_options: Any = None) -> None:
        """Writes the folder of a checkpoint: each process its pieces."""
        write_checkpoint(Path(filepath), checkpoint, self.global_rank, self._locate, self.barrier)

    def load_checkpoint(self, checkpoint_path: str | Path, weights_only: bool | None = None) -> dict[str, Any]:
        """Reads the pieces of this process from a checkpoint of any layout, a file or a folder."""
        groups = [group["params"] for optimizer in self.optimizers for group in optimizer.param_groups]
        numbered = [parameter for members in groups for parameter in members]
        return read_checkpoint(Path(checkpoint_path), self._module.state_dict(), numbered, self._locate)

    def gather_state(self) -> dict[str, Tensor]:
        """Gathers the state of the module, whole and on the CPU; empty in other than the first process."""
        found = {}
        for name, tensor in self._module.state_dict().items():
            whole = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
            if self.global_rank == 0:
                found[name] = whole.cpu()
        return found

    # ------------------------------------------------------------------------------------------------------------------

    @property
    def _module(self) -> lightning.LightningModule:
        if self.lightning_module is None:
            raise RuntimeError("the strategy has no module yet")
        return self.lightning_module

    def _list_parameters(self) -> dict[str, nn.Parameter]:
        return dict(self._module.named_parameters())

    def _locate(self, tensor: Tensor) -> Region:
        """Returns the region of ``tensor`` that this process holds."""
        if not isinstance(tensor, DTensor):
            return Region.cover(tensor.shape)
        mine = tensor.to_local().shape
        rows = -(-tensor.shape[0] // tensor.device_mesh.size())  # FSDP splits like torch.chunk
        start = min(tensor.shape[0], rows * tensor.device_mesh.get_local_rank())
        return Region((start, *(0,) * (tensor.ndim - 1)), tuple(mine), tuple(tensor.shape))


def find_share(trainer: lightning.Trainer) -> Share:
    """Finds the share of each batch that this process works on."""
    return Share(trainer.global_rank, trainer.world_size)


StrategyRegistry.register("fsdp2", ShardedStrategy, description="fully sharded data parallelism (FSDP2)")
