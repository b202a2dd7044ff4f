"""``zoo completion``: prints the script of a shell, which asks zoo to complete a line; imports no torch nor Hydra."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from zoo.checks import suggest
from zoo.cli.parser import Given, Parser
from zoo.system.terminal import say

COMPLETE = "__complete"
"""What the scripts call: ``zoo __complete WORD ...`` prints what the last word may become, one a line."""
_BASH = r"""_zoo() {
    local word line="${COMP_LINE:0:COMP_POINT}" words
    read -ra words <<< "$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    while [[ ${words[0]} == *=* ]]; do words=("${words[@]:1}"); done
    local last="${words[${#words[@]}-1]}" kept=""
    [[ $COMP_WORDBREAKS == *=* ]] && kept="${last%"${last##*[=:]}"}"
    COMPREPLY=()
    while IFS= read -r word; do
        COMPREPLY+=("${word#"$kept"}")
    done < <("${words[0]}" __complete "${words[@]:1}" 2>/dev/null)
    [[ ${COMPREPLY[0]} == *[=./] ]] && compopt -o nospace 2>/dev/null
    return 0
}
complete -o default -F _zoo zoo
"""
_ZSH = r"""#compdef zoo
_zoo() {
    local -a found open
    found=("${(@f)$("${words[1]}" __complete "${(@Q)words[2,CURRENT]}" 2>/dev/null)}")
    found=(${found:#})
    if (( ! $#found )); then
        _files
        return
    fi
    open=(${(M)found:#*[=./]})
    found=(${found:#*[=./]})
    (( $#open )) && compadd -Q -S "" -- $open
    (( $#found )) && compadd -Q -- $found
    return 0
}
compdef _zoo zoo
"""
_FISH = r"""function __zoo_complete
    set -l found (zoo __complete (commandline -opc)[2..-1] (commandline -ct) 2>/dev/null)
    if test (count $found) -gt 0
        printf '%s\n' $found
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c zoo -f -a '(__zoo_complete)'
"""
SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


def _problems(given: Given) -> Iterable[str]:
    if len(given.words) != 1 or given.words[0] not in SCRIPTS:
        said = " ".join(given.words)
        yield f"one shell must be given: got {said or 'none'}: {suggest(said, SCRIPTS)}"


PARSER = Parser(
    "completion",
    ["SHELL"],
    "print the completion script for a shell",
    description="Print a script for Tab completion of commands, flags, presets, components and options.",
    arguments={"SHELL": ", ".join(SCRIPTS)},
    examples=[
        'eval "$(zoo completion bash)"  # in ~/.bashrc',
        'eval "$(zoo completion zsh)"   # in ~/.zshrc, after compinit',
        "zoo completion fish | source   # in ~/.config/fish/config.fish",
    ],
    check=_problems,
)


def run(given: Given) -> int:
    """Prints the script."""
    say(SCRIPTS[given.words[0]], end="")
    return 0


def complete_words(words: Sequence[str], parsers: Mapping[str, Parser], top: Parser) -> list[str]:
    """Returns what the last word of a command line may become.

    Args:
        words: what follows ``zoo``, the last one unfinished and perhaps empty.
        parsers: the parser of each command.
        top: the parser of ``zoo`` without a command.
    """
    *before, current = words or [""]
    name = next((word for word in before if not word.startswith("-")), None)
    parser = top if name is None else parsers.get(name)
    if parser is None:
        return []
    flag, equals, value = current.partition("=")
    if equals and flag in parser.choices:
        return [f"{flag}={choice}" for choice in _beginning(parser.choices[flag], value)]
    if before and before[-1] in parser.flags and parser.flags[before[-1]].nargs != 0:
        return _beginning(parser.choices[before[-1]], current)
    if current.startswith("-"):
        return _beginning(parser.flags, current)
    if name is None:
        return _beginning(parsers, current)
    return _complete_argument(name, current, [word for word in before if not word.startswith("-")][1:])


def _beginning(choices: Iterable[str], current: str) -> list[str]:
    return [choice for choice in choices if choice.startswith(current)]


def _complete_argument(command: str, current: str, before: Sequence[str]) -> list[str]:
    """Returns the words that a command may have next; none where these are files or texts."""
    from zoo.cli.complete_overrides import complete_override
    from zoo.config.groups import list_choices
    from zoo.registry import KINDS, get_index
    from zoo.study.plan.find_study import list_studies

    match command:
        case "list" | "new":
            return _beginning(KINDS if command == "list" or not before else (), current)
        case "check":
            return _beginning((f"{kind}/{name}" for kind, name in get_index().entries), current)
        case "completion":
            return _beginning(SCRIPTS, current)
        case "diff" if len(before) < 2:
            return _beginning(list_choices("model"), current)
        case "study" | "report" if not before:
            return [*_beginning(list_studies(), current), *complete_override(current, before)]
        case "diff" | "show" | "train" | "study" | "report":
            return complete_override(current, before)
    return []
