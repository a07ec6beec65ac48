complete -c ebm -f -a '(ebm _complete (commandline -cp) 2>/dev/null)'
