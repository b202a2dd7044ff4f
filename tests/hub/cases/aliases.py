"""Families that have the parts of another one under other names."""

from __future__ import annotations

from functools import partial
from typing import Any

from transformers import (
    CamembertConfig,
    CamembertForMaskedLM,
    Data2VecTextConfig,
    Data2VecTextForMaskedLM,
    ErnieConfig,
    ErnieForMaskedLM,
    MT5Config,
    MT5ForConditionalGeneration,
    XLMRobertaConfig,
    XLMRobertaForMaskedLM,
    XLMRobertaModel,
)

from tests.hub.cases import bert, roberta, t5
from tests.hub.oracle import Case


def case(name: str, config: Any, model: type[Any], **options: Any) -> Case:
    return Case(name, partial(config, **options), model)


CASES = [
    case("xlm-roberta", XLMRobertaConfig, XLMRobertaForMaskedLM, **roberta.TINY),
    case("xlm-roberta-headless-with-pooler", XLMRobertaConfig, XLMRobertaModel, **roberta.TINY),
    case("camembert", CamembertConfig, CamembertForMaskedLM, **roberta.TINY),
    case("data2vec-text", Data2VecTextConfig, Data2VecTextForMaskedLM, **roberta.TINY),
    case("ernie", ErnieConfig, ErnieForMaskedLM, **bert.TINY),
    case("mt5", MT5Config, MT5ForConditionalGeneration, **t5.TINY),
    Case("mt5-untied", partial(MT5Config, **t5.TINY), MT5ForConditionalGeneration, t5.untie),
]
