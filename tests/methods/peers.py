"""PEFT as a peer: whole sequences in, labels that are -100 where nothing is asked for, its own forward."""

from __future__ import annotations

import torch
from numerics import assert_close, assert_gradients_close
from peft import PeftModel
from torch.nn.functional import cross_entropy

from bench.testing.tiny import tiny_encoder, tiny_network

# Label words of several tokens, of different lengths.
LABELS = ("yes", "maybe", "no, not at all")
RAGGED = ("a", "the lazy dog, and the good fox", "bad good", "some words that are neither of these", "0123456789")


def pairs_of(base, texts=RAGGED):
    encoder = tiny_encoder(base, LABELS)
    after = [1] if base.kind == "seq2seq" else []
    ids = [[*base.tokenizer(text, add_special_tokens=False)["input_ids"], *after] for text in texts]
    return encoder, [(row, encoder.label_ids[i % len(LABELS)]) for i, row in enumerate(ids)]


def batch_of(base, texts=RAGGED):
    encoder, pairs = pairs_of(base, texts)
    return encoder.batch(pairs)


def plain_logits(network, batch):
    """Return the logits [N, V] of the forward of transformers or PEFT at the batch's positions."""
    decoder = {} if batch.decoder_input_ids is None else {"decoder_input_ids": batch.decoder_input_ids}
    return network(input_ids=batch.input_ids, attention_mask=batch.attention_mask, **decoder).logits[batch.positions]


def padded(rows, value, side="right"):
    longest = max(map(len, rows))
    fill = [[value] * (longest - len(row)) for row in rows]
    return torch.tensor([[*row, *f] if side == "right" else [*f, *row] for row, f in zip(rows, fill, strict=True)])


def peft_inputs(base, pairs, side="right"):
    """What one gives to PEFT: whole sequences, and labels that are -100 where nothing is asked for."""
    if base.kind == "seq2seq":
        rows, labels = [ids for ids, _ in pairs], [target for _, target in pairs]
    else:
        rows = [[*ids, *target] for ids, target in pairs]
        labels = [[*[-100] * len(ids), *target] for ids, target in pairs]
    mask = padded([[1] * len(row) for row in rows], 0, side)
    return {"input_ids": padded(rows, 2, side), "attention_mask": mask, "labels": padded(labels, -100, side)}


def our_loss(tuned, encoder, pairs):
    batch = encoder.batch(pairs)
    return cross_entropy(tuned.logits(batch), batch.targets)


def peft_answers(base, model, pairs):
    """PEFT's logits [N, V] at the supervised positions, in our order."""
    inputs = peft_inputs(base, pairs)
    labels = inputs.pop("labels")
    if base.kind == "seq2seq":
        inputs["decoder_input_ids"] = torch.cat([torch.full_like(labels[:, :1], 2), labels[:, :-1].clamp(min=0)], 1)
    with torch.no_grad():
        logits = model(**inputs).logits
    if base.kind == "causal":
        logits, labels = logits[:, -labels.shape[1] : -1], labels[:, 1:]
    return logits[labels != -100]


def assert_peft_loads(base, tuned, family, folder):
    """Compare what PEFT answers with what ``tuned`` has saved; our logits are returned."""
    encoder, pairs = pairs_of(base)
    tuned.save(folder)
    theirs = PeftModel.from_pretrained(tiny_network(family), folder).eval()
    with torch.no_grad():
        ours = tuned.logits(encoder.batch(pairs))
    assert_close(ours, peft_answers(base, theirs, pairs))
    return ours


def stir(parameters, scale=0.1, seed=1):
    """Move parameters away from where they begin, which for many methods is where they change nothing."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in parameters:
            parameter.add_(torch.randn(parameter.shape, generator=generator).to(parameter) * scale)


def assert_same_training_step(base, tuned, theirs, texts=RAGGED):
    """Compare loss and gradients; ``tuned`` and PEFT's ``theirs`` hold the same weights, in the same order."""
    encoder, pairs = pairs_of(base, texts)
    ours = our_loss(tuned, encoder, pairs)
    ours.backward()
    loss = theirs(**peft_inputs(base, pairs)).loss
    loss.backward()
    assert_close(ours, loss)
    mine = list(tuned.trainable().values())
    peers = [p for p in theirs.parameters() if p.requires_grad]
    assert [p.shape for p in mine] == [p.shape for p in peers]
    gradients, expected = (
        {i: torch.zeros_like(p) if p.grad is None else p.grad for i, p in enumerate(parameters)}
        for parameters in (mine, peers)
    )
    assert any(gradient.norm() > 1e-4 for gradient in expected.values())
    assert_gradients_close(gradients, expected)
