// Package served has the credential for the NATS inside a serve process. Each start creates one, and writes it into the data directory for
// programs of the same user.
package served

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"clientele/cmd/internal/option"
	"clientele/cmd/internal/process"

	"github.com/nats-io/nats.go"
)

// fileIn returns the path of the file with the URL, user and password.
func fileIn(dir string) string { return filepath.Join(dir, "nats.url") }

// Write writes the file for its owner only, and removes it when the process stops.
func Write(p *process.Process, dir, url string) (path string, err error) {
	path = fileIn(dir)
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

// MissingError reports that no serve process runs in a data directory.
type MissingError struct{ Path string }

func (e *MissingError) Error() string { return e.Path + " does not exist" }

// read returns the URL of the NATS of the serve process that runs in the directory.
func read(dir string) (*url.URL, error) {
	path := fileIn(dir)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &MissingError{path}
	}
	if err != nil {
		return nil, option.Wrap(err, option.DataDir)
	}
	u, err := url.Parse(strings.TrimSpace(string(text)))
	if err != nil || u.User == nil {
		return nil, option.Invalid(path+" is not a URL with user and password: restart clientele serve", option.DataDir)
	}
	return u, nil
}

// Runs reports whether the NATS of a serve process runs in the directory.
func Runs(dir string) bool {
	_, err := read(dir)
	return err == nil
}

// Credential returns the URL of the NATS of the serve process that runs in the directory, and the option with its credential. The option
// reads the credential for each connection, because the process may have been restarted.
func Credential(dir string) (servers string, credential nats.Option, err error) {
	u, err := read(dir)
	if err != nil {
		return "", nil, err
	}
	user := u.User
	u.User = nil
	return u.String(), nats.UserInfoHandler(func() (name, password string) {
		if now, err := read(dir); err == nil {
			user = now.User
		}
		password, _ = user.Password()
		return user.Username(), password
	}), nil
}
