// Package manual writes the manual pages of a command line, in the language of man(7), from the model of its parser.
package manual

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"
)

// ExitStatus is an exit status of the program, and its meaning.
type ExitStatus struct {
	Status  int
	Meaning string
}

// Config is what the model of the command line does not have.
type Config struct {
	Version      string // of the program, in the last line of each page
	ExitStatuses []ExitStatus
}

// Write writes a page for the program and for each command that is not hidden, into a directory that it creates. A page of events tail is
// clientele-events-tail.1. Equal models and configurations result in equal files.
func Write(app *kong.Application, cfg Config, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // manual pages are public
		return err
	}
	return write(app.Node, app.Name, cfg, dir)
}

func write(node *kong.Node, program string, cfg Config, dir string) error {
	p := page{program: program}
	p.all(node, cfg)
	file := filepath.Join(dir, p.name(node)+".1")
	if err := os.WriteFile(file, []byte(p.String()), 0o644); err != nil { //nolint:gosec // as the directory
		return err
	}
	for _, command := range commands(node) {
		if err := write(command, program, cfg, dir); err != nil {
			return err
		}
	}
	return nil
}

func commands(node *kong.Node) (visible []*kong.Node) {
	for _, child := range node.Children {
		if !child.Hidden {
			visible = append(visible, child)
		}
	}
	return visible
}

// page is a manual page being written.
type page struct {
	strings.Builder

	program string
}

// put writes text in the language of man(7).
func (p *page) put(s string) { fmt.Fprint(p, s) }

func (p *page) all(node *kong.Node, cfg Config) {
	summary, _, _ := strings.Cut(node.Help, ". ")
	fmt.Fprintf(p, ".TH \"%s\" 1 \"\" \"%s\" \"%s\"\n", escape(strings.ToUpper(p.name(node))),
		escape(p.program+" "+cfg.Version), escape(p.program))
	p.put(".nh\n.ad l\n") // no hyphens in the names of variables, and no wide spaces
	fmt.Fprintf(p, ".SH NAME\n%s \\- %s\n", escape(p.name(node)), escape(strings.TrimSuffix(summary, ".")))
	fmt.Fprintf(p, ".SH SYNOPSIS\n%s\n", escape(p.program+" "+strings.TrimSpace(node.Summary())))
	p.put(".SH DESCRIPTION\n")
	p.text(node.Help + "\n\n" + node.Detail)
	p.commands(node)
	p.arguments(node)
	p.options(node)
	p.exitStatuses(cfg)
	p.seeAlso(node)
}

// name returns the name of the page of a command, such as clientele-events-tail.
func (p *page) name(node *kong.Node) string {
	if node.Parent == nil {
		return p.program
	}
	return p.name(node.Parent) + "-" + node.Name
}

// text writes paragraphs. Indented lines are examples, which keep their line breaks.
func (p *page) text(s string) {
	example, blank := false, false
	for line := range strings.Lines(s) {
		line = strings.TrimRight(line, " \n")
		if line == "" {
			blank = true
			continue
		}
		indented := strings.HasPrefix(line, "  ")
		if example && !indented {
			p.put(".fi\n.RE\n")
		}
		if blank {
			p.put(".PP\n")
		}
		if indented && !example {
			p.put(".RS 4\n.nf\n")
		}
		example, blank = indented, false
		p.put(escape(strings.TrimPrefix(line, "  ")) + "\n")
	}
	if example {
		p.put(".fi\n.RE\n")
	}
}

func (p *page) commands(node *kong.Node) {
	if !node.Leaf() {
		p.put(".SH COMMANDS\n")
	}
	inGroups(p, commands(node), func(c *kong.Node) *kong.Group { return c.Group }, func(c *kong.Node) {
		p.entry(`\fB`+escape(p.name(c))+`\fR(1)`, c.Help)
	})
}

func (p *page) arguments(node *kong.Node) {
	for i, argument := range node.Positional {
		if i == 0 {
			p.put(".SH ARGUMENTS\n")
		}
		p.entry(`\fI`+escape(argument.Summary())+`\fR`, argument.Help)
	}
}

func (p *page) options(node *kong.Node) {
	p.put(".SH OPTIONS\n")
	flags := slices.Concat(node.AllFlags(true)...)
	inGroups(p, flags, func(f *kong.Flag) *kong.Group { return f.Group }, func(f *kong.Flag) {
		name, placeholder, hasValue := strings.Cut(f.String(), "=")
		term := `\fB` + escape(name) + `\fR`
		if hasValue {
			term += `=\fI` + escape(placeholder) + `\fR`
		}
		p.entry(term, kong.DefaultHelpValueFormatter(f.Value))
	})
}

// inGroups writes items: first those without a group, then each group with its title, in the order in which they first appear.
func inGroups[T any](p *page, items []T, group func(T) *kong.Group, item func(T)) {
	titles, members := []string{""}, map[string][]T{}
	for _, i := range items {
		title := ""
		if g := group(i); g != nil {
			title = g.Title
		}
		if !slices.Contains(titles, title) {
			titles = append(titles, title)
		}
		members[title] = append(members[title], i)
	}
	for _, title := range titles {
		if title != "" {
			fmt.Fprintf(p, ".SS %s\n", escape(strings.TrimSuffix(title, ":")))
		}
		for _, i := range members[title] {
			item(i)
		}
	}
}

// entry writes a term and what it means.
func (p *page) entry(term, meaning string) {
	fmt.Fprintf(p, ".TP\n%s\n%s\n", term, escape(meaning))
}

func (p *page) exitStatuses(cfg Config) {
	p.put(".SH EXIT STATUS\n")
	for _, s := range cfg.ExitStatuses {
		p.entry(strconv.Itoa(s.Status), s.Meaning)
	}
}

// seeAlso refers to the page above.
func (p *page) seeAlso(node *kong.Node) {
	if node.Parent != nil {
		fmt.Fprintf(p, ".SH SEE ALSO\n\\fB%s\\fR(1)\n", escape(p.name(node.Parent)))
	}
}

// escape returns a line of text in which no character has a meaning for man, and each is printed as it is, so that examples can be copied.
func escape(s string) string {
	s = strings.NewReplacer(`\`, `\e`, `-`, `\-`, `'`, `\(aq`, "`", `\(ga`, `^`, `\(ha`, `~`, `\(ti`, `"`, `\(dq`, "\n", " ").Replace(s)
	if strings.HasPrefix(s, ".") {
		return `\&` + s
	}
	return s
}
