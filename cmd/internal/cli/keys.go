package cli

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"clientele/domain"
	"clientele/publisher/ingress/auth"
)

// keysCmd are the operator's commands for API keys. They change a file, which running processes read again.
type keysCmd struct {
	New    keysNewCmd    `cmd:"" help:"Create an API key and print it once."`
	Ls     keysLsCmd     `cmd:"" help:"List the keys of a keys file."`
	Revoke keysRevokeCmd `cmd:"" help:"Remove keys from a keys file. Running processes refuse them within two seconds."`
}

// maxLive is how many unexpired keys a name may have: the one in use, and its replacement.
const maxLive = 2

type keysNewCmd struct {
	Name     string   `required:"" placeholder:"NAME" help:"Name of the caller. Idempotency keys belong to the name, not to the key."`
	Scope    string   `required:"" placeholder:"SCOPE,…" help:"Scopes, separated by commas: clients:write and clients:read for the API, operator or operator:read for the console."`
	Expires  timeFlag `placeholder:"TIME" help:"When the key expires: a time (RFC 3339) or a duration from now, such as 2160h or 90d; by default never."`
	KeysFile string   `type:"path" predictor:"file" placeholder:"FILE" help:"File to which the key's line, with a hash of the key, is added; created if missing. Without it the line is printed on standard error."`

	auditFlags `embed:""`
}

// Help is printed by --help.
func (*keysNewCmd) Help() string {
	return `Examples:

  clientele keys new --name crm --scope clients:write,clients:read --expires 365d --keys-file keys
  clientele serve --keys-file keys

Standard output contains only the key:

  KEY=$(clientele keys new --name crm --scope clients:read --keys-file keys)`
}

// Run prints a new key.
func (c *keysNewCmd) Run(e env) error {
	name, err := auth.ParseName(c.Name)
	if err != nil {
		return &usageError{"--name: " + err.Error()}
	}
	scopes, err := auth.ParseScopes(c.Scope)
	if err != nil {
		return &usageError{"--scope: " + err.Error()}
	}
	expires := c.Expires.future()
	if c.Expires.isSet() && !expires.After(time.Now()) {
		return &usageError{"--expires: must be in the future"}
	}
	key, token := auth.NewKey(auth.Caller{Name: name, Scopes: scopes}, expires)
	if err := c.recordKey(domain.AuditKeyAdded, key); err != nil {
		return err
	}
	if c.KeysFile == "" {
		return printKey(e, token, fmt.Sprintf("Add this line to the keys file:\n\n%s", key))
	}
	err = editKeys(e.ctx, c.KeysFile, os.O_CREATE, func(content []byte, keys []auth.Key) ([]byte, error) {
		return addKey(content, keys, key)
	})
	if err != nil {
		return err
	}
	return printKey(e, token, "Its line was added to "+c.KeysFile+".")
}

// addKey adds the line of a key to a keys file with these keys.
func addKey(content []byte, keys []auth.Key, key auth.Key) ([]byte, error) {
	var live []string
	for _, k := range keys {
		if k.Name == key.Name && !k.Expired(time.Now()) {
			live = append(live, k.ID)
		}
	}
	if len(live) >= maxLive {
		return nil, fmt.Errorf("%s already has %d unexpired keys: run clientele keys revoke with one of %s", key.Name, len(live), strings.Join(live, ", "))
	}
	if len(content) > 0 && !bytes.HasSuffix(content, []byte("\n")) {
		content = append(content, '\n')
	}
	return append(content, key.String()+"\n"...), nil
}

// printKey prints the key alone on standard output, for scripts, and the rest on standard error.
func printKey(e env, token, line string) error {
	if _, err := fmt.Fprintln(e.stdout, token); err != nil {
		return fmt.Errorf("print the key: %w", err)
	}
	_, err := fmt.Fprintf(e.stderr, "Give this key to the caller: it is not shown again. %s\n", line)
	return err
}

type keysLsCmd struct {
	KeysFile string `required:"" type:"path" predictor:"file" placeholder:"FILE" help:"The keys file."`
}

// Help is printed by --help.
func (*keysLsCmd) Help() string {
	return `Examples:

  clientele keys ls --keys-file keys`
}

// Run lists the keys.
func (c *keysLsCmd) Run(e env) error {
	_, keys, err := auth.ReadKeysFile(c.KeysFile)
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tNAME\tSCOPES\tEXPIRES")
	for _, k := range keys {
		fields := strings.Fields(k.String())
		expires := fields[4]
		if k.Expired(time.Now()) {
			expires += " (expired)"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", k.ID, k.Name, fields[3], expires)
	}
	return t.Flush()
}
