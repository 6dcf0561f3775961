package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"clientele/cmd/internal/inspect"
	"clientele/cmd/internal/inspect/bundle"
	"clientele/cmd/internal/inspect/doctor"

	"github.com/alecthomas/kong"
)

// debugCmd collects what helps to find the cause of a problem.
type debugCmd struct {
	Output string   `type:"path" predictor:"file" placeholder:"FILE" help:"Write to this new file, readable only by you (clientele-debug-TIME.zip)."`
	Admin  []string `default:"http://127.0.0.1:9090" placeholder:"URL" help:"Admin listener of a process, whose readiness and metrics are collected (${default}). Repeat the flag for each process."`

	doctorFlags `embed:""`
}

// Help is printed by --help.
func (*debugCmd) Help() string {
	return `Examples:

  clientele debug
  clientele debug --output case-12.zip --admin http://10.0.0.1:9090 --admin http://10.0.0.2:9090

The ZIP file has the output of status and doctor, versions, settings and state of the streams, what the NATS servers and the admin
listeners report, and the environment variables of flags, without values that may be secret. It has no client data, keys or
passwords. It names hosts, subscribers and API keys: read it before you send it. The exit status is 1 if the file cannot be written.`
}

// Validate is called by the parser.
func (c *debugCmd) Validate() error {
	if slices.ContainsFunc(c.Admin, func(url string) bool { return !isHTTPURL(url) }) {
		return errors.New("--admin must be like http://127.0.0.1:9090")
	}
	return c.validate()
}

// Run writes the file.
func (c *debugCmd) Run(ctx *kong.Context, e env) error {
	cfg, closeAll, err := c.config(e)
	if err != nil {
		return err
	}
	defer closeAll()
	home, _ := os.UserHomeDir()
	var names []string
	path := cmp.Or(c.Output, "clientele-debug-"+time.Now().UTC().Format("20060102T150405Z")+".zip")
	err = writeNew(path, func(w io.Writer) (err error) {
		names, err = bundle.Write(e.ctx, w, bundle.Config{
			Config: cfg, Version: buildVersion(), Settings: settings(ctx.Model.Node, e.getenv), Admins: c.Admin,
			Text: debugText, Secrets: c.secrets(), Home: home,
		})
		return cmp.Or(interrupted(e.ctx, errors.New("interrupted: nothing was written")), err)
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.stdout, "wrote %s with %d files. It has no client data or secrets; read it before you send it.\n", path, len(names))
	return err
}

// debugText returns the status and the report as a person reads them.
func debugText(s inspect.Status, r doctor.Report) string {
	plain := func(text string, _ inspect.Health) string { return text }
	return statusScreen(s, plain) + "\n" + findingsText(r.Checks, plain)
}

// secrets returns the secrets among the flags.
func (c *debugCmd) secrets() (found []string) {
	found = append(found, c.token())
	for _, urls := range slices.Concat([]string{c.NatsURL, c.NatsSystemURL, c.url(), c.URL}, c.NatsMonitor, c.Admin) {
		for one := range strings.SplitSeq(urls, ",") {
			u, err := url.Parse(strings.TrimSpace(one))
			if err != nil {
				continue
			}
			if password, set := u.User.Password(); set {
				found = append(found, password)
			}
			found = append(found, u.Query().Get("password"))
		}
	}
	return found
}

// openSettings are the flags with text that is no secret. Flags with numbers, durations and switches are not secret either.
var openSettings = []string{
	"admin-listen", "allowed-host", "event-fields", "listen", "log-format", "log-level", "nats-listen", "oidc-audience", "oidc-issuer",
}

// settings returns the environment variables of all flags that are set, without values that may be secret: of URLs the scheme and the
// host remain, of other text that it is set.
func settings(node *kong.Node, getenv func(string) string) map[string]string {
	found := map[string]string{}
	for _, leaf := range node.Leaves(false) {
		for _, flag := range leaf.Flags {
			for _, name := range flag.Envs {
				if value := getenv(name); value != "" {
					found[name] = setting(flag, value)
				}
			}
		}
	}
	return found
}

func setting(flag *kong.Flag, value string) string {
	switch kind := flag.Target.Kind(); {
	case kind >= reflect.Bool && kind <= reflect.Float64, slices.Contains(openSettings, flag.Name):
		return value
	case strings.HasSuffix(flag.Name, "url") && !strings.Contains(value, ","):
		if u, err := url.Parse(value); err == nil && u.Host != "" {
			return u.Scheme + "://" + u.Host
		}
	}
	return "(set)"
}
