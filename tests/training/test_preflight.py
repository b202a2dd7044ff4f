"""Trainers that are refused before a run folder is created."""

from __future__ import annotations

import dataclasses

import pytest

from tests.command import TINY, checked
from zoo.checks import Refused
from zoo.training.preflight import require_trainer

TWO = ["trainer.accelerator=cpu", "trainer.devices=2"]


@pytest.mark.parametrize("trainer", ["ddp", "fsdp"])
def test_more_devices_than_rows_are_refused(trainer: str) -> None:
    with pytest.raises(Refused, match="batch must be at least the number of devices: got batch=1, devices=2"):
        require_trainer(checked(*TINY, f"trainer={trainer}", *TWO, "batch=1").config)


def test_shards_refuse_a_loss_scale_and_a_fused_kernel_that_they_lack() -> None:
    fused = [*TINY, *TWO, "optimizer._target_=torch.optim.SGD", "~optimizer.betas", "~optimizer.eps"]
    with pytest.raises(Refused, match=r"optimizer\.fused: trainer\.strategy=fsdp2 needs false.* got true with .*SGD"):
        require_trainer(checked(*fused, "trainer=fsdp").config)
    require_trainer(checked(*fused, "trainer=ddp").config)
    require_trainer(checked(*fused, "trainer=fsdp", "optimizer.fused=false").config)
    adam = checked(*TINY, "trainer=fsdp", *TWO).config
    require_trainer(adam)
    with pytest.raises(Refused, match=r"precision: trainer\.strategy=fsdp2 needs bf16-mixed.* got 16-mixed"):
        require_trainer(dataclasses.replace(adam, precision="16-mixed"))
