package manual_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"clientele/cmd/internal/manual"

	"github.com/alecthomas/kong"
)

// line is a command line with one of everything that a page shows.
type line struct {
	Lift lift `cmd:"" group:"run" help:"Lift something."`
	Look struct {
		Up struct {
			Path string `arg:"" help:"Where to look."`
		} `cmd:"" help:"Look up."`
		Down struct{} `cmd:"" hidden:"" help:"Look down."`
	} `cmd:"" help:"Look at something."`
}

type lift struct {
	Weight int    `group:"load" default:"3" placeholder:"N" help:"Weight in kg (${default})."`
	Yes    bool   `short:"y" help:"Don't ask."`
	Token  string `group:"load" env:"LIFT_TOKEN" help:"A ~secret^."`
	What   string `arg:"" optional:"" help:".file"`
}

// Help is printed by --help.
func (*lift) Help() string {
	return "Lifts it.\nCarefully.\n\nExamples:\n\n  # Both\n  mover lift 'a\\b' -y\n\n  mover lift --weight=2\n\nThe end."
}

const liftPage = `.TH "MOVER\-LIFT" 1 "" "mover 1.2.3" "mover"
.nh
.ad l
.SH NAME
mover\-lift \- Lift something
.SH SYNOPSIS
mover lift [<what>] [flags]
.SH DESCRIPTION
Lift something.
.PP
Lifts it.
Carefully.
.PP
Examples:
.PP
.RS 4
.nf
# Both
mover lift \(aqa\eb\(aq \-y
.PP
mover lift \-\-weight=2
.fi
.RE
.PP
The end.
.SH ARGUMENTS
.TP
\fI[<what>]\fR
\&.file
.SH OPTIONS
.TP
\fB\-h, \-\-help\fR
Show context\-sensitive help.
.TP
\fB\-y, \-\-yes\fR
Don\(aqt ask.
.SS Load
.TP
\fB\-\-weight\fR=\fIN\fR
Weight in kg (3).
.TP
\fB\-\-token\fR=\fISTRING\fR
A \(tisecret\(ha ($LIFT_TOKEN).
.SH EXIT STATUS
.TP
0
It is lifted.
.TP
9
It isn\(aqt.
.SH SEE ALSO
\fBmover\fR(1)
`

func TestWrite(t *testing.T) {
	t.Parallel()
	parser, err := kong.New(&line{}, kong.Name("mover"), kong.Description("Moves things. It is strong.\n\n  mover lift piano"),
		kong.ExplicitGroups([]kong.Group{{Key: "load", Title: "Load:"}, {Key: "run", Title: "Run it:"}}))
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "pages")
	cfg := manual.Config{Version: "1.2.3", ExitStatuses: []manual.ExitStatus{{0, "It is lifted."}, {9, "It isn't."}}}
	if err := manual.Write(parser.Model, cfg, dir); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	if want := []string{"mover-lift.1", "mover-look-up.1", "mover-look.1", "mover.1"}; !slices.Equal(names, want) {
		t.Errorf("%v, want %v", names, want)
	}
	if page := read(t, dir, "mover-lift.1"); page != liftPage {
		t.Errorf("got\n%s", page)
	}
	for name, want := range map[string]string{
		"mover.1":      ".SH COMMANDS\n.TP\n\\fBmover\\-look\\fR(1)\nLook at something.\n.SS Run it\n.TP\n\\fBmover\\-lift\\fR(1)\nLift something.\n.SH OPTIONS\n",
		"mover-look.1": ".SH COMMANDS\n.TP\n\\fBmover\\-look\\-up\\fR(1)\nLook up.\n.SH OPTIONS\n",
	} {
		if page := read(t, dir, name); !strings.Contains(page, want) {
			t.Errorf("%s has no %s:\n%s", name, want, page)
		}
	}
	for _, want := range []string{"\nmover \\- Moves things\n", "\nMoves things. It is strong.\n.PP\n.RS 4\n.nf\nmover lift piano\n.fi\n.RE\n"} {
		if page := read(t, dir, "mover.1"); !strings.Contains(page, want) {
			t.Errorf("no %s:\n%s", want, page)
		}
	}
}

func TestWriteFails(t *testing.T) {
	t.Parallel()
	parser, err := kong.New(&line{}, kong.Name("mover"))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := manual.Write(parser.Model, manual.Config{}, file); err == nil {
		t.Error("pages in a file")
	}
}

func read(t *testing.T, dir, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
