"""The command `completion`."""

from __future__ import annotations

import sys
from typing import Literal

from modelzoo_runner.cli import main, output

Shell = Literal["bash", "zsh", "fish"]


def completion(shell: Shell, /, *, install: bool = False) -> None:
    """Print or install the completion of a shell.

    Args:
        shell: whose.
        install: write it to where the shell looks for it in your home, and for bash and zsh a line
            that finds it to ~/.bashrc or ~/.zshrc, in which zsh needs compinit, too.
    """
    if not install:
        output.print_page(script(shell).rstrip("\n"), sys.stdout)
        return
    path = main.build_app().install_completion(shell=shell)
    path.write_text(script(shell), encoding="utf-8")
    output.saved_to(path)


def script(shell: Shell) -> str:
    """What the shell is to read."""
    text: str = main.build_app().generate_completion(shell=shell)
    if shell != "bash":
        return text
    # Files are completed by bash itself, which knows that a folder isn't the end of a path. It does
    # so wherever there is no other completion: a graph's path is good where a model's name is.
    text = text.replace('COMPREPLY=( $(compgen -f -- "${cur}") )', "COMPREPLY=()")
    return text.replace("\ncomplete -F ", "\ncomplete -o default -F ")
