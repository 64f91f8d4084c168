"""Build hook: the wheel carries the manifest, the default weights and the feature network.

Folders that a checkout lacks (sparse or shallow archives) are skipped with a warning, so the wheel still
builds; an editable install reads ``weights/`` from the checkout and needs no copy.
"""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGED = ("manifest.json", "stylegan2_64.avatars_v1", "features_64.lsg1")


class PackagedWeights(BuildHookInterface):  # type: ignore[type-arg]
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        for name in PACKAGED:
            path = Path(self.root) / "weights" / name
            if path.exists():
                build_data["force_include"][str(path)] = f"lowshotgan/weights/{name}"
            else:
                self.app.display_warning(f"weights/{name} is missing: the wheel will not contain it")
