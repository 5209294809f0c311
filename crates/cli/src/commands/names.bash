
# Names of objects, from the controller that the command would talk to: nothing if there is none.
_coax_list() {
    timeout 2 "${COMP_WORDS[0]}" "$1" list -o name --quiet 2>/dev/null
}

_coax_names() {
    local cur="${COMP_WORDS[COMP_CWORD]}" prev="${COMP_WORDS[COMP_CWORD-1]}" noun=""
    case "$prev" in
        --project) noun=project ;;
        --host) noun=host ;;
        --lab) noun=lab ;;
    esac
    if [[ -z "$noun" && "$cur" != -* ]]; then
        case "${COMP_WORDS[1]} ${COMP_WORDS[2]}" in
            "network show" | "network blast-radius") noun=network ;;
            "port show" | "port move") noun=port ;;
            "trace "* | "capture "*) noun=port ;;
            "router show" | "group show" | "address-group show" | "vtep show" | "subnet show" | "firewall show")
                noun="${COMP_WORDS[1]}" ;;
            "host show" | "host remove" | "doctor "*) noun=host ;;
            "project show" | "export "*) noun=project ;;
            "token delete") noun=token ;;
        esac
        # The second word is the verb itself, but for verbs without a noun.
        case "${COMP_WORDS[1]}" in
            trace | capture | doctor | export) ;;
            *) [[ $COMP_CWORD -gt 2 ]] || noun="" ;;
        esac
    fi
    if [[ -n "$noun" ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(_coax_list "$noun")" -- "$cur")
        [[ ${#COMPREPLY[@]} -eq 0 ]] || return 0
    fi
    _coax "$@"
}

complete -F _coax_names -o nosort -o bashdefault -o default coax
