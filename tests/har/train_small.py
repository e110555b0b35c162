"""Trains a small network on the sample set in a process of its own: FOLDER EPOCHS [frozen]."""

import json
import os
import sys
from pathlib import Path

import torch

from microg_bench.har.trainer import Trainer
from microg_bench.har.training import fit
from tests.har.models.small import LABELS, SMALL, sample, small_recipe


def main(folder: Path, epochs: int, frozen: bool) -> None:
    torch.set_num_threads(1)
    changes = {
        "epochs": epochs,
        "steps": (0,),
        "factors": (1.0,),
        "warmup_epochs": 1.0,
        "rate": 0.01,
        "evaluate_every": 2,
    }
    recipe = small_recipe(**changes, **({"dropout": 0.0} if frozen else {}))
    torch.manual_seed(recipe.training.seed)
    network = SMALL["slow"](len(LABELS))
    network.head.dropout.p = recipe.training.dropout
    if frozen:  # normalisation differs between devices, as it is over the clips of each
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm3d):
                module.eval()
                module.train = lambda mode=True, module=module: module  # type: ignore[method-assign,assignment]
                torch.nn.init.ones_(module.weight)
    everything = sample()
    trainer = Trainer(network, recipe, everything, everything, LABELS, cpu=True, workers=1)
    trained = fit(trainer, folder, {"model": "small"})
    if trainer.accelerator.is_main_process:
        world = os.environ.get("WORLD_SIZE")
        result = {"curves": trained.curves, "best": trained.best_epoch, "world": world}
        sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), "frozen" in sys.argv)
