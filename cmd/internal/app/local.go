package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"clientele/cmd/internal/process"

	"github.com/nats-io/nats.go"
)

// The NATS inside a serve process requires a credential. Each start creates one, and writes it into the data directory for programs of
// the same user.

// localURLPath returns the path of the file with the URL, user and password.
func localURLPath(dir string) string { return filepath.Join(dir, "nats.url") }

// writeLocalURL writes the file for its owner only, and removes it when the process stops.
func writeLocalURL(p *process.Process, dir, url string) (path string, err error) {
	path = localURLPath(dir)
	file, err := os.CreateTemp(dir, "nats.url.*") // mode 0600
	if err != nil {
		return "", fmt.Errorf("write the credential of NATS: %w", err)
	}
	_, err = file.WriteString(url + "\n")
	if err := errors.Join(err, file.Close()); err != nil {
		return "", errors.Join(fmt.Errorf("write the credential of NATS: %w", err), os.Remove(file.Name()))
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return "", errors.Join(fmt.Errorf("write the credential of NATS: %w", err), os.Remove(file.Name()))
	}
	p.OnStop("credential of NATS", func(context.Context) error {
		if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
	return path, nil
}

// NotServedError reports that no serve process runs in a data directory.
type NotServedError struct{ Path string }

func (e *NotServedError) Error() string { return e.Path + " does not exist" }

// readLocalURL returns the URL of the NATS of the serve process that runs in the directory.
func readLocalURL(dir string) (*url.URL, error) {
	path := localURLPath(dir)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &NotServedError{path}
	}
	if err != nil {
		return nil, optionError(err, DataDir)
	}
	u, err := url.Parse(strings.TrimSpace(string(text)))
	if err != nil || u.User == nil {
		return nil, invalid(path+" is not a URL with user and password: restart clientele serve", DataDir)
	}
	return u, nil
}

// isServed reports whether the NATS of a serve process runs in the directory.
func isServed(dir string) bool {
	_, err := readLocalURL(dir)
	return err == nil
}

// local returns the URL of the NATS of the serve process that runs in the directory, and the option with its credential. The option
// reads the credential for each connection, because the process may have been restarted.
func local(dir string) (servers string, credential nats.Option, err error) {
	u, err := readLocalURL(dir)
	if err != nil {
		return "", nil, err
	}
	user := u.User
	u.User = nil
	return u.String(), nats.UserInfoHandler(func() (name, password string) {
		if now, err := readLocalURL(dir); err == nil {
			user = now.User
		}
		password, _ = user.Password()
		return user.Username(), password
	}), nil
}
