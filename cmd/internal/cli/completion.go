package cli

import (
	"fmt"
	"os"
	"strings"

	"github.com/alecthomas/kong"
	kongcompletion "github.com/jotaen/kong-completion"
	"github.com/posener/complete"
)

// completionCmd prints the code with which a shell completes command lines.
type completionCmd struct {
	Shell   string `arg:"" enum:"bash,zsh,fish" help:"Shell: bash, zsh or fish."`
	Program string `placeholder:"PROGRAM" help:"Program to complete, as a path or a name in the PATH; by default the path of this one."`
}

// Help is printed by --help.
func (*completionCmd) Help() string {
	return `Examples:

  # bash and zsh, in ~/.bashrc or ~/.zshrc
  source <(clientele completion bash)
  source <(clientele completion zsh)

  # fish, in ~/.config/fish/config.fish
  clientele completion fish | source`
}

// Run prints the code. By default it contains the path of this program, so it works if the PATH has another clientele or none.
func (c *completionCmd) Run(e env) error {
	program := c.Program
	if program == "" {
		path, err := os.Executable()
		if err != nil {
			return fmt.Errorf("look up this program: %w", err)
		}
		program = path
	}
	_, err := fmt.Fprintf(e.stdout, completionCode[c.Shell], shellQuote(program), shellQuote(shellQuote(program)))
	return err
}

// completionCode is the code for each shell. Its verbs are the path, quoted once, and quoted twice for a shell that evaluates it again.
// The library's own code requires a zsh that has run compinit, and a path without spaces. That for zsh can also be a file _clientele in
// its fpath, which zsh then runs as a function when it completes the first time.
var completionCode = map[string]string{
	"bash": "complete -o bashdefault -o default -C %[2]s clientele\n",
	"zsh": `#compdef clientele
(( $+functions[compdef] )) || { autoload -U compinit && compinit }
autoload -U +X bashcompinit && bashcompinit
complete -o bashdefault -o default -C %[2]s clientele
[[ $funcstack[1] != _clientele ]] || _bash_complete -o bashdefault -o default -C %[2]s
`,
	"fish": `function __complete_clientele
    set -lx COMP_LINE (commandline -cp)
    test -z (commandline -ct)
    and set COMP_LINE "$COMP_LINE "
    set -l found (%[1]s)
    count $found >/dev/null
    and printf '%%s\n' $found
    or __fish_complete_path (commandline -ct)
end
complete -f -c clientele -a "(__complete_clientele)"
`,
}

func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// registerCompletion prints suggestions if a shell asks for them.
func registerCompletion(parser *kong.Kong) {
	commands := make([]string, len(parser.Model.Children))
	for i, command := range parser.Model.Children {
		commands[i] = command.Name
	}
	kongcompletion.Register(parser,
		// The shells complete files themselves: they quote spaces and expand ~.
		kongcompletion.WithPredictor("file", complete.PredictNothing),
		kongcompletion.WithPredictor("command", complete.PredictSet(commands...)))
}
