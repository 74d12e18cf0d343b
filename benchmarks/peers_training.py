"""Other toolkits that train translators, each with a Python of its own, as they pin old packages.

    python -m venv eole && eole/bin/pip install torch eole aiohttp
    python -m venv joeynmt && joeynmt/bin/pip install torch joeynmt importlib_metadata "numpy<2"

Both learn from our tokenizer's pieces, so that all count the same tokens, with a model of the same
sizes and about as many tokens a batch.
"""

import re
import subprocess
from pathlib import Path

from benchmarks.datasets import SHARED
from zhixing.data.readers import read_table
from zhixing.data.roles import PAIRS
from zhixing.tokenization.files import load_tokenizer

SPECIAL = ("<unk>", "<pad>", "<s>", "</s>")
EOLE = """
save_data: {work}/eole/data
src_vocab: {work}/vocab.txt
tgt_vocab: {work}/vocab.txt
src_vocab_size: 8000
tgt_vocab_size: 8000
share_vocab: true
overwrite: true
n_sample: 0
data:
  pairs: {{path_src: {work}/train.en, path_tgt: {work}/train.fr, transforms: []}}
training:
  {{model_path: {work}/eole/model, batch_type: tokens, batch_size: {batch}, bucket_size: 29000,
    num_workers: 0, train_steps: {steps}, valid_steps: 100000, save_checkpoint_steps: 100000,
    optim: adamw, learning_rate: 2.0, decay_method: noam, warmup_steps: 100, label_smoothing: 0.1,
    dropout: [0.1], attention_dropout: [0.0], normalization: tokens, compute_dtype: fp32,
    world_size: 0, gpu_ranks: []}}
report_every: 5
model:
  {{architecture: transformer, layers: 4, heads: 4, hidden_size: 128, transformer_ff: 256,
    share_embeddings: true, share_decoder_embeddings: true,
    embeddings: {{word_vec_size: 128, position_encoding_type: SinusoidalInterleaved}}}}
"""
JOEYNMT = """
name: "tiny"
joeynmt_version: "2.3.0"
model_dir: "{work}/joeynmt"
use_cuda: False
fp16: False
random_seed: 42
data:
  {{train: "{work}/some", dev: "{work}/few", dataset_type: "plain",
    src: {{lang: "en", level: "word", lowercase: False, max_length: 200,
           voc_file: "{work}/vocab.txt"}},
    trg: {{lang: "fr", level: "word", lowercase: False, max_length: 200,
           voc_file: "{work}/vocab.txt"}},
    special_symbols: {{unk_token: "<unk>", unk_id: 0, pad_token: "<pad>", pad_id: 1,
                       bos_token: "<s>", bos_id: 2, eos_token: "</s>", eos_id: 3}}}}
testing: {{n_best: 1, beam_size: 1, batch_size: 64, batch_type: "sentence", max_output_length: 20}}
training:
  {{optimizer: "adamw", adam_betas: [0.9, 0.98], learning_rate: 0.002, learning_rate_min: 1.0e-7,
    learning_rate_warmup: 100, scheduling: "warmupinversesquareroot", label_smoothing: 0.1,
    normalization: "tokens", loss: "crossentropy", batch_size: {batch}, batch_type: "token",
    early_stopping_metric: "loss", epochs: 1, max_updates: {steps}, validation_freq: {steps},
    logging_freq: 5, overwrite: True, shuffle: True, print_valid_sents: [0], keep_best_ckpts: 1}}
model:
  initializer: "xavier_uniform"
  bias_initializer: "zeros"
  embed_initializer: "xavier_uniform"
  tied_embeddings: True
  tied_softmax: True
  encoder: &side
    {{type: "transformer", num_layers: 4, num_heads: 4, hidden_size: 128, ff_size: 256,
      dropout: 0.1, layer_norm: "pre",
      embeddings: {{embedding_dim: 128, scale: True, dropout: 0.1}}}}
  decoder: *side
"""
STEPS, WARMUP = 60, 3
SOME = 6000
# Target tokens of a batch: with their sources about 3,900 tokens.
BATCH = 2100


def write_pieces(model: Path, work: Path) -> float:
    """Write Multi30k as pieces of a model's tokenizer; give all tokens by target tokens."""
    tokenizer = load_tokenizer(model)
    table = read_table(SHARED / "multi30k_en-fr" / "train.tsv", roles=PAIRS)
    counts = []
    for language, texts in (("en", table.texts), ("fr", table.targets or [])):
        ids = tokenizer.ids(list(texts))
        lines = [" ".join(tokenizer.piece(i) for i in own) for own in ids]
        counts.append(sum(map(len, ids)))
        (work / f"train.{language}").write_text("\n".join(lines) + "\n")
        # JoeyNMT finishes its epoch, whatever it is told.
        (work / f"some.{language}").write_text("\n".join(lines[:SOME]) + "\n")
        (work / f"few.{language}").write_text("\n".join(lines[:8]) + "\n")
    pieces = [tokenizer.piece_or_none(i) for i in range(tokenizer.vocab_size)]
    known = [*SPECIAL, *(piece for piece in pieces if piece and piece not in SPECIAL)]
    (work / "vocab.txt").write_text("\n".join(known) + "\n")
    return (counts[0] + counts[1]) / counts[1]


def eole(python: str, model: Path, work: Path) -> float:
    """Train some steps with eole; give tokens a second, of both sides, of the later ones."""
    write_pieces(model, work)
    (work / "eole.yaml").write_text(EOLE.format(work=work, steps=STEPS, batch=BATCH))
    command = [str(Path(python).parent / "eole"), "train", "--config", str(work / "eole.yaml")]
    rates = re.findall(r"(\d+)/(\d+) tok/s", _printed(command))
    return _mean([float(read) + float(written) for read, written in rates])


def joeynmt(python: str, model: Path, work: Path) -> float:
    """Train some steps with JoeyNMT, which counts target tokens."""
    share = write_pieces(model, work)
    # Its batches are counted with padding, and hold fewer tokens than they say.
    (work / "joeynmt.yaml").write_text(JOEYNMT.format(work=work, steps=STEPS, batch=2 * BATCH))
    command = [python, "-m", "joeynmt", "train", str(work / "joeynmt.yaml"), "--skip-test"]
    rates = re.findall(r"Tokens per Sec: +(\d+)", _printed(command))
    return share * _mean([float(rate) for rate in rates])


TOOLKITS = {"eole": eole, "joeynmt": joeynmt}


def _printed(command: list[str]) -> str:
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    return done.stdout


def _mean(rates: list[float]) -> float:
    later = rates[WARMUP:]
    return sum(later) / len(later)
