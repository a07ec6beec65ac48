_ebm() {
    local line="${COMP_LINE:0:$COMP_POINT}"
    local word="${line##* }"
    local prefix="${word%"${COMP_WORDS[COMP_CWORD]}"}"
    [ "${COMP_WORDS[COMP_CWORD]}" = "=" ] && prefix="$word"
    COMPREPLY=()
    local reply
    while IFS= read -r reply; do COMPREPLY+=("${reply#"$prefix"}"); done < <(ebm _complete "$line" 2>/dev/null)
    reply="$prefix${COMPREPLY[0]}"
    [[ ${#COMPREPLY[@]} -eq 1 && ( $reply == *[=.] || $reply == *=[[]*[^]] ) ]] && compopt -o nospace
}
complete -o default -F _ebm ebm
