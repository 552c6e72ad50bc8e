"""Tiny BERT and RoBERTa folders: random weights, a tokenizer made on the spot, three layers.

Weights are far larger than a fresh model's, biases and layer norms random too, so that no two
layers, positions or tokens look alike.
"""

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertForPreTraining,
    BertModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForMaskedLM,
    RobertaModel,
)

TEXTS = [
    "A dog runs on the beach.",
    "No.",
    "Two people talk quietly in the kitchen of a very old house.",
    "The kitchen was painted last summer.",
]
SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
}


def tiny_bert(folder, *, mlm=False):
    """A BERT folder; with `mlm` as BERT was published, with pooler and masked-word head."""
    special = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer = _train(tokenizer, trainers.WordPieceTrainer, special)
    config = BertConfig(vocab_size=len(tokenizer), pad_token_id=0, **SIZES)
    return _write(folder, (BertForPreTraining if mlm else BertModel)(config), tokenizer)


def tiny_roberta(folder, *, mlm=False):
    """A RoBERTa folder; with `mlm` as RoBERTa was published, which has no pooler."""
    special = {"cls": "<s>", "pad": "<pad>", "sep": "</s>", "unk": "<unk>", "mask": "<mask>"}
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer = _train(tokenizer, trainers.BpeTrainer, special)
    config = RobertaConfig(vocab_size=len(tokenizer), pad_token_id=1, type_vocab_size=1, **SIZES)
    return _write(folder, (RobertaForMaskedLM if mlm else RobertaModel)(config), tokenizer)


def shake(model, *, seed=0):
    """Draw every weight anew, large enough to tell layers and tokens apart."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.normal_(0, 0.2, generator=generator)
            if name.endswith("LayerNorm.weight"):
                weight += 1
    return model


def _train(tokenizer, trainer, special):
    tokens = list(special.values())
    tokenizer.train_from_iterator(
        TEXTS, trainer(vocab_size=200, special_tokens=tokens, show_progress=False)
    )
    start, end = special["cls"], special["sep"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{start} $A {end}",
        special_tokens=[(token, tokens.index(token)) for token in (start, end)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_input_names=["input_ids", "attention_mask"],
        **{f"{role}_token": token for role, token in special.items()},
    )


def _write(folder, model, tokenizer):
    shake(model).eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
