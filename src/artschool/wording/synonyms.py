"""Names that other libraries use for the components and options of a file: `MSELoss` and `mse` are the loss `l2`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from artschool.wording.spelling import BETWEEN_WORDS


@dataclass(frozen=True)
class Synonyms:
    """Names in other libraries for one kind of component, or for options.

    Attributes:
        names: From a name in the file, which options may follow after a comma, to its synonyms, separated by spaces.
        endings: Endings that other libraries add to the names of this kind, such as `lr` in `StepLR`.
    """

    names: Mapping[str, str]
    endings: tuple[str, ...] = ()

    def of(self, name: str, known: Iterable[str]) -> str | None:
        """The known name of which `name` is a synonym, ignoring capitals and the characters between words."""
        known = list(known)
        name = _plain(name)
        for plain in (name, *(name.removesuffix(ending) for ending in self.endings if name.endswith(ending))):
            for other in known:
                if plain == _plain(other):
                    return other
            for target, synonyms in self.names.items():
                if plain in synonyms.split() and target.partition(",")[0] in known:
                    return target
        return None


def _plain(name: str) -> str:
    return BETWEEN_WORDS.sub("", name).casefold()


TYPES: Mapping[str, Synonyms] = {
    "losses": Synonyms(
        {
            "l1": "mae meanabsoluteerror",
            "l2": "mse meansquarederror",
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
"""Synonyms by kind of component: names of torch and torchmetrics that differ by more than an ending."""

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
