"""The mark of tests that only a GPU can pass; skipped, with the reason, where there is none."""

from __future__ import annotations

import pytest
import torch

ABSENT = "needs a CUDA GPU: torch.cuda.is_available() is false"
GPU = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason=ABSENT)]
