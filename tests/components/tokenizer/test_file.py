from __future__ import annotations

import json
from pathlib import Path

import pytest
from tokenizers import AddedToken, decoders, models, pre_tokenizers, processors
from tokenizers import Tokenizer as Built

from zoo.checks import Refused
from zoo.components.tokenizer.file import TokenizerFile
from zoo.data.interfaces import Vocabulary
from zoo.data.special_tokens import Required, protect_special_tokens

BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "##s", "[", "]", "PAD"]


def bert(path: Path) -> str:
    """A tokenizer as BERT's: it puts [CLS] and [SEP] around a text, cuts it short and pads it."""
    built = Built(models.WordPiece({word: i for i, word in enumerate(BERT)}, unk_token="[UNK]"))
    built.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    built.decoder = decoders.WordPiece()
    built.add_special_tokens(BERT[:5])
    built.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    built.enable_truncation(3)
    built.enable_padding(pad_id=0, length=12)
    built.save(str(path))
    return str(path)


ALL = Required(mask=True, sep=True, sentinels=4)


def plain(path: Path, words: list[str]) -> str:
    built = Built(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token=words[0]))
    built.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    built.save(str(path))
    return str(path)


def opened(tokenizer: TokenizerFile, required: Required = ALL) -> tuple[Built, Vocabulary]:
    built = protect_special_tokens(tokenizer.build([], required))
    return built, Vocabulary.from_tokenizer(built, tokenizer.spell_special_tokens(built))


def test_common_spellings_are_found_and_the_rest_is_added(tmp_path: Path):
    built, vocabulary = opened(TokenizerFile(path=bert(tmp_path / "t.json")))
    assert (vocabulary.pad, vocabulary.unk, vocabulary.bos) == (0, 1, 2)
    assert (vocabulary.eos, vocabulary.sep, vocabulary.mask) == (3, 3, 4)
    assert vocabulary.sentinels == tuple(range(11, 11 + 4))
    assert vocabulary.size == 11 + 4
    assert built.encode("the cat", add_special_tokens=False).ids == [5, 6]


def test_nothing_is_cut_short_or_padded(tmp_path: Path):
    built, _ = opened(TokenizerFile(path=bert(tmp_path / "t.json")))
    assert built.encode("the cats the cat the", add_special_tokens=False).ids == [5, 6, 7, 5, 6, 5]


def test_a_text_cannot_write_special_tokens(tmp_path: Path):
    built, vocabulary = opened(TokenizerFile(path=bert(tmp_path / "t.json")))
    ids = built.encode("the [PAD] <extra_0>", add_special_tokens=False).ids
    assert ids[:4] == [5, 8, 10, 9]
    assert not set(ids) & set(vocabulary.reserved_ids)


def test_spellings_can_be_given(tmp_path: Path):
    path = plain(tmp_path / "t.json", ["?", "BEGIN", "END", "word", "<s>"])
    _, vocabulary = opened(TokenizerFile(path=path, bos="BEGIN", eos="END", unk="?"))
    assert (vocabulary.bos, vocabulary.eos, vocabulary.unk) == (1, 2, 0)
    assert vocabulary.pad == 5
    with pytest.raises(Refused, match="no token for eos=STOP"):
        TokenizerFile(path=path, eos="STOP").build([])


def test_sentinels_of_t5_are_used(tmp_path: Path):
    path = plain(tmp_path / "t.json", ["<unk>", "<pad>", "</s>", *(f"<extra_id_{i}>" for i in range(100))])
    _, vocabulary = opened(TokenizerFile(path=path))
    assert vocabulary.sentinels == tuple(range(3, 103))


def test_a_file_that_was_built_here_is_unchanged(tmp_path: Path):
    from zoo.components.tokenizer.bpe import BytePairs

    ours = BytePairs(vocabulary=300).build(["the cat sat on the mat"], ALL)
    ours.save(str(tmp_path / "t.json"))
    built, vocabulary = opened(TokenizerFile(path=str(tmp_path / "t.json")))
    assert built.get_vocab() == ours.get_vocab()
    assert vocabulary.sentinels == tuple(range(5, 9))


def test_a_hole_in_the_ids_counts(tmp_path: Path):
    path = tmp_path / "t.json"
    built = Built(models.WordLevel({"<unk>": 0, "far": 70}, unk_token="<unk>"))
    built.add_special_tokens([AddedToken("<pad>", special=True)])
    built.save(str(path))
    _, vocabulary = opened(TokenizerFile(path=str(path)))
    assert vocabulary.size == 1 + max((*vocabulary.sentinels, 70))


def test_texts_that_it_reads_as_special_tokens_are_refused(tmp_path: Path):
    from zoo.components.data.text import Text
    from zoo.data.prepare import tokenize_data

    (tmp_path / "texts.txt").write_text("word word\nword </s> word\n" * 20)
    path = plain(tmp_path / "t.json", ["<unk>", "<pad>", "</s>", "word"])
    text = Text(path=str(tmp_path / "texts.txt"), unit="file")
    with pytest.raises(Refused, match="train document 0 contains '</s>'"):
        tokenize_data(text, TokenizerFile(path=path, eos="</s>"), 4, tmp_path / "cache")


@pytest.mark.parametrize(
    ("content", "message"), [("{}", "is not a valid tokenizer.json"), ("", "is empty"), ("[1", "is not a valid tokeni")]
)
def test_bad_files_are_refused(tmp_path: Path, content: str, message: str):
    path = tmp_path / "t.json"
    path.write_text(content)
    with pytest.raises(Refused, match=message):
        TokenizerFile(path=str(path)).build([])
    with pytest.raises(Refused, match="does not exist"):
        TokenizerFile(path=f"{path}.none").identity()


def test_identity_is_the_content_and_the_options(tmp_path: Path):
    path = bert(tmp_path / "t.json")
    seen = {TokenizerFile(path=path).identity(), TokenizerFile(path=path, bos="[SEP]").identity()}
    changed = json.loads(Path(path).read_text())
    changed["truncation"] = None
    Path(path).write_text(json.dumps(changed))
    seen.add(TokenizerFile(path=path).identity())
    assert len(seen) == 3


def test_an_ordinary_token_that_looks_special_is_none(tmp_path: Path):
    """Qwen's vocabulary has a piece ``<s>``; only tokens that the file marks as special have a role by spelling."""
    built = Built(models.WordLevel({"<unk>": 0, "<s>": 1, "word": 2}, unk_token="<unk>"))
    built.add_special_tokens(["<|endoftext|>"])
    built.save(str(tmp_path / "t.json"))
    _, vocabulary = opened(TokenizerFile(path=str(tmp_path / "t.json")))
    assert (vocabulary.bos, vocabulary.eos, vocabulary.unk) == (3, 3, 0)


def test_a_published_file_stays_as_it_is_unless_the_objective_needs_more(tmp_path: Path):
    path = bert(tmp_path / "t.json")
    whole = Built.from_file(path).get_vocab_size()
    assert opened(TokenizerFile(path=path), Required(mask=True, sep=True))[1].size == whole
    _, vocabulary = opened(TokenizerFile(path=path), Required(sentinels=2))
    assert vocabulary.sentinels == (whole, whole + 1)
