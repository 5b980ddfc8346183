"""``mirclr completion``: what lets a shell complete commands, options and names."""

import os
from pathlib import Path

import click

from mirclr.cli.show import print_line, remark

_SHELLS = ["bash", "zsh", "fish", "powershell"]


def _own_shell() -> str | None:
    """The shell that was logged in with, where it is one that is known."""
    name = Path(os.environ.get("SHELL", "")).name
    return name if name in _SHELLS else None


@click.command(epilog="Example: mirclr completion bash > ~/.mirclr.bash")
@click.argument("shell", type=click.Choice(_SHELLS), default=_own_shell)
def command(shell: str | None) -> None:
    """Let the tab key complete commands, options and names.

    Prints what your shell needs to know for that; keep it in a file that it reads when it begins. Completed are
    commands, options, paths, and your artists, playlists and profiles:

    \b
    bash  mirclr completion bash > ~/.mirclr.bash
          echo 'source ~/.mirclr.bash' >> ~/.bashrc
    zsh   mirclr completion zsh > ~/.mirclr.zsh
          echo 'source ~/.mirclr.zsh' >> ~/.zshrc
    fish  mirclr completion fish > ~/.config/fish/completions/mirclr.fish
    PowerShell  mirclr completion powershell >> $PROFILE
    """
    from click.shell_completion import get_completion_class

    from mirclr.cli import group

    if shell is None:
        raise click.UsageError(f"name your shell: {', '.join(_SHELLS)}")
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(
            "the click that is installed knows no PowerShell; for one that does: pip install -U click"
        )
    for line in kind(group, {}, "mirclr", "_MIRCLR_COMPLETE").source().replace(_WORDS, _QUOTED).splitlines():
        print_line(line)
    remark("to keep it, see: mirclr completion --help")


_WORDS = "            COMPREPLY+=($value)"
_QUOTED = f"{_WORDS}\n            [[ $value == *' '* ]] && compopt -o filenames"
"""In bash, a name of several words is put in the line so that it stays one."""
