"""What other programs of the field call what a file names otherwise: `MSELoss` and `mse` are the loss `l2`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from artschool.wording.spelling import BETWEEN_WORDS


@dataclass(frozen=True)
class Synonyms:
    """Other names of one sort of things.

    Attributes:
        names: What a file says, and what others call it; after a comma stand the options that belong to it.
        endings: What others add to every name of the sort: `StepLR`.
    """

    names: Mapping[str, str]
    endings: tuple[str, ...] = ()

    def of(self, name: str, known: Iterable[str]) -> str | None:
        """What was meant, if that is known; capitals, and what stands between words, do not matter."""
        known = list(known)
        name = _plain(name)
        for plain in (name, *(name.removesuffix(ending) for ending in self.endings if name.endswith(ending))):
            for other in known:
                if plain == _plain(other):
                    return other
            for meant, others in self.names.items():
                if plain in others.split() and meant.partition(",")[0] in known:
                    return meant
        return None


def _plain(name: str) -> str:
    return BETWEEN_WORDS.sub("", name).casefold()


TYPES: Mapping[str, Synonyms] = {
    "losses": Synonyms(
        {
            "l1": "mae",
            "l2": "mse",
            "cross_entropy": "ce",
            "cross_entropy, kind: bce": "bce bcewithlogits binarycrossentropy binarycrossentropywithlogits",
            "cosine": "cosineembedding cosinesimilarity",
            "kl_divergence": "kl kld",
            "total_variation": "tv",
            "gradient_penalty": "gp",
            "gradient_penalty, kind: r1": "r1",
            "gradient_penalty, kind: wgan_gp": "wgangp",
            "nt_xent": "simclr",
            "perceptual": "vgg",
        },
        ("loss",),
    ),
    "optimizers": Synonyms({"pytorch_optimizer, name: lion": "lion"}, ("optimizer",)),
    "schedules": Synonyms(
        {"cosine_annealing": "cosine cosinedecay", "polynomial": "poly"},
        ("lr", "lrscheduler", "scheduler", "schedule"),
    ),
    "metrics": Synonyms(
        {
            "accuracy": "acc multiclassaccuracy",
            "psnr": "peaksignalnoiseratio",
            "ssim": "structuralsimilarityindexmeasure",
            "fid": "frechetinceptiondistance",
            "kid": "kernelinceptiondistance",
            "lpips": "learnedperceptualimagepatchsimilarity",
            "wer": "worderrorrate",
            "cer": "charerrorrate",
            "end_point_error": "epe",
        }
    ),
}
"""By kind of component. Those of torch, and of Lightning's torchmetrics, whose names differ by more than an ending."""

OPTIONS = Synonyms(
    {
        "lr": "learningrate",
        "weight_decay": "wd",
        "workers": "numworkers nworkers",
        "batch_size": "bs",
        "iterations": "maxsteps numsteps totalsteps steps maxiters numiters totaliters maxiterations numiterations",
        "epochs": "maxepochs numepochs nepochs",
        "accumulate": "accumulategradbatches gradientaccumulationsteps gradaccum",
        "clip_grad_norm": "gradclip clipgrad gradientclip gradientclipval maxgradnorm",
        "precision": "amp mixedprecision fp16 bf16",
        "device": "accelerator devices",
        "deterministic": "cudnndeterministic",
        "detect_anomaly": "autogradanomaly",
        "schedule": "scheduler lrscheduler",
        "optimizer": "optim opt",
        "weight": "lossweight coefficient",
        "network": "model net",
        "networks": "model models nets",
        "data": "dataset datasets",
        "train": "trainer training",
        "evaluate": "validate validation val valid eval test",
        "log": "logger logging",
        "seed": "randomseed manualseed seedeverything",
        "out": "output outputs",
        "keep_last": "savetopk",
        "keep_best": "savebest",
        "metric": "monitor",
        "period": "tmax t0",
        "growth": "tmult",
    }
)
