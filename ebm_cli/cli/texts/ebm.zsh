#compdef ebm
_ebm() {
    local -a replies
    replies=("${(@f)$(ebm _complete "${BUFFER[1,CURSOR]}" 2>/dev/null)}")
    compadd -Q -S '' -- $replies
}
compdef _ebm ebm
