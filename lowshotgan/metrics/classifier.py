"""A linear classifier on a frozen network's embeddings: whose class does an image show?

Stands in for the fine-tuned Inception networks by which Liu et al. (ICCV 2019, section 4) judge translations. How well it
does on real images it has not seen belongs beside every figure it gives.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from lowshotgan.errors import ConfigError
from lowshotgan.metrics.kernel import check_embeddings

STEPS = 100
DECAY = 1e-3


@dataclass(frozen=True)
class LinearClassifier:
    """Multinomial logistic regression on standardised embeddings.

    Attributes:
        weight: ``(C, D)``.
        bias: ``(C,)``.
        mean: ``(D,)``, of the embeddings it was trained on.
        scale: ``(D,)``, their standard deviation.
    """

    weight: Tensor
    bias: Tensor
    mean: Tensor
    scale: Tensor

    def posteriors(self, embeddings: Tensor) -> Tensor:
        """``(N, C)`` probabilities of classes for embeddings ``(N, D)``."""
        logits = (embeddings.float() - self.mean) / self.scale @ self.weight.T + self.bias
        return logits.softmax(dim=1)


def train_classifier(embeddings: Tensor, labels: Tensor, classes: int) -> LinearClassifier:
    """Fit by L-BFGS with a small decay; the same inputs always give the same classifier.

    Args:
        embeddings: ``(N, D)`` of real images.
        labels: ``(N,)`` from 0 to ``classes - 1``, each at least once.
        classes: how many there are, at least 2.

    Raises:
        ConfigError: for fewer than two classes, or one without images.
    """
    check_embeddings(embeddings, embeddings, least=2)
    missing = sorted(set(range(classes)) - set(labels.tolist()))
    if classes < 2 or missing:
        raise ConfigError(
            f"a classifier needs at least two classes with images each; got {classes}, {len(missing)} of them empty."
        )
    mean, scale = embeddings.mean(dim=0), embeddings.std(dim=0).clamp(min=1e-6)
    inputs = (embeddings - mean) / scale
    weight = torch.zeros(classes, embeddings.shape[1], requires_grad=True)
    bias = torch.zeros(classes, requires_grad=True)
    search = torch.optim.LBFGS([weight, bias], max_iter=STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        search.zero_grad()
        value = F.cross_entropy(inputs @ weight.T + bias, labels) + DECAY * weight.square().sum()
        value.backward()
        return value

    with torch.enable_grad():
        search.step(loss)
    return LinearClassifier(weight.detach(), bias.detach(), mean, scale)


def top_k(posteriors: Tensor, labels: Tensor, k: int) -> float:
    """Share of rows ``(N, C)`` whose label is among the k most probable classes."""
    best = posteriors.topk(min(k, posteriors.shape[1]), dim=1).indices
    return float((best == labels[:, None]).any(dim=1).float().mean())


def inception_like_score(posteriors: Tensor) -> float:
    """``exp(mean KL(p(c | image) || p(c)))`` of posteriors ``(N, C)``: from 1 (all alike) to C (sure and even).

    The form of the Inception score (Salimans et al., NeurIPS 2016) with another classifier; no Inception score.
    """
    values = posteriors.double().clamp(min=1e-12)
    divergence = (values * (values.log() - values.mean(dim=0).log())).sum(dim=1)
    return float(divergence.mean().exp())
