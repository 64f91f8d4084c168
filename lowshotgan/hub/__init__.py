"""Files and folders: what a model looks like on disk, where it is looked for, and how it reaches the hub."""
