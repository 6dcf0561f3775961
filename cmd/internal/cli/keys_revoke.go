package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"clientele/cmd/internal/app"
	"clientele/domain"
	"clientele/publisher/ingress/auth"
)

type keysRevokeCmd struct {
	KeysFile string        `required:"" type:"path" predictor:"file" placeholder:"FILE" help:"The keys file."`
	Wait     bool          `help:"Wait until the processes of --admin refuse the keys. The exit status is 1 if one does not in time."`
	Admin    []string      `default:"http://127.0.0.1:9090" placeholder:"URL" help:"Admin listener of a process that uses the keys file, for --wait (${default}). Repeat the flag for each process."`
	Timeout  time.Duration `default:"30s" help:"How long to wait for them (${default})."`
	IDs      []string      `arg:"" name:"id" help:"Ids of keys, as clientele keys ls lists them."`

	auditFlags `embed:""`
}

// Help is printed by --help.
func (*keysRevokeCmd) Help() string {
	return `Examples:

  clientele keys revoke --keys-file keys ID

  # Return when two processes refuse the key
  clientele keys revoke --keys-file keys --wait --admin http://10.0.0.1:9090 --admin http://10.0.0.2:9090 ID`
}

// Validate is called by the parser.
func (c *keysRevokeCmd) Validate() error {
	if !c.Wait {
		return nil
	}
	if len(c.Admin) == 0 || slices.ContainsFunc(c.Admin, func(url string) bool { return !isHTTPURL(url) }) {
		return errors.New("--admin must be like http://127.0.0.1:9090")
	}
	if c.Timeout <= 0 {
		return errors.New("--timeout must be positive")
	}
	return nil
}

// Run removes the keys from the file. If one of them does not exist, nothing changes.
func (c *keysRevokeCmd) Run(e env) error {
	if err := editKeys(e.ctx, c.KeysFile, 0, c.remove); err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "%d revoked\n", len(c.IDs))
	if !c.Wait {
		return nil
	}
	ctx, cancel := context.WithTimeout(e.ctx, c.Timeout)
	defer cancel()
	for _, admin := range c.Admin {
		err := c.awaitRefusal(ctx, admin)
		if e.ctx.Err() != nil {
			return errors.New("interrupted: the keys file has changed, and processes will refuse the keys")
		}
		if err != nil {
			return &app.TimeoutError{Timeout: c.Timeout, Err: fmt.Errorf("%s: %w", admin, err)}
		}
		fmt.Fprintf(e.stdout, "refused by %s\n", admin)
	}
	return nil
}

// remove records the revocations, and returns the content of the keys file without the keys, and with its comments.
func (c *keysRevokeCmd) remove(content []byte, keys []auth.Key) ([]byte, error) {
	for _, id := range c.IDs {
		if !slices.ContainsFunc(keys, func(k auth.Key) bool { return k.ID == id }) {
			return nil, fmt.Errorf("%s has no key with the id %s, see clientele keys ls", c.KeysFile, strconv.Quote(id))
		}
	}
	for _, key := range keys {
		if !slices.Contains(c.IDs, key.ID) {
			continue
		}
		if err := c.recordKey(domain.AuditKeyRevoked, key); err != nil {
			return nil, err
		}
	}
	var kept []byte
	for line := range bytes.Lines(content) {
		if fields := bytes.Fields(line); len(fields) == 0 || !slices.Contains(c.IDs, string(fields[0])) {
			kept = append(kept, line...)
		}
	}
	return kept, nil
}

const (
	refusalInterval = 200 * time.Millisecond
	// metricsTimeout is longer than the checks of a process that is not ready.
	metricsTimeout = 5 * time.Second
)

// awaitRefusal waits until a process refuses the keys. When the context ends, it returns the last answer's error.
func (c *keysRevokeCmd) awaitRefusal(ctx context.Context, admin string) error {
	ticker := time.NewTicker(refusalInterval)
	defer ticker.Stop()
	var last error
	for {
		err := c.refused(ctx, admin)
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return last
		case <-ticker.C:
		}
	}
}

// refused returns nil if the metrics of a process show that it refuses the keys.
func (c *keysRevokeCmd) refused(ctx context.Context, admin string) error {
	ctx, cancel := context.WithTimeout(ctx, metricsTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(admin, "/")+"/metrics", http.NoBody)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	switch metrics := string(body); {
	case err != nil:
		return err
	case response.StatusCode != http.StatusOK:
		return errors.New(response.Status)
	case !strings.Contains(metrics, "\n"+auth.MetricStale+" "):
		return errors.New("this process has no keys file")
	default:
		for _, id := range c.IDs { // which need no quoting
			if strings.Contains(metrics, "\n"+auth.MetricValid+`{id="`+id+`"} `) {
				return fmt.Errorf("it still accepts %s, see its /readyz", id)
			}
		}
		return nil
	}
}
