/** What a shell runs to complete words of `tenon`: it asks the program, which says the words, and whether names of files fit. */

export const shells = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof shells)[number];

/** After the words: names of files, or of folders, fit too. */
export const filesMark = ':files';
export const foldersMark = ':folders';

const bash = `# tenon completion bash: put this into ~/.bashrc
#   source <(tenon completion bash)
_tenon() {
  local IFS=$'\\n' line word
  COMPREPLY=()
  # What bash takes apart at a colon or an equals sign is one word for the program.
  local -a words=()
  local before="\${COMP_LINE:0:COMP_POINT}" at
  for ((at = 1; at < COMP_CWORD; at++)); do words+=("\${COMP_WORDS[at]}"); done
  word="\${COMP_WORDS[COMP_CWORD]}"
  while IFS= read -r line; do
    case "$line" in
      ${filesMark}) compopt -o filenames 2>/dev/null; while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -f -- "$word") ;;
      ${foldersMark}) compopt -o filenames 2>/dev/null; while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -d -- "$word") ;;
      *) COMPREPLY+=("\${line%%$'\\t'*}") ;;
    esac
  done < <("\${COMP_WORDS[0]}" completion words -- "\${words[@]}" "$word" 2>/dev/null)
}
complete -F _tenon tenon
`;

const zsh = `#compdef tenon
# tenon completion zsh: put this into ~/.zshrc, after compinit
#   source <(tenon completion zsh)
_tenon() {
  local line
  local -a told
  local files='' folders=''
  while IFS= read -r line; do
    case "$line" in
      ${filesMark}) files=1 ;;
      ${foldersMark}) folders=1 ;;
      *) told+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}") ;;
    esac
  done < <("\${words[1]}" completion words -- "\${(@Q)words[2,CURRENT]}" 2>/dev/null)
  (( \${#told} )) && _describe -t tenon tenon told
  [[ -n $files ]] && _files
  [[ -n $folders ]] && _files -/
  return 0
}
compdef _tenon tenon
`;

const fish = `# tenon completion fish: put this into ~/.config/fish/completions/tenon.fish
#   tenon completion fish > ~/.config/fish/completions/tenon.fish
function __tenon_words
  set -l words (commandline -opc)
  set -l last (commandline -ct)
  for line in ($words[1] completion words -- $words[2..-1] "$last" 2>/dev/null)
    switch $line
      case '${filesMark}'
        __fish_complete_path "$last"
      case '${foldersMark}'
        __fish_complete_directories "$last"
      case '*'
        echo $line
    end
  end
end
complete -c tenon -f -a '(__tenon_words)'
`;

export const scripts: Readonly<Record<Shell, string>> = { bash, zsh, fish };
