import pytest

from zhixing.errors import TokenizerError
from zhixing.tokenization.settings import (
    SpecialTokens,
    from_hugging_face,
    guess_special_tokens,
    token_text,
)

BERT = SpecialTokens(
    unknown="[UNK]", separator="[SEP]", padding="[PAD]", classify="[CLS]", mask="[MASK]"
)


def test_roles_come_out_of_texts_and_of_objects() -> None:
    values = {
        "cls_token": "[CLS]",
        "mask_token": {"content": "[MASK]", "lstrip": True, "special": True},
        "pad_token": None,
        "additional_special_tokens": ["[A]", {"content": "[B]"}, "[A]"],
        "extra_special_tokens": {"image": "[C]"},
        "model_max_length": 512,
    }
    special = from_hugging_face(values, where="here")
    assert special == SpecialTokens(
        classify="[CLS]", mask="[MASK]", additional=("[A]", "[B]", "[C]")
    )


def test_roles_go_to_hugging_face_and_come_back() -> None:
    special = SpecialTokens(
        start="<s>",
        end="</s>",
        unknown="<unk>",
        separator="</s>",
        padding="<pad>",
        classify="<s>",
        mask="<mask>",
        additional=("<en>", "<fr>"),
    )
    written = special.to_hugging_face()
    assert written["bos_token"] == written["cls_token"] == "<s>"
    assert written["eos_token"] == written["sep_token"] == "</s>"
    assert from_hugging_face(written, where="there") == special


def test_empty_roles_are_not_written() -> None:
    assert SpecialTokens().to_hugging_face() == {}
    assert SpecialTokens().roles() == {}


def test_texts_come_once_with_the_roles_first() -> None:
    special = SpecialTokens(start="<s>", classify="<s>", mask="<mask>", additional=("<x>", "<s>"))
    assert special.texts() == ("<s>", "<mask>", "<x>")


def test_only_empty_roles_are_filled_from_another() -> None:
    mine = SpecialTokens(mask="<m>", additional=("<x>",))
    filled = mine.or_else(SpecialTokens(mask="[MASK]", padding="[PAD]", additional=("<y>",)))
    assert filled == SpecialTokens(mask="<m>", padding="[PAD]", additional=("<x>",))


@pytest.mark.parametrize("value", [7, ["[PAD]"], {"text": "[PAD]"}, {"content": 3}, ""])
def test_a_token_that_is_no_text_is_refused_with_its_value(value: object) -> None:
    with pytest.raises(TokenizerError) as caught:
        token_text(value, where="a.json, pad_token")
    assert str(caught.value).startswith("a.json, pad_token: a special token is ")
    assert repr(value) in str(caught.value)


def test_a_faulty_role_is_named_with_its_key() -> None:
    with pytest.raises(TokenizerError, match=r"config\.json, eos_token: .* is 5"):
        from_hugging_face({"eos_token": 5}, where="config.json")


def test_bert_is_guessed_from_its_usual_texts() -> None:
    pieces = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the"}
    assert guess_special_tokens(pieces.__contains__) == BERT


def test_an_encoder_with_a_mask_classifies_and_separates_with_its_bounds() -> None:
    guess = guess_special_tokens({"<s>", "<pad>", "</s>", "<unk>", "<mask>"}.__contains__)
    assert (guess.start, guess.classify) == ("<s>", "<s>")
    assert (guess.end, guess.separator) == ("</s>", "</s>")


def test_a_translation_model_without_a_mask_only_ends() -> None:
    guess = guess_special_tokens({"<pad>", "</s>", "<unk>"}.__contains__)
    assert guess == SpecialTokens(end="</s>", unknown="<unk>", padding="<pad>")


def test_gpt2_starts_and_ends_with_one_token() -> None:
    guess = guess_special_tokens({"<|endoftext|>", "a"}.__contains__)
    assert guess == SpecialTokens(start="<|endoftext|>", end="<|endoftext|>")


def test_nothing_is_guessed_from_words() -> None:
    assert guess_special_tokens({"the", "mask"}.__contains__) == SpecialTokens()
