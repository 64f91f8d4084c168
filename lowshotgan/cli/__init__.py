"""The command ``lowshotgan``: parse, call ``lowshotgan.api``, print. Help and parsing import no torch."""

import io
import os
import sys
import traceback
from collections.abc import Sequence

import click

from lowshotgan import __version__
from lowshotgan.cli.adapt import finetune, train
from lowshotgan.cli.catalogue import doctor, download, info, list_
from lowshotgan.cli.convert import convert
from lowshotgan.cli.judge import evaluate, inspect
from lowshotgan.cli.pictures import generate, interpolate, project
from lowshotgan.cli.recolour import recolor
from lowshotgan.cli.transfer import synchrony, transfer
from lowshotgan.cli.translation import translate
from lowshotgan.errors import LowshotganError

INTERRUPTED = 130

COMMANDS = {
    "list": list_,
    "info": info,
    "inspect": inspect,
    "finetune": finetune,
    "train": train,
    "generate": generate,
    "interpolate": interpolate,
    "project": project,
    "translate": translate,
    "recolor": recolor,
    "transfer": transfer,
    "synchrony": synchrony,
    "evaluate": evaluate,
    "doctor": doctor,
    "download": download,
    "convert": convert,
}


class _InOrder(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


cli = _InOrder(
    name="lowshotgan",
    commands=COMMANDS,
    help="Low-shot GANs: ten images in, an adapted generator and an honest report out.",
    epilog="\b\nExamples:\n"
    "  lowshotgan finetune examples/ten-shots --output runs/mine\n"
    "  lowshotgan generate runs/mine --seeds 0-63 --grid out.png\n"
    "  lowshotgan COMMAND --help\n\n"
    "Exit status: 0 done, 1 an error that is explained, 2 wrong usage, 130 stopped by Ctrl-C.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
cli = click.version_option(__version__, prog_name="lowshotgan")(cli)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and leave the process with its exit status.

    Args:
        argv: arguments without the program's name; by default those of the process.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names may have letters that a terminal or pipe has not
    sys.exit(run(argv))


def run(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; every expected error becomes one line on standard error."""
    try:
        status = cli.main(args=argv, prog_name="lowshotgan", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("stopped", err=True)
        return INTERRUPTED
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (LowshotganError, OSError) as error:
        return _explain(error)
    return status if isinstance(status, int) else 0


def _explain(error: Exception) -> int:
    if os.environ.get("LOWSHOTGAN_LOG_LEVEL", "").lower() == "debug":
        traceback.print_exception(error)
    click.echo(f"error: {' '.join(str(error).split()) or type(error).__name__}", err=True)
    return 1
