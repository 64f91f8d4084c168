"""``python -m lowshotgan`` is the command ``lowshotgan``."""

from lowshotgan.cli import main

if __name__ == "__main__":
    main()
