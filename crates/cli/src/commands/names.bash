
# Names of objects, from the lab that the line names, or else from the controller of environment and machine: nothing if there is none.
_coax_list() {
    local at lab=()
    for ((at = 1; at < COMP_CWORD - 1; at++)); do
        [[ "$1" == lab || "${COMP_WORDS[at]}" != --lab ]] || lab=(--lab "${COMP_WORDS[at + 1]}")
    done
    timeout 2 "${COMP_WORDS[0]}" "$1" list "${lab[@]}" -o name --quiet 2>/dev/null
}

_coax_names() {
    local cur="${COMP_WORDS[COMP_CWORD]}" prev="${COMP_WORDS[COMP_CWORD-1]}" noun=""
    case "$prev" in
        --project) noun=project ;;
        --host) noun=host ;;
        --lab) noun=lab ;;
    esac
    if [[ -z "$noun" && "$cur" != -* && "$prev" != -* ]]; then
        case "${COMP_WORDS[1]}" in
            trace | capture) noun=port ;;
            doctor) noun=host ;;
            export | check) noun=project ;;
            *)
                # The second word is the verb itself until there is a third.
                [[ $COMP_CWORD -gt 2 ]] && case "${COMP_WORDS[1]} ${COMP_WORDS[2]}" in
                    "network show" | "network set" | "network delete" | "network blast-radius") noun=network ;;
                    "port show" | "port set" | "port delete" | "port move") noun=port ;;
                    "router show" | "router set" | "router delete" | "group show" | "group set" | "group delete" | \
                        "address-group show" | "address-group set" | "address-group delete" | "vtep show" | "vtep set" | "vtep delete" | \
                        "subnet show" | "firewall show" | "firewall set" | "firewall delete")
                        noun="${COMP_WORDS[1]}" ;;
                    "host show" | "host remove") noun=host ;;
                    "project show" | "project set" | "project delete") noun=project ;;
                    "token delete") noun=token ;;
                esac
                ;;
        esac
    fi
    if [[ -n "$noun" ]]; then
        # Not by compgen -W, which expands what it is given: these are words of whoever answers.
        mapfile -t COMPREPLY < <(_coax_list "$noun" | while IFS= read -r name; do
            [[ "$name" != "$cur"* ]] || printf '%s\n' "$name"
        done)
        [[ ${#COMPREPLY[@]} -eq 0 ]] || return 0
    fi
    _coax "$@"
}

complete -F _coax_names -o nosort -o bashdefault -o default coax
