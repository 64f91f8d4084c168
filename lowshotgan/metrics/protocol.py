"""What decides a score besides the model: without it two numbers cannot be compared."""

import hashlib
from dataclasses import asdict, dataclass

from torch import Tensor


@dataclass(frozen=True)
class Protocol:
    """How a set of scores was measured.

    Attributes:
        extractor: its name.
        fingerprint: first 8 hexadecimal digits of the SHA-256 of its weights.
        preprocessing: version of the library's preprocessing.
        resize: how images reached the network's input size, and that size in pixels.
        reference: hash of the reference images.
        n_real: number of reference images.
        n_fake: number of generated images.
        seed: of subsets and resamples.
        version: of the library.
        train: hash of the training images; ``None`` if none were given. Not part of ``id``: it only matters
            for the scores that compare with training images.
        source: hash of the source generator's images; as ``train``.
    """

    extractor: str
    fingerprint: str
    preprocessing: int
    resize: str
    reference: str
    n_real: int
    n_fake: int
    seed: int
    version: str
    train: str | None = None
    source: str | None = None

    @property
    def id(self) -> str:
        """One line that is equal exactly when two reports may be compared."""
        return (
            f"{self.extractor}-{self.fingerprint}.p{self.preprocessing}/{self.resize}/ref-{self.reference}/"
            f"real{self.n_real}/fake{self.n_fake}/seed{self.seed}/v{self.version}"
        )

    def to_dict(self) -> dict[str, str | int | None]:
        return {"id": self.id, **asdict(self)}


def images_hash(images: Tensor) -> str:
    """First 12 hexadecimal digits of the SHA-256 of the shape and levels of uint8 images."""
    digest = hashlib.sha256(str(tuple(images.shape)).encode())
    digest.update(images.contiguous().cpu().numpy().tobytes())
    return digest.hexdigest()[:12]
