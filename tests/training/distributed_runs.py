"""What each of two processes runs for `test_several_processes`.

``python distributed_runs.py <folder> <rank> <size> <way of sharing>``
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from unittest.mock import MagicMock

import torch
import torch.distributed as dist

from bench.experiment.settings import Training
from bench.methods import methods
from bench.runs.record import Evaluated
from bench.testing.tiny import tiny_model, tiny_splits
from bench.training.distributed import DistributedRanks
from bench.training.encoding import Encoder
from bench.training.fully_sharded import FullySharded
from bench.training.loop import Hooks, TrainingJob, TrainingResult, train
from bench.training.ranks import Ranks

METHODS: dict[str, dict] = {
    "prompt_tuning": {"num_virtual_tokens": 4},
    "prefix_tuning": {"num_virtual_tokens": 3},
    "lora": {"rank": 2, "dropout": 0.0},
    "layernorm": {},
    "full_fine_tuning": {},
}
CASES = [
    ("llama", "prompt_tuning"),
    ("llama", "prefix_tuning"),
    ("llama", "lora"),
    ("llama", "full_fine_tuning"),
    ("gpt2", "layernorm"),
    ("t5", "lora"),
    ("t5", "prompt_tuning"),
]


WAYS: dict[str, Callable[[], Ranks]] = {
    "whole": lambda: DistributedRanks(lambda *_: None),
    "fsdp": lambda: FullySharded(lambda *_: None, reshard_after_forward=True, cpu_offload=False),
}
SETTINGS = Training(
    max_steps=3, batch_size=5, gradient_accumulation_steps=2, eval_steps=1, learning_rate=1e-3, max_grad_norm=0.5
)


def run(ranks: Ranks, family: str, name: str, folder: Path) -> dict:
    """Train a tiny model and return all that is to be the same, however many processes there are."""
    base = tiny_model(family)
    splits = tiny_splits()
    encoder = Encoder(base, splits.template, splits.labels)
    torch.manual_seed(0)
    own = set(base.network.parameters())
    size = sum(p.numel() for p in own)
    tuned = methods.build(name, METHODS[name], name).attach(base, splits, 0)
    tuned = ranks.share(tuned, own, encoder)
    room = encoder.room(tuned.virtual_tokens, None)
    scorer = ranks.scorer(tuned, encoder, room, 3)
    validation = splits.validation
    passes, rows, make = [], [], encoder.batch
    encoder.batch = lambda pairs: (rows.append(len(pairs)), make(pairs))[1]

    def validate(step: int) -> Evaluated:
        passes.append(scorer.run(validation))
        return passes[-1].evaluated(step, {})

    meters = MagicMock(phase=lambda name: nullcontext(), live_tensors=lambda roots: nullcontext())
    result = TrainingResult()
    hooks = Hooks(validate, lambda new, old: new.step == 2, lambda evaluated: True, lambda *_: None)
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / f"{family}-{name}-{ranks.size}"
    train(
        TrainingJob(tuned, encoder, splits.train, SETTINGS, checkpoint, room=room, ranks=ranks), hooks, meters, result
    )
    after = scorer.run(splits.test)
    sequences = sum(rows)
    return {
        "loss": [step.loss for step in result.train_curve],
        "norm": [step.grad_norm for step in result.train_curve],
        "tokens": [step.tokens for step in result.train_curve],
        "with_gradient": result.with_gradient,
        "passes": [
            {"loss": one.loss, "tokens": one.tokens, "answers": one.answers, "scores": one.scores.tolist()}
            for one in [*passes, after]
        ],
        "generated": scorer.non_label_share(splits.test[:3]),
        "few": scorer.run(splits.test[:1]).scores.tolist(),
        "sharded": size - int(ranks.notes().get("unsharded_parameters", 0)),
        "rows": sequences,
    }


def main(folder: str, rank: str, size: str, way: str) -> None:
    """Run every case and write what came of it."""
    torch.set_num_threads(1)
    home = Path(folder)
    os.environ |= {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size}  # a launcher's part
    dist.init_process_group("gloo", f"file://{home}/meet", rank=int(rank), world_size=int(size))
    ranks = WAYS[way]()
    found = {f"{family} {name}": run(ranks, family, name, home) | {"way": way} for family, name in CASES}
    (home / f"rank-{rank}.json").write_text(json.dumps(found))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
