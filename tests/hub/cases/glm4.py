from __future__ import annotations

from transformers import Glm4Config, Glm4ForCausalLM, Glm4Model

from tests.hub.cases.glm import cases

CASES = cases(Glm4Config, Glm4ForCausalLM, Glm4Model)
