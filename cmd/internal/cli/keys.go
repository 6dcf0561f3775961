package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"clientele/publisher/ingress/auth"
)

// keysCmd are the operator's commands for API keys. They work on a file; whoever serves with it reads it again.
type keysCmd struct {
	New    keysNewCmd    `cmd:"" help:"Make an API key and print it. It is shown this once."`
	Ls     keysLsCmd     `cmd:"" help:"List the keys of a keys file."`
	Revoke keysRevokeCmd `cmd:"" help:"Take keys out of a keys file. Who serves with it refuses them within seconds."`
}

// maxLive is how many keys of one name may be live: the one in use, and the one that takes its place.
const maxLive = 2

type keysNewCmd struct {
	Name     string `required:"" placeholder:"NAME" help:"Name of the caller. Its idempotency keys belong to the name, whichever key it uses."`
	Scope    string `required:"" placeholder:"SCOPE,…" help:"What the caller may do: clients:write, clients:read, or both with a comma."`
	Expires  expiry `placeholder:"TIME" help:"When the key expires: by RFC 3339, or a duration from now such as 2160h or 90d; never unless given."`
	KeysFile string `type:"path" predictor:"file" placeholder:"FILE" help:"Add the key's line, which holds a hash of the key, to this file; create the file if it is missing. Without it the line is printed on standard error."`
}

// Help is printed by --help.
func (*keysNewCmd) Help() string {
	return `Examples:

  clientele keys new --name crm --scope clients:write,clients:read --expires 365d --keys-file keys
  clientele serve --keys-file keys

Standard output holds the key and nothing else:

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
	key, token := auth.NewKey(auth.Caller{Name: name, Scopes: scopes}, c.Expires.Time)
	if c.KeysFile == "" {
		return printKey(e, token, fmt.Sprintf("Add this line to the keys file:\n\n%s", key))
	}
	file, keys, err := readKeys(c.KeysFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var live []string
	for _, k := range keys {
		if k.Name == name && !k.Expired(time.Now()) {
			live = append(live, k.ID)
		}
	}
	if len(live) >= maxLive {
		return fmt.Errorf("%s has %d live keys already: run clientele keys revoke with one of %s", name, len(live), strings.Join(live, ", "))
	}
	if len(file) > 0 && !bytes.HasSuffix(file, []byte("\n")) {
		file = append(file, '\n')
	}
	if err := replaceFile(c.KeysFile, append(file, key.String()+"\n"...)); err != nil {
		return err
	}
	return printKey(e, token, c.KeysFile+" has its line.")
}

// printKey prints the key alone on standard output, for a script to keep, and the rest beside it.
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
	_, keys, err := readKeys(c.KeysFile)
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

type keysRevokeCmd struct {
	KeysFile string   `required:"" type:"path" predictor:"file" placeholder:"FILE" help:"The keys file."`
	IDs      []string `arg:"" name:"id" help:"Ids of keys, as clientele keys ls lists them."`
}

// Help is printed by --help.
func (*keysRevokeCmd) Help() string {
	return `Examples:

  clientele keys revoke --keys-file keys ID`
}

// Run takes the keys out of the file. Either all of them are there, or nothing changes.
func (c *keysRevokeCmd) Run(e env) error {
	file, keys, err := readKeys(c.KeysFile)
	if err != nil {
		return err
	}
	for _, id := range c.IDs {
		if !slices.ContainsFunc(keys, func(k auth.Key) bool { return k.ID == id }) {
			return fmt.Errorf("%s has no key %s, see clientele keys ls", c.KeysFile, strconv.Quote(id))
		}
	}
	var kept []byte // with its comments
	for line := range bytes.Lines(file) {
		if fields := bytes.Fields(line); len(fields) == 0 || !slices.Contains(c.IDs, string(fields[0])) {
			kept = append(kept, line...)
		}
	}
	if err := replaceFile(c.KeysFile, kept); err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "%d revoked\n", len(c.IDs))
	return nil
}

func readKeys(path string) ([]byte, []auth.Key, error) {
	file, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, err
	}
	keys, err := auth.ParseKeys(file)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	return file, keys, nil
}

// replaceFile writes a file that only its owner may read, as a whole or not at all.
func replaceFile(path string, content []byte) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name()) // in vain when it was renamed
	_, err = temporary.Write(content)
	if err := errors.Join(err, temporary.Sync(), temporary.Close()); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), path)
}
